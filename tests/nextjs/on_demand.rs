//! Regeneration on demand: by the header, and by the API routes of the quickstart.

use crate::page::{PAGES, ROUTERS, generation};
use crate::site::{SECRET, Site};
use crate::support::{Response, get, head};

#[track_caller]
fn assert_revalidated(answer: &Response, status: u16, why: &str) {
    assert_eq!(answer.status, status, "{why}: the page's own status: {:?}", answer.text());
    for name in ["x-isr-cache", "x-vercel-cache", "x-nextjs-cache"] {
        assert_eq!(answer.headers.list(name), "REVALIDATED", "{why}: {name}");
    }
}

#[tokio::test]
async fn the_token_renders_now_by_get_and_by_head() {
    let site = Site::of_example("1h").start().await;
    for router in ROUTERS {
        for path in [router.list.to_owned(), router.post("1")] {
            let why = format!("{}, {path}", router.name);
            assert_eq!(site.get(&path).await.cache(), "MISS", "{why}: the first visitor renders");

            let version = site.edit(1, "Edited and demanded by GET").await;
            assert!(generation(&site.get(&path).await).version < version, "{why}: not yet");
            let answer = site.revalidate(&path).await;
            assert_revalidated(&answer, 200, &format!("{why}: GET"));
            assert_eq!(generation(&answer).version, version, "{why}: a GET is answered with the new page");
            let page = site.get(&path).await;
            assert_eq!((page.cache(), page.text()), ("HIT", answer.text()), "{why}: which everybody gets");

            let version = site.edit(1, "Edited and demanded by HEAD").await;
            let answer = site.revalidate_by_head(&path).await;
            assert_revalidated(&answer, 200, &format!("{why}: HEAD"));
            let page = site.get(&path).await;
            assert_eq!(page.cache(), "HIT", "{why}: stored when the HEAD is answered");
            assert_eq!(generation(&page).version, version, "{why}: a HEAD renders as a GET does");
            assert!(page.text().contains("Edited and demanded by HEAD"), "{why}: the whole page");
        }
        let (absent, moved) = (router.post("99"), router.post("latest"));
        assert_revalidated(&site.revalidate_by_head(&absent).await, 404, &absent);
        assert_revalidated(&site.revalidate_by_head(&moved).await, 307, &moved);
        assert_revalidated(&site.revalidate(&moved).await, 307, &moved);
    }
}

#[tokio::test]
async fn a_wrong_token_changes_nothing() {
    let site = Site::of_example("1h").tapped().start().await;
    let wrong = ["wrong", "", SECRET, site.preview_mode_id()];
    for router in ROUTERS {
        let path = router.post("1");
        let before = site.get(&path).await;
        site.edit(1, "Nobody may see this yet").await;
        let renders = site.tap().heads().len();
        for token in wrong {
            let why = format!("{}, token {token:?}", router.name);
            site.send(&get(&path).revalidate(token)).await.problem(401, &why);
            assert_eq!(site.send(&head(&path).revalidate(token)).await.status, 401, "{why}");
            let data = router.data(site.build(), &path).revalidate(token);
            site.send(&data).await.problem(401, &format!("{why}, for the page's data"));
        }
        assert_eq!(site.tap().heads().len(), renders, "{}: Next.js is not asked", router.name);
        let after = site.get(&path).await;
        assert_eq!((after.cache(), after.text()), ("HIT", before.text()), "{}: the page stays", router.name);
    }
}

#[tokio::test]
async fn the_quickstarts_api_route_ends_in_a_new_page_at_the_proxy() {
    let site = Site::of_example("1h").start().await;
    for router in ROUTERS {
        let path = router.post("1");
        let list = router.list;
        for path in [list, &path] {
            assert_eq!(site.get(path).await.cache(), "MISS", "{}: the first visitor renders", router.name);
        }
        let version = site.edit(1, "Edited and demanded by the API route").await;
        for query in ["", "?secret=", "?secret=wrong"] {
            let refused = site.get(&format!("{}{query}", router.api)).await;
            assert_eq!(refused.status, 401, "{}: {query:?} is not the secret", router.name);
            let says = if router.list == PAGES.list { "Invalid token" } else { "Invalid credentials" };
            assert!(refused.text().contains(says), "{}: the route itself says so", router.name);
            assert!(generation(&site.get(&path).await).version < version, "{}: nothing changed", router.name);
        }

        let done = site.get(&format!("{}?secret={SECRET}&path={path}", router.api)).await;
        assert_eq!(done.status, 200, "{}: {:?}", router.name, done.text());
        assert!(done.text().contains("\"revalidated\":true"), "{}: {:?}", router.name, done.text());
        assert_eq!(done.cache(), "BYPASS", "{}: an API route is no page", router.name);
        let is_new = |page: &Response| generation(page).version == version;
        // Who comes while the app router still tells kube-isr, after it has answered, may not be the last who waits for a render.
        let is_new_and_stored = |page: &Response| is_new(page) && page.cache() == "HIT";
        site.proxy.visit_until(&path, "the page is new, and stored for everybody", is_new_and_stored).await;
        let other = site.get(list).await;
        assert_eq!(other.cache(), "HIT", "{}: {list} was not named", router.name);
        assert!(generation(&other).version < version, "{}: {list} was not named", router.name);

        let done = site.get(&format!("{}?secret={SECRET}", router.api)).await;
        assert_eq!(done.status, 200, "{}: without a path the list is meant", router.name);
        let page = site.proxy.visit_until(list, "the list is new", is_new).await;

        site.data_fails().await;
        let answer = site.get(&format!("{}?secret={SECRET}", router.api)).await;
        let kept = site.get(list).await;
        site.data_works().await;
        if router.list == PAGES.list {
            assert_eq!(answer.status, 500, "{}: Next.js renders before it answers", router.name);
            assert_eq!(
                (kept.cache(), kept.text()),
                ("HIT", page.text()),
                "{}: the last good page",
                router.name
            );
        } else {
            assert_eq!(answer.status, 200, "{}: Next.js renders when somebody comes", router.name);
            let recovered = |page: &Response| page.status == 200 && page.cache() == "HIT";
            site.proxy.visit_until(list, "the page is there again", recovered).await;
        }
    }
}
