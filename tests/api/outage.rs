//! API servers that are away, fail at random, or tell of changes late: what is in force stays in force, and everything
//! comes right in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::chaos::{Chaos, Fate};
use crate::installation::{Cluster, Operator, SHOP, SYSTEM, condition_of};
use crate::support::{PATIENCE, Proxy, TOKEN, eventually, get, let_time_pass, route};

/// Long enough that requests that fail at random cannot cost the Lease.
const LONG: [&str; 2] = ["--lease-duration", "10m"];
/// How long the API server fails at random, or tells nothing.
const STORM: Duration = Duration::from_secs(8);
const ROTATED: &str = "example-token-of-32-characters-99";
const ORIGIN_TOKEN: &str = "example-origin-token-of-the-page";

fn generation(cluster: &Cluster) -> u64 {
    let arguments =
        ["get", "configmap", "kube-isr-routes", "-n", SYSTEM, "-o", r"jsonpath={.data.index\.json}"];
    let index: Value = serde_json::from_str(&cluster.plane.kubectl(&arguments)).expect("JSON");
    index["generation"].as_u64().expect("a number")
}

/// Waits until a token counts, or does not: then the answer is 401; else the application, which is not there, is asked.
async fn counts(proxy: &Proxy, page: &str, token: &str, expected: bool) {
    let request = get(page).revalidate(token);
    eventually(&format!("a token of {page} counts: {expected}"), PATIENCE * 2, async || {
        (proxy.send(&request).await.status == if expected { 502 } else { 401 }).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_a_leader_that_sees_an_old_world_overwrites_nothing_newer() {
    let cluster = Cluster::new().await;
    let chaos = Chaos::before(&cluster.plane, "operator").await;
    let mut first = cluster.operator("operator-1");
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/old").named("old").interval("10s").token(TOKEN));
    cluster.says("old", "Ready", "True Ready").await;
    // It knows this world, and hears of no other.
    let late = Operator::start(chaos.kubeconfig(), "operator-2", &["--secret-period", "1s"]);
    eventually("the standby is ready", PATIENCE * 2, async || {
        let ready =
            crate::support::Client::connect(late.admin).await.send(&get("/readyz").host("localhost")).await;
        (ready.status == 200).then_some(())
    })
    .await;
    chaos.hold_watches(true);
    cluster.route(&route("/new").named("new").interval("10s"));
    cluster.route(&route("/old").named("old").interval("20s").token(TOKEN));
    cluster.says("old", "Ready", "True Ready").await;
    cluster.says("new", "Ready", "True Ready").await;
    let newest = generation(&cluster);
    first.signal("TERM");
    eventually("the leader ends", PATIENCE, async || first.child.try_wait().expect("its state")).await;
    eventually("the other one leads", PATIENCE * 2, async || {
        (late.metric("isr_operator_is_leader", "").await > 0.5).then_some(())
    })
    .await;
    // Secrets are read, not watched: this gives it something to publish, of a world without `new`.
    cluster.secret(SHOP, "old-token", &[("token", ROTATED)]);
    let said = "the table is not published";
    late.says(said).await;
    let_time_pass(STORM / 4).await;
    assert_eq!(
        generation(&cluster),
        newest,
        "its table is refused, because the index is newer than what it saw"
    );
    assert_eq!(proxy.admin_json("/configz").await["routes"], 2, "the table in force has both routes");
    for name in ["old", "new"] {
        let route = cluster.get_route(name);
        let ready = condition_of(&route, "Ready");
        assert_eq!(ready["observedGeneration"], route["metadata"]["generation"], "{name}: {ready}");
    }

    chaos.hold_watches(false);
    counts(&proxy, "/old", ROTATED, true).await;
    counts(&proxy, "/old", TOKEN, false).await;
    assert_eq!(proxy.admin_json("/configz").await["routes"], 2);
    assert_eq!(generation(&cluster), newest + 1, "the new token, and nothing in between");
    cluster.says("new", "Ready", "True Ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_without_api_server_and_operator_a_proxy_starts_with_the_last_table() {
    let cluster = Cluster::new().await;
    let chaos = Chaos::before(&cluster.plane, "operator").await;
    let proxies_way = Chaos::before(&cluster.plane, "proxy").await;
    let operator = Operator::start(chaos.kubeconfig(), "operator-1", &["--lease-duration", "4s"]);
    let launch = || cluster.launch("proxy-1").environment("KUBECONFIG", proxies_way.kubeconfig());
    let proxy = launch().start().await;
    cluster.endpoint("proxy-1", proxy.address().port(), proxy.admin_address().port(), true);
    cluster.route(&route("/page").named("page").interval("10s").token(TOKEN).origin_token(ORIGIN_TOKEN));
    cluster.says("page", "Ready", "True Ready").await;
    let before = proxy.admin_json("/configz").await;

    for way in [&chaos, &proxies_way] {
        way.decide(|_, _| Fate::Cut);
        way.cut();
    }
    operator.says("could not be renewed").await;
    drop(operator);
    counts(&proxy, "/page", TOKEN, true).await;
    drop(proxy);
    let proxy = launch().start().await;
    let after = proxy.admin_json("/configz").await;
    for field in ["generation", "digest", "routes"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    counts(&proxy, "/page", TOKEN, true).await;
    counts(&proxy, "/page", ROTATED, false).await;

    // Both come back; what happened meanwhile is made good.
    cluster.endpoint("proxy-1", proxy.address().port(), proxy.admin_address().port(), true);
    cluster.secret(SHOP, "page-token", &[("token", ROTATED)]);
    for way in [&chaos, &proxies_way] {
        way.decide(|_, _| Fate::Passed);
    }
    let _operator = Operator::start(chaos.kubeconfig(), "operator-1", &["--lease-duration", "4s"]);
    counts(&proxy, "/page", ROTATED, true).await;
    counts(&proxy, "/page", TOKEN, false).await;
    cluster.says("page", "Ready", "True Ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_a_state_folder_that_hangs_holds_up_no_route() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let folder = cluster.plane.path("state-proxy-1");
    std::fs::create_dir_all(&folder).expect("a folder");
    // Opening a pipe that nobody reads takes for ever, as writing does where a disk hangs.
    let pipe = folder.join("routes.json.new");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success(), "{made}");
    let proxy = cluster.proxy("proxy-1").await;
    for interval in ["10s", "20s", "30s"] {
        cluster.route(&route("/page").named("page").interval(interval));
        cluster.says("page", "Ready", "True Ready").await;
    }
    assert_eq!(proxy.admin_json("/configz").await["routes"], 1);
    assert!(!folder.join("routes.json").exists(), "nothing could be kept");
}

/// How long the API server is away: pauses that go on doubling would be 30 s by then, and the Lease is lost.
const AWAY: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_when_the_api_server_is_back_the_same_operators_go_on_at_once() {
    let mut cluster = Cluster::new().await;
    let short = ["--lease-duration", "6s"];
    let mut first = cluster.operator_with("operator-1", &short);
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/page").named("page").interval("10s"));
    cluster.says("page", "Ready", "True Ready").await;
    let mut second = cluster.operator_with("operator-2", &short);
    let leaders = async |operators: [&Operator; 2]| {
        let [one, other] = operators.map(|operator| operator.metric("isr_operator_is_leader", ""));
        one.await + other.await
    };
    let generation = proxy.generation().await;

    cluster.plane.stop_api_server();
    first.says("the Lease is lost; standing by").await;
    let_time_pass(AWAY).await;
    assert!(leaders([&first, &second]).await < 0.5, "nobody may write");
    cluster.plane.start_api_server().await;
    let back = std::time::Instant::now();
    cluster.route(&route("/page").named("page").interval("20s"));
    cluster.says("page", "Ready", "True Ready").await;
    let took = back.elapsed();
    eprintln!("from the API server's return to a change in force: {took:.1?}");
    // Two pauses of a watch, in the operator and the proxy, and much for a busy machine.
    assert!(took < SOON, "{took:?}");
    assert_eq!(proxy.generation().await, generation + 1, "and nothing else was published");
    assert!((leaders([&first, &second]).await - 1.0).abs() < 0.5, "one of them");
    assert!(first.is_running() && second.is_running(), "neither had to start anew");
}

/// Failures of a watch in a row. With pauses of at most 5 s between them they take 25 s at most.
const FAILURES: u64 = 7;
/// With pauses that go on doubling they would take 50 s at least.
const SOON: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_a_watch_is_tried_every_few_seconds_however_long_the_api_server_is_away() {
    let cluster = Cluster::new().await;
    let ways =
        [Chaos::before(&cluster.plane, "operator").await, Chaos::before(&cluster.plane, "proxy").await];
    let operator = Operator::start(ways[0].kubeconfig(), "operator-1", &LONG);
    let proxy = cluster.launch("proxy-1").environment("KUBECONFIG", ways[1].kubeconfig()).start().await;
    cluster.endpoint("proxy-1", proxy.address().port(), proxy.admin_address().port(), true);
    cluster.route(&route("/page").named("page").interval("10s"));
    cluster.says("page", "Ready", "True Ready").await;

    // As a load balancer answers that has no API server behind it.
    let tries = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&tries);
    ways[0].decide(|_, _| Fate::Refused(503));
    ways[1].decide(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Fate::Refused(503)
    });
    ways.iter().for_each(Chaos::cut);
    let failures = ("isr_operator_watch_restarts_total", r#"resource="configmaps""#);
    eventually("both have tried several times, and said so", SOON, async || {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let enough = operator.metric(failures.0, failures.1).await >= FAILURES as f64;
        let is_told = proxy.log().contains("cannot be watched");
        (enough && is_told && tries.load(Ordering::Relaxed) >= FAILURES).then_some(())
    })
    .await;

    cluster.route(&route("/page").named("page").interval("20s"));
    for way in &ways {
        way.decide(|_, _| Fate::Passed);
    }
    cluster.says("page", "Ready", "True Ready").await;
}

/// Numbers that look random and are the same in each run.
fn numbers() -> impl Fn() -> u64 + Send + Sync {
    let state = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
    // Xorshift.
    let next = |mut number: u64| {
        number ^= number << 13;
        number ^= number >> 7;
        number ^ number << 17
    };
    move || {
        state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| Some(next(number))).map_or(0, next)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_a_storm_of_failures_passes_and_no_token_is_told_in_it() {
    let cluster = Cluster::new().await;
    let ways =
        [Chaos::before(&cluster.plane, "operator").await, Chaos::before(&cluster.plane, "proxy").await];
    let more = [&LONG[..], &["--secret-period", "1s"]].concat();
    let operator = Operator::start(ways[0].kubeconfig(), "operator-1", &more);
    let proxy = cluster.launch("proxy-1").environment("KUBECONFIG", ways[1].kubeconfig()).start().await;
    cluster.endpoint("proxy-1", proxy.address().port(), proxy.admin_address().port(), true);
    cluster.route(&route("/kept").named("kept").interval("10s").token(TOKEN).origin_token(ORIGIN_TOKEN));
    cluster.says("kept", "Ready", "True Ready").await;

    for way in &ways {
        let number = numbers();
        way.decide(move |_, _| match number() % 15 {
            0 => Fate::Refused(429),
            1 => Fate::Refused(500),
            2 => Fate::Refused(409),
            3 => Fate::Unanswered,
            4 => Fate::Cut,
            _ => Fate::Passed,
        });
    }
    // Routes come and go, tokens are too short, Secrets are missing, and every second all connections break.
    let begun = std::time::Instant::now();
    let mut count = 0;
    while begun.elapsed() < STORM {
        let name = format!("page-{}", count % 4);
        let interval = format!("{}s", 10 + count);
        cluster.route(&route(&format!("/{name}")).named(&name).interval(&interval).token(ROTATED));
        cluster.secret(SHOP, "kept-token", &[("token", if count % 2 == 0 { "short" } else { TOKEN })]);
        let _ = cluster
            .plane
            .try_kubectl(&["delete", "isrroute", &format!("page-{}", (count + 2) % 4), "-n", SHOP], None);
        assert_eq!(proxy.get("/kept").await.status, 502, "it is known at every moment");
        ways.iter().for_each(Chaos::cut);
        count += 1;
    }
    cluster.plane.kubectl(&["delete", "secret", "kept-token", "-n", SHOP]);
    cluster.says("kept", "Ready", "False SecretNotFound").await;
    cluster.secret(SHOP, "kept-token", &[("token", ROTATED)]);
    for way in &ways {
        way.decide(|_, _| Fate::Passed);
    }
    cluster.says("kept", "Ready", "True Ready").await;
    counts(&proxy, "/kept", ROTATED, true).await;
    let names = cluster.plane.kubectl(&["get", "isrroutes", "-n", SHOP, "-o", "name"]);
    for name in names.lines().filter_map(|name| name.rsplit('/').next()) {
        cluster.says(name, "Ready", "True Ready").await;
    }
    assert_eq!(proxy.admin_json("/configz").await["routes"], names.lines().count());

    let metrics = |address| async move {
        crate::support::Client::connect(address).await.send(&get("/metrics").host("localhost")).await.text()
    };
    let told = [
        ("the routes and events", cluster.plane.kubectl(&["get", "isrroutes,events", "-A", "-o", "yaml"])),
        ("the operator's log", operator.log()),
        ("the proxy's log", proxy.log()),
        ("the operator's metrics", metrics(operator.admin).await),
        ("the proxy's metrics", metrics(proxy.admin_address()).await),
        ("what the proxy says of its routes", proxy.admin_json("/routes").await.to_string()),
    ];
    let published = cluster.plane.kubectl(&["get", "configmaps,leases", "-A", "-o", "yaml"]);
    // A shard is named by the SHA-256 of its bytes, which is what a token is published as.
    for token in [TOKEN, ROTATED, ORIGIN_TOKEN] {
        let digest = isr_routes::snapshot::shard_name(token.as_bytes());
        for (place, text) in &told {
            assert!(!text.contains(token) && !text.contains(&digest), "{place} tell a token or its digest");
        }
        assert!(!published.contains(token), "of tokens, digests are published");
    }
    assert!(operator.log().contains("WARN"), "there was a storm");
}
