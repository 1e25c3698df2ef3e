//! A page and its data are of one generation: what is served after a regeneration is never older than it.

use crate::page::{APP, ROUTERS, generation, rsc, rsc_tree};
use crate::site::Site;
use crate::support::{TOKEN, get};

#[tokio::test]
async fn one_post_changes_with_its_data_and_no_other() {
    let site = Site::of_example("1h").start().await;
    for router in ROUTERS {
        let (one, two) = (router.post("1"), router.post("2"));
        let before = site.get(&one).await;
        for path in [&one, &two, router.list] {
            site.get(path).await;
            site.data(&router, path).await;
        }
        let others = [site.get(&two).await, site.data(&router, &two).await, site.get(router.list).await];
        let version = site.edit(1, "The first post alone").await;

        let page = site.revalidate(&one).await;
        assert_eq!(generation(&page).version, version, "{}: the post is new", router.name);
        let data = site.data(&router, &one).await;
        assert_eq!(generation(&data).version, version, "{}: its data is new", router.name);
        assert!(generation(&data) >= generation(&page), "{}: not older than the page", router.name);
        assert!(generation(&page) > generation(&before), "{}: a new generation", router.name);
        assert_eq!(site.data(&router, &one).await.cache(), "HIT", "{}: and stored", router.name);

        let now = [site.get(&two).await, site.data(&router, &two).await, site.get(router.list).await];
        for (now, before) in now.iter().zip(&others) {
            assert_eq!((now.cache(), now.text()), ("HIT", before.text()), "{}: others stay", router.name);
        }
    }
}

/// Visitors ask for data while the page is being regenerated: what they cause must not outlive it.
#[tokio::test]
async fn data_is_never_older_than_the_page_that_was_demanded() {
    let site = Site::of_example("1h").start().await;
    for router in ROUTERS {
        let path = router.post("1");
        for round in 0..8 {
            let why = format!("{}, round {round}", router.name);
            let version = site.edit(1, &format!("Round {round}")).await;
            // The page is demanded by its own URL and, every other time, by that of its data.
            let data = router.data(site.build(), &path);
            let by_data = data.clone().revalidate(TOKEN);
            let demand = if round % 2 == 0 { get(&path).revalidate(TOKEN) } else { by_data };
            let (_, demanded, _) = tokio::join!(site.send(&data), site.send(&demand), site.get(&path));
            assert_eq!(demanded.status, 200, "{why}: {:?}", demanded.text());
            assert_eq!(demanded.cache(), "REVALIDATED", "{why}");
            assert_eq!(generation(&demanded).version, version, "{why}: the newest");
            for (what, served) in [("data", site.send(&data).await), ("page", site.get(&path).await)] {
                assert_eq!(served.status, 200, "{why}: {what}");
                assert!(
                    generation(&served) >= generation(&demanded),
                    "{why}: the {what} served next, {:?}, is older than {:?}",
                    generation(&served),
                    generation(&demanded)
                );
            }
        }
    }
}

#[tokio::test]
async fn every_payload_of_a_page_goes_with_it() {
    let site = Site::of_example("1h").tapped().start().await;
    let path = APP.post("1");
    let variants = [get(&path), rsc(&path), rsc_tree(&path)];
    for request in &variants {
        assert_eq!(site.send(request).await.cache(), "MISS", "{request:?}");
        assert_eq!(site.send(request).await.cache(), "HIT", "{request:?}");
    }
    assert_eq!(site.revalidate_by_head(&path).await.cache(), "REVALIDATED", "the page");
    let cached =
        [site.send(&variants[0]).await, site.send(&variants[1]).await, site.send(&variants[2]).await]
            .map(|answer| answer.cache().to_owned());
    assert_eq!(cached, ["HIT", "MISS", "MISS"], "the page is there, its payloads are of before and gone");
    assert_eq!(site.tap().count_of(&path), 6, "each of the three was rendered twice");
}
