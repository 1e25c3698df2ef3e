//! Visitors lose nothing, whatever is done to the cluster meanwhile: not a request of a constant load through Traefik.

use std::process::Command;
use std::time::Duration;

use crate::cluster::{
    PATIENCE, SYSTEM, admin, answered, application, apply, attempt, installed, kubectl, listed, manifest,
    proxies, proxy_pods, route, says, settled,
};
use crate::load::{Page, Table};
use crate::support::{eventually, get, let_time_pass};

const NAMESPACE: &str = "steady";
/// Led to by an Ingress, and by an `HTTPRoute`: half of the visitors each.
const HOSTS: [&str; 2] = ["steady.example.com", "gateway.steady.example.com"];
const PATHS: [&str; 4] = ["/blog-posts", "/blog-posts/1", "/blog-posts/2", "/blog-posts/3"];
/// For what has to go on for a while to be worth anything: an application or an API server that is away.
const WHILE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn e2e_nothing_is_lost_whatever_happens() {
    installed().await;
    proxies(2);
    let pages = site().await;

    let mut table = Table::default();
    table.during("routes change", &pages, routes_change()).await;
    table.during("the proxies roll", &pages, the_proxies_roll()).await;
    table.during("the operator is deleted", &pages, the_operator_is_deleted()).await;
    table.during("a worker is drained", &pages, a_worker_is_drained()).await;
    table.during("the application rolls", &pages, the_application_rolls()).await;
    stored_everywhere().await;
    let away = table.during("the application is away for 1 min", &pages, the_application_is_away()).await;
    assert!(away.stale > 1_000, "the last good pages were served while nobody rendered: {}", away.stale);
    table.during("the API server is away for 1 min", &pages, the_api_server_is_away()).await;
    table.assert_nothing_lost();
}

/// The application at both hosts, with an interval of a second on each page, stored by both proxies.
async fn site() -> Vec<Page> {
    application(NAMESPACE, HOSTS[0]);
    let http_route = manifest("httproute").replace("shop.example.com", HOSTS[1]);
    apply(&http_route.replace("name: shop", "name: steady").replace("namespace: shop", "namespace: steady"));
    let hosts = HOSTS.join(", ");
    apply(&route(NAMESPACE, "list", &hosts, "/blog-posts", "interval: 1s"));
    apply(&route(NAMESPACE, "post", &hosts, "/blog-posts/[slug]", "interval: 1s"));
    for name in ["list", "post"] {
        says(NAMESPACE, name, "Ready", "True", "Ready").await;
    }
    stored_everywhere().await;
    let of_host = |host| PATHS.map(|path| Page::of_the_example(host, path));
    HOSTS.into_iter().flat_map(of_host).collect()
}

/// Waits until each proxy has each page, so that none of them is a first visit any more.
async fn stored_everywhere() {
    settled(SYSTEM).await;
    for host in HOSTS {
        for path in PATHS {
            let page = get(path).host(host);
            eventually(&format!("every proxy has {host}{path}"), PATIENCE, async || {
                answered("the page is there", &page, |response| response.status == 200).await;
                let has = |(pod, _): &(String, u64)| {
                    let known = admin(pod, &format!("/cache?url=http://{host}{path}"));
                    known["stored"].as_array().is_some_and(|stored| !stored.is_empty())
                };
                proxy_pods().iter().all(has).then_some(())
            })
            .await;
        }
    }
}

/// Routes come, change and go, of the host that visitors are at.
async fn routes_change() {
    for round in 2..=10 {
        let patch = format!(r#"{{"spec":{{"interval":"{round}s"}}}}"#);
        kubectl(&["patch", "isrroute", "list", "-n", NAMESPACE, "--type=merge", "--patch", &patch]);
        says(NAMESPACE, "list", "Programmed", "True", "Programmed").await;
        apply(&route(NAMESPACE, "passing", HOSTS[0], "/search", "interval: 1s"));
        says(NAMESPACE, "passing", "Programmed", "True", "Programmed").await;
        kubectl(&["delete", "isrroute", "passing", "-n", NAMESPACE]);
    }
    kubectl(&[
        "patch",
        "isrroute",
        "list",
        "-n",
        NAMESPACE,
        "--type=merge",
        "--patch",
        r#"{"spec":{"interval":"1s"}}"#,
    ]);
    says(NAMESPACE, "list", "Programmed", "True", "Programmed").await;
}

async fn the_proxies_roll() {
    let before = proxy_pods();
    kubectl(&["rollout", "restart", "deployment/kube-isr-proxy", "-n", SYSTEM]);
    settled(SYSTEM).await;
    let kept: Vec<_> = proxy_pods().into_iter().filter(|pod| before.contains(pod)).collect();
    assert!(kept.is_empty(), "{kept:?} did not roll");
}

/// All of them, and the next one has come to lead before this is over.
async fn the_operator_is_deleted() {
    let operators = "app.kubernetes.io/component=operator";
    kubectl(&["delete", "pods", "-n", SYSTEM, "--selector", operators]);
    settled(SYSTEM).await;
    kubectl(&[
        "patch",
        "isrroute",
        "list",
        "-n",
        NAMESPACE,
        "--type=merge",
        "--patch",
        r#"{"spec":{"interval":"2s"}}"#,
    ]);
    says(NAMESPACE, "list", "Programmed", "True", "Programmed").await;
}

/// One that has a proxy.
async fn a_worker_is_drained() {
    let proxies = listed(SYSTEM, "pods", &["--selector", "app.kubernetes.io/component=proxy"]);
    let worker = proxies[0]["spec"]["nodeName"].as_str().expect("a node");
    kubectl(&["drain", worker, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=3m"]);
    for namespace in [SYSTEM, NAMESPACE] {
        settled(namespace).await;
    }
    kubectl(&["uncordon", worker]);
}

async fn the_application_rolls() {
    kubectl(&["rollout", "restart", "deployment/web", "-n", NAMESPACE]);
    settled(NAMESPACE).await;
}

async fn the_application_is_away() {
    kubectl(&["scale", "deployment/web", "-n", NAMESPACE, "--replicas=0"]);
    settled(NAMESPACE).await;
    assert_eq!(listed(NAMESPACE, "pods", &[]), Vec::<serde_json::Value>::new(), "the application is away");
    let_time_pass(WHILE).await;
    kubectl(&["scale", "deployment/web", "-n", NAMESPACE, "--replicas=3"]);
    settled(NAMESPACE).await;
}

/// The kubelet ends a static pod whose manifest is gone.
async fn the_api_server_is_away() {
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
    // The operator leads again and the proxies follow.
    settled(SYSTEM).await;
    kubectl(&[
        "patch",
        "isrroute",
        "list",
        "-n",
        NAMESPACE,
        "--type=merge",
        "--patch",
        r#"{"spec":{"interval":"1s"}}"#,
    ]);
    says(NAMESPACE, "list", "Programmed", "True", "Programmed").await;
}

fn docker(arguments: &[&str]) {
    let output = Command::new("docker").args(arguments).output().expect("docker");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
