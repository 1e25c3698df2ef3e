//! Requests that overtake each other, and answers that come too late.

use crate::support::{Answer, Gate, Origin, Request, get, let_the_interval_end, post};
use crate::{governed, page};

#[tokio::test]
async fn an_answer_that_was_under_way_during_a_change_is_not_reused() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| match (request.method.as_str(), request.nth) {
        ("POST", _) => Answer::status(204),
        (_, 1) => page(1, "max-age=600").when(&door),
        (_, nth) => page(nth, "max-age=600"),
    })
    .await;
    let proxy = governed(&origin).await;
    let mut early = proxy.client().await;
    early.write(&get("/page").bytes()).await;
    origin.received(1).await;
    proxy.send(&post("/page", "change")).await;
    gate.open();
    assert_eq!(early.read().await.text(), "v1", "who asked before gets what was asked for");
    assert_eq!(proxy.get("/page").await.text(), "v3", "nobody else does");
}

#[tokio::test]
async fn an_older_answer_never_replaces_a_newer_one() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| match request.nth {
        // Its head comes first, its body last.
        1 => Answer::raw([
            crate::support::answer::Step::Write(
                b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 2\r\n\r\n".to_vec(),
            ),
            crate::support::answer::Step::Pass(door.clone()),
            crate::support::answer::Step::Write(b"v1".to_vec()),
        ]),
        nth => page(nth, "max-age=600"),
    })
    .await;
    let proxy = governed(&origin).await;
    let mut slow = proxy.client().await;
    slow.write(&get("/page").bytes()).await;
    slow.read_head().await;
    assert_eq!(proxy.get("/page").await.text(), "v2", "a head tells nobody that the rest will come");
    gate.open();
    slow.read_bytes(2).await;
    assert_eq!(proxy.get("/page").await.text(), "v2", "the newer answer stays (RFC 9111 §4)");
}

#[tokio::test]
async fn what_a_post_has_changed_is_not_asked_about_by_date() {
    let origin = Origin::start(|request| {
        if request.method == "POST" {
            return Answer::status(204);
        }
        // Changed within the second that Last-Modified names: the date does not tell.
        if request.headers.get("if-modified-since").is_some() {
            return Answer::status(304);
        }
        page(request.nth, "max-age=600").header("last-modified", "Tue, 18 Aug 2026 02:01:18 GMT")
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    proxy.send(&post("/page", "change")).await;
    assert_eq!(proxy.get("/page").await.text(), "v3", "all of it is fetched anew");
}

#[tokio::test]
async fn an_invalidated_page_is_not_cached_for_only_if_cached() {
    let origin = Origin::start(|request| match request.method.as_str() {
        "POST" => Answer::status(204),
        _ => page(request.nth, "max-age=600"),
    })
    .await;
    let proxy = governed(&origin).await;
    proxy.get("/page").await;
    proxy.send(&post("/page", "change")).await;
    let refused = proxy.send(&get("/page").header("Cache-Control", "only-if-cached")).await;
    assert_eq!((refused.status, origin.count()), (504, 2), "nobody is asked (RFC 9111 §5.2.1.7)");
}

#[tokio::test]
async fn a_visitor_reads_what_has_come_before_the_rest_has() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |_| {
        use crate::support::answer::Step;
        Answer::raw([
            Step::Write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_vec()),
            Step::Pass(door.clone()),
            Step::Write(b"4\r\nlast\r\n0\r\n\r\n".to_vec()),
        ])
    })
    .await;
    let proxy = governed(&origin).await;
    let mut client = proxy.client().await;
    client.write(&get("/page").bytes()).await;
    client.read_until("first").await;
    gate.open();
    // Of chunks only the last one, which is empty, says that there is nothing more to store.
    client.read_until("last\r\n0\r\n\r\n").await;
    assert_eq!(proxy.get("/page").await.text(), "firstlast", "and all of it is stored");
    assert_eq!(origin.count(), 1, "and all of it is stored");
}

#[tokio::test]
async fn a_head_that_tells_of_another_page_ends_the_stored_one() {
    let origin = Origin::start(|request| match request.method.as_str() {
        "HEAD" => page(9, "max-age=600").header("etag", "\"nine\""),
        _ => page(request.nth, "max-age=600").header("etag", format!("\"{}\"", request.nth)),
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    proxy.send(&Request::new("HEAD", "/page").header("Cache-Control", "no-cache")).await;
    assert_eq!(proxy.get("/page").await.text(), "v3", "not reused after that (RFC 9111 §4.3.5)");
}

#[tokio::test]
async fn a_304_that_forbids_sharing_ends_it() {
    let origin = Origin::start(|request| {
        let answer = match request.headers.get("if-none-match") {
            Some(_) => Answer::status(304).header("cache-control", "private").header("set-cookie", "s=anna"),
            None => page(request.nth, "max-age=1"),
        };
        answer.header("etag", "\"one\"")
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    let_the_interval_end().await;
    let confirmed = proxy.get("/page").await;
    assert_eq!((confirmed.status, confirmed.text().as_str()), (200, "v1"), "confirmed for this visitor");
    assert_eq!(confirmed.header("set-cookie"), "s=anna", "whose cookie it is");
    let next = proxy.get("/page").await;
    assert_eq!((next.text().as_str(), next.header("set-cookie")), ("v3", ""), "and for nobody else");
}
