//! Connections on both sides: HTTP/2, reuse, one safe retry, time limits, and a drain in good order.

use std::time::Duration;

use super::passing::passing;
use crate::support::answer::Step;
use crate::support::{
    Answer, Folder, Gate, HOST, Origin, PATIENCE, Proxy, Response, get, let_time_pass, post, route,
};

#[tokio::test]
async fn http2_by_prior_knowledge() {
    let origin = Origin::start(|request| {
        Answer::page(format!("{} {} {}", request.method, request.target, request.body.len()))
            .header("x-a", "1")
    })
    .await;
    let proxy = passing(&origin).await;
    let h2 = proxy.h2().await;
    h2.send(&get("/isr")).await.is(200, "MISS", "GET /isr 0", "a page over HTTP/2");
    h2.send(&get("/isr")).await.is(200, "HIT", "GET /isr 0", "a hit over HTTP/2");
    proxy.get("/isr").await.is(200, "HIT", "GET /isr 0", "the same page over HTTP/1.1");
    let posted = h2.send(&post("/pass", "four")).await;
    assert_eq!(posted.text(), "POST /pass 4", "a POST over HTTP/2");
    let seen = origin.last().headers;
    assert_eq!(seen.get("host"), Some(HOST), ":authority becomes Host");
    assert!(seen.0.iter().all(|(name, _)| !name.starts_with(':')), "pseudo fields stay in HTTP/2");
    assert_eq!(h2.send(&crate::support::head("/isr")).await.body.len(), 0, "HEAD over HTTP/2");
    let both = h2.send(&get("/pass").header("cookie", "a=1").header("cookie", "b=2")).await;
    assert_eq!(both.status, 200, "cookie crumbs are legal in HTTP/2");
    assert_eq!(
        origin.last().headers.list("cookie"),
        "a=1; b=2",
        "and are joined for HTTP/1.1 (RFC 9113 §8.2.3)"
    );
    let many = (0..50).map(|index| {
        let (h2, request) = (h2.clone(), get(&format!("/pass/{index}")));
        tokio::spawn(async move { h2.send(&request).await })
    });
    for (index, answer) in many.collect::<Vec<_>>().into_iter().enumerate() {
        let answer: Response = answer.await.expect("an answer");
        assert_eq!(answer.text(), format!("GET /pass/{index} 0"), "streams do not mix");
    }
}

#[tokio::test]
async fn connections_to_the_origin_are_reused() {
    let origin = Origin::start(|_| Answer::page("ok")).await;
    let proxy = Proxy::serving(&origin, [route("/isr/[page]").interval("60s")]).await;
    let mut client = proxy.client().await;
    for round in 0..20 {
        client.get(&format!("/pass/{round}")).await;
        client.get(&format!("/isr/{round}")).await;
    }
    assert!(origin.connections() <= 4, "keep-alive to the origin: {} connections", origin.connections());
}

#[tokio::test]
async fn a_connection_that_the_origin_closed_is_retried_once_and_only_when_safe() {
    // The origin keeps a connection open after its first answer and closes it on the second request.
    let origin = Origin::start(|_| Answer::page("ok")).await;
    let proxy = Proxy::serving(&origin, [route("/isr/[page]").interval("60s")]).await;
    assert_eq!(proxy.get("/pass/warm").await.text(), "ok", "a connection is in the pool");
    let pooled = origin.last().connection;
    origin.answer(
        move |request| {
            if request.connection == pooled { Answer::raw([Step::Close]) } else { Answer::page("ok") }
        },
    );
    let answer = proxy.get("/pass/get").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "ok"),
        "a GET on a dying connection is sent again"
    );

    for (method, target) in [("POST", "/pass/post"), ("GET", "/isr/render")] {
        origin.answer(|_| Answer::page("ok"));
        proxy.get("/pass/warm").await;
        let known = origin.connections();
        origin.answer(move |request| {
            if request.connection <= known { Answer::raw([Step::Close]) } else { Answer::page("ok") }
        });
        let answer = proxy.send(&crate::support::Request::new(method, target)).await;
        if method == "GET" {
            answer.is(200, "MISS", "ok", "a render on a dying connection is sent again");
        } else {
            assert_eq!(origin.count_of(target), 1, "a POST is never sent twice");
        }
    }
    origin.answer(|_| Answer::raw([Step::Close]));
    proxy.get("/pass/down").await.problem(502, "an origin that only hangs up");
    assert!(origin.count_of("/pass/down") <= 2, "one retry, not a loop");
    assert!(proxy.send(&post("/pass/down-post", "x")).await.status == 502, "an origin that only hangs up");
    assert_eq!(origin.count_of("/pass/down-post"), 1, "a POST is never sent twice");
}

#[tokio::test]
async fn a_render_is_tried_once_more_when_nothing_was_answered() {
    // A replica that is going accepts connections and hangs up; the next connection meets another.
    let origin = Origin::start(|request| match (request.target.as_str(), request.nth) {
        ("/isr/going", 1) | ("/isr/down", _) => Answer::raw([Step::Close]),
        ("/isr/reset", 1) => Answer::raw([Step::Reset]),
        ("/isr/nonsense", _) => Answer::bytes("this is no response\r\n\r\n"),
        ("/isr/half", _) => Answer::page("half of it").claiming(20),
        ("/isr/failing", _) => Answer::status(503).body("not now"),
        _ => Answer::page("ok"),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/isr/[page]").interval("60s")]).await;
    for target in ["/isr/going", "/isr/reset"] {
        proxy.get(target).await.is(200, "MISS", "ok", "the second connection answers");
        assert_eq!(origin.count_of(target), 2, "{target}");
    }
    proxy.get("/isr/down").await.problem(502, "an origin that only hangs up");
    assert_eq!(origin.count_of("/isr/down"), 2, "one more attempt, not a loop");
    for (target, status) in [("/isr/nonsense", 502), ("/isr/half", 502), ("/isr/failing", 503)] {
        assert_eq!(proxy.get(target).await.status, status, "{target}");
        assert_eq!(origin.count_of(target), 1, "{target}: an origin that has spoken is not asked again");
    }
    // A visitor's own request is the visitor's to repeat.
    for request in [get("/pass/going"), post("/pass/going", "x")] {
        let proxy = Proxy::serving(&origin, [route("/isr/[page]").interval("60s")]).await;
        origin.answer(|_| Answer::raw([Step::Close]));
        let before = origin.count_of("/pass/going");
        proxy.send(&request).await.problem(502, "an origin that hangs up");
        assert_eq!(origin.count_of("/pass/going"), before + 1, "{} is not sent twice", request.method);
    }
}

#[tokio::test]
async fn time_limits_end_what_hangs() {
    let origin = Origin::start(|request| {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
        let switch = b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_vec();
        let said = match request.target.as_str() {
            "/pass/half" => half,
            "/pass/socket" => switch,
            _ => Vec::new(),
        };
        Answer::raw([Step::Write(said), Step::Pass(Gate::new())])
    })
    .await;
    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let proxy = Proxy::with(folder)
        .option("--first-byte-timeout", "500ms")
        .option("--stream-idle-timeout", "500ms")
        .start()
        .await;
    let problem = proxy.get("/pass/silent").await.problem(504, "no first byte in time");
    assert!(problem["detail"].is_string(), "the problem says which limit: {problem}");
    let cut = proxy.client().await.try_send(&get("/pass/half")).await;
    assert!(cut.is_err(), "a body that stops is cut off, not passed off as whole: {cut:?}");
    let mut socket = proxy.client().await;
    socket
        .write(&get("/pass/socket").header("Connection", "Upgrade").header("Upgrade", "websocket").bytes())
        .await;
    assert_eq!(socket.read_head().await.0, 101, "the connection is switched");
    assert!(socket.read_to_end().await.is_empty(), "a WebSocket on which nothing moves ends as well");
}

#[tokio::test]
async fn a_drain_finishes_what_it_began() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(request.target.clone());
        if request.target.starts_with("/slow") { page.when(&door) } else { page }
    })
    .await;
    let mut proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let mut idle = proxy.client().await;
    assert_eq!(idle.get("/page").await.status, 200, "an idle keep-alive connection");
    let (mut render, mut pass) = (proxy.client().await, proxy.client().await);
    render.write(&get("/slow").bytes()).await;
    pass.write(&get("/slow/pass").bytes()).await;
    origin.received(3).await;
    proxy.terminate();
    assert!(idle.read_to_end().await.is_empty(), "the idle connection is closed");
    gate.open();
    assert_eq!(render.read().await.text(), "/slow", "the render in flight is answered");
    assert_eq!(pass.read().await.text(), "/slow/pass", "the passed request in flight is answered");
    let status = proxy.ended(PATIENCE).await;
    assert!(status.success(), "a drained proxy ends well: {status:?}");
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let origin = Origin::start(|_| Answer::raw([Step::Pass(Gate::new())])).await;
    let folder = Folder::of(&origin, [route("/isr").interval("60s")]);
    let mut proxy = Proxy::with(folder).option("--drain-timeout", "1s").start().await;
    let mut stuck = proxy.client().await;
    stuck.write(&get("/stuck").bytes()).await;
    origin.received(1).await;
    proxy.terminate();
    let_time_pass(Duration::from_millis(300)).await;
    proxy.ended(PATIENCE).await;
}
