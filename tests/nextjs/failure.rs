//! When the data service or Next.js itself is gone: the last good page.

use std::time::{Duration, Instant};

use crate::page::{APP, ROUTERS, generation, rsc_tree};
use crate::site::Site;
use crate::support::{HOST, PATIENCE, Request, Response, eventually, get};

/// A failed render is tried again after 30 seconds; a machine may be busy.
const RECOVERY: Duration = Duration::from_mins(1);

#[tokio::test]
async fn without_its_data_the_last_good_page_stays_and_recovers() {
    let site = Site::of_example("1s").start().await;
    let mut good = Vec::new();
    for router in ROUTERS {
        // The first is demanded while the data is gone, the second only visited.
        let (demanded, visited) = (router.post("1"), router.post("2"));
        let pages = [site.get(&demanded).await, site.get(&visited).await];
        let data = site.data(&router, &demanded).await;
        assert!(pages.iter().all(|page| page.status == 200) && data.status == 200, "{}", router.name);
        good.push((router, demanded, visited, pages, data));
    }
    site.data_fails().await;
    for (router, demanded, visited, pages, data) in &good {
        for (path, page) in [demanded, visited].into_iter().zip(pages) {
            failed_render(&site, path).await;
            let now = site.get(path).await;
            assert_eq!(
                (now.status, now.cache(), generation(&now)),
                (200, "STALE", generation(page)),
                "{path}"
            );
        }
        let problem = site.revalidate(demanded).await.problem(502, demanded);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("500"), "{demanded}: names what Next.js answered: {detail}");
        assert_eq!(site.revalidate_by_head(demanded).await.status, 502, "{demanded}");
        let now = site.get(demanded).await;
        assert_eq!((now.status, now.cache()), (200, "STALE"), "{demanded}: the last good page stays");
        assert_eq!(generation(&now), generation(&pages[0]), "{demanded}: the last good page stays");
        let now = site.data(router, demanded).await;
        assert_eq!((now.status, generation(&now)), (200, generation(data)), "{demanded}: and its data");

        let cold = site.get(&router.post("3")).await;
        assert_eq!(
            (cold.status, cold.cache()),
            (500, "ERROR"),
            "{}: no page ever: the application's own error",
            router.name
        );
        assert!(cold.header("content-type").starts_with("text/html"), "{}", router.name);
    }

    let version = site.edit(1, "After the failure").await;
    site.data_works().await;
    for (router, demanded, ..) in &good {
        let cold = site.get(&router.post("3")).await;
        assert_eq!((cold.status, cold.cache()), (200, "MISS"), "{}: the error was not stored", router.name);
        let page = site.revalidate(demanded).await;
        assert_eq!((page.status, page.cache()), (200, "REVALIDATED"), "{demanded}: at once on demand");
        assert_eq!(generation(&page).version, version, "{demanded}: the newest data");
    }
    let begun = Instant::now();
    for (_, _, visited, ..) in &good {
        let left = RECOVERY.saturating_sub(begun.elapsed());
        eventually(&format!("{visited} recovers by itself"), left, async || {
            let page = site.get(visited).await;
            assert_eq!(page.status, 200, "{visited}: always a page");
            (generation(&page).version == version).then_some(())
        })
        .await;
    }
}

/// Visits the page until a render of it has failed.
async fn failed_render(site: &Site, path: &str) {
    eventually(&format!("a render of {path} fails"), PATIENCE, async || {
        let page = site.get(path).await;
        assert_eq!(page.status, 200, "{path}: always a page");
        let url = format!("/cache?url=http://{HOST}{path}");
        let known = site.proxy.admin_json(&url).await;
        known["underWay"]["lastFailure"].is_object().then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_nextjs_pages_and_data_stay() {
    let mut site = Site::of_example("1s").start().await;
    let mut requests: Vec<Request> = Vec::new();
    for router in ROUTERS {
        for path in [router.list.to_owned(), router.post("1"), router.post("99"), router.post("latest")] {
            requests.extend([get(&path), router.data(site.build(), &path)]);
        }
    }
    requests.extend([rsc_tree(APP.list), rsc_tree(&APP.post("1"))]);
    let mut good: Vec<Response> = Vec::new();
    for request in &requests {
        good.push(site.send(request).await);
    }
    site.kill_next();

    for (request, good) in requests.iter().zip(&good) {
        let why = format!("{} {:?}", request.target, request.headers);
        assert!(matches!(good.status, 200 | 307 | 404), "{why}: there is a page: {}", good.status);
        let stale = eventually(&format!("{why} is stale"), PATIENCE, async || {
            let page = site.send(request).await;
            assert_eq!((page.status, page.text()), (good.status, good.text()), "{why}: the last good page");
            (page.cache() == "STALE").then_some(page)
        })
        .await;
        for name in ["content-type", "location"] {
            assert_eq!(stale.headers.list(name), good.headers.list(name), "{why}: {name}");
        }
    }
    for router in ROUTERS {
        let path = router.post("1");
        site.revalidate(&path).await.problem(502, &format!("{path}: on demand there is nothing to be had"));
        let page = site.get(&path).await;
        assert_eq!((page.status, page.cache()), (200, "STALE"), "{path}: the last good page stays");
        site.get(&router.post("2")).await.problem(502, "a page that was never there");
    }
}
