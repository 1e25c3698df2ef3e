//! Answers that are not stored, and what of an answer is for nobody beyond us.

use std::time::Duration;

use crate::support::{Answer, Folder, Gate, Origin, Proxy, get, let_the_interval_end, let_time_pass, route};

#[tokio::test]
async fn an_over_long_page_tells_nobody_of_its_first_visitor() {
    let origin = Origin::start(|_| {
        Answer::page("0123456789".repeat(1000))
            .header("set-cookie", "session=anna")
            .header("connection", "x-hop")
            .header("x-hop", "1")
    })
    .await;
    let folder = Folder::of(&origin, [route("/p").interval("60s")]);
    let proxy = Proxy::with(folder).option("--max-page-bytes", "1000").start().await;
    let page = proxy.get("/p").await;
    assert_eq!(page.body.len(), 10_000, "the page reaches its visitor whole");
    assert!(!page.headers.mention("anna"), "a render sets no cookie, however long: {:?}", page.headers);
    assert_eq!(page.headers.get("x-hop"), None, "nor does it tell of the hop before");
}

#[tokio::test]
async fn who_waits_for_a_page_that_proves_over_long_gets_it_whole() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |_| Answer::page("0123456789".repeat(1000)).when(&door)).await;
    let folder = Folder::of(&origin, [route("/p").interval("60s")]);
    let proxy = Proxy::with(folder).option("--max-page-bytes", "1000").start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.client().await;
        client.write(&get("/p").bytes()).await;
        clients.push(client);
    }
    origin.received(1).await;
    let_time_pass(Duration::from_millis(300)).await;
    gate.open();
    for client in &mut clients {
        let page = client.read().await;
        assert_eq!((page.status, page.body.len()), (200, 10_000), "everybody who waited: {:?}", page.headers);
    }
}

#[tokio::test]
async fn what_is_not_stored_here_is_stored_nowhere() {
    let cases = [("/error", 500, ""), ("/varies", 200, "x-anything"), ("/fine", 200, "")];
    let origin = Origin::start(move |request| {
        let case = cases.iter().find(|(page, ..)| *page == request.target);
        let (_, status, vary) = case.copied().unwrap_or_default();
        let answer = Answer::status(status).header("cache-control", "public, max-age=600").body("page");
        if vary.is_empty() { answer } else { answer.header("vary", vary) }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for (page, stored) in [("/error", false), ("/varies", false), ("/fine", true)] {
        let control = proxy.get(page).await.header("cache-control").to_owned();
        assert_eq!(control.contains("no-store"), !stored, "{page}: {control:?}");
        assert_eq!(control.contains("public"), stored, "{page}: {control:?}");
    }
}

#[tokio::test]
async fn what_the_origin_says_to_caches_is_not_for_visitors() {
    let names = ["surrogate-key", "cache-tag", "x-next-cache-tags", "cdn-cache-control", "surrogate-control"];
    let origin = Origin::start(move |_| {
        names.iter().fold(Answer::page("page"), |page, name| page.header(name, "internal"))
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("60s")]).await;
    for visit in ["MISS", "HIT"] {
        let page = proxy.get("/p").await;
        page.is(200, visit, "page", "a page");
        assert!(!page.headers.mention("internal"), "{visit}: {:?}", page.headers);
    }
}

#[tokio::test]
async fn a_stale_page_says_for_how_long_it_has_been_so() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("1s")]).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    let_the_interval_end().await;
    let_time_pass(Duration::from_secs(1)).await;
    let status = proxy.get("/p").await.headers.list("cache-status");
    assert!(
        status.contains("ttl=-"),
        "the time to live of a stale page is negative (RFC 9211 §2.4): {status:?}"
    );
}

#[tokio::test]
async fn only_a_page_with_status_200_has_ranges() {
    let origin = Origin::start(|_| Answer::status(404).body("0123456789")).await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("60s")]).await;
    for visit in ["MISS", "HIT"] {
        let page = proxy.send(&get("/p").header("Range", "bytes=0-3")).await;
        page.is(404, visit, "0123456789", "a part of an error is no answer (RFC 9110 §14.2)");
    }
}

#[tokio::test]
async fn what_is_compressed_already_is_sent_as_it_is() {
    let image = "0123456789".repeat(1000);
    let body = image.clone();
    let origin =
        Origin::start(move |_| Answer::status(200).header("content-type", "image/png").body(body.clone()))
            .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("60s")]).await;
    proxy.get("/p").await.is(200, "MISS", &image, "the first visitor renders");
    // Time enough for variants that must not appear: those of a text this long take a millisecond.
    let_time_pass(Duration::from_millis(500)).await;
    let page = proxy.send(&get("/p").header("Accept-Encoding", "br, gzip")).await;
    assert_eq!(page.headers.get("content-encoding"), None, "images gain nothing: {:?}", page.headers);
}

#[tokio::test]
async fn visitors_of_a_page_that_cannot_be_stored_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth)).header("vary", "x-anything");
        if request.nth == 1 { page } else { page.when(&door) }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("60s")]).await;
    assert_eq!(proxy.get("/p").await.text(), "v1", "the first visitor shows that it cannot be stored");
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.client().await;
        client.write(&get("/p").bytes()).await;
        clients.push(client);
    }
    // All three are at the origin before any is answered.
    origin.received(4).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read().await.cache(), "BYPASS", "each has an answer of its own");
    }
}
