//! Passing through: everything that is no cached page goes to the origin and back as it is.

use crate::support::{Answer, Folder, HOST, Origin, Proxy, get, route};

/// A proxy with one cached page; every other path of the host passes through.
pub(super) async fn passing(origin: &Origin) -> Proxy {
    Proxy::serving(origin, [route("/isr").interval("60s")]).await
}

#[tokio::test]
async fn an_unmatched_path_passes_uncached_with_its_whole_request() {
    let origin = Origin::start(|request| {
        Answer::status(207)
            .header("x-a", "1")
            .header("x-a", "2")
            .body(format!("{} {}", request.method, request.nth))
    })
    .await;
    let proxy = passing(&origin).await;
    let ask = get("/any/path?b=2&a=1&a=%20")
        .header("Cookie", "session=anna")
        .header("Authorization", "Bearer x")
        .header("Accept-Encoding", "br")
        .header("If-None-Match", "\"x\"")
        .header("Range", "bytes=0-1")
        .header("X-Custom", "1")
        .header("X-Custom", "2");
    for nth in 1..=2 {
        let answer = proxy.send(&ask).await;
        assert_eq!(
            (answer.status, answer.text()),
            (207, format!("GET {nth}")),
            "the origin answers each time"
        );
        assert_eq!(answer.headers.list("x-a"), "1, 2", "repeated fields stay repeated");
    }
    let seen = origin.last();
    assert_eq!(seen.target, "/any/path?b=2&a=1&a=%20", "path and query are the visitor's");
    assert_eq!(seen.headers.get("host"), Some(HOST), "the host is the visitor's");
    for (name, value) in &ask.headers {
        assert!(seen.headers.all(name).any(|v| v == value), "{name}: {value} passes");
    }
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = proxy.send(&crate::support::Request::new(method, "/isr")).await;
        assert!(
            answer.text().starts_with(method),
            "{method} passes, also on a cached path: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn forwarding_fields_are_ours_to_write() {
    let origin = Origin::counting().await;
    let proxy = passing(&origin).await;
    let lies = get("/pass")
        .header("X-Forwarded-For", "203.0.113.7")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "https")
        .header("Forwarded", "for=203.0.113.7;host=evil.example;proto=https");
    proxy.send(&lies).await;
    let seen = origin.last().headers;
    assert_eq!(seen.get("x-forwarded-for"), Some("127.0.0.1"), "the peer's address, nothing the peer says");
    assert_eq!(seen.get("x-forwarded-host"), Some(HOST), "the host that was asked for");
    assert_eq!(seen.get("x-forwarded-proto"), Some("http"), "the scheme that was spoken");
    let forwarded = seen.list("forwarded").to_ascii_lowercase();
    assert!(
        forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"),
        "RFC 7239: {forwarded:?}"
    );
    assert!(
        !seen.mention("203.0.113.7") && !seen.mention("evil"),
        "no lie of an untrusted visitor passes: {seen:?}"
    );
    assert!(seen.list("via").contains("1.1"), "Via names the protocol and us: {:?}", seen.list("via"));

    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let trusting = Proxy::with(folder).option("--trusted-proxies", "10.0.0.0/8,127.0.0.0/8").start().await;
    trusting.send(&lies).await;
    let seen = origin.last().headers;
    assert_eq!(seen.list("x-forwarded-for"), "203.0.113.7, 127.0.0.1", "a trusted peer's word is continued");
    assert_eq!(seen.get("x-forwarded-proto"), Some("https"), "a trusted peer knows the visitor's scheme");
    assert!(seen.list("forwarded").contains("203.0.113.7"), "a trusted peer's word is continued");

    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let public = Proxy::with(folder).option("--public-scheme", "https").start().await;
    public.get("/isr").await;
    let told = origin.last().headers.list("x-forwarded-proto");
    assert_eq!(told, "https", "a render is told the scheme that all visitors use");
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop() {
    let origin = Origin::start(|_| {
        Answer::page("page")
            .header("connection", "x-hop, keep-alive")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("x-stays", "1")
    })
    .await;
    let proxy = passing(&origin).await;
    for target in ["/pass", "/isr", "/isr"] {
        let ask = get(target)
            .header("Connection", "X-Hop, Host, X-Forwarded-For, Content-Length")
            .header("X-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Connection", "keep-alive")
            .header("TE", "gzip");
        let answer = proxy.send(&ask).await;
        for name in ["x-hop", "keep-alive"] {
            assert_eq!(
                answer.headers.get(name),
                None,
                "{target}: {name} of the origin's connection is not passed on"
            );
        }
        assert_eq!(answer.header("x-stays"), "1", "{target}: end-to-end fields are");
    }
    for seen in origin.requests() {
        for name in ["x-hop", "keep-alive", "proxy-connection"] {
            assert_eq!(seen.headers.get(name), None, "{name} of the visitor's connection is not passed on");
        }
        assert!(!seen.headers.lists("te", "gzip"), "TE is for the next hop");
        assert_eq!(seen.headers.get("host"), Some(HOST), "Connection cannot remove what we write");
    }
    let passed = &origin.requests()[0];
    assert_eq!(
        passed.headers.get("x-forwarded-for"),
        Some("127.0.0.1"),
        "Connection cannot remove what we write"
    );
}

#[tokio::test]
async fn the_trace_context_is_carried_through() {
    let origin = Origin::counting().await;
    let proxy = passing(&origin).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let ask = get("/pass")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .header("tracestate", "a=1");
    proxy.send(&ask).await;
    let seen = origin.last().headers;
    assert!(seen.list("traceparent").contains(trace), "the trace goes on: {seen:?}");
    assert_eq!(seen.get("tracestate"), Some("a=1"), "with its state");
}
