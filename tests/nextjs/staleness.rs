//! Next.js is a page cache of its own: by itself it answers with its own stale page, with `@kube-isr/next` or the origin token
//! it renders anew. What it admits to be stale is never taken for a fresh page.

use crate::page::{APP, PAGES, ROUTERS, generation};
use crate::site::{Plan, Site};
use crate::support::get;

/// Every copy of the build is an hour old, so Next.js calls its pages stale. Whether the page or its data is asked for
/// first, each needs a site that nobody has visited.
#[tokio::test]
async fn a_stale_first_page_is_replaced_without_another_visit() {
    for (what, of_data) in [("page", false), ("data", true)] {
        let site = Site::of_routes(|route, _| route.interval("1h")).without_package().start().await;
        let version = site.edit(1, "Since the build").await;
        for router in ROUTERS {
            let why = format!("{}, {what}", router.name);
            let request = if of_data { router.data(site.build(), router.list) } else { get(router.list) };
            let first = site.send(&request).await;
            assert_eq!((first.status, first.cache()), (200, "MISS"), "{why}");
            assert!(generation(&first).version < version, "{why}: Next.js gives what was built");
            site.stored_fresh(router.list).await;
            let next = site.send(&request).await;
            assert_eq!((next.status, next.cache()), (200, "HIT"), "{why}: nobody waits");
            assert_eq!(generation(&next).version, version, "{why}: an hour earlier than the interval");
        }
    }
}

#[tokio::test]
async fn with_the_package_or_the_origin_token_the_first_page_is_new() {
    let with_token = Site::of_routes(|route, preview| route.interval("1h").origin_token(preview));
    let with_package = Site::of_routes(|route, _| route.interval("1h"));
    for plan in [with_token.without_package(), with_package] {
        the_first_page_is_new(plan).await;
    }
}

async fn the_first_page_is_new(plan: Plan) {
    let site = plan.tapped().start().await;
    let version = site.edit(1, "Since the build").await;
    for router in ROUTERS {
        let first = site.get(router.list).await;
        assert_eq!((first.status, first.cache()), (200, "MISS"), "{}", router.name);
        assert_eq!(generation(&first).version, version, "{}: not what was built", router.name);
        assert_eq!(site.tap().count_of(router.list), 1, "{}: at once", router.name);
        assert_eq!(site.get(router.list).await.cache(), "HIT", "{}: and stored", router.name);
    }
}

/// The interval is a second longer than the ten of Next.js, so that its copy is stale when it is asked again. Taken for
/// a fresh page, it would be served for another eleven seconds.
#[tokio::test]
async fn without_either_a_second_staleness_is_short() {
    let site = Site::of_routes(|route, _| route.interval("11s"));
    let site = site.without_package().tapped().start().await;
    let paths = [PAGES.post("1"), APP.post("1")];
    for path in &paths {
        assert_eq!(site.get(path).await.cache(), "MISS", "{path}: rendered now, by Next.js as well");
    }
    let version = site.edit(1, "Since the first visit").await;
    for path in &paths {
        site.proxy.visit_until(path, "the interval is over", |page| page.cache() == "STALE").await;
    }
    for path in &paths {
        site.stored_fresh(path).await;
        let page = site.get(path).await;
        assert_eq!((page.status, page.cache()), (200, "HIT"), "{path}: nobody waits");
        assert_eq!(generation(&page).version, version, "{path}: one interval later, not two");
        assert_eq!(site.tap().count_of(path), 3, "{path}: the first, the stale copy, and the new page");
    }
}

/// The same with the package or the token: the first render after the interval brings the newest data.
#[tokio::test]
async fn with_the_package_or_the_origin_token_there_is_no_second_staleness() {
    let with_token = Site::of_routes(|route, preview| route.interval("11s").origin_token(preview));
    let with_package = Site::of_routes(|route, _| route.interval("11s"));
    tokio::join!(no_second_staleness(with_token.without_package()), no_second_staleness(with_package));
}

async fn no_second_staleness(plan: Plan) {
    let site = plan.tapped().start().await;
    let paths = [PAGES.post("1"), APP.post("1")];
    for path in &paths {
        assert_eq!(site.get(path).await.cache(), "MISS", "{path}: rendered now, by Next.js as well");
    }
    let version = site.edit(1, "Since the first visit").await;
    for path in &paths {
        site.proxy.visit_until(path, "the interval is over", |page| page.cache() == "STALE").await;
    }
    for path in &paths {
        site.stored_fresh(path).await;
        let page = site.get(path).await;
        assert_eq!((page.status, page.cache()), (200, "HIT"), "{path}: nobody waits");
        assert_eq!(generation(&page).version, version, "{path}: the newest data");
        assert_eq!(site.tap().count_of(path), 2, "{path}: the first and the new page, nothing between");
    }
}

#[tokio::test]
async fn without_either_a_demand_does_not_pretend() {
    let site = Site::of_routes(|route, _| route.interval("1h")).without_package().start().await;
    for router in ROUTERS {
        let path = router.post("1");
        site.get(&path).await;
        site.edit(1, "Since the first visit").await;
        let problem = site.revalidate(&path).await.problem(502, &path);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains("@kube-isr/next") && detail.contains("originToken"),
            "{path}: it says what to write: {problem}"
        );
    }
}
