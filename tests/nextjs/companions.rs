//! The data of a page: RSC payloads and `/_next/data`. Cached like the page, and never taken for it.

use crate::page::{APP, PAGES, ROUTERS, assert_kind, generation, rsc, rsc_tree};
use crate::site::Site;
use crate::support::{PATIENCE, Request, eventually, get};

/// What the app router sends along when its visitor is on the list of posts.
const STATE_TREE: &str = "%5B%22%22%2C%7B%22children%22%3A%5B%22app-router%22%2C%7B%22children%22%3A%5B%22blog-posts%22%2C\
                          %7B%22children%22%3A%5B%22__PAGE__%22%2C%7B%7D%5D%7D%5D%7D%5D%7D%2Cnull%2Cnull%2C16%5D";

/// A request for an RSC payload of `path`: with this query, and these header fields beside `RSC: 1`.
fn asked(path: &str, query: &str, fields: &[(&str, &str)]) -> Request {
    let request = get(&format!("{path}{query}")).header("RSC", "1");
    fields.iter().fold(request, |request, (name, value)| request.header(name, *value))
}

#[tokio::test]
async fn rsc_payloads_are_cached_whatever_the_client_seals_them_with() {
    let prefetch = ("Next-Router-Prefetch", "1");
    let tree = ("Next-Router-Segment-Prefetch", "/_tree");
    let (state, from) = (("Next-Router-State-Tree", STATE_TREE), ("Next-Url", "/app-router/blog-posts"));
    // The last of each list is what the router's own client sends.
    let payloads: [&[(&str, &str)]; 4] = [&[], &[prefetch], &[state], &[state, from]];
    let segments: [&[(&str, &str)]; 3] = [&[tree], &[prefetch, tree, from], &[prefetch, tree]];
    let queries = ["", "?_rsc", "?_rsc=", "?_rsc=1r34m", "?_rsc=bl95g", "?_rsc=wrong", "?_rsc=a&_rsc=b"];

    let site = Site::of_example("1h").tapped().start().await;
    for path in [APP.list.to_owned(), APP.post("1")] {
        let page = site.get(&path).await;
        assert_kind(&page, "text/html", &path);
        let mut bodies = Vec::new();
        for kind in [&payloads[..], &segments[..]] {
            let mut first: Option<String> = None;
            for fields in kind {
                for query in queries {
                    let why = format!("{path}{query} with {fields:?}");
                    let answer = site.send(&asked(&path, query, fields)).await;
                    assert_eq!(answer.status, 200, "{why}: never a redirect: {:?}", answer.headers);
                    assert_kind(&answer, "text/x-component", &why);
                    let body = first.get_or_insert_with(|| {
                        assert_eq!(answer.cache(), "MISS", "{why}: nobody has asked for it");
                        answer.text()
                    });
                    assert_eq!(&answer.text(), body, "{why}: the same payload for all");
                    let again = site.send(&asked(&path, query, fields)).await;
                    assert_eq!(
                        (again.cache(), again.text()),
                        ("HIT", body.clone()),
                        "{why}: the second time"
                    );
                }
            }
            bodies.extend(first);
            let page_again = site.get(&path).await;
            assert_eq!(
                (page_again.cache(), page_again.text()),
                ("HIT", page.text()),
                "{path}: the page is HTML"
            );
        }
        assert_ne!(bodies[0], bodies[1], "{path}: a part of a page is not the whole");
        assert_eq!(
            site.tap().count_of(&path),
            3,
            "{path}: a page, a payload and a segment are three renders"
        );
    }
    let heads = site.tap().heads().join("\n\n").to_ascii_lowercase();
    for name in ["next-router-state-tree", "next-url"] {
        assert!(!heads.contains(name), "what one visitor has on the screen is nobody's page: {name}");
    }
}

#[tokio::test]
async fn header_fields_of_the_router_make_no_payload_without_rsc() {
    let site = Site::of_example("1h").tapped().start().await;
    let path = APP.post("1");
    // Payloads first: a page must not be found under their keys.
    for payload in [rsc(&path), rsc_tree(&path)] {
        assert_kind(&site.send(&payload).await, "text/x-component", &path);
    }
    let (prefetch, tree) = (("Next-Router-Prefetch", "1"), ("Next-Router-Segment-Prefetch", "/_tree"));
    let cases: [&[(&str, &str)]; 5] =
        [&[], &[prefetch], &[tree], &[prefetch, tree], &[("RSC", "0"), prefetch, tree]];
    for (index, fields) in cases.into_iter().enumerate() {
        let request = fields.iter().fold(get(&path), |request, (name, value)| request.header(name, *value));
        let page = site.send(&request).await;
        assert_eq!(page.status, 200, "{fields:?}: {:?}", page.headers);
        assert_kind(&page, "text/html", &format!("{fields:?}"));
        assert_eq!(page.cache(), if index == 0 { "MISS" } else { "HIT" }, "{fields:?} is the page");
    }
    assert_eq!(site.tap().count_of(&path), 3, "one page, one payload, one segment");
}

#[tokio::test]
async fn data_of_the_pages_router_is_cached_and_is_never_html() {
    let site = Site::of_example("1h").tapped().start().await;
    for path in [PAGES.list.to_owned(), PAGES.post("1")] {
        let url = format!("/_next/data/{}{path}.json", site.build());
        let data = site.data(&PAGES, &path).await;
        assert_eq!((data.status, data.cache()), (200, "MISS"), "{path}: nobody has asked for its data");
        assert_kind(&data, "application/json", &path);
        let page = site.get(&path).await;
        assert_eq!((page.status, page.cache()), (200, "MISS"), "{path}: its data is not the page");
        assert_kind(&page, "text/html", &path);
        for request in [get(&url), get(&url).header("x-nextjs-data", "1"), get(&format!("{url}?utm=1"))] {
            let again = site.send(&request).await;
            assert_eq!((again.cache(), again.text()), ("HIT", data.text()), "{path}: {:?}", request.target);
            assert_kind(&again, "application/json", &path);
        }
        let again = site.send(&get(&path).header("x-nextjs-data", "1")).await;
        assert_eq!(
            (again.cache(), again.text()),
            ("HIT", page.text()),
            "{path}: a header makes no data of a page"
        );
        assert_eq!(
            (site.tap().count_of(&url), site.tap().count_of(&path)),
            (1, 1),
            "{path}: one render each"
        );
    }
}

/// Next.js answers 404 to a segment that it does not know: the answer for that segment, and for nothing else.
#[tokio::test]
async fn an_unknown_segment_is_nobodys_page() {
    let site = Site::of_example("1h").start().await;
    let path = APP.post("1");
    let good = [get(&path), rsc(&path), rsc_tree(&path)];
    let mut before = Vec::new();
    for request in &good {
        before.push(site.send(request).await);
    }
    let unknown = rsc(&path).header("Next-Router-Segment-Prefetch", "/no/such/segment");
    for _ in 0..2 {
        assert_eq!(site.send(&unknown).await.status, 404, "there is no such segment");
    }
    for (request, before) in good.iter().zip(&before) {
        let still = site.send(request).await;
        assert_eq!((still.status, still.cache(), still.text()), (200, "HIT", before.text()), "{request:?}");
    }
}

#[tokio::test]
async fn data_of_another_build_is_nobodys_page() {
    let site = Site::of_example("1h").start().await;
    let path = PAGES.post("1");
    let good = site.data(&PAGES, &path).await;
    let page = site.get(&path).await;
    for _ in 0..2 {
        let skewed = site.get(&format!("/_next/data/an-older-build{path}.json")).await;
        assert_eq!(skewed.status, 404, "a client of another build has to load the page anew");
    }
    let still = site.data(&PAGES, &path).await;
    assert_eq!((still.status, still.cache(), still.text()), (200, "HIT", good.text()), "the data stays");
    let still = site.get(&path).await;
    assert_eq!(
        (still.status, still.cache(), still.text()),
        (200, "HIT", page.text()),
        "and so does the page"
    );
}

#[tokio::test]
async fn data_is_refreshed_by_interval_as_the_page_is() {
    let site = Site::of_example("2s").start().await;
    for router in ROUTERS {
        let path = router.post("1");
        let old = site.data(&router, &path).await;
        let version = site.edit(1, "New in the data as well").await;
        let request = router.data(site.build(), &path);
        let mut visitor = site.proxy.client().await;
        let mut seen = Vec::new();
        let new = eventually("new data", PATIENCE, async || {
            let data = visitor.send(&request).await;
            assert_eq!(data.status, 200, "{}: always data", router.name);
            seen.push(data.cache().to_owned());
            (data.body != old.body).then_some(data)
        })
        .await;
        assert_kind(&new, router.data_type(), router.name);
        assert_eq!(generation(&new).version, version, "{}: the newest", router.name);
        assert!(seen.iter().all(|cache| cache != "MISS"), "{}: nobody waits: {seen:?}", router.name);
    }
}
