//! Operators that are killed between any two writes, and API servers that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use crate::chaos::{Chaos, Fate, is_write};
use crate::control_plane::signal;
use crate::installation::{Cluster, Operator};
use crate::support::{Client, PATIENCE, Proxy, eventually, get, let_time_pass, route};

/// Visits a page of a proxy until it is told to stop: the route `kept` must be known at every moment.
fn visit(proxy: &Proxy) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let over = Arc::new(AtomicBool::new(false));
    let (until, address) = (Arc::clone(&over), proxy.address());
    let visitor = tokio::spawn(async move {
        let mut visits = 0;
        while !until.load(Ordering::Relaxed) {
            let page = Client::connect(address).await.send(&get("/kept")).await;
            // Nobody renders here: 502 and 503 come from the route, 421 would be the end of it.
            assert!([502, 503].contains(&page.status), "the route is known: {}", page.status);
            visits += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        visits
    });
    (over, visitor)
}

#[tokio::test]
async fn api_an_operator_killed_at_any_write_leaves_a_whole_table_and_is_followed_by_the_truth() {
    let cluster = Cluster::new().await;
    cluster.route(&route("/kept").named("kept").interval("10s"));
    let first = cluster.operator("operator-1");
    let proxy = cluster.proxy("proxy-1").await;
    cluster.says("kept", "Ready", "True Ready").await;
    drop(first);
    let (over, visitor) = visit(&proxy);
    let chaos = Chaos::before(&cluster.plane, "operator").await;
    let mut killed = 0;
    // Shard, index, status and event, and two more that are not there to be killed at.
    for nth in 1..=6 {
        for fate in [Fate::Cut, Fate::Unanswered] {
            // A new route each time, so that shard, index, status and event are written.
            let name = format!("page-{nth}-{fate:?}").to_lowercase();
            cluster
                .route(&route(&format!("/{name}")).named(&name).interval("10s").token(crate::support::TOKEN));
            let (victim, writes) = (Arc::new(AtomicU32::new(0)), AtomicUsize::new(0));
            let target = Arc::clone(&victim);
            chaos.decide(move |method, path| {
                if !is_write(method)
                    || path.contains("/leases")
                    || writes.fetch_add(1, Ordering::Relaxed) + 1 != nth
                {
                    return Fate::Passed;
                }
                // Killed before the API server has it, or before it learns that the API server has it.
                let id = target.swap(0, Ordering::Relaxed);
                if id != 0 {
                    signal(id, "KILL");
                }
                fate
            });
            // The name of the one that was killed: it finds its own Lease.
            let mut operator = Operator::start(chaos.kubeconfig(), "operator-1", &[]);
            victim.store(operator.child.id(), Ordering::Relaxed);
            let is_ready = || {
                let ready = crate::installation::condition_of(&cluster.get_route(&name), "Ready");
                ready["status"] == "True"
            };
            let ended = eventually("it is killed or done", PATIENCE * 2, async || {
                let died = operator.child.try_wait().expect("its state").is_some();
                (died || is_ready()).then_some(died)
            })
            .await;
            killed += usize::from(ended);
            drop(operator);
            chaos.decide(|_, _| Fate::Passed);
            let operator = Operator::start(chaos.kubeconfig(), "operator-1", &[]);
            cluster.says(&name, "Ready", "True Ready").await;
            assert_eq!(proxy.get(&format!("/{name}")).await.status, 502, "it is served");
            drop(operator);
        }
    }
    over.store(true, Ordering::Relaxed);
    let visits = visitor.await.expect("no visitor was lost");
    println!("killed {killed} times, {visits} visits");
    assert!(killed >= 4, "shard, index, status and event were in the way: {killed}");
}

#[tokio::test]
async fn api_an_api_server_that_fails_at_random_or_is_away_is_waited_for() {
    let cluster = Cluster::new().await;
    cluster.route(&route("/kept").named("kept").interval("10s"));
    let chaos = Chaos::before(&cluster.plane, "operator").await;
    let _operator = Operator::start(chaos.kubeconfig(), "operator-1", &["--lease-duration", "10m"]);
    let proxy = cluster.proxy("proxy-1").await;
    cluster.says("kept", "Ready", "True Ready").await;
    let (over, visitor) = visit(&proxy);

    // Every third request fails, in every way.
    let mut count = 0_u32;
    chaos.decide(move |_, path| {
        count += 1;
        match count % 12 {
            _ if path.contains("/leases") => Fate::Passed,
            0 => Fate::Refused(429),
            3 => Fate::Refused(500),
            6 => Fate::Refused(409),
            9 => Fate::Unanswered,
            _ => Fate::Passed,
        }
    });
    for number in 0..5 {
        let name = format!("random-{number}");
        cluster.route(&route(&format!("/{name}")).named(&name).interval("10s"));
    }
    for number in 0..5 {
        cluster.says(&format!("random-{number}"), "Ready", "True Ready").await;
    }

    chaos.decide(|_, _| Fate::Passed);
    chaos.hold_watches(true);
    cluster.route(&route("/unheard").named("unheard").interval("10s"));
    let_time_pass(Duration::from_secs(1)).await;
    chaos.hold_watches(false);
    cluster.says("unheard", "Ready", "True Ready").await;

    chaos.decide(|_, _| Fate::Cut);
    chaos.cut();
    cluster.route(&route("/while-away").named("while-away").interval("10s"));
    let_time_pass(Duration::from_secs(3)).await;
    assert_eq!(proxy.admin_json("/configz").await["routes"], 7, "the last good table is in force");
    chaos.decide(|_, _| Fate::Passed);
    cluster.says("while-away", "Ready", "True Ready").await;
    over.store(true, Ordering::Relaxed);
    assert!(visitor.await.expect("no visitor was lost") > 10);
}
