//! Bounds on renders, uploads and what is left at the end of the process.

use std::time::Duration;

use super::passing::passing;
use crate::support::answer::Step;
use crate::support::{
    Answer, Folder, Gate, HOST, Origin, PATIENCE, Proxy, eventually, get, let_time_pass, route,
};

/// Half of a page of ten bytes.
fn half() -> Step {
    Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec())
}

#[tokio::test]
async fn a_render_that_hangs_in_the_middle_ends() {
    let origin = Origin::start(|request| {
        let drip = || [Step::Write(b".".to_vec()), Step::Wait(Duration::from_millis(200))];
        match request.target.as_str() {
            "/drips" => Answer::raw(std::iter::once(half()).chain((0..200).flat_map(|_| drip()))),
            _ => Answer::raw([half(), Step::Pass(Gate::new())]),
        }
    })
    .await;
    for (page, option, status) in [("/silent", "--idle-timeout", 502), ("/drips", "--render-timeout", 504)] {
        let folder = Folder::of(&origin, [route("/[page]").interval("60s")]);
        let proxy =
            Proxy::with(folder).option(option, "500ms").option("--max-page-bytes", "100000").start().await;
        proxy.get(page).await.problem(status, &format!("{option} ends a render of {page}"));
    }
}

#[tokio::test]
async fn who_waits_in_line_for_a_render_waits_no_longer_than_for_a_first_byte() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/holds" => Answer::raw([half(), Step::Pass(Gate::new())]),
        _ => Answer::page("page"),
    })
    .await;
    let folder = Folder::of(&origin, [route("/[page]").interval("60s")]);
    let proxy = Proxy::with(folder)
        .option("--max-renders-per-backend", "1")
        .option("--first-byte-timeout", "500ms")
        .start()
        .await;
    let mut holds = proxy.client().await;
    holds.write(&get("/holds").bytes()).await;
    origin.received(1).await;
    let problem = proxy.get("/waits").await.problem(503, "the one place is taken");
    assert!(problem.to_string().contains("web"), "the problem names the backend: {problem}");
}

#[tokio::test]
async fn renders_are_bounded_in_all() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| Answer::page(request.target.clone()).when(&door)).await;
    let folder = Folder::of(&origin, [route("/[page]").interval("60s")]);
    let proxy = Proxy::with(folder).option("--max-renders", "2").start().await;
    let mut clients = Vec::new();
    for page in 0..6 {
        let mut client = proxy.client().await;
        client.write(&get(&format!("/{page}")).bytes()).await;
        clients.push(client);
    }
    origin.received(2).await;
    let_time_pass(Duration::from_millis(300)).await;
    assert_eq!(origin.count(), 2, "no more than the bound at a time");
    gate.open();
    for (page, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read().await.text(), format!("/{page}"), "everybody's turn comes");
    }
    assert!(origin.peak() <= 2, "no more than the bound at a time: {}", origin.peak());
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_application() {
    let origin = Origin::start(|request| {
        if request.complete {
            Answer::page(format!("{} bytes", request.body.len()))
        } else {
            Answer::status(500)
        }
    })
    .await;
    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let proxy = Proxy::with(folder).option("--first-byte-timeout", "700ms").start().await;
    let mut client = proxy.client().await;
    client
        .write(format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 6\r\n\r\n").as_bytes())
        .await;
    for _ in 0..6 {
        let_time_pass(Duration::from_millis(300)).await;
        client.write(b"x").await;
    }
    assert_eq!(client.read().await.text(), "6 bytes", "an upload that goes on is waited for");
}

#[tokio::test]
async fn an_upload_is_never_sent_twice_and_never_without_its_body() {
    let origin = Origin::start(|_| Answer::page("ok")).await;
    let proxy = passing(&origin).await;
    proxy.get("/warm").await;
    let known = origin.connections();
    origin.answer(
        move |request| {
            if request.connection <= known { Answer::raw([Step::Close]) } else { Answer::page("ok") }
        },
    );
    let put =
        crate::support::Request { body: b"body".to_vec(), ..crate::support::Request::new("PUT", "/put") };
    assert_eq!(
        proxy.send(&put.header("Content-Length", "4")).await.status,
        502,
        "a PUT on a dying connection"
    );
    assert_eq!(origin.count_of("/put"), 1, "its body is gone with the connection");
}

#[tokio::test]
async fn a_new_connection_that_breaks_is_not_tried_again() {
    let origin = Origin::start(|_| Answer::raw([Step::Close])).await;
    let proxy = passing(&origin).await;
    proxy.get("/down").await.problem(502, "an origin that only hangs up");
    assert_eq!(origin.count(), 1, "only a connection that was idle may have crossed our request");
}

#[tokio::test]
async fn a_drain_is_announced_and_ends_tunnels() {
    let origin = Origin::start(|_| {
        let head = b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_vec();
        Answer::raw([Step::Write(head), Step::Echo])
    })
    .await;
    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let mut proxy =
        Proxy::with(folder).option("--drain-delay", "2s").option("--drain-timeout", "500ms").start().await;
    let mut socket = proxy.client().await;
    let upgrade = get("/socket").header("Connection", "Upgrade").header("Upgrade", "websocket");
    socket.write(&upgrade.bytes()).await;
    assert_eq!(socket.read_head().await.0, 101, "the connection is switched");
    proxy.terminate();
    eventually("the drain is announced", Duration::from_millis(1500), async || {
        (proxy.admin("/readyz").await.status == 503).then_some(())
    })
    .await;
    socket.write(b"still open").await;
    assert_eq!(socket.read_bytes(10).await, b"still open", "what is open goes on meanwhile");
    let status = proxy.ended(PATIENCE).await;
    assert!(status.success(), "a tunnel does not keep the process: {status:?}");
}

#[tokio::test]
async fn a_key_with_nothing_going_on_is_forgotten() {
    let origin = Origin::start(|_| Answer::page("page")).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for page in 0..20 {
        proxy.get(&format!("/{page}")).await.is(200, "MISS", "page", "a page of its own");
    }
    let keys = proxy.metric("isr_cache_keys_under_way", &[]).await;
    assert!(keys < 1.0, "stored pages leave nothing else behind: {keys} keys");
}
