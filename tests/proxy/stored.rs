//! What a stored page says of itself, and the administrator's view of it.

use crate::support::{Answer, Origin, Proxy, get, route};

#[tokio::test]
async fn pages_grow_stale_apart_but_hardly_before_their_interval() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("1000s")]).await;
    let mut told = Vec::new();
    for page in 0..20 {
        let status = proxy.get(&format!("/{page}")).await.headers.list("cache-status");
        let ttl = status
            .split("ttl=")
            .nth(1)
            .and_then(|rest| rest.split([';', ',']).next()?.trim().parse::<u32>().ok());
        told.push(ttl.unwrap_or_else(|| panic!("a stored page says how long it stays fresh: {status:?}")));
    }
    assert!(told.iter().all(|ttl| (940..=1000).contains(ttl)), "at most a twentieth earlier: {told:?}");
    assert!(
        told.iter().any(|ttl| ttl.abs_diff(told[0]) > 1),
        "pages stored together do not go stale together: {told:?}"
    );
}

#[tokio::test]
async fn a_redirect_that_names_its_target_twice_is_stored_with_one() {
    let origin =
        Origin::start(|_| Answer::status(307).header("location", "/there").header("location", "/there"))
            .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("60s")]).await;
    for visit in ["MISS", "HIT"] {
        let page = proxy.get("/p").await;
        assert_eq!((page.status, page.cache()), (307, visit));
        assert_eq!(
            page.headers.all("location").collect::<Vec<_>>(),
            ["/there"],
            "a client that joins two goes nowhere"
        );
    }
}

#[tokio::test]
async fn a_tag_tells_media_types_apart_and_304_says_nothing_of_content() {
    let origin = Origin::start(|request| {
        let kind = if request.target == "/html" { "text/html" } else { "text/plain" };
        Answer::status(200).header("content-type", kind).body("the same bytes")
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let (html, plain) = (proxy.get("/html").await, proxy.get("/plain").await);
    assert_ne!(html.header("etag"), plain.header("etag"), "another media type is another representation");
    let unchanged = proxy.send(&get("/html").header("If-None-Match", html.header("etag"))).await;
    assert_eq!(unchanged.status, 304, "the page has not changed");
    assert_eq!(
        unchanged.headers.get("content-type"),
        None,
        "no content, nothing about it (RFC 9110 §15.4.5)"
    );
}

#[tokio::test]
async fn the_administrator_is_told_of_an_opt_out() {
    let origin = Origin::start(|_| Answer::page("mine").header("cache-control", "no-store")).await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("60s")]).await;
    proxy.get("/p").await;
    let cached = proxy.admin_json("/cache?url=http://shop.example.com/p").await;
    assert_eq!(cached["underWay"]["optedOut"], true, "why nothing is stored: {cached}");
    assert_eq!(cached["stored"].as_array().map(Vec::len), Some(0), "and that nothing is: {cached}");
}
