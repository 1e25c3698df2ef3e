//! Visitors lose nothing, whatever is done to the cluster meanwhile: not a request of a constant load through Traefik.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{
    PATIENCE, SYSTEM, apply, attempt, installed, kubectl, listed, proxies, proxy_pods, route, says, settled,
};
use crate::load::Table;
use crate::site::Site;
use crate::support::{eventually, let_time_pass};

/// For what has to go on for a while to be worth anything: an application or an API server that is away.
const WHILE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn e2e_nothing_is_lost_whatever_happens() {
    installed().await;
    proxies(2);
    let site = Site::new("steady").await;
    let pages = site.pages();

    let mut table = Table::default();
    table.during("routes change", &pages, routes_change(&site)).await;
    table.during("the proxies roll", &pages, the_proxies_roll()).await;
    table.during("the operator is deleted", &pages, the_operator_is_deleted(&site)).await;
    table.during("a worker is drained", &pages, a_worker_is_drained(&site)).await;
    table.during("the application rolls", &pages, the_application_rolls(&site)).await;
    site.is_stored_everywhere().await;
    let away =
        table.during("the application is away for 1 min", &pages, the_application_is_away(&site)).await;
    assert!(away.stale > 1_000, "the last good pages were served while nobody rendered: {}", away.stale);
    table.during("the API server is away for 1 min", &pages, the_api_server_is_away(&site)).await;
    table.assert_nothing_lost();
    hear_again();
}

/// Routes come, change and go, of the host that visitors are at.
async fn routes_change(site: &Site) {
    for round in 2..=10 {
        site.changes(round).await;
        apply(&route(site.namespace, "passing", &site.hosts[0], "/search", "interval: 1s"));
        says(site.namespace, "passing", "Programmed", "True", "Programmed").await;
        kubectl(&["delete", "isrroute", "passing", "-n", site.namespace]);
    }
    site.changes(1).await;
}

async fn the_proxies_roll() {
    let before = proxy_pods();
    kubectl(&["rollout", "restart", "deployment/kube-isr-proxy", "-n", SYSTEM]);
    settled(SYSTEM).await;
    let kept: Vec<_> = proxy_pods().into_iter().filter(|pod| before.contains(pod)).collect();
    assert!(kept.is_empty(), "{kept:?} did not roll");
}

/// All of them, and the next one has come to lead before this is over.
async fn the_operator_is_deleted(site: &Site) {
    let operators = "app.kubernetes.io/component=operator";
    kubectl(&["delete", "pods", "-n", SYSTEM, "--selector", operators]);
    settled(SYSTEM).await;
    site.changes(2).await;
}

/// One that has a proxy.
async fn a_worker_is_drained(site: &Site) {
    let proxies = listed(SYSTEM, "pods", &["--selector", "app.kubernetes.io/component=proxy"]);
    let worker = proxies[0]["spec"]["nodeName"].as_str().expect("a node");
    kubectl(&["drain", worker, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=10m"]);
    for namespace in [SYSTEM, site.namespace] {
        settled(namespace).await;
    }
    kubectl(&["uncordon", worker]);
}

async fn the_application_rolls(site: &Site) {
    kubectl(&["rollout", "restart", "deployment/web", "-n", site.namespace]);
    settled(site.namespace).await;
}

async fn the_application_is_away(site: &Site) {
    kubectl(&["scale", "deployment/web", "-n", site.namespace, "--replicas=0"]);
    settled(site.namespace).await;
    assert_eq!(listed(site.namespace, "pods", &[]), Vec::<Value>::new(), "the application is away");
    let_time_pass(WHILE).await;
    kubectl(&["scale", "deployment/web", "-n", site.namespace, "--replicas=3"]);
    settled(site.namespace).await;
}

/// The kubelet ends a static pod whose manifest is gone.
async fn the_api_server_is_away(site: &Site) {
    let cluster = std::env::var("KIND_CLUSTER").unwrap_or_else(|_| "kube-isr".to_owned());
    let node = format!("{cluster}-control-plane");
    let (there, aside) =
        ("/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/kube-apiserver.yaml");
    let answers = || attempt("kubectl", &["get", "--raw", "/readyz", "--request-timeout=2s"]);

    docker(&["exec", &node, "mv", there, aside]);
    eventually("the API server is away", PATIENCE * 2, async || answers().is_err().then_some(())).await;
    let_time_pass(WHILE).await;
    let still = answers();
    docker(&["exec", &node, "mv", aside, there]);
    assert!(still.is_err(), "the API server was away all the time: {still:?}");
    eventually("the API server is back", PATIENCE * 3, async || answers().ok()).await;
    let back = Instant::now();
    site.changes(1).await;
    eprintln!("from the API server's return to a change in force: {:.1?}", back.elapsed());
    settled(SYSTEM).await;
}

/// Has the cluster begin anew with what watches it. Kubernetes and Traefik wait for up to a minute each before they try a
/// broken watch again, and would know nothing so long of the Services and Ingresses of the tests that follow. The name
/// server comes after those who lead to it.
fn hear_again() {
    for (namespace, workload) in [
        ("kube-system", "daemonset/kube-proxy"),
        ("kube-system", "deployment/coredns"),
        ("traefik", "deployment/traefik"),
    ] {
        kubectl(&["rollout", "restart", workload, "--namespace", namespace]);
        kubectl(&["rollout", "status", workload, "--namespace", namespace, "--timeout=10m"]);
    }
}

fn docker(arguments: &[&str]) {
    let output = Command::new("docker").args(arguments).output().expect("docker");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
