//! One render of a page for all replicas.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::{
    Answer, Folder, Gate, Origin, PATIENCE, TOKEN, eventually, get, head, let_the_interval_end, route,
};
use crate::{Store, replica, replicas};

/// Visitors of each replica.
const VISITORS: usize = 333;

#[tokio::test]
async fn shared_a_thousand_visitors_of_three_cold_replicas_cost_one_render() {
    let origin =
        Origin::start(|request| Answer::page(format!("v{}", request.nth)).after(Duration::from_millis(500)))
            .await;
    let store = Store::start().await;
    let proxies = replicas::<3>(&store, &origin, &[route("/launch").interval("1h")]).await;
    let mut visits = JoinSet::new();
    for proxy in &proxies {
        for _ in 0..VISITORS {
            let mut client = proxy.client().await;
            visits.spawn(async move { client.get("/launch").await });
        }
    }
    for page in visits.join_all().await {
        assert_eq!(
            (page.status, page.text().as_str()),
            (200, "v1"),
            "everyone gets the page of that one render"
        );
    }
    assert_eq!(origin.count(), 1, "a crowd before three cold replicas costs the origin one request");
    for proxy in &proxies {
        proxy.get("/launch").await.is(200, "HIT", "v1", "each has it now");
    }
}

#[tokio::test]
async fn shared_a_stale_page_is_rendered_by_one_replica() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let proxies = replicas::<3>(&store, &origin, &[route("/page").interval("2s")]).await;
    for proxy in &proxies {
        assert_eq!(proxy.get("/page").await.text(), "v1", "the first render");
    }
    for proxy in &proxies {
        let page = proxy.visit_until("/page", "it is stale", |page| page.cache() == "STALE").await;
        assert_eq!(page.text(), "v1");
    }
    for proxy in &proxies {
        proxy.visit_until("/page", "it is renewed", |page| page.text() != "v1").await;
    }
    // Each was asked within one interval: at most one render for each of the two intervals that may have passed.
    assert!(origin.count() <= 3, "three replicas cost the origin no more than one does: {}", origin.count());
}

#[tokio::test]
async fn shared_a_new_replica_begins_with_what_the_others_have() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let routes = [route("/[page]").interval("1s"), route("/governed/[page]")];
    origin.answer(|request| {
        Answer::page(format!("v{} of {}", request.nth, request.target))
            .header("cache-control", "max-age=3600")
    });
    let [one] = replicas(&store, &origin, &routes).await;
    for page in ["/a", "/b", "/governed/c"] {
        one.get(page).await;
    }
    // Once this is there, what was stored before is there as well.
    let two = replica(&store, "two", Folder::of(&origin, routes.clone())).start().await;
    eventually("the other has it", PATIENCE, async || {
        (two.get("/governed/c").await.cache() == "HIT").then_some(())
    })
    .await;
    assert!(origin.count() <= 4, "{}", origin.count());
    drop(origin);
    let_the_interval_end().await;
    let page = two.get("/a").await;
    assert_eq!(
        (page.status, page.text().as_str()),
        (200, "v1 of /a"),
        "the application is gone and the page is not"
    );
    // It is on its own disk from now on.
    let folder = two.stop().await;
    drop(store);
    let two = crate::support::Proxy::with(folder).start().await;
    assert_eq!(two.get("/a").await.text(), "v1 of /a");
}

/// An origin whose first render waits for the gate.
async fn held_at_first() -> (Origin, Gate) {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 1 { page.when(&closed) } else { page }
    });
    (origin.await, gate)
}

#[tokio::test]
async fn shared_a_replica_that_dies_rendering_holds_up_the_others_for_seconds() {
    let (origin, gate) = held_at_first().await;
    let store = Store::start().await;
    let [one, two] = replicas(&store, &origin, &[route("/page").interval("1h")]).await;
    let mut waiting = one.client().await;
    waiting.write(&get("/page").bytes()).await;
    origin.received(1).await;
    let mut client = two.client().await;
    let visit = tokio::spawn(async move { client.get("/page").await });
    drop(one.crash());
    let page = visit.await.expect("no panic");
    assert_eq!((page.status, page.text().as_str()), (200, "v2"));
    assert!(page.took < Duration::from_secs(15), "{:?}", page.took);
    gate.open();
}

#[tokio::test]
async fn shared_a_late_render_replaces_no_newer_page() {
    let (origin, gate) = held_at_first().await;
    let store = Store::start().await;
    let [one, two] = replicas(&store, &origin, &[route("/page").interval("1h").token(TOKEN)]).await;
    let mut late = one.client().await;
    late.write(&get("/page").bytes()).await;
    origin.received(1).await;
    two.send(&head("/page").revalidate(TOKEN))
        .await
        .is_revalidated(200, "it waits for nobody's older render");
    gate.open();
    late.read().await;
    // The late one went to who waited for it, if to anybody; what is served is the newer.
    for proxy in [&one, &two] {
        proxy
            .visit_until("/page", "the newer page", |page| page.text() != "v1" && page.cache() == "HIT")
            .await;
    }
    let three = replica(&store, "three", Folder::of(&origin, [route("/page").interval("1h").token(TOKEN)]));
    let page = three.start().await.get("/page").await;
    assert_ne!(page.text(), "v1", "nor does anybody new get it");
}
