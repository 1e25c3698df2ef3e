//! What a render may do to a stored page: which answers replace it, and which failures leave it as it was.

use std::time::Duration;

use crate::support::answer::Step;
use crate::support::{
    Answer, Folder, Gate, Origin, PATIENCE, Proxy, eventually, get, let_the_interval_end, let_time_pass,
    route,
};

#[tokio::test]
async fn not_found_gone_and_redirects_replace_a_good_page() {
    const STATUSES: [u16; 7] = [200, 301, 302, 307, 308, 404, 410];
    let origin = Origin::start(|_| Answer::page("good")).await;
    let proxy = Proxy::serving(&origin, [route("/[status]").interval("1s")]).await;
    for status in STATUSES {
        proxy.get(&format!("/{status}")).await.is(200, "MISS", "good", "the first visitor renders");
    }
    origin.answer(|request| {
        let status: u16 = request.target[1..].parse().expect("a status");
        let answer = Answer::status(status).body(format!("now {status}"));
        if (300..400).contains(&status) { answer.header("location", "/elsewhere") } else { answer }
    });
    let_the_interval_end().await;
    for status in STATUSES {
        proxy.get(&format!("/{status}")).await.is(200, "STALE", "good", "the stale page first");
    }
    for status in STATUSES {
        let what = format!("{status} replaces the good page");
        let now = proxy.visit_until(&format!("/{status}"), &what, |page| page.text() != "good").await;
        assert_eq!((now.status, now.text()), (status, format!("now {status}")), "{what}");
        assert!(matches!(now.cache(), "HIT" | "STALE"), "{what} in the store, not {:?}", now.cache());
        if (300..400).contains(&status) {
            assert_eq!(now.header("location"), "/elsewhere", "a stored redirect keeps its target");
        }
    }
}

/// A failing render: its name, what the origin does, and how often it may be asked (one safe retry after a
/// connection that broke before any answer, RFC 9110 §9.2.2).
type Failure = (&'static str, fn() -> Answer, usize);

const FAILURES: [Failure; 24] = [
    ("204", || Answer::status(204), 1),
    ("206", || Answer::status(206).header("content-range", "bytes 0-1/9").body("pa"), 1),
    ("304", || Answer::status(304), 1),
    ("400", || Answer::status(400).body("bad"), 1),
    ("401", || Answer::status(401).body("who"), 1),
    ("403", || Answer::status(403).body("no"), 1),
    ("405", || Answer::status(405).body("how"), 1),
    ("418", || Answer::status(418).body("tea"), 1),
    ("429", || Answer::status(429).body("slow down"), 1),
    ("431", || Answer::status(431).body("long"), 1),
    ("500", || Answer::status(500).body("broken"), 1),
    ("501", || Answer::status(501).body("unknown"), 1),
    ("502", || Answer::status(502).body("gateway"), 1),
    ("503", || Answer::status(503).body("busy"), 1),
    ("504", || Answer::status(504).body("late"), 1),
    ("short-body", || Answer::page("torn").claiming(500), 1),
    (
        "cut-chunks",
        || Answer::bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ntorn!\r\n"),
        1,
    ),
    ("over-long", || Answer::page("x".repeat(5000)), 1),
    ("over-long-chunked", || Answer::page("x".repeat(5000)).chunked(&[]), 1),
    ("no-first-byte", || Answer::raw([Step::Pass(Gate::new())]), 1),
    (
        "silent-mid-body",
        || {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
            Answer::raw([Step::Write(head), Step::Pass(Gate::new())])
        },
        1,
    ),
    ("reset", || Answer::raw([Step::Reset]), 2),
    ("closed", || Answer::raw([Step::Close]), 2),
    ("garbage", || Answer::bytes("this is not HTTP\r\n\r\n"), 2),
];

#[tokio::test]
async fn failures_never_replace_a_good_page_and_are_not_tried_again_at_once() {
    let origin = Origin::start(|_| Answer::page("good")).await;
    let folder = Folder::of(&origin, [route("/[failure]").interval("1s")]);
    let proxy = Proxy::with(folder)
        .option("--first-byte-timeout", "500ms")
        .option("--idle-timeout", "500ms")
        .option("--max-page-bytes", "1000")
        .start()
        .await;
    for (name, ..) in FAILURES {
        proxy.get(&format!("/{name}")).await.is(200, "MISS", "good", "the first visitor renders");
    }
    origin.answer(|request| {
        let (_, answer, _) =
            FAILURES.iter().find(|(name, ..)| *name == &request.target[1..]).expect("a failure");
        answer()
    });
    let_the_interval_end().await;
    for (name, ..) in FAILURES {
        proxy.get(&format!("/{name}")).await.is(200, "STALE", "good", "the stale page first");
    }
    for (name, ..) in FAILURES {
        let what = format!("a render of {name}");
        let target = format!("/{name}");
        eventually(&what, PATIENCE, async || (origin.count_of(&target) >= 2).then_some(())).await;
    }
    // Longer than both time limits: every render has failed by now, and the next try is 30 s away.
    let_time_pass(Duration::from_millis(2500)).await;
    for (name, _, times) in FAILURES {
        let target = format!("/{name}");
        let kept = proxy.get(&target).await;
        kept.is(200, "STALE", "good", &format!("{name} leaves the last good page in place"));
        let asked = origin.count_of(&target) - 1;
        assert!(
            (1..=times).contains(&asked),
            "after {name} the next try is 30 s away, yet the origin saw {asked}"
        );
    }
}

#[tokio::test]
async fn a_first_error_goes_to_the_visitor_and_is_not_stored() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/forbidden" => Answer::status(403).body("not you"),
        _ => Answer::status(500).header("x-reason", "database").body("broken"),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for (page, status, body) in [("/broken", 500, "broken"), ("/forbidden", 403, "not you")] {
        let failed = proxy.get(page).await;
        assert_eq!((failed.status, failed.text().as_str()), (status, body), "it is the origin's own error");
        assert!(!matches!(failed.cache(), "HIT" | "STALE"), "an error is not stored: {:?}", failed.headers);
        assert!(!failed.headers.list("cache-status").contains("stored"), "an error is not stored");
    }
    assert_eq!(proxy.get("/broken").await.header("x-reason"), "database", "with the origin's own fields");
    origin.answer(|_| Answer::page("mended"));
    for page in ["/broken", "/forbidden"] {
        let mended = proxy.get(page).await;
        mended.is(200, "MISS", "mended", "with nothing stored, the next visitor renders again");
        proxy.get(page).await.is(200, "HIT", "mended", "and then the page is stored");
    }
}

#[tokio::test]
async fn an_over_long_page_still_reaches_its_visitor() {
    let long = "0123456789".repeat(1000);
    let body = long.clone();
    let origin = Origin::start(move |request| match request.target.as_str() {
        "/chunked" => Answer::page(body.clone()).chunked(&[]),
        "/until-close" => Answer::page(body.clone()).until_close(),
        _ => Answer::page(body.clone()),
    })
    .await;
    let folder = Folder::of(&origin, [route("/[page]").interval("60s")]);
    let proxy = Proxy::with(folder).option("--max-page-bytes", "1000").start().await;
    for target in ["/sized", "/chunked", "/until-close"] {
        for visit in 1..=2 {
            let page = proxy.get(target).await;
            assert_eq!(
                (page.status, page.text() == long),
                (200, true),
                "{target} streams to its visitor whole"
            );
            assert_ne!(page.cache(), "HIT", "{target} is too long to be stored");
            assert_eq!(origin.count_of(target), visit, "{target} is too long to be stored");
        }
    }
}

#[tokio::test]
async fn a_torn_body_is_never_passed_off_as_a_whole_one() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/chunks" => Answer::bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ntorn!\r\n"),
        _ => Answer::page("torn!").claiming(500),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for target in ["/chunks", "/length", "/passed/chunks", "/passed/length"] {
        let mut client = proxy.client().await;
        if let Ok(page) = client.try_send(&get(target)).await {
            assert!(
                page.status >= 500,
                "{target}: a torn body is an error or a broken message, not {page:?}"
            );
        }
    }
    origin.answer(|_| Answer::page("whole"));
    for target in ["/chunks", "/length"] {
        let page = proxy.get(target).await;
        page.is(200, "MISS", "whole", "a torn body is not stored");
    }
}

#[tokio::test]
async fn an_origin_that_is_gone_is_explained_when_nothing_is_stored() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1s")]);
    let proxy = Proxy::with(folder).option("--first-byte-timeout", "500ms").start().await;
    proxy.get("/stored").await.is(200, "MISS", "v1", "the first visitor renders");

    origin.answer(|_| Answer::raw([Step::Pass(Gate::new())]));
    let problem = proxy.get("/hangs").await.problem(504, "an origin that does not answer in time is a 504");
    assert_eq!(problem["status"], 504, "the problem repeats its status (RFC 9457)");
    assert!(
        problem["title"].is_string() && problem["detail"].is_string(),
        "the problem says what happened: {problem}"
    );

    drop(origin);
    let_the_interval_end().await;
    proxy.get("/stored").await.is(200, "STALE", "v1", "the last good page survives the application");
    eventually("nobody listens any more", PATIENCE, async || {
        (proxy.get("/gone").await.status == 502).then_some(())
    })
    .await;
    proxy.get("/gone").await.problem(502, "an origin that cannot be reached is a 502");
    proxy.get("/stored").await.is(200, "STALE", "v1", "the last good page survives the application");
}

#[tokio::test]
async fn a_failed_page_recovers_after_its_back_off() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("1s")]).await;
    proxy.get("/page").await.is(200, "MISS", "v1", "the first visitor renders");
    origin.answer(|_| Answer::status(500).body("broken"));
    let_the_interval_end().await;
    proxy.get("/page").await.is(200, "STALE", "v1", "the stale page first");
    origin.received(2).await;
    origin.answer(|request| Answer::page(format!("v{}", request.nth)));
    // The first back-off is 30 s with jitter: nothing before half of it, recovery before twice of it.
    let_time_pass(Duration::from_secs(15)).await;
    proxy.get("/page").await.is(200, "STALE", "v1", "the last good page during the back-off");
    assert_eq!(origin.count(), 2, "the origin is left alone during the back-off");
    let mut client = proxy.client().await;
    eventually("the page recovers by itself", Duration::from_secs(45), async || {
        (client.get("/page").await.text() == "v3").then_some(())
    })
    .await;
}
