//! The life of a stored page: the state table of the ISR routes.

use crate::support::{
    Answer, Gate, Origin, PATIENCE, Proxy, TOKEN, eventually, get, let_the_interval_end, let_time_pass, post,
    route,
};
use std::time::Duration;

#[tokio::test]
async fn a_miss_is_rendered_once_and_then_hit() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/blog-posts").interval("60s")]).await;
    let mut client = proxy.client().await;
    let miss = client.get("/blog-posts").await;
    miss.is(200, "MISS", "v1", "a page that is not stored is rendered");
    let status = miss.headers.list("cache-status");
    assert!(status.contains("kube-isr") && status.contains("fwd="), "a miss says why it went on: {status:?}");
    assert!(status.contains("stored"), "a miss says that it was stored: {status:?}");

    let hit = client.get("/blog-posts").await;
    hit.is(200, "HIT", "v1", "a fresh page comes from the store");
    let status = hit.headers.list("cache-status");
    assert!(status.contains("kube-isr; hit"), "RFC 9211 names the cache and the hit: {status:?}");
    assert!(status.contains("ttl="), "a hit says how long it stays fresh: {status:?}");
    assert_eq!(origin.count(), 1, "a hit does not reach the origin");

    for page in [&miss, &hit] {
        assert_eq!(
            page.header("cache-control"),
            "public, max-age=0, must-revalidate",
            "browsers ask again each time, whatever the origin says"
        );
        assert!(!page.header("etag").is_empty(), "every stored page has an entity tag");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "the origin's own fields stay");
    }
    assert!(
        hit.header("age").parse::<u64>().is_ok_and(|age| age < 60),
        "a hit says its age: {:?}",
        hit.header("age")
    );
    assert_eq!(miss.header("etag"), hit.header("etag"), "the same bytes have the same tag");
}

#[tokio::test]
async fn a_page_older_than_its_interval_is_served_stale_at_once_and_then_fresh() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 1 { page } else { page.when(&door) }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/clock").interval("1s")]).await;
    proxy.get("/clock").await.is(200, "MISS", "v1", "the first visitor renders");
    let_the_interval_end().await;
    let stale = proxy.get("/clock").await;
    stale.is(200, "STALE", "v1", "the stale page comes at once, while its render waits at the gate");
    assert!(stale.header("age").parse::<u64>().is_ok_and(|age| age >= 1), "a stale page says its age");
    origin.received(2).await;
    proxy.get("/clock").await.is(200, "STALE", "v1", "the next visitor does not wait for the render either");
    assert_eq!(origin.count(), 2, "one render in the background, however many visitors");
    gate.open();
    let fresh = proxy.visit_until("/clock", "the rendered page", |page| page.text() != "v1").await;
    assert_eq!(fresh.text(), "v2", "the render's page follows");
}

#[tokio::test]
async fn never_means_never() {
    let origin = Origin::counting().await;
    let routes = [route("/about").interval("Never"), route("/clock").interval("1s")];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.get("/about").await.is(200, "MISS", "v1", "the first visitor renders");
    proxy.get("/clock").await.is(200, "MISS", "v1", "the first visitor renders");
    let_the_interval_end().await;
    proxy.get("/clock").await.is(200, "STALE", "v1", "time has passed for a page with an interval");
    proxy.get("/about").await.is(200, "HIT", "v1", "without an interval's end a page stays fresh");
    assert_eq!(origin.count_of("/about"), 1, "a page with interval Never is rendered once");
}

#[tokio::test]
async fn stale_for_is_a_hard_limit() {
    let origin = Origin::counting().await;
    let routes = [
        route("/short").interval("1s").stale_for("1s"),
        route("/down").interval("1s").stale_for("1s"),
        route("/long").interval("1s").stale_for("1h"),
        route("/unlimited").interval("1s"),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    for page in ["/short", "/down", "/long", "/unlimited"] {
        proxy.get(page).await.is(200, "MISS", "v1", "the first visitor renders");
    }
    let_time_pass(Duration::from_millis(3500)).await;
    let waited = proxy.get("/short").await;
    assert_eq!(waited.text(), "v2", "past staleFor the visitor waits for a render: {:?}", waited.headers);
    for page in ["/long", "/unlimited"] {
        proxy.get(page).await.is(
            200,
            "STALE",
            "v1",
            "within staleFor, or without one, the stale page comes at once",
        );
    }
    origin.answer(|_| Answer::status(503).body("closed for repairs"));
    let refused = proxy.get("/down").await;
    assert_eq!(refused.status, 503, "past staleFor an old page is not served even when the origin fails");
    assert_eq!(refused.text(), "closed for repairs", "it is the origin's own error");
}

#[tokio::test]
async fn a_second_request_on_the_connection_does_not_wait_for_the_render() {
    let origin = Origin::start(|request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 1 { page } else { page.after(Duration::from_secs(2)) }
    })
    .await;
    let routes = [route("/slow").interval("1s"), route("/other").interval("60s")];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.get("/other").await.is(200, "MISS", "v1", "the first visitor renders");
    let mut client = proxy.client().await;
    client.get("/slow").await.is(200, "MISS", "v1", "the first visitor renders");
    let_the_interval_end().await;
    let first = client.get("/slow").await;
    origin.received(3).await;
    let second = client.get("/other").await;
    let third = client.get("/slow").await;
    first.is(200, "STALE", "v1", "stale at once");
    second.is(200, "HIT", "v1", "another page on the same connection");
    third.is(200, "STALE", "v1", "the same page on the same connection, its render of 2 s still under way");
    assert_eq!(origin.count_of("/slow"), 2, "one render for both");
}

#[tokio::test]
async fn other_methods_pass_and_leave_the_page_alone() {
    let origin = Origin::start(|request| match request.method.as_str() {
        "GET" => Answer::page(format!("v{}", request.nth)),
        _ => {
            Answer::status(201).body(format!("{} {}", request.method, String::from_utf8_lossy(&request.body)))
        }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/form").interval("60s")]).await;
    proxy.get("/form").await.is(200, "MISS", "v1", "the first visitor renders");
    let posted = proxy.send(&post("/form?x=1", "name=a").header("Cookie", "session=9")).await;
    assert_eq!(
        (posted.status, posted.text().as_str()),
        (201, "POST name=a"),
        "a POST is the origin's to answer"
    );
    let seen = origin.last();
    assert_eq!(seen.target, "/form?x=1", "a POST keeps its query");
    assert_eq!(seen.headers.get("cookie"), Some("session=9"), "a POST keeps its visitor");
    proxy.get("/form").await.is(
        200,
        "HIT",
        "v1",
        "an ISR page changes by its interval or on demand, not by a POST",
    );
}

#[tokio::test]
async fn no_store_on_the_page_opts_it_out_until_it_stops_saying_so() {
    let origin = Origin::counting().await;
    let routes = [
        route("/page").interval("1s").token(TOKEN),
        route("/override").interval("60s").set("cacheControl", serde_json::json!("Override")),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.get("/page").await.is(200, "MISS", "v1", "the first visitor renders");
    origin.answer(|request| {
        Answer::page(format!("for one visitor {}", request.nth)).header("cache-control", "private, no-store")
    });
    proxy.get("/override").await.is(
        200,
        "MISS",
        "for one visitor 1",
        "Override stores what the origin calls no-store",
    );
    proxy.get("/override").await.is(
        200,
        "HIT",
        "for one visitor 1",
        "Override stores what the origin calls no-store",
    );

    let_the_interval_end().await;
    proxy.get("/page").await.is(200, "STALE", "v1", "the page was good until the origin says no-store");
    let what = "the stored page is dropped";
    let own = proxy.visit_until("/page", what, |page| page.text() != "v1").await;
    assert!(own.text().starts_with("for one visitor"), "the answer goes to who waits: {:?}", own.text());
    let reason = own.headers.list("cache-status");
    let told = reason.contains("no-store") || reason.contains("opted-out");
    assert!(told, "the status header says why it was not stored: {reason:?}");
    let next = proxy.get("/page").await;
    assert_ne!(next.text(), own.text(), "no two visitors share a no-store answer");

    // Whoever is told to ask again asks again; visitors alone are passed on for a while.
    origin.answer(|_| Answer::page("public again"));
    proxy.send(&get("/page").revalidate(TOKEN)).await.is(
        200,
        "REVALIDATED",
        "public again",
        "no longer no-store",
    );
    assert_eq!(proxy.get("/page").await.text(), "public again", "the page is shared again");
    proxy.visit_until("/page", "the page is stored again", |page| page.cache() == "HIT").await;
}

#[tokio::test]
async fn the_interval_overrides_the_origins_cache_control() {
    let cases = [
        ("rails", "max-age=0, private, must-revalidate"),
        ("none", "no-cache"),
        ("short", "public, max-age=1"),
        ("expired", "s-maxage=0"),
    ];
    let origin = Origin::start(move |request| {
        let case = request.target.trim_start_matches('/');
        let value = cases.iter().find(|(name, _)| *name == case).map_or("", |(_, value)| *value);
        Answer::page("page").header("cache-control", value)
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[case]").interval("60s")]).await;
    for (case, value) in cases {
        let target = format!("/{case}");
        proxy.get(&target).await.is(200, "MISS", "page", value);
        let hit = proxy.get(&target).await;
        hit.is(200, "HIT", "page", &format!("the route's interval overrides {value:?}"));
        assert_eq!(
            hit.header("cache-control"),
            "public, max-age=0, must-revalidate",
            "browsers see ours: {value:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_varies_beyond_the_key_is_not_stored() {
    let cases: [(&str, &str, bool); 6] = [
        ("encoding", "Accept-Encoding", true),
        ("language", "Accept-Language", true),
        ("cookie", "Cookie", false),
        ("star", "*", false),
        ("agent", "User-Agent", false),
        ("mixed", "Accept-Encoding, X-Tenant", false),
    ];
    let origin = Origin::start(move |request| {
        let case = request.target.trim_start_matches('/');
        let vary = cases.iter().find(|(name, ..)| *name == case).map_or("", |(_, vary, _)| *vary);
        Answer::page(format!("v{}", request.nth)).header("vary", vary)
    })
    .await;
    let proxy =
        Proxy::serving(&origin, [route("/[case]").interval("60s").vary_by(&["Accept-Language"])]).await;
    for (case, vary, stored) in cases {
        let target = format!("/{case}");
        let first = proxy.get(&target).await;
        let second = proxy.get(&target).await;
        if stored {
            second.is(200, "HIT", "v1", &format!("the key covers Vary: {vary}"));
        } else {
            assert_eq!(second.text(), "v2", "the key does not cover Vary: {vary}, so nothing may be stored");
            let reason = first.headers.list("cache-status").to_ascii_lowercase();
            assert!(
                reason.contains("vary"),
                "the status header says why Vary: {vary} was not stored: {reason:?}"
            );
        }
    }
}

#[tokio::test]
async fn bypass_rules_never_touch_the_cache() {
    let origin = Origin::start(|request| {
        let who = request.headers.get("cookie").or(request.headers.get("x-preview")).unwrap_or("nobody");
        Answer::page(format!("{who} {}", request.nth)).header("set-cookie", "seen=1")
    })
    .await;
    let rules = serde_json::json!([{ "cookie": "session" }, { "header": "X-Preview" }]);
    let proxy = Proxy::serving(&origin, [route("/shop").interval("60s").set("bypass", rules)]).await;
    let own = proxy.send(&get("/shop").header("Cookie", "a=1; session=anna")).await;
    own.is(
        200,
        "BYPASS",
        "a=1; session=anna 1",
        "a request with the named cookie goes to the origin as it is",
    );
    assert_eq!(own.header("set-cookie"), "seen=1", "a bypassed answer is the visitor's own");
    proxy.get("/shop").await.is(200, "MISS", "nobody 2", "a bypassed answer is not stored");
    let own = proxy.send(&get("/shop").header("X-Preview", "yes")).await;
    own.is(200, "BYPASS", "yes 3", "a request with the named header goes to the origin as it is");
    let plain = proxy.send(&get("/shop").header("Cookie", "sessions=1; other=session")).await;
    plain.is(200, "HIT", "nobody 2", "a cookie of another name is no reason to bypass");
}

#[tokio::test]
async fn an_origin_that_is_itself_stale_does_not_make_a_page_fresh() {
    const ORIGIN_TOKEN: &str = "preview-mode-id-0123456789abcdef0123";
    let origin = Origin::start(|request| {
        if request.headers.get("x-prerender-revalidate") == Some(ORIGIN_TOKEN) {
            return Answer::page("new by token").header("x-nextjs-cache", "REVALIDATED");
        }
        match request.nth {
            1 => Answer::page("old").header("x-nextjs-cache", "STALE"),
            _ => Answer::page("new").header("x-nextjs-cache", "HIT"),
        }
    })
    .await;
    let routes = [
        route("/plain").interval("60s").framework("NextJs"),
        route("/with-token").interval("60s").framework("NextJs").origin_token(ORIGIN_TOKEN),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    assert_eq!(proxy.get("/plain").await.text(), "old", "a stale answer is better than none");
    let again = proxy.get("/plain").await;
    assert_ne!(again.cache(), "HIT", "what the origin calls STALE is not fresh for another interval");
    proxy.visit_until("/plain", "the origin's new page", |page| page.text() == "new").await;
    proxy
        .visit_until("/with-token", "the page rendered by token", |page| page.text() == "new by token")
        .await;
    let_time_pass(Duration::from_millis(300)).await;
    assert!(origin.count_of("/plain") <= 3, "a stale answer is asked for again, not in a loop");
    assert!(origin.count_of("/with-token") <= 2, "with originToken the second question gets the new page");
}

#[tokio::test]
async fn renders_in_the_background_are_bounded_per_backend() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 1 { page } else { page.when(&door) }
    })
    .await;
    let folder = crate::support::Folder::of(&origin, [route("/[page]").interval("1s")]);
    let proxy = Proxy::with(folder).option("--max-renders-per-backend", "4").start().await;
    let pages: Vec<String> = (0..8).map(|page| format!("/{page}")).collect();
    for page in &pages {
        proxy.get(page).await.is(200, "MISS", "v1", "the first visitor renders");
    }
    let_the_interval_end().await;
    for page in &pages {
        proxy.get(page).await.is(
            200,
            "STALE",
            "v1",
            "every visitor gets the stale page at once, bound or not",
        );
    }
    // In the background at most half of the bound: visitors who wait for a page need the rest.
    origin.received(pages.len() + 2).await;
    let_time_pass(Duration::from_millis(300)).await;
    assert_eq!(origin.count(), pages.len() + 2, "two background renders at a time go to this backend");
    let cold = proxy.client().await.get("/pass/through").await;
    assert_eq!(cold.status, 200, "what passes through is not bounded by renders");
    gate.open();
    let mut client = proxy.client().await;
    eventually("every page is rendered in the end", PATIENCE, async || {
        let mut fresh = true;
        for page in &pages {
            fresh &= client.get(page).await.text() != "v1";
        }
        fresh.then_some(())
    })
    .await;
    assert!(origin.peak() <= 4, "no more than the bound go to one backend: {}", origin.peak());
}
