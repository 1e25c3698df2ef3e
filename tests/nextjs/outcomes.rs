//! Pages that are not there, or somewhere else.

use crate::page::{ROUTERS, assert_kind, generation};
use crate::site::Site;
use crate::support::{PATIENCE, Response, eventually, head};

#[track_caller]
fn assert_redirect(response: &Response, cache: &str, to: &str, why: &str) {
    assert_eq!((response.status, response.cache()), (307, cache), "{why}: {:?}", response.headers);
    let locations: Vec<_> = response.headers.all("location").collect();
    assert_eq!(locations, [to], "{why}: one Location");
}

#[tokio::test]
async fn a_page_that_is_not_there_is_stored_and_appears_later() {
    let site = Site::of_example("2s").start().await;
    for (id, router) in (50..).step_by(2).zip(ROUTERS) {
        let (path, other) = (router.post(&id.to_string()), router.post(&(id + 1).to_string()));
        let mut visitor = site.proxy.client().await;
        let absent = visitor.get(&path).await;
        assert_eq!((absent.status, absent.cache()), (404, "MISS"), "{path}: {:?}", absent.headers);
        assert_kind(&absent, "text/html", &path);
        let again = visitor.get(&path).await;
        assert_eq!((again.status, again.cache()), (404, "HIT"), "{path}: stored");
        assert_eq!(again.text(), absent.text(), "{path}: the application's own page");
        assert_eq!(site.get(&other).await.status, 404, "{other}");
        let data = site.data(&router, &other).await;
        assert_eq!(data.status, 404, "{other}: its data is not there either");

        let version = site.edit(id, "A post that was not there").await;
        site.edit(id + 1, "Another").await;
        let demanded = site.revalidate(&other).await;
        assert_eq!((demanded.status, demanded.cache()), (200, "REVALIDATED"), "{other}: at once on demand");
        let data = site.data(&router, &other).await;
        assert_eq!(data.status, 200, "{other}: and its data");
        assert_kind(&data, router.data_type(), &other);
        let page = eventually(&format!("{path} appears"), PATIENCE, async || {
            Some(visitor.get(&path).await).filter(|page| page.status == 200)
        })
        .await;
        assert!(generation(&page).version >= version, "{path}: by interval");

        site.delete(id).await;
        eventually(&format!("{path} disappears"), PATIENCE, async || {
            let page = visitor.get(&path).await;
            assert!(matches!(page.status, 200 | 404), "{path}: there or not there: {}", page.status);
            (page.status == 404 && page.cache() == "HIT").then_some(())
        })
        .await;
    }
}

/// The app router sends the address of a redirect twice when it renders one anew.
#[tokio::test]
async fn a_redirect_is_stored_as_one() {
    let site = Site::of_example("1h").start().await;
    for (id, router) in (70..).zip(ROUTERS) {
        let path = router.post("latest");
        let data = site.data(&router, &path).await;
        assert_eq!(data.status, 200, "{path}: the router's client redirects itself: {:?}", data.headers);
        let newest = if id == 70 { 3 } else { id - 1 };
        let to = router.post(&newest.to_string());
        assert_redirect(&site.get(&path).await, "MISS", &to, &path);
        assert_redirect(&site.get(&path).await, "HIT", &to, &path);
        assert_redirect(&site.send(&head(&path)).await, "HIT", &to, &path);
        assert_eq!(site.get(&to).await.status, 200, "{path}: leads to a page");
        assert_eq!(site.data(&router, &path).await.cache(), "HIT", "{path}: stored");

        site.edit(id, "The latest post").await;
        assert_redirect(&site.get(&path).await, "HIT", &to, &path);
        let to = router.post(&id.to_string());
        assert_redirect(&site.revalidate(&path).await, "REVALIDATED", &to, &path);
        assert_redirect(&site.get(&path).await, "HIT", &to, &path);
        let data = site.data(&router, &path).await;
        assert_eq!((data.status, data.cache()), (200, "MISS"), "{path}: its data goes with it");
        assert!(data.text().contains(&to), "{path}: its data says where to: {:?}", data.text());
    }
}
