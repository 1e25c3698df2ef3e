//! The server between the replicas is away, paused or empty: visitors see nothing of it, and no purge says what is not so.

use std::time::Duration;

use crate::relay::Relay;
use crate::support::{Answer, Folder, Origin, PATIENCE, Proxy, TOKEN, eventually, get, head, post, route};
use crate::{Store, replicas};

/// A visitor's wait for a page that nobody has to render, at most: some hundred times what it takes, and a tenth of what a
/// server that hangs would make of it.
const SOON: Duration = Duration::from_secs(1);

async fn purged(proxy: &Proxy) -> bool {
    proxy.send(&head("/page").revalidate(TOKEN)).await.status == 200
}

/// Waits until a purge at one is seen at the other at once.
async fn agree_again(one: &Proxy, two: &Proxy) {
    eventually("purges work again", PATIENCE * 3, async || purged(one).await.then_some(())).await;
    let version = async |proxy: &Proxy| {
        let page = proxy.get("/page").await.text();
        page.trim_start_matches('v').parse::<u64>().expect("a version")
    };
    let newest = version(one).await;
    // One that was still alone may have rendered once more.
    assert!(version(two).await >= newest, "a purge that says done is done everywhere");
}

#[tokio::test]
async fn shared_a_server_that_is_stopped_costs_visitors_nothing_and_purges_say_so() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let routes =
        [route("/page").interval("Never").token(TOKEN), route("/[page]").interval("1s").named("pages")];
    let [one, two] = replicas(&store, &origin, &routes).await;
    for proxy in [&one, &two] {
        assert_eq!(proxy.get("/page").await.text(), "v1");
    }
    assert!(purged(&one).await, "while it is there");
    for proxy in [&one, &two] {
        assert_eq!(proxy.get("/page").await.text(), "v2");
    }
    let stopped = store.stop();
    let refused = one.send(&get("/page").revalidate(TOKEN)).await;
    let problem = refused.problem(503, "nobody can be told");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("Nothing was changed") && detail.contains("shared tier"), "{detail}");
    let body = serde_json::json!({ "everything": true, "mode": "hard" });
    let request = post("/.well-known/kube-isr/v1/invalidate", body.to_string()).revalidate(TOKEN);
    assert_eq!(one.send(&request).await.status, 503);
    for proxy in [&one, &two] {
        proxy.get("/page").await.is(200, "HIT", "v2", "nothing was changed");
        let page = proxy.get("/other").await;
        assert_eq!(page.status, 200, "each renders for itself");
        proxy.visit_until("/other", "and refreshes", |page| page.cache() == "STALE").await;
        proxy.visit_until("/other", "and gets it", |page| page.cache() == "HIT").await;
    }
    let _store = stopped.start().await;
    agree_again(&one, &two).await;
}

#[tokio::test]
async fn shared_a_server_that_hangs_holds_up_nobody() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let [one, two] = replicas(&store, &origin, &[route("/[page]").interval("Never").token(TOKEN)]).await;
    for proxy in [&one, &two] {
        assert_eq!(proxy.get("/page").await.text(), "v1");
    }
    store.signal("STOP");
    for number in 0..50 {
        let hit = one.get("/page").await;
        assert_eq!(hit.text(), "v1");
        let miss = one.get(&format!("/{number}")).await;
        assert_eq!(miss.status, 200);
        assert!(hit.took < SOON && miss.took < SOON, "{:?} {:?}", hit.took, miss.took);
    }
    assert_eq!(one.send(&head("/page").revalidate(TOKEN)).await.status, 503);
    store.signal("CONT");
    agree_again(&one, &two).await;
}

#[tokio::test]
async fn shared_a_server_that_is_slow_holds_up_nobody() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let relay = Relay::to(store.port()).await;
    let start = async |name: &str| {
        let folder = Folder::of(&origin, [route("/[page]").interval("Never").token(TOKEN)]);
        Proxy::with(folder).option("--shared", relay.url()).option("--replica", name).start().await
    };
    let (one, two) = (start("one").await, start("two").await);
    for proxy in [&one, &two] {
        assert_eq!(proxy.get("/page").await.text(), "v1");
    }
    relay.slow(Duration::from_millis(200));
    let mut waited = Duration::ZERO;
    for number in 0..50 {
        let hit = one.get("/page").await;
        assert_eq!(hit.text(), "v1");
        let miss = one.get(&format!("/{number}")).await;
        assert_eq!(miss.status, 200);
        assert!(hit.took < SOON && miss.took < SOON, "{:?} {:?}", hit.took, miss.took);
        waited += miss.took;
    }
    assert!(waited < 50 * Duration::from_millis(200), "most do not wait for it at all: {waited:?}");
    let slowly = one.send(&head("/page").revalidate(TOKEN)).await;
    assert!([200, 503].contains(&slowly.status), "it is done, or it says so: {}", slowly.status);
    relay.slow(Duration::ZERO);
    agree_again(&one, &two).await;
    agree_again(&two, &one).await;
}

#[tokio::test]
async fn shared_who_may_hold_the_old_page_is_named_when_the_server_goes_amid_a_purge() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let [one, two, three] = replicas(&store, &origin, &[route("/page").interval("Never").token(TOKEN)]).await;
    for proxy in [&one, &two, &three] {
        assert_eq!(proxy.get("/page").await.text(), "v1");
    }
    assert!(purged(&one).await, "while it is there");
    let gate = crate::support::Gate::new();
    let closed = gate.clone();
    origin.answer(move |request| Answer::page(format!("v{}", request.nth)).when(&closed));
    let mut purging = one.client().await;
    purging.write(&get("/page").revalidate(TOKEN).bytes()).await;
    origin.received(3).await;
    let stopped = store.stop();
    gate.open();
    let refused = purging.read().await;
    let problem = refused.problem(503, "nobody could be told");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("three, two may still serve the old one"), "{detail}");
    assert!(detail.contains("This replica has the new page"), "{detail}");
    let _store = stopped.start().await;
    agree_again(&one, &two).await;
    agree_again(&three, &one).await;
}

#[tokio::test]
async fn shared_a_server_that_comes_back_empty_is_filled_again_and_orders_go_on() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let [one, two] = replicas(&store, &origin, &[route("/page").interval("Never").token(TOKEN)]).await;
    for version in 1..5 {
        for proxy in [&one, &two] {
            assert_eq!(proxy.get("/page").await.text(), format!("v{version}"));
        }
        assert!(purged(&one).await);
    }
    let store = store.stop().start_empty().await;
    agree_again(&two, &one).await;
    agree_again(&one, &two).await;
    let renders = origin.count();
    eventually("they take pages of each other again", PATIENCE, async || {
        let is_done = purged(&one).await;
        assert!(is_done, "both are there");
        let pages = [one.get("/page").await.text(), two.get("/page").await.text()];
        (pages[0] == pages[1]).then_some(())
    })
    .await;
    assert!(origin.count() > renders);
    drop(store);
}

#[tokio::test]
async fn shared_a_start_without_the_server_serves_what_there_is() {
    let origin = Origin::start(|request| Answer::page(format!("v{}", request.nth))).await;
    let store = Store::start().await;
    let [one] = replicas(&store, &origin, &[route("/page").interval("Never").token(TOKEN)]).await;
    assert_eq!(one.get("/page").await.text(), "v1");
    eventually("the page is on the disk", PATIENCE, async || {
        (one.metric("isr_disk_entries", &[]).await > 0.5).then_some(())
    })
    .await;
    let stopped = store.stop();
    let folder = one.crash();
    let dead = stopped.start().await;
    let launch = crate::replica(&dead, "one", folder);
    let stopped = dead.stop();
    let one = launch.start().await;
    one.get("/page").await.is(
        200,
        "STALE",
        "v1",
        "it may have been invalidated meanwhile, and nobody can say",
    );
    one.visit_until("/page", "rendered since", |page| page.text() == "v2").await;
    one.get("/page").await.is(
        200,
        "STALE",
        "v2",
        "nobody can say that either, and it is not rendered again at once",
    );
    let _store = stopped.start().await;
    eventually("purges work again", PATIENCE * 3, async || purged(&one).await.then_some(())).await;
}
