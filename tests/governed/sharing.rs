//! What is shared although, or not shared because, the origin says little.

use crate::support::{Answer, Origin, get};
use crate::{governed, page};

#[tokio::test]
async fn a_greeting_by_name_is_for_one_visitor_where_nothing_is_said() {
    let origin = Origin::start(|request| {
        let who = request.headers.get("cookie").unwrap_or("nobody");
        let answer = Answer::page(who);
        match request.target.as_str() {
            "/modified" => answer.header("last-modified", "Tue, 18 Aug 2020 02:01:18 GMT"),
            "/tagged" => answer.header("etag", format!("\"{who}\"")),
            _ => answer.header("cache-control", "max-age=600"),
        }
    })
    .await;
    let proxy = governed(&origin).await;
    for silent in ["/modified", "/tagged"] {
        proxy.send(&get(silent).header("Cookie", "anna")).await;
        assert_eq!(proxy.get(silent).await.text(), "nobody", "{silent} may be anna's own");
    }
    proxy.send(&get("/said").header("Cookie", "anna")).await;
    assert_eq!(proxy.get("/said").await.text(), "anna", "max-age without private says that it is for all");
    origin.answer(|_| Answer::status(503));
    assert_eq!(proxy.get("/tagged").await.text(), "nobody", "not even when the origin fails");
}

#[tokio::test]
async fn who_cannot_read_gzip_does_not_get_it() {
    let origin = Origin::start(|request| {
        // nginx compresses so unless it is told `gzip_vary on`.
        let gzip = request.headers.get("accept-encoding").is_some_and(|codings| codings.contains("gzip"));
        let answer = page(request.nth, "max-age=600");
        if gzip { answer.header("content-encoding", "gzip").body("squeezed") } else { answer }
    })
    .await;
    let proxy = governed(&origin).await;
    let modern = get("/page").header("Accept-Encoding", "gzip");
    assert_eq!(proxy.send(&modern).await.text(), "squeezed", "the first visitor can");
    assert_eq!(proxy.send(&modern).await.cache(), "HIT", "and so the next");
    assert_eq!(proxy.get("/page").await.text(), "v2", "the third cannot");
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_may_be_torn() {
    let origin = Origin::start(|request| page(request.nth, "max-age=600").until_close()).await;
    let proxy = governed(&origin).await;
    let first = proxy.get("/page").await;
    assert_eq!(first.text(), "v1", "passed on");
    assert!(first.header("cache-status").contains("no-length"), "{}", first.header("cache-status"));
    assert_eq!(proxy.get("/page").await.text(), "v2", "and not stored (RFC 9112 §8)");
}

#[tokio::test]
async fn targeted_fields_speak_to_this_cache() {
    let origin = Origin::start(|request| {
        let (ours, others, all) = match request.target.as_str() {
            "/ours" => ("max-age=600", "no-store", "no-store"),
            "/others" => ("", "max-age=600", "no-store"),
            "/switched-off" => ("no-store=?0, max-age=600", "", "no-store"),
            "/parameters" => ("", "max-age=600;region=eu", "no-store"),
            "/list" => ("", "(max-age no-store)", "max-age=600"),
            "/no-store" => ("no-store", "max-age=600", "max-age=600"),
            "/text" => ("", "max-age=\"600\"", "max-age=600"),
            _ => ("", "private", "max-age=600"),
        };
        let fields = [("kube-isr-cdn-cache-control", ours), ("cdn-cache-control", others)];
        let set = fields.into_iter().filter(|(_, value)| !value.is_empty());
        set.fold(page(request.nth, all), |answer, (name, value)| answer.header(name, value))
    })
    .await;
    let proxy = governed(&origin).await;
    let shared = [
        ("/ours", true),
        ("/others", true),
        ("/switched-off", true),
        ("/parameters", true),
        ("/no-store", false),
        // A dictionary all the same, whose lifetime is none (RFC 9213 §2.1).
        ("/text", false),
        ("/private", false),
    ];
    for (target, reused) in shared {
        assert_eq!(proxy.get(target).await.text(), "v1", "{target}");
        let again = proxy.get(target).await.text();
        assert_eq!(again == "v1", reused, "{target} (RFC 9213 §2.2)");
    }
}
