//! The kit against itself: origin and client agree on the bytes, so that a failure elsewhere is the proxy's.

use crate::support::answer::Step;
use crate::support::{Answer, Client, Gate, Origin, get, head, post};

#[tokio::test]
async fn requests_and_responses_arrive_byte_for_byte() {
    let origin = Origin::start(|request| {
        Answer::page(format!("{} {} {}", request.method, request.url(), request.body.len()))
            .header("x-a", "1")
    })
    .await;
    let mut client = Client::connect(origin.address()).await;
    let page = client.send(&post("/p?q=%2F", "four").header("X-B", "two")).await;
    assert_eq!(
        page.text(),
        "POST shop.example.com/p?q=%2F 4",
        "the origin sees method, host, target and body"
    );
    assert_eq!((page.status, page.header("x-a")), (200, "1"), "the client sees status and fields");
    assert_eq!(origin.last().headers.get("x-b"), Some("two"), "the origin records the fields");
    assert_eq!(
        client.send(&head("/p")).await.body.len(),
        0,
        "a HEAD has no body and keeps the connection in step"
    );
    client.write(&[get("/1").bytes(), get("/2").bytes()].concat()).await;
    assert!(client.read().await.text().contains("/1"), "pipelined answers come in order");
    assert!(client.read().await.text().contains("/2"), "pipelined answers come in order");
    assert_eq!((origin.connections(), origin.count()), (1, 4), "everything went over one connection");
}

#[tokio::test]
async fn gates_trailers_interim_and_broken_answers() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| match request.target.as_str() {
        "/gated" => Answer::page("open").when(&door),
        "/chunked" => Answer::page("body").chunked(&[("x-sum", "4")]).interim(103, &[("link", "</a.css>")]),
        "/short" => Answer::page("body").claiming(10),
        "/reset" => Answer::raw([Step::Reset]),
        _ => Answer::raw([
            Step::Write(b"HTTP/1.1 101 Switching\r\nupgrade: echo\r\n\r\n".to_vec()),
            Step::Echo,
        ]),
    })
    .await;
    let mut client = Client::connect(origin.address()).await;
    client.write(&get("/gated").bytes()).await;
    origin.received(1).await;
    assert_eq!(origin.peak(), 1, "the gated answer is in flight");
    gate.open();
    assert_eq!(client.read().await.text(), "open", "the answer comes once the gate is open");
    let chunked = client.get("/chunked").await;
    assert_eq!(
        (chunked.text().as_str(), chunked.trailers.get("x-sum")),
        ("body", Some("4")),
        "chunks and trailers"
    );
    assert_eq!(chunked.interim[0].0, 103, "interim responses are kept");
    assert!(client.try_send(&get("/short")).await.is_err(), "a short body is an error");
    let mut client = Client::connect(origin.address()).await;
    assert!(client.try_send(&get("/reset")).await.is_err(), "a reset is an error");
    let mut client = Client::connect(origin.address()).await;
    assert_eq!(client.get("/echo").await.status, 101, "an upgrade");
    client.write(b"ping").await;
    assert_eq!(client.read_bytes(4).await, b"ping", "an upgraded connection echoes");
}
