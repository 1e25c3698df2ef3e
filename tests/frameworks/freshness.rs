//! Pages become new: by their interval, and on demand.

use crate::framework::Framework;
use crate::page::assert_kind;
use crate::site::{SECRET, Site};
use crate::support::{PATIENCE, TOKEN, eventually, get, head};

/// An old page is served once more and then the new one; so is its data.
pub async fn interval_refresh(framework: &Framework) {
    let site = Site::start(framework, "2s").await;
    for path in [framework.list.to_owned(), framework.post("1")] {
        let why = format!("{}, {path}", framework.name);
        let first = site.get(&path).await;
        assert_eq!((first.status, first.cache()), (200, "MISS"), "{why}: the first visitor renders");
        assert_kind(&first, "text/html", &why);
        let second = site.get(&path).await;
        assert_eq!((second.cache(), second.text()), ("HIT", first.text()), "{why}: the second does not");
        let data = site.data(&path).await;
        assert_kind(&data, framework.data_type, &why);
        assert_eq!((data.status, data.cache()), (200, "MISS"), "{why}: data is not the page");
        assert_eq!(site.data(&path).await.cache(), "HIT", "{why}: and is stored");

        let version = site.edit(1, &format!("What is new on {path}")).await;
        let mut seen = Vec::new();
        let new = eventually(&format!("{why}: the new page"), PATIENCE, async || {
            let page = site.get(&path).await;
            assert_eq!(page.status, 200, "{why}: always a page");
            seen.push(page.cache().to_owned());
            (framework.generation(&page).version == version).then_some(page)
        })
        .await;
        assert!(new.text().contains(&format!("What is new on {path}")), "{why}: the new title");
        assert_eq!(new.cache(), "HIT", "{why}: nobody waits for it, after {seen:?}");
        assert!(seen.contains(&"STALE".to_owned()), "{why}: the old one once more: {seen:?}");
        let data = site.data_of_generation(&path).await;
        assert_eq!(framework.generation(&data).version, version, "{why}: its data is new with it");
    }
}

/// The header and the quickstart's own route, for the list and for a post; a wrong secret changes nothing.
pub async fn on_demand(framework: &Framework) {
    let site = Site::start(framework, "1h").await;
    for path in [framework.list.to_owned(), framework.post("1")] {
        let why = format!("{}, {path}", framework.name);
        site.get(&path).await;
        site.data(&path).await;
        for (request, way) in [(get(&path), "GET"), (head(&path), "HEAD"), (site.data_request(&path), "data")]
        {
            let version = site.edit(1, &format!("Demanded by {way}")).await;
            for (wrong, presented) in [("a wrong token", "wrong"), ("no token", ""), ("a part", &TOKEN[..31])]
            {
                let refused = site.send(&request.clone().revalidate(presented)).await;
                assert_eq!(refused.status, 401, "{why}: {wrong} by {way}");
            }
            let page = site.get(&path).await;
            assert_eq!(page.cache(), "HIT", "{why}: nothing was rendered for a wrong token");
            assert!(framework.generation(&page).version < version, "{why}: and nothing changed");

            site.send(&request.revalidate(TOKEN)).await.is_revalidated(200, &format!("{why}: {way}"));
            let page = site.get(&path).await;
            assert_eq!(framework.generation(&page).version, version, "{why}: new for everybody, by {way}");
            assert!(page.text().contains(&format!("Demanded by {way}")), "{why}: {way}");
            assert_eq!(framework.generation(&site.data(&path).await).version, version, "{why}: and its data");
        }
        if let Some(api) = framework.api {
            let version = site.edit(1, "Demanded by the API route").await;
            let wrong = site.get(&format!("{api}?secret=wrong&path={path}")).await;
            assert_eq!(wrong.status, 401, "{why}: a wrong secret");
            assert!(framework.generation(&site.get(&path).await).version < version, "{why}: nothing changed");
            let done = site.get(&format!("{api}?secret={SECRET}&path={path}")).await;
            assert_eq!(done.status, 200, "{why}: {}", done.text());
            let page = eventually(&format!("{why}: the new page"), PATIENCE, async || {
                let page = site.get(&path).await;
                (framework.generation(&page).version == version).then_some(page)
            })
            .await;
            assert!(page.text().contains("Demanded by the API route"), "{why}");
        }
    }
    let absent = framework.post("99");
    site.send(&get(&absent).revalidate(TOKEN)).await.is_revalidated(404, "a post that is not there");
    let title = "A post that was not there";
    site.edit(99, title).await;
    assert_eq!(site.get(&absent).await.status, 404, "not yet");
    site.send(&get(&absent).revalidate(TOKEN)).await.is_revalidated(200, "a post that is there now");
    assert!(site.get(&absent).await.text().contains(title), "for everybody");
}
