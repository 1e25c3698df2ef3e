//! What ends at this hop, what passes it, and what it adds.

use super::passing::passing;
use crate::support::{Answer, HOST, Origin, Proxy, get, route};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_loop_is_detected_and_explained() {
    let origin = Origin::counting().await;
    let proxy = passing(&origin).await;
    let passages = ["1.1 kube-isr"; 9].join(", ");
    let problem =
        proxy.send(&get("/pass").header("Via", passages)).await.problem(508, "a ninth passage is a loop");
    assert!(problem.to_string().contains("web"), "the problem names the backend: {problem}");
    assert_eq!(origin.count(), 0, "and ends here");
    let others = ["1.1 cdn"; 9].join(", ");
    assert_eq!(
        proxy.send(&get("/pass").header("Via", others)).await.status,
        200,
        "other proxies are no loop"
    );
}

#[tokio::test]
async fn more_fields_than_applications_accept_are_refused_here() {
    let origin = Origin::counting().await;
    let proxy = passing(&origin).await;
    proxy.send(&get("/pass").header("X-Long", "a".repeat(17 << 10))).await.problem(431, "17 KiB of fields");
    assert_eq!(origin.count(), 0, "the application's own refusal might be stored beyond us");
}

#[tokio::test]
async fn responses_name_their_hops_and_keep_what_caches_before_us_said() {
    let origin = Origin::start(|_| Answer::page("page").header("cache-status", "inner; hit")).await;
    let proxy = passing(&origin).await;
    let passed = proxy.get("/pass").await;
    assert!(
        passed.headers.list("via").contains("1.1 kube-isr"),
        "Via (RFC 9110 §7.6.3): {:?}",
        passed.headers
    );
    let status = passed.headers.list("cache-status");
    assert!(status.starts_with("inner; hit"), "the cache nearest to the origin stands first: {status:?}");
    assert!(status.contains("kube-isr"), "and ours behind it: {status:?}");
}

#[tokio::test]
async fn the_expectation_is_met_here_and_goes_no_further() {
    let origin = Origin::start(|_| Answer::page("ok")).await;
    let proxy = passing(&origin).await;
    let mut client = proxy.client().await;
    let head =
        format!("POST /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    client.write(head.as_bytes()).await;
    assert_eq!(client.read_head().await.0, 100, "the visitor waits for leave to send the body");
    client.write(b"body").await;
    assert_eq!(client.read().await.status, 200, "the upload is answered");
    assert_eq!(origin.last().headers.get("expect"), None, "the application is not asked for leave as well");
}

#[tokio::test]
async fn a_protocol_is_changed_only_when_the_visitor_asks() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/unasked" => Answer::bytes("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        _ => Answer::page("page"),
    })
    .await;
    let proxy = passing(&origin).await;
    proxy.get("/unasked").await.problem(502, "an application that changes the protocol unasked");
    proxy.get("/isr").await.is(200, "MISS", "page", "the first visitor renders");
    let half = get("/isr").header("Upgrade", "h2c").header("Connection", "keep-alive");
    proxy.send(&half).await.is(
        200,
        "HIT",
        "page",
        "Upgrade that Connection does not name asks for nothing (RFC 9110 §7.8)",
    );
}

#[tokio::test]
async fn interim_responses_pass_without_what_is_for_one_hop() {
    let origin = Origin::start(|_| {
        let fields = [("link", "</a.css>; rel=preload"), ("connection", "x-hop"), ("x-hop", "1")];
        Answer::page("body").interim(103, &fields)
    })
    .await;
    let proxy = passing(&origin).await;
    let answer = proxy.send(&get("/pass")).await;
    let (_, fields) = answer.interim.first().expect("103 Early Hints pass");
    assert!(fields.get("link").is_some(), "with their fields: {fields:?}");
    assert!(fields.get("x-hop").is_none() && fields.get("connection").is_none(), "but not those: {fields:?}");
}

#[tokio::test]
async fn a_render_is_part_of_the_trace_that_began_it_and_of_nothing_else() {
    let origin = Origin::start(|_| Answer::page("page")).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let upper = TRACE.to_uppercase();
    let cases =
        [("/a", TRACE, Some(TRACE)), ("/b", "anna", None), ("/c", &upper, None), ("/d", &TRACE[..54], None)];
    for (page, said, carried) in cases {
        proxy.send(&get(page).header("traceparent", said)).await.is(200, "MISS", "page", said);
        let seen = origin.last().headers;
        assert_eq!(
            seen.get("traceparent"),
            carried,
            "only identifiers in their fixed form reach a render: {said}"
        );
        assert_eq!(seen.get("accept-encoding"), Some("identity"), "a page is stored as it is: {seen:?}");
    }
}
