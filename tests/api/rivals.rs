//! Several operators, of which one writes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::chaos::{Chaos, Fate, is_write};
use crate::installation::{Cluster, Operator, SYSTEM};
use crate::support::{PATIENCE, eventually, route};

/// Short, so that a takeover is soon; long beside a busy machine's pauses.
const LEASE: &str = "4s";

fn operator(cluster: &Cluster, identity: &str) -> Operator {
    cluster.operator_with(identity, &["--lease-duration", LEASE])
}

async fn leads(cluster: &Cluster, identity: &str) {
    let what = format!("{identity} holds the Lease");
    let arguments =
        ["get", "lease", "kube-isr-operator", "-n", SYSTEM, "-o", "jsonpath={.spec.holderIdentity}"];
    eventually(&what, PATIENCE * 2, async || {
        let holder = cluster.plane.try_kubectl(&arguments, None).unwrap_or_default();
        (holder == identity).then_some(())
    })
    .await;
}

#[tokio::test]
async fn api_a_standby_takes_over_from_one_that_is_killed() {
    let cluster = Cluster::new().await;
    let mut first = operator(&cluster, "operator-1");
    leads(&cluster, "operator-1").await;
    let second = operator(&cluster, "operator-2");
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/one").named("one").interval("10s"));
    cluster.says("one", "Ready", "True Ready").await;
    assert!(second.metric("isr_operator_is_leader", "").await < 0.5, "one writes");
    let before = proxy.generation().await;

    first.child.kill().expect("it was there");
    first.child.wait().expect("its end");
    cluster.route(&route("/two").named("two").interval("10s"));
    cluster.says("two", "Ready", "True Ready").await;
    leads(&cluster, "operator-2").await;
    assert_eq!(proxy.generation().await, before + 1, "the count goes on, and nothing was published twice");
}

#[tokio::test]
async fn api_an_operator_that_is_told_to_end_hands_over_at_once() {
    let cluster = Cluster::new().await;
    let long = ["--lease-duration", "10m"];
    let mut first = cluster.operator_with("operator-1", &long);
    leads(&cluster, "operator-1").await;
    first.signal("TERM");
    let status = eventually("it ends", PATIENCE, async || first.child.try_wait().expect("its state")).await;
    assert!(status.success(), "{status}");
    let _second = cluster.operator_with("operator-2", &long);
    leads(&cluster, "operator-2").await;
}

#[tokio::test]
async fn api_an_operator_that_slept_past_its_lease_writes_nothing_and_stands_by() {
    let cluster = Cluster::new().await;
    let mut sleeper = operator(&cluster, "sleeper");
    leads(&cluster, "sleeper").await;
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/one").named("one").interval("10s"));
    cluster.says("one", "Ready", "True Ready").await;
    sleeper.signal("STOP");
    let second = operator(&cluster, "second");
    leads(&cluster, "second").await;
    cluster.route(&route("/two").named("two").interval("10s"));
    cluster.says("two", "Ready", "True Ready").await;

    let written = || {
        let audit = cluster.plane.audit().into_iter();
        let writes = audit.filter(|entry| !["get", "list", "watch"].contains(&&*entry.verb));
        writes.filter(|entry| entry.user.username == "operator").map(|entry| entry.uri).collect::<Vec<_>>()
    };
    // Both are the same user; what the sleeper would write is a status or a table of a world without `two`.
    let before = written();
    sleeper.signal("CONT");
    sleeper.says("the Lease is lost; standing by").await;
    assert!(sleeper.metric("isr_operator_is_leader", "").await < 0.5);
    assert!(sleeper.metric("isr_operator_generation", "").await < 0.5, "that is another's to say");
    let after = written();
    let others: Vec<_> = after[before.len()..].iter().filter(|uri| !uri.contains("/leases/")).collect();
    assert!(others.is_empty(), "nothing changed, so nobody had anything to write: {others:?}");
    cluster.says("two", "Ready", "True Ready").await;

    // It takes over like any other, of the world as it is.
    let generation = proxy.generation().await;
    drop(second);
    cluster.route(&route("/three").named("three").interval("10s"));
    cluster.says("three", "Ready", "True Ready").await;
    leads(&cluster, "sleeper").await;
    assert_eq!(
        proxy.generation().await,
        generation + 1,
        "the count goes on, and nothing was published twice"
    );
    assert!(sleeper.is_running(), "it is the same process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_who_cannot_renew_the_lease_writes_nothing_until_they_have_it_again() {
    let cluster = Cluster::new().await;
    let way = Chaos::before(&cluster.plane, "operator").await;
    let mut first = Operator::start(way.kubeconfig(), "operator-1", &["--lease-duration", LEASE]);
    leads(&cluster, "operator-1").await;
    let _proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/page").named("page").interval("10s"));
    cluster.says("page", "Ready", "True Ready").await;

    // It sees all that happens, and whatever it would write would be accepted.
    let writes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&writes);
    way.decide(move |method, path| {
        if path.contains("/leases") {
            return Fate::Refused(500);
        }
        if is_write(method) {
            seen.lock().expect("the writes").push(format!("{method} {path}"));
        }
        Fate::Passed
    });
    first.says("the Lease is lost; standing by").await;
    writes.lock().expect("the writes").clear();
    let second = operator(&cluster, "operator-2");
    leads(&cluster, "operator-2").await;
    for round in 0..5 {
        cluster.route(&route("/page").named("page").interval(&format!("{}s", 20 + round)));
        cluster.says("page", "Ready", "True Ready").await;
    }
    assert_eq!(*writes.lock().expect("the writes"), Vec::<String>::new(), "the Lease is another's");

    way.decide(|_, _| Fate::Passed);
    drop(second);
    cluster.route(&route("/page").named("page").interval("1m"));
    cluster.says("page", "Ready", "True Ready").await;
    leads(&cluster, "operator-1").await;
    assert!(first.is_running(), "it is the same process");
}

#[tokio::test]
async fn api_an_api_server_that_hangs_costs_the_proxies_nothing() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator_with("operator-1", &["--lease-duration", "10m"]);
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/one").named("one").interval("10s"));
    cluster.says("one", "Ready", "True Ready").await;
    let generation = proxy.generation().await;
    cluster.plane.freeze(true);
    for _ in 0..50 {
        assert_eq!(proxy.get("/one").await.status, 502, "the route is known");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One that starts now has what the other kept, as after a crash of its container.
    let copy = cluster.launch("proxy-1").start().await;
    assert_eq!(copy.generation().await, generation);
    assert_eq!(copy.get("/one").await.status, 502, "the route is known");
    cluster.plane.freeze(false);
    cluster.route(&route("/two").named("two").interval("10s"));
    cluster.says("two", "Ready", "True Ready").await;
}
