//! No visitor sees another visitor: what reaches a render, and what of an answer reaches others.

use crate::support::message::Fields;
use crate::support::{Answer, Folder, Origin, Proxy, Request, TOKEN, get, post, route};

/// Header fields that tell of a visitor, or that poison what an application renders.
const POISON: [(&str, &str); 46] = [
    ("Cookie", "session=anna"),
    ("Authorization", "Bearer anna"),
    ("Proxy-Authorization", "Basic anna"),
    ("If-None-Match", "\"x\""),
    ("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("If-Match", "*"),
    ("Range", "bytes=0-1"),
    ("If-Range", "\"x\""),
    ("Accept", "application/json"),
    ("Accept-Encoding", "br, gzip"),
    ("Accept-Language", "tlh"),
    ("Cache-Control", "no-cache, no-store"),
    ("Pragma", "no-cache"),
    ("Referer", "https://evil.example/"),
    ("Origin", "https://evil.example"),
    ("User-Agent", "poison/1"),
    ("X-Requested-With", "poison"),
    ("X-Custom", "poison"),
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "4444"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Scheme", "nothttps"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Real-IP", "203.0.113.7"),
    ("X-Host", "evil.example"),
    ("X-Original-URL", "/admin"),
    ("X-Rewrite-URL", "/admin"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Method-Override", "DELETE"),
    ("Forwarded", "for=203.0.113.7;host=evil.example"),
    ("Via", "1.1 evil"),
    ("CF-Connecting-IP", "203.0.113.7"),
    ("True-Client-IP", "203.0.113.7"),
    ("x-middleware-prefetch", "1"),
    ("x-middleware-subrequest", "middleware:middleware"),
    ("x-middleware-rewrite", "/admin"),
    ("x-now-route-matches", "1=a"),
    ("x-matched-path", "/admin"),
    ("x-invoke-path", "/admin"),
    ("x-invoke-query", "{}"),
    ("x-invoke-status", "500"),
    ("x-nextjs-data", "1"),
    ("x-deployment-id", "old"),
    ("Purpose", "prefetch"),
];

fn poisoned(request: Request) -> Request {
    POISON.iter().fold(request, |request, (name, value)| request.header(name, *value))
}

/// What a render may differ in without telling of its visitor: the identity of the trace it is part of.
fn without_trace(fields: &Fields) -> Fields {
    let mut fields = fields.0.clone();
    fields.retain(|(name, _)| name != "traceparent" && name != "x-isr-since");
    fields.sort();
    Fields(fields)
}

#[tokio::test]
async fn a_render_sees_no_visitor() {
    for framework in [None, Some("NextJs")] {
        // The visitor's address is believed, and must not reach the render all the same.
        let origin = Origin::start(|_| Answer::page("page")).await;
        let page = route("/[page]").interval("60s").token(TOKEN);
        let page = if let Some(name) = framework { page.framework(name) } else { page };
        let folder = Folder::of(&origin, [page]);
        let proxy = Proxy::with(folder).option("--trusted-proxies", "127.0.0.0/8").start().await;
        proxy.get("/p").await.is(200, "MISS", "page", "a visitor who says nothing");
        let control = without_trace(&origin.last().headers);
        proxy.send(&poisoned(get("/q"))).await.is(200, "MISS", "page", "a visitor who says everything");
        let seen = without_trace(&origin.last().headers);
        assert_eq!(seen, control, "with {framework:?} a render is a function of its key, whoever asked");
        proxy.send(&poisoned(get("/p")).revalidate(TOKEN)).await;
        let seen = without_trace(&origin.last().headers);
        assert_eq!(seen, control, "with {framework:?} a render on demand is a function of its key as well");
        proxy.h2().await.send(&get("/r").header("cookie", "session=anna")).await;
        let seen = without_trace(&origin.last().headers);
        assert_eq!(seen, control, "with {framework:?} HTTP/2 makes no difference to a render");
    }
}

#[tokio::test]
async fn what_a_visitor_says_changes_nothing_for_the_next() {
    // The worst application: it prints whatever it is told.
    let origin = Origin::start(|request| {
        let mut said: Vec<_> =
            request.headers.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        said.sort();
        Answer::page(said.join("\n"))
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for (index, (name, value)) in POISON.iter().enumerate() {
        let target = format!("/{index}");
        proxy.send(&get(&target).header(name, *value)).await;
        let clean = proxy.get(&target).await;
        assert_eq!((clean.status, clean.cache()), (200, "HIT"), "{name} neither breaks nor splits a page");
        for poison in ["anna", "evil", "poison", "admin", "DELETE", "203.0.113.7", "4444", "tlh"] {
            assert!(
                !clean.text().contains(poison),
                "{name}: {value} is seen by the next visitor: {}",
                clean.text()
            );
        }
    }
    assert_eq!(origin.count(), POISON.len(), "no header buys a render of its own");
}

#[tokio::test]
async fn a_cookie_set_by_a_render_reaches_nobody() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/isr" => Answer::page("page").header("set-cookie", "session=anna").header("Set-Cookie2", "b=2"),
        _ => Answer::page("page").header("set-cookie", "session=anna").header("set-cookie", "second=2"),
    })
    .await;
    let page = route("/isr").interval("60s").token(TOKEN);
    let label = format!("route=\"{}\"", page.label());
    let proxy = Proxy::serving(&origin, [page]).await;
    for cache in ["MISS", "HIT"] {
        let page = proxy.get("/isr").await;
        page.is(200, cache, "page", "the page is stored without its cookie");
        assert_eq!(page.headers.get("set-cookie"), None, "a cookie of a shared page is nobody's ({cache})");
    }
    let page = proxy.send(&get("/isr").revalidate(TOKEN)).await;
    assert_eq!(page.headers.get("set-cookie"), None, "not even for who demanded the render");
    let dropped = proxy.metric("isr_set_cookie_dropped_total", &[&label]).await;
    assert!((dropped - 2.0).abs() < 0.1, "each dropped cookie is counted and reported, not {dropped}");

    for request in [get("/passed"), post("/isr", "x"), get("/isr").header("Cookie", draft(TOKEN))] {
        let own = proxy.send(&request).await;
        let cookies: Vec<_> = own.headers.all("set-cookie").collect();
        assert!(cookies.contains(&"session=anna"), "an answer of one's own keeps its cookies: {request:?}");
    }
    let passed = proxy.get("/passed").await;
    assert_eq!(passed.headers.all("set-cookie").count(), 2, "several cookies stay several");
}

fn draft(value: &str) -> String {
    format!("a=1; __prerender_bypass={value}; b=2")
}

#[tokio::test]
async fn draft_mode_needs_the_exact_token() {
    let origin = Origin::start(|request| {
        let who = if request.headers.mention("__prerender_bypass") { "draft" } else { "public" };
        Answer::page(format!("{who} {}", request.nth))
    })
    .await;
    let routes = [route("/isr").interval("60s").token(TOKEN), route("/unguarded").interval("60s")];
    let proxy = Proxy::serving(&origin, routes).await;
    let own = proxy.send(&get("/isr?preview=1").header("Cookie", draft(TOKEN))).await;
    own.is(200, "BYPASS", "draft 1", "the right value goes to the origin");
    let seen = origin.last();
    assert_eq!(seen.headers.get("cookie"), Some(draft(TOKEN).as_str()), "with all of the visitor's cookies");
    assert_eq!(seen.target, "/isr?preview=1", "and the visitor's whole request");
    proxy.get("/isr").await.is(200, "MISS", "public 1", "a draft is not stored");
    proxy.send(&get("/isr").header("Cookie", draft(TOKEN))).await.is(
        200,
        "BYPASS",
        "draft 2",
        "nor is it cached",
    );

    let longer = format!("{TOKEN}x");
    for value in ["", "1", "true", &TOKEN[..31], longer.as_str()] {
        let page = proxy.send(&get("/isr").header("Cookie", draft(value))).await;
        page.is(200, "HIT", "public 1", &format!("the wrong value {value:?} is ignored"));
    }
    proxy.get("/unguarded").await;
    for value in ["", "1", TOKEN] {
        let page = proxy.send(&get("/unguarded").header("Cookie", draft(value))).await;
        page.is(200, "HIT", "public 1", "a route without a token has no draft mode");
    }
    assert_eq!(origin.count(), 4, "ignored cookies cost no render");
}

#[tokio::test]
async fn a_query_that_is_not_allowed_changes_nothing() {
    let origin = Origin::start(|request| Answer::page(format!("{} {}", request.target, request.nth))).await;
    let routes = [
        route("/none").interval("60s"),
        route("/some").interval("60s").allow_query(&["page", "sort"]),
        route("/all").interval("60s").allow_query(&["*"]),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.get("/none").await.is(200, "MISS", "/none 1", "no query");
    for query in ["?", "?utm_source=x", "?a=1&b=2", "?page=2", "?page=2;x=1", "?%70age=1", "?\u{27}<script>"]
    {
        let page = proxy.get(&format!("/none{}", query.replace(['<', '>'], "%3C"))).await;
        page.is(
            200,
            "HIT",
            "/none 1",
            &format!("{query} changes neither the page nor the number of renders"),
        );
    }
    // The left is asked for first; the right says what the origin saw, and whether it cost a render.
    let cases = [
        ("/some", "/some", "MISS"),
        ("/some?utm=1", "/some", "HIT"),
        ("/some?page=2", "/some?page=2", "MISS"),
        ("/some?utm=1&page=2&gclid=2", "/some?page=2", "HIT"),
        ("/some?page=2&page=3", "/some?page=2&page=3", "MISS"),
        ("/some?page=3&page=2", "/some?page=3&page=2", "MISS"),
        ("/some?sort=a&page=2", "/some?sort=a&page=2", "MISS"),
        ("/some?page=2&x=1&sort=a", "/some?page=2&sort=a", "MISS"),
        ("/all?b=1&a=2", "/all?b=1&a=2", "MISS"),
        ("/all?a=2&b=1", "/all?a=2&b=1", "MISS"),
        ("/all?b=1&a=2", "/all?b=1&a=2", "HIT"),
    ];
    for (asked, seen, cache) in cases {
        let page = proxy.get(asked).await;
        page.is(200, cache, &format!("{seen} 1"), &format!("{asked} is keyed and forwarded as {seen}"));
    }
    assert_eq!(origin.count(), 9, "one render for each page");
}

#[tokio::test]
async fn headers_that_count_are_normalised_and_separate() {
    let origin = Origin::start(|request| {
        let language = request.headers.get("accept-language").unwrap_or("none");
        let market = request.headers.get("x-market").unwrap_or("none");
        Answer::page(format!("{language} {market}"))
    })
    .await;
    let page = route("/page").interval("60s").vary_by(&["Accept-Language", "X-Market"]);
    let proxy = Proxy::serving(&origin, [page]).await;
    let german = proxy.send(&get("/page").header("Accept-Language", "de, en;q=0.5")).await;
    assert_eq!(german.cache(), "MISS", "the first German visitor renders");
    assert!(
        german.text().starts_with("de"),
        "the header that counts reaches the origin: {:?}",
        german.text()
    );
    let same = proxy.send(&get("/page").header("Accept-Language", "DE,en;q=0.5")).await;
    same.is(200, "HIT", &german.text(), "letter case and spaces make no other page");
    let english = proxy.send(&get("/page").header("Accept-Language", "en")).await;
    english.is(200, "MISS", "en none", "another language is another page");
    let market = proxy.send(&get("/page").header("Accept-Language", "en").header("X-Market", "eu")).await;
    market.is(200, "MISS", "en eu", "another value of the other header is another page");
    assert!(
        english.headers.lists("vary", "accept-language"),
        "caches downstream are told: {:?}",
        english.headers
    );
}

#[tokio::test]
async fn html_and_data_never_mix() {
    let origin = Origin::start(|request| {
        let data = request.target.starts_with("/_next/data/");
        let (kind, body) = match request.headers.get("rsc") {
            _ if data => ("application/json", "data"),
            Some("1") => ("text/x-component", "rsc"),
            _ => ("text/html", "html"),
        };
        let segment = request.headers.get("next-router-segment-prefetch").unwrap_or("-");
        let vary = "rsc, next-router-state-tree, next-router-prefetch, next-router-segment-prefetch";
        Answer::status(200)
            .header("content-type", kind)
            .header("vary", vary)
            .body(format!("{body} {segment}"))
    })
    .await;
    let page = route("/post").interval("60s").framework("NextJs");
    let proxy = Proxy::serving(&origin, [page]).await;
    let segment = "Next-Router-Segment-Prefetch";
    let cases = [
        (get("/post").header("RSC", "1"), "rsc -", "MISS"),
        (get("/post"), "html -", "MISS"),
        (get("/post").header("RSC", "1"), "rsc -", "HIT"),
        (get("/post?_rsc=abc").header("RSC", "1"), "rsc -", "HIT"),
        (get("/post").header("RSC", "2"), "html -", "HIT"),
        (get("/post").header("rsc", ""), "html -", "HIT"),
        (get("/post").header("RSC", "1").header("Next-Router-Prefetch", "1"), "rsc -", "HIT"),
        (get("/post").header("RSC", "1").header("Next-Router-State-Tree", "%5B%22%22%5D"), "rsc -", "HIT"),
        (get("/post").header("RSC", "1").header(segment, "/_tree"), "rsc /_tree", "MISS"),
        (get("/post").header("RSC", "1").header(segment, "/_tree"), "rsc /_tree", "HIT"),
        (get("/_next/data/b1/post.json"), "data -", "MISS"),
        (get("/_next/data/b1/post.json"), "data -", "HIT"),
        (get("/post"), "html -", "HIT"),
    ];
    for (request, body, cache) in cases {
        let why = format!("{} {:?}", request.target, request.headers);
        proxy.send(&request).await.is(200, cache, body, &why);
    }
}
