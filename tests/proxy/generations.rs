//! Which render may answer whom: pages of other routes, and renders that began before a demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Answer, Folder, Gate, Origin, PATIENCE, Proxy, TOKEN, eventually, get, let_time_pass, route,
};

#[tokio::test]
async fn a_route_never_serves_what_another_route_left() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").named("one").interval("Never")]).await;
    let port = origin.address().port();
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    let before = proxy.generation().await;
    proxy.folder().write("route-0.yaml", &route("/p").named("two").interval("Never").yaml(port));
    proxy.newer_than(before).await;
    proxy.get("/p").await.is(
        200,
        "MISS",
        "v2",
        "the page of a route that is gone is not the page of its successor",
    );
    proxy.get("/p").await.is(200, "HIT", "v2", "the successor's own page is");
}

#[tokio::test]
async fn what_the_origin_governed_is_no_page_of_an_interval() {
    let origin = Origin::start(|request| {
        Answer::page(format!("v{}", request.nth)).header("cache-control", "public, max-age=600")
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p")]).await;
    assert_eq!(proxy.get("/p").await.text(), "v1", "the origin governs");
    proxy.get("/p").await.is(200, "HIT", "v1", "and says that it may be stored");
    let before = proxy.generation().await;
    proxy.folder().write("route-0.yaml", &route("/p").interval("Never").yaml(origin.address().port()));
    proxy.newer_than(before).await;
    proxy.get("/p").await.is(
        200,
        "MISS",
        "v2",
        "the page of an interval is rendered as nobody in particular",
    );
}

/// A page and its data companion on one route.
async fn with_companion(
    script: impl Fn(&crate::support::origin::Received) -> Answer + Send + Sync + 'static,
) -> (Origin, Proxy) {
    let origin = Origin::start(script).await;
    let page = route("/p").interval("Never").token(TOKEN).framework("NextJs");
    let proxy = Proxy::with(Folder::of(&origin, [page])).start().await;
    (origin, proxy)
}

const DATA: &str = "/_next/data/b1/p.json";

#[tokio::test]
async fn who_comes_after_a_demand_does_not_join_a_companion_from_before_it() {
    let gate = Gate::new();
    let door = gate.clone();
    let (origin, proxy) = with_companion(move |request| {
        let answer = Answer::page(format!("{} v{}", request.target, request.nth));
        if request.target == DATA && request.nth == 1 { answer.when(&door) } else { answer }
    })
    .await;
    let (mut early, mut late) = (proxy.client().await, proxy.client().await);
    early.write(&get(DATA).bytes()).await;
    origin.received(1).await;
    proxy
        .send(&get("/p").revalidate(TOKEN))
        .await
        .is_revalidated(200, "a demand while its data is being rendered");
    late.write(&get(DATA).bytes()).await;
    // The late visitor has to be waiting before the early render ends.
    let_time_pass(Duration::from_millis(300)).await;
    gate.open();
    early.read().await;
    assert_eq!(
        late.read().await.text(),
        format!("{DATA} v2"),
        "data from before the demand is not for who comes after"
    );
}

#[tokio::test]
async fn a_demand_that_waits_in_line_outdates_what_is_rendered_meanwhile() {
    let gate = Gate::new();
    let door = gate.clone();
    let (origin, proxy) = with_companion(move |request| {
        let answer = Answer::page(format!("{} v{}", request.target, request.nth));
        if request.target == "/p" && request.nth == 1 { answer.when(&door) } else { answer }
    })
    .await;
    let (mut visitor, mut demand) = (proxy.client().await, proxy.client().await);
    visitor.write(&get("/p").bytes()).await;
    origin.received(1).await;
    demand.write(&get("/p").revalidate(TOKEN).bytes()).await;
    let_time_pass(Duration::from_millis(300)).await;
    proxy.get(DATA).await.is(
        200,
        "MISS",
        &format!("{DATA} v1"),
        "data rendered while the demand waits in line",
    );
    gate.open();
    visitor.read().await;
    demand.read().await.is_revalidated(200, "the demand");
    let now = proxy.get(DATA).await;
    assert_eq!(
        now.text(),
        format!("{DATA} v2"),
        "data that is older than the demanded page is not served beside it"
    );
}

#[tokio::test]
async fn a_stale_copy_of_the_origin_is_asked_for_again_without_a_visitor() {
    let origin = Origin::start(|request| {
        let cache = if request.nth == 1 { "STALE" } else { "HIT" };
        Answer::page(format!("v{}", request.nth)).header("x-nextjs-cache", cache)
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").framework("NextJs")]).await;
    assert_eq!(proxy.get("/p").await.text(), "v1", "a stale answer is better than none");
    origin.received(2).await;
    let what = "the page that the origin has made meanwhile is in place";
    eventually(what, PATIENCE, async || (proxy.get("/p").await.cache() == "HIT").then_some(())).await;
    assert_eq!(origin.count(), 2, "one question more, and not one for each visitor");
}

/// When the interval brings a new page, data of before is not served beside it, however young it is.
#[tokio::test]
async fn data_waits_for_the_generation_of_its_page() {
    let version = Arc::new(AtomicUsize::new(1));
    let (now, broken) = (version.clone(), Arc::new(AtomicBool::new(false)));
    let fails = broken.clone();
    let origin = Origin::start(move |request| {
        if fails.load(Ordering::SeqCst) && request.target == DATA {
            return Answer::status(500);
        }
        Answer::page(format!("{} v{}", request.target, now.load(Ordering::SeqCst)))
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("2s").framework("NextJs")]).await;
    proxy.get("/p").await.is(200, "MISS", "/p v1", "the page");
    for (round, fails) in [(2, false), (3, true)] {
        let old = format!("{DATA} v{}", round - 1);
        // Younger than the page by more than a second, so that only the page is old when its interval is over.
        let_time_pass(Duration::from_millis(1200)).await;
        proxy.visit_until(DATA, "fresh data", |data| data.cache() == "HIT" && data.text() == old).await;
        version.store(round, Ordering::SeqCst);
        broken.store(fails, Ordering::SeqCst);
        let page = format!("/p v{round}");
        proxy.visit_until("/p", "the new page", |got| got.text() == page).await;
        let data = proxy.get(DATA).await;
        if fails {
            data.is(200, "STALE", &old, "older data is better than none");
            assert!(data.header("cache-status").contains("older-than-its-page"), "{:?}", data.headers);
        } else {
            data.is(200, "MISS", &format!("{DATA} v{round}"), "rendered for who waits");
            proxy.get(DATA).await.is(200, "HIT", &format!("{DATA} v{round}"), "and stored");
            proxy.get("/p").await;
        }
    }
}
