//! Framing: where one message ends and the next begins, on both sides (RFC 9112 §6, §11.2).

use crate::support::{Answer, Client, HOST, Origin, Proxy, get, post, route};

/// What an attacker hopes the origin takes for a second request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";

/// A request head for a path that passes through, with these framing fields.
fn framed(fields: &str) -> String {
    format!("POST /pass HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n")
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    let zero = "0\r\n\r\n";
    let cases = [
        ("length and chunked", framed("Content-Length: 5\r\nTransfer-Encoding: chunked") + zero + SMUGGLED),
        ("chunked and length", framed("Transfer-Encoding: chunked\r\nContent-Length: 5") + zero + SMUGGLED),
        (
            "zero length and chunked",
            framed("Content-Length: 0\r\nTransfer-Encoding: chunked") + zero + SMUGGLED,
        ),
        ("two lengths", framed("Content-Length: 0\r\nContent-Length: 50") + SMUGGLED),
        ("two lengths in one", framed("Content-Length: 0, 50") + SMUGGLED),
        ("a signed length", framed("Content-Length: +0") + SMUGGLED),
        ("a negative length", framed("Content-Length: -1") + SMUGGLED),
        ("a hexadecimal length", framed("Content-Length: 0x0") + SMUGGLED),
        ("a huge length", framed("Content-Length: 99999999999999999999999") + SMUGGLED),
        ("an unknown coding", framed("Transfer-Encoding: xchunked") + zero + SMUGGLED),
        ("chunked not last", framed("Transfer-Encoding: chunked, identity") + zero + SMUGGLED),
        ("a vertical tab", framed("Transfer-Encoding: \x0bchunked") + zero + SMUGGLED),
        ("a space before the colon", framed("Transfer-Encoding : chunked") + zero + SMUGGLED),
        ("a space before the colon of length", framed("Content-Length : 0") + SMUGGLED),
        ("a folded line", framed("X-A: 1\r\n Transfer-Encoding: chunked") + SMUGGLED),
        ("a bare carriage return", framed("X-A: 1\rTransfer-Encoding: chunked") + SMUGGLED),
        ("a NUL", framed("X-A: 1\0") + SMUGGLED),
        ("an empty name", framed(": 1") + SMUGGLED),
        ("a line without a colon", framed("garbage") + SMUGGLED),
        ("a chunk size that is none", framed("Transfer-Encoding: chunked") + "zz\r\n\r\n" + SMUGGLED),
        ("a negative chunk size", framed("Transfer-Encoding: chunked") + "-1\r\n\r\n" + SMUGGLED),
        ("a huge chunk size", framed("Transfer-Encoding: chunked") + "fffffffffffffffff1\r\n\r\n" + SMUGGLED),
        (
            "a chunk longer than it says",
            framed("Transfer-Encoding: chunked") + "1\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
        ),
        (
            "HTTP/1.0 and chunked",
            framed("Transfer-Encoding: chunked").replace("1.1", "1.0") + zero + SMUGGLED,
        ),
        ("another version", framed("Content-Length: 0").replace("1.1", "1.7") + SMUGGLED),
        ("no method", "\0\0\0\0 / HTTP/1.1\r\n\r\n".to_owned() + SMUGGLED),
    ];
    for (name, bytes) in cases {
        let seen = proxy.exchange(bytes.as_bytes()).await;
        let answers = seen.matches("HTTP/1.1 ").count() + seen.matches("HTTP/1.0 ").count();
        assert!(answers <= 1, "{name}: nothing after it is answered: {seen:?}");
        assert_eq!(origin.count_of("/smuggled"), 0, "{name}: nothing after it reaches the origin");
        // A refusal is a 400, a 501 (unknown coding) or a 505 (version); a body that breaks in its middle, when the
        // head was good, may end the connection without one.
        let refused = ["HTTP/1.1 400", "HTTP/1.0 400", "HTTP/1.1 501", "HTTP/1.1 505", "HTTP/1.1 502"];
        let chunk = name.contains("chunk size") || name.contains("a chunk");
        assert!(
            (chunk && seen.is_empty()) || refused.iter().any(|r| seen.starts_with(r)),
            "{name}: {seen:?}"
        );
    }
    for (name, fields) in
        [("both", "Content-Length: 5\r\nTransfer-Encoding: chunked"), ("two", "Content-Length: 0, 5")]
    {
        let seen = proxy.exchange((framed(fields) + zero).as_bytes()).await;
        assert!(seen.starts_with("HTTP/1.1 400"), "{name} lengths are a 400, exactly: {seen:?}");
    }
    let whole = origin.requests().iter().filter(|request| request.complete).count();
    assert_eq!(
        whole,
        0,
        "no ambiguous message reaches the origin as a whole request: {:?}",
        origin.requests()
    );
}

#[tokio::test]
async fn a_get_with_a_body_never_hits_and_the_connection_stays_in_step() {
    let origin =
        Origin::start(|request| Answer::page(format!("{} {}", request.target, request.body.len()))).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    proxy.get("/hot").await.is(200, "MISS", "/hot 0", "the first visitor renders");
    let fat = |target: &str| {
        let body = SMUGGLED;
        let length = body.len();
        format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunks = format!(
        "GET /hot HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n",
        SMUGGLED.len()
    );
    for (bytes, target) in [(fat("/hot"), "/hot"), (chunks, "/hot"), (fat("/cold"), "/cold")] {
        let mut client = proxy.client().await;
        let next = String::from_utf8(get("/hot").bytes()).expect("text");
        client.write((bytes + &next).as_bytes()).await;
        let answer = client.read().await;
        assert!(!matches!(answer.cache(), "HIT" | "STALE"), "{target} with a body never hits: {answer:?}");
        let passed = answer.status == 200 && answer.text() == format!("{target} {}", SMUGGLED.len());
        assert!(
            passed || answer.status == 400,
            "{target}: the body goes with its request, or both are refused: {answer:?}"
        );
        if passed {
            let own = client.read().await;
            own.is(200, "HIT", "/hot 0", "the next request on the connection gets its own answer");
        }
    }
    proxy.get("/cold").await.is(200, "MISS", "/cold 0", "an answer to a GET with a body is not stored");
    assert_eq!(origin.count_of("/smuggled"), 0, "a body is never taken for a request");
    let hit = proxy.send(&get("/hot").header("Content-Length", "0")).await;
    hit.is(200, "HIT", "/hot 0", "a body of no bytes is no body");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|request| Answer::page(request.target.clone())).await;
    let proxy = Proxy::serving(&origin, [route("/isr/[page]").interval("60s")]).await;
    let mut client = proxy.client().await;
    let requests = [
        get("/isr/1").bytes(),
        post("/pass/2", "body of two").bytes(),
        get("/isr/1").bytes(),
        get("/pass/3").bytes(),
        b"POST /pass/4 HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        get("/isr/5").bytes(),
    ];
    client.write(&requests.concat()).await;
    for target in ["/isr/1", "/pass/2", "/isr/1", "/pass/3", "/pass/4", "/isr/5"] {
        let answer = client.read().await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, target),
            "answers come in the order of requests"
        );
    }
    assert_eq!(origin.count(), 5, "each request once");
}

#[tokio::test]
async fn heads_are_bounded() {
    let origin = Origin::start(|_| Answer::page("page")).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let many = (0..2000).fold(get("/many"), |request, index| request.header(&format!("X-{index}"), "1"));
    let cases = [
        ("a field of 128 KiB", get("/field").header("X-Long", "a".repeat(128 << 10))),
        ("2000 fields", many),
        ("a target of 128 KiB", get(&format!("/{}", "a".repeat(128 << 10)))),
        ("a query of 128 KiB", get(&format!("/query?{}", "a".repeat(128 << 10)))),
    ];
    for (name, request) in cases {
        let mut client = proxy.client().await;
        if let Ok(answer) = client.try_send(&request).await {
            assert!(matches!(answer.status, 400 | 414 | 431), "{name} is too much: {}", answer.status);
        }
    }
    assert_eq!(origin.count(), 0, "an over-long head does not reach the origin");
    let control =
        proxy.exchange(format!("GET /bell HTTP/1.1\r\nHost: {HOST}\r\nX-A: \x07\r\n\r\n").as_bytes()).await;
    assert!(control.starts_with("HTTP/1.1 400"), "control characters are refused: {control:?}");
    for size in [1 << 10, 4 << 10, 8 << 10] {
        let page = format!("/fits-{size}");
        let answer = proxy.send(&get(&page).header("X-Long", "a".repeat(size))).await;
        answer.is(200, "MISS", "page", "a head of ordinary size is served");
        assert!(!origin.last().headers.mention("aaaa"), "and its fields do not reach a render, however long");
        proxy.get(&page).await.is(200, "HIT", "page", "the page is stored for all");
    }
}

#[tokio::test]
async fn an_origin_with_broken_framing_is_a_502_and_not_stored() {
    let cases: [(&str, &str); 9] = [
        ("/two-lengths", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 9\r\n\r\nevil body"),
        ("/bad-length", "HTTP/1.1 200 OK\r\ncontent-length: four\r\n\r\nevil"),
        ("/bad-chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nevil\r\n0\r\n\r\n"),
        ("/no-status", "HTTP/1.1 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("/bad-name", "HTTP/1.1 200 OK\r\nbad name: 1\r\ncontent-length: 4\r\n\r\nevil"),
        ("/nul", "HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 4\r\n\r\nevil"),
        ("/other-protocol", "SSH-2.0-OpenSSH_9.2\r\n"),
        ("/silence", ""),
        ("/half-a-head", "HTTP/1.1 200 OK\r\ncontent-le"),
    ];
    let origin = Origin::start(move |request| {
        let name = request.target.trim_start_matches("/pass");
        let (_, bytes) = cases.iter().find(|(case, _)| *case == name).expect("a case");
        Answer::bytes(*bytes)
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for (case, _) in cases {
        for target in [case.to_owned(), format!("/pass{case}")] {
            let mut client = proxy.client().await;
            if let Ok(answer) = client.try_send(&get(&target)).await {
                assert_eq!(answer.status, 502, "{target}: {} {:?}", answer.text(), answer.headers);
                assert!(
                    !answer.text().contains("evil"),
                    "{target}: nothing of a broken message is passed on"
                );
            }
        }
    }
    origin.answer(|_| Answer::page("good"));
    for (case, _) in cases {
        proxy.get(case).await.is(200, "MISS", "good", "a broken message is not stored");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_never_taken_for_the_next_one() {
    // The origin says more than its length allows; the surplus must not answer another visitor's request.
    let origin = Origin::start(|request| {
        if request.target.starts_with("/surplus") {
            let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
            return Answer::raw([crate::support::answer::Step::Write(
                format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{evil}").into_bytes(),
            )]);
        }
        Answer::page(request.target.clone())
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/isr/[page]").interval("60s")]).await;
    for round in 0..10 {
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(
            client.get(&format!("/surplus/{round}")).await.text(),
            "ok",
            "the answer ends where it says"
        );
        for target in [format!("/isr/{round}"), format!("/pass/{round}")] {
            let next = client.get(&target).await;
            assert_eq!((next.status, next.text()), (200, target), "the next request gets its own answer");
        }
    }
}

#[tokio::test]
async fn a_head_answer_and_statuses_without_a_body_keep_the_connection_in_step() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/pass/204" => Answer::status(204),
        "/pass/304" => Answer::status(304).header("etag", "\"a\""),
        "/pass/205" => Answer::status(205),
        other => Answer::page(other),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/isr").interval("60s")]).await;
    let mut client = proxy.client().await;
    for round in 0..2 {
        for target in ["/isr", "/pass/page"] {
            let answer = client.send(&crate::support::head(target)).await;
            assert_eq!(
                (answer.status, answer.body.len()),
                (200, 0),
                "round {round}: a HEAD answer has no body"
            );
            assert_eq!(
                answer.header("content-length"),
                target.len().to_string(),
                "but the length of the page"
            );
            assert_eq!(client.get(target).await.text(), target, "and the connection stays in step");
        }
        for status in [204, 205, 304] {
            assert_eq!(
                client.get(&format!("/pass/{status}")).await.status,
                status,
                "a status without a body"
            );
        }
    }
}
