//! Collapsing: many visitors, one render, and nobody's fate tied to somebody else's connection.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::{
    Answer, Client, Gate, Origin, PATIENCE, Proxy, Request, Response, eventually, get, let_the_interval_end,
    let_time_pass, route,
};

/// Visitors over HTTP/1.1, each with a connection of its own.
const H1_VISITORS: usize = 600;
/// HTTP/2 connections, and the visitors on each of them.
const H2_VISITORS: (usize, usize) = (4, 100);
/// All of them.
const CROWD: usize = H1_VISITORS + H2_VISITORS.0 * H2_VISITORS.1;
/// How long a render takes while the crowd waits for it.
const RENDER: Duration = Duration::from_secs(2);

/// Everyone asks at once: all connections are open before the first request is sent.
async fn crowd(proxy: &Proxy, target: &str) -> Vec<Response> {
    let mut clients = Vec::new();
    for _ in 0..H1_VISITORS {
        clients.push(proxy.client().await);
    }
    let mut visits = JoinSet::new();
    for _ in 0..H2_VISITORS.0 {
        let h2 = proxy.h2().await;
        for _ in 0..H2_VISITORS.1 {
            let (h2, request) = (h2.clone(), get(target));
            visits.spawn(async move { h2.send(&request).await });
        }
    }
    for mut client in clients {
        let request = get(target);
        visits.spawn(async move { client.send(&request).await });
    }
    visits.join_all().await
}

#[tokio::test]
async fn a_thousand_visitors_of_a_cold_page_cost_one_render() {
    let origin = Origin::start(|request| Answer::page(format!("v{}", request.nth)).after(RENDER)).await;
    let proxy = Proxy::serving(&origin, [route("/launch").interval("60s")]).await;
    let pages = crowd(&proxy, "/launch").await;
    assert_eq!(pages.len(), CROWD, "everyone is answered");
    assert_eq!(origin.count(), 1, "a crowd before a cold page costs the origin one request");
    let mut collapsed = 0;
    for page in &pages {
        assert_eq!(
            (page.status, page.text().as_str()),
            (200, "v1"),
            "everyone gets the page of that one render"
        );
        assert!(
            page.took < RENDER + Duration::from_secs(2),
            "nobody waits much longer than the render: {:?}",
            page.took
        );
        collapsed += usize::from(page.headers.list("cache-status").contains("collapsed"));
    }
    assert!(
        collapsed > CROWD / 2,
        "those who waited are told so (RFC 9211 collapsed): {collapsed} of {CROWD}"
    );
}

#[tokio::test]
async fn a_thousand_visitors_of_a_stale_page_get_it_at_once() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 1 { page } else { page.when(&door) }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/launch").interval("1s")]).await;
    proxy.get("/launch").await.is(200, "MISS", "v1", "the first visitor renders");
    let_the_interval_end().await;
    // The gate stays closed until everyone has been answered: nobody can have waited for the render.
    for page in crowd(&proxy, "/launch").await {
        page.is(200, "STALE", "v1", "everyone gets the stale page while the render is under way");
    }
    origin.received(2).await;
    assert_eq!(origin.count(), 2, "a crowd before a stale page costs the origin one request");
    gate.open();
    proxy.visit_until("/launch", "the new page", |page| page.text() == "v2").await;
}

#[tokio::test]
async fn the_leader_may_hang_up() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| Answer::page(format!("v{}", request.nth)).when(&door)).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;

    let mut leader = proxy.client().await;
    leader.write(&get("/alone").bytes()).await;
    origin.received(1).await;
    drop(leader);

    let mut leader = proxy.client().await;
    leader.write(&get("/followed").bytes()).await;
    origin.received(2).await;
    let mut follower = proxy.client().await;
    follower.write(&get("/followed").bytes()).await;
    drop(leader);

    let h2 = proxy.h2().await;
    let visit = tokio::spawn(async move { drop(h2.try_send(&get("/reset")).await) });
    origin.received(3).await;
    visit.abort();
    // The proxy must have seen all three go before their renders end.
    let_time_pass(Duration::from_millis(300)).await;
    gate.open();
    assert_eq!(follower.read().await.text(), "v1", "the follower gets the page of the leader who left");
    for target in ["/alone", "/followed", "/reset"] {
        let what = format!("{target} is rendered although its first visitor left");
        proxy.visit_until(target, &what, |page| page.cache() == "HIT").await.is(200, "HIT", "v1", &what);
        assert_eq!(origin.count_of(target), 1, "{what}");
    }
}

#[tokio::test]
async fn a_failing_leader_elects_exactly_one_successor() {
    const VISITORS: usize = 40;
    let (first, second) = (Gate::new(), Gate::new());
    let (door, next_door) = (first.clone(), second.clone());
    let origin = Origin::start(move |request| match (request.target.as_str(), request.nth) {
        ("/recovers" | "/down", 1) => Answer::status(500).body("broken").when(&door),
        ("/down", _) => Answer::status(500).body("broken").when(&next_door),
        _ => Answer::page(format!("v{}", request.nth)).when(&next_door),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let mut visits = JoinSet::new();
    for target in ["/recovers", "/down"] {
        for _ in 0..VISITORS {
            let mut client = proxy.client().await;
            visits.spawn(async move { (target, client.get(target).await) });
        }
    }
    origin.received(2).await;
    // Everyone has joined the two waits by the time the first renders fail.
    let_time_pass(Duration::from_millis(500)).await;
    first.open();
    eventually("a successor renders", PATIENCE, async || (origin.count_of("/recovers") >= 2).then_some(()))
        .await;
    let_time_pass(Duration::from_millis(300)).await;
    assert_eq!(origin.count_of("/recovers"), 2, "one successor, not one for each who waits");
    second.open();
    let pages = visits.join_all().await;
    let failed = pages.iter().filter(|(target, page)| *target == "/recovers" && page.status == 500).count();
    assert!(failed <= 1, "only the leader's own visitor gets its error, not {failed}");
    for (target, page) in &pages {
        match (*target, page.status) {
            ("/recovers", 200) => assert_eq!(page.text(), "v2", "the successor's page is for all who waited"),
            (_, status) => assert_eq!(status, 500, "{target} gets the origin's own error"),
        }
    }
    assert_eq!(origin.count_of("/recovers"), 2, "the failing leader and one successor");
    assert!(origin.count_of("/down") <= 2, "an origin that stays down is not asked by everyone who waits");
}

#[tokio::test]
async fn answers_for_one_visitor_are_not_queued_behind_each_other() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let own = Answer::page(format!("own {}", request.nth)).header("cache-control", "no-store");
        if request.nth == 1 { own } else { own.when(&door) }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/own").interval("60s")]).await;
    assert_eq!(proxy.get("/own").await.text(), "own 1", "the answer goes to who asked");
    let mut visits = JoinSet::new();
    for _ in 0..3 {
        let mut client = proxy.client().await;
        visits.spawn(async move { client.get("/own").await.text() });
    }
    // All three are at the origin together, which the closed gate proves: none waits for another.
    origin.received(4).await;
    gate.open();
    let mut bodies = visits.join_all().await;
    bodies.sort();
    assert_eq!(bodies, ["own 2", "own 3", "own 4"], "everyone gets an answer of their own");
}

#[tokio::test]
async fn a_slow_reader_in_front_does_not_slow_the_others() {
    let long = "0123456789abcdef".repeat(1 << 18);
    let body = long.clone();
    let origin = Origin::start(move |_| Answer::page(body.clone())).await;
    let proxy = Proxy::serving(&origin, [route("/big").interval("60s")]).await;
    let mut slow = proxy.client().await;
    slow.write(&get("/big").bytes()).await;
    slow.read_head().await;
    // The leader reads nothing more. 4 MiB do not fit into socket buffers, so its response stays unfinished.
    let page = proxy.get("/big").await;
    assert!(page.status == 200 && page.text() == long, "the next visitor gets the whole page");
    proxy
        .visit_until("/big", "the page is stored", |page| page.cache() == "HIT" && page.text() == long)
        .await;
    assert_eq!(origin.count(), 1, "one render, though its first visitor has not read it");
    assert_eq!(
        slow.read_bytes(long.len()).await,
        long.as_bytes(),
        "the slow reader gets the whole page in the end"
    );
}

#[tokio::test]
async fn pages_queries_and_hosts_wait_apart() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let language = request.headers.get("accept-language").unwrap_or("none");
        Answer::page(format!("{} {language}", request.url())).when(&door)
    })
    .await;
    let routes = [
        route("/[page]").interval("60s").allow_query(&["page"]).vary_by(&["Accept-Language"]),
        route("/[page]").named("other").host("other.example.com").interval("60s"),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    let asks: [(Request, &str); 5] = [
        (get("/a"), "shop.example.com/a none"),
        (get("/b"), "shop.example.com/b none"),
        (get("/a?page=2"), "shop.example.com/a?page=2 none"),
        (get("/a").header("Accept-Language", "de"), "shop.example.com/a de"),
        (get("/a").host("other.example.com"), "other.example.com/a none"),
    ];
    let mut visits = JoinSet::new();
    for (request, own) in asks {
        for _ in 0..4 {
            let (mut client, request) = (Client::connect(proxy.address()).await, request.clone());
            visits.spawn(async move { (client.send(&request).await.text(), own) });
        }
    }
    origin.received(5).await;
    gate.open();
    for (text, own) in visits.join_all().await {
        assert_eq!(text, own, "nobody gets the page of another wait");
    }
    assert_eq!(origin.count(), 5, "one render for each page");
}

#[tokio::test]
async fn followers_are_woken_when_the_page_arrives_not_by_a_timer() {
    // A cache that polls its lock every half second makes each page cost that much; eight in a row would show it.
    let origin = Origin::start(|_| Answer::page("page").after(Duration::from_millis(50))).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let (mut one, mut two) = (proxy.client().await, proxy.client().await);
    let begun = Instant::now();
    for page in 0..8 {
        let target = format!("/{page}");
        let both = tokio::join!(one.get(&target), two.get(&target));
        assert_eq!((both.0.status, both.1.status), (200, 200), "leader and follower get the page");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(3500), "eight renders of 50 ms with a follower each took {took:?}");
    assert_eq!(origin.count(), 8, "the follower costs nothing");
}
