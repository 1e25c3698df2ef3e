//! A release under load: upgraded from the chart before it, rolled back, removed and installed again.

use crate::cluster::{
    Chart, PATIENCE, SYSTEM, answered, apply, attempt, helm, installed, kubectl, listed, release, route,
    says, settled,
};
use crate::load::Table;
use crate::site::Site;
use crate::support::{eventually, get};

const CRDS: &str = "customresourcedefinition.apiextensions.k8s.io/isrpurges.kube-isr.dev
customresourcedefinition.apiextensions.k8s.io/isrroutes.kube-isr.dev";

#[tokio::test(flavor = "multi_thread")]
async fn e2e_an_upgrade_and_its_rollback_lose_nothing_and_a_reinstall_adopts() {
    installed().await;
    uninstalled("helm4");
    release("helm4", "install", Chart::Previous, &["--set", "proxy.replicas=2"]);
    runs(Chart::Previous).await;
    let site = Site::new("upgraded").await;

    let mut table = Table::default();
    let upgrade = async {
        release("helm4", "upgrade", Chart::Present, &["--set", "proxy.replicas=2"]);
        runs(Chart::Present).await;
        site.changes(2).await;
    };
    table.during("the release is upgraded", &site.pages(), upgrade).await;
    let rollback = async {
        helm(&["rollback", "kube-isr", "1", "--namespace", SYSTEM, "--wait", "--timeout=10m"]);
        runs(Chart::Previous).await;
        site.changes(1).await;
    };
    table.during("the release is rolled back", &site.pages(), rollback).await;
    table.assert_nothing_lost();

    uninstalled("helm4");
    for name in ["list", "post"] {
        kubectl(&["get", "isrroute", name, "--namespace", site.namespace]);
    }
    release("helm4", "install", Chart::Present, &[]);
    runs(Chart::Present).await;
    for host in &site.hosts {
        let page = get("/blog-posts/1").host(host);
        answered("what was kept is in force again", &page, |response| response.cache() == "HIT").await;
    }
}

/// No Helm knows of what the operator wrote: Kubernetes deletes it when the roles are gone that it belongs to.
#[tokio::test]
async fn e2e_what_the_operator_wrote_goes_with_the_release() {
    installed().await;
    let site = Site::new("removed").await;
    apply(&format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: origin, namespace: {0} }}
stringData: {{ token: example-token-of-the-application-0 }}
",
        site.namespace
    ));
    let token = "interval: 1s\n  originToken: { secretKeyRef: { name: origin, key: token } }";
    apply(&route(site.namespace, "search", &site.hosts[0], "/search", token));
    says(site.namespace, "search", "Ready", "True", "Ready").await;
    let before = written(site.namespace);
    for name in [
        "configmap/kube-isr-routes",
        "secret/kube-isr-origin-tokens",
        "lease.coordination.k8s.io/kube-isr-operator",
        "service/kube-isr",
        "endpointslice.discovery.k8s.io/kube-isr-ipv4",
    ] {
        assert!(before.iter().any(|found| found == name), "{name} is there: {before:?}");
    }

    uninstalled("helm4");
    eventually("all of it is collected", PATIENCE * 2, async || {
        written(site.namespace).is_empty().then_some(())
    })
    .await;
    release("helm4", "install", Chart::Present, &[]);
    runs(Chart::Present).await;
}

/// What the operator has written into the namespaces of the release and of an application, by kind and name.
fn written(namespace: &str) -> Vec<String> {
    let own = kubectl(&["get", "configmaps,secrets,leases", "-n", SYSTEM, "-o", "name"]);
    let mirrored =
        ["get", "services,endpointslices", "-n", namespace, "-l", "kube-isr.dev/installation", "-o", "name"];
    let names = own.lines().filter(|name| name.contains("/kube-isr-")).map(str::to_owned);
    names.chain(kubectl(&mirrored).lines().map(str::to_owned)).collect()
}

/// Helm 3 does the same, and leaves to Helm 4 what it kept.
#[tokio::test]
async fn e2e_helm_3_installs_upgrades_and_removes() {
    installed().await;
    uninstalled("helm4");
    release("helm3", "install", Chart::Previous, &[]);
    runs(Chart::Previous).await;
    release("helm3", "upgrade", Chart::Present, &[]);
    runs(Chart::Present).await;
    uninstalled("helm3");
    release("helm4", "install", Chart::Present, &[]);
    runs(Chart::Present).await;
}

/// Removes the release. What stays is what `crds.keep` says.
fn uninstalled(version: &str) {
    attempt(version, &["uninstall", "kube-isr", "--namespace", SYSTEM, "--wait"])
        .unwrap_or_else(|error| panic!("{error}"));
    let kinds = "deployments,services,serviceaccounts,configmaps,roles,rolebindings,clusterroles,clusterrolebindings,\
                 poddisruptionbudgets,networkpolicies,referencegrants,customresourcedefinitions";
    let selector = "app.kubernetes.io/instance=kube-isr";
    let left = kubectl(&["get", kinds, "--all-namespaces", "--selector", selector, "--output", "name"]);
    assert_eq!(left.trim(), CRDS, "what {version} left");
}

/// Waits until every pod of the release is of this chart.
async fn runs(chart: Chart) {
    settled(SYSTEM).await;
    let pods = listed(SYSTEM, "pods", &["--selector", "app.kubernetes.io/instance=kube-isr"]);
    assert!(pods.len() >= 3, "{pods:?}");
    for pod in pods {
        let image = pod["spec"]["containers"][0]["image"].as_str().expect("an image");
        assert!(image.ends_with(chart.tag()), "{image} of {chart:?}");
    }
}
