//! Bodies and protocols that go on for long: uploads, events, WebSockets, interim responses, trailers.

use super::passing::passing;
use crate::support::answer::Step;
use crate::support::{Answer, Folder, Gate, HOST, Origin, PATIENCE, Proxy, eventually, get, post, route};

#[tokio::test]
async fn uploads_stream_and_arrive_whole() {
    let origin = Origin::start(|request| Answer::page(format!("{} bytes", request.body.len()))).await;
    let proxy = passing(&origin).await;
    let mut client = proxy.client().await;
    client
        .write(format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nfirst").as_bytes())
        .await;
    let what = "the first half arrives before the second is sent";
    eventually(what, PATIENCE, async || {
        (origin.count() == 1 && origin.last().body == b"first").then_some(())
    })
    .await;
    client.write(b"-half").await;
    assert_eq!(client.read().await.text(), "10 bytes", "the upload arrives whole");

    let long: Vec<u8> = (0..12 << 20).map(|index: u32| u8::try_from(index % 251).expect("a byte")).collect();
    let answer = client.send(&post("/upload", long.clone())).await;
    assert_eq!(answer.text(), format!("{} bytes", long.len()), "an upload is longer than any page may be");
    assert!(origin.last().body == long, "byte for byte");
    let answer = proxy.h2().await.send(&post("/upload", long[..3 << 20].to_vec())).await;
    assert_eq!(answer.text(), format!("{} bytes", 3 << 20), "also over HTTP/2");

    let chunks = "POST /chunks HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
    client.write(format!("{chunks}3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n").as_bytes()).await;
    assert_eq!(client.read().await.text(), "7 bytes", "chunks arrive whole");
    assert_eq!(origin.last().trailers.get("x-sum"), Some("7"), "request trailers pass");
}

#[tokio::test]
async fn expect_100_continue_is_answered() {
    let origin = Origin::start(|request| Answer::page(format!("{} bytes", request.body.len()))).await;
    let proxy = passing(&origin).await;
    let mut client = proxy.client().await;
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    client.write(head.as_bytes()).await;
    let (status, _) = client.read_head().await;
    assert_eq!(status, 100, "the visitor waits for leave to send the body");
    client.write(b"body").await;
    assert_eq!(client.read().await.text(), "4 bytes", "the upload arrives whole");
}

#[tokio::test]
async fn events_stream_as_they_happen() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let event = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
        Answer::raw([
            Step::Write((head.to_owned() + &event("one")).into_bytes()),
            Step::Pass(door.clone()),
            Step::Write((event("two") + "0\r\n\r\n").into_bytes()),
        ])
    })
    .await;
    let proxy = passing(&origin).await;
    let mut client = proxy.client().await;
    client.write(&get("/events").header("Accept", "text/event-stream").bytes()).await;
    let (status, fields) = client.read_head().await;
    assert_eq!(
        (status, fields.get("content-type")),
        (200, Some("text/event-stream")),
        "the stream begins at once"
    );
    client.read_until("data: one\n\n").await;
    gate.open();
    client.read_until("data: two\n\n").await;
    client.read_until("0\r\n\r\n").await;
    client.get("/events").await;
}

#[tokio::test]
async fn websockets_are_connected_and_left_alone() {
    let origin = Origin::start(|request| {
        if !request.headers.lists("connection", "upgrade") {
            return Answer::status(426).header("upgrade", "websocket");
        }
        let key = request.headers.get("sec-websocket-key").unwrap_or_default();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {key}\r\n\r\n"
        );
        Answer::raw([Step::Write(head.into_bytes()), Step::Echo])
    })
    .await;
    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let proxy = Proxy::with(folder).option("--idle-timeout", "1s").start().await;
    let upgrade = get("/socket")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    for target in ["/socket", "/isr"] {
        let mut client = proxy.client().await;
        let upgrade = crate::support::Request { target: target.to_owned(), ..upgrade.clone() };
        client.write(&upgrade.bytes()).await;
        let (status, fields) = client.read_head().await;
        assert_eq!(status, 101, "{target}: the connection is switched");
        assert!(fields.lists("connection", "upgrade"), "{target}: the handshake is complete: {fields:?}");
        assert_eq!(
            fields.get("sec-websocket-accept"),
            Some("dGhlIHNhbXBsZSBub25jZQ=="),
            "{target}: and untouched"
        );
        let frame: Vec<u8> = (0..=255).collect();
        for _ in 0..3 {
            client.write(&frame).await;
            assert_eq!(
                client.read_bytes(frame.len()).await,
                frame,
                "{target}: frames go both ways untouched"
            );
        }
    }
    assert_eq!(proxy.get("/socket").await.status, 426, "without an upgrade the origin answers as it likes");
}

#[tokio::test]
async fn nothing_after_a_refused_upgrade_reaches_the_origin_raw() {
    let origin = Origin::start(|request| Answer::page(request.target.clone())).await;
    let proxy = passing(&origin).await;
    let mut client = proxy.client().await;
    let ask = get("/socket").header("Connection", "Upgrade").header("Upgrade", "websocket");
    client.write(&[ask.bytes(), get("/isr").bytes()].concat()).await;
    assert_eq!(client.read().await.text(), "/socket", "the origin refuses by answering");
    if let Ok(next) = client.try_read().await {
        assert_eq!(next.text(), "/isr", "what follows is a request like any other");
    }
    for request in origin.requests() {
        assert!(
            request.headers.get("via").is_some(),
            "nothing reaches the origin around the proxy: {request:?}"
        );
    }
}

#[tokio::test]
async fn interim_responses_and_trailers_pass() {
    let origin = Origin::start(|_| {
        Answer::page("body").interim(103, &[("link", "</a.css>; rel=preload")]).chunked(&[("x-sum", "4")])
    })
    .await;
    let proxy = passing(&origin).await;
    let answer = proxy.send(&get("/pass").header("TE", "trailers")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"), "the final response");
    assert_eq!(answer.trailers.get("x-sum"), Some("4"), "response trailers pass: {answer:?}");
    let (status, fields) = answer.interim.first().expect("103 Early Hints pass");
    assert_eq!((*status, fields.get("link")), (103, Some("</a.css>; rel=preload")), "with their fields");
    let answer = proxy.h2().await.send(&get("/pass")).await;
    assert_eq!(answer.trailers.get("x-sum"), Some("4"), "response trailers pass over HTTP/2");
    assert_eq!(answer.text(), "body", "an interim response does not disturb HTTP/2");
    proxy.get("/isr").await.is(200, "MISS", "body", "an interim response does not disturb a render");
    proxy.get("/isr").await.is(200, "HIT", "body", "nor do trailers");
}
