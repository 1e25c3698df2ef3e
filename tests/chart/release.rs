//! A release from its installation to its end, by both versions of Helm, on a real API server. There are no nodes, so
//! nothing waits for pods.

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::tools::{HELMS, argument, attempt};

const NAMESPACE: &str = "kube-isr-system";

/// One release in one control plane.
struct Release {
    plane: ControlPlane,
}

impl Release {
    async fn new() -> Self {
        Self { plane: ControlPlane::start().await }
    }

    fn helm(&self, helm: &str, arguments: &[&str]) -> Result<String, String> {
        let (kubeconfig, home) = (self.plane.kubeconfig("admin"), self.plane.path("helm"));
        let environment = [("KUBECONFIG", &*kubeconfig), ("HOME", &*home)];
        attempt(helm, &[arguments, &["--namespace", NAMESPACE]].concat(), &environment)
    }

    fn must(&self, helm: &str, arguments: &[&str]) {
        self.helm(helm, arguments).unwrap_or_else(|error| panic!("{error}"));
    }

    fn install(&self, helm: &str, further: &[&str]) {
        let chart = argument("charts/kube-isr");
        self.must(helm, &[&["install", "kube-isr", &chart, "--create-namespace"], further].concat());
    }

    fn upgrade(&self, helm: &str, further: &[&str]) {
        let chart = argument("charts/kube-isr");
        self.must(helm, &[&["upgrade", "kube-isr", &chart], further].concat());
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.plane.kubectl(&["get", kind, name, "--namespace", NAMESPACE, "--output", "json"]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Objects with the label of the release, of every kind that the chart can make.
    fn left(&self) -> Vec<String> {
        let kinds = "deployments,daemonsets,services,serviceaccounts,configmaps,roles,rolebindings,clusterroles,\
                     clusterrolebindings,poddisruptionbudgets,horizontalpodautoscalers,networkpolicies,\
                     customresourcedefinitions,pods";
        let selector = "app.kubernetes.io/instance=kube-isr";
        let listed = self.plane.kubectl(&[
            "get",
            kinds,
            "--all-namespaces",
            "--selector",
            selector,
            "--output",
            "name",
        ]);
        listed.lines().map(str::to_owned).collect()
    }

    fn apply_route(&self) {
        self.plane.apply(&[json!({
            "apiVersion": "kube-isr.dev/v1alpha1", "kind": "IsrRoute", "metadata": { "name": "blog", "namespace": "default" },
            "spec": { "hostnames": ["shop.example.com"], "path": "/blog", "interval": "10s",
                "backendRef": { "name": "web", "port": 3000 } },
        })]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_installed_upgraded_rolled_back_and_removed() {
    for helm in HELMS {
        let release = Release::new().await;
        release.install(helm, &[]);
        release.plane.kubectl(&["wait", "--for=condition=Established", "crd/isrroutes.kube-isr.dev"]);
        release.apply_route();

        release.upgrade(helm, &["--set", "proxy.replicas=3,valkey.enabled=true,proxy.accessLog=true"]);
        let proxies = release.get("deployment", "kube-isr-proxy");
        assert_eq!(proxies["spec"]["replicas"], 3, "{helm}");
        release.must(helm, &["rollback", "kube-isr", "1"]);
        assert_eq!(release.get("deployment", "kube-isr-proxy")["spec"]["replicas"], 1, "{helm}");

        release.must(helm, &["uninstall", "kube-isr"]);
        let kept = ["isrpurges", "isrroutes"]
            .map(|kind| format!("customresourcedefinition.apiextensions.k8s.io/{kind}.kube-isr.dev"));
        assert_eq!(release.left(), kept, "{helm}");
        release.plane.kubectl(&["get", "isrroute", "blog", "--namespace", "default"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_installed_again_over_what_was_kept() {
    let release = Release::new().await;
    release.install("helm3", &[]);
    release.plane.kubectl(&["wait", "--for=condition=Established", "crd/isrroutes.kube-isr.dev"]);
    release.apply_route();
    release.must("helm3", &["uninstall", "kube-isr"]);

    // The other version of Helm adopts what that one kept, and removes all of it when it may.
    release.install("helm4", &["--set", "crds.keep=false"]);
    let route =
        release.plane.kubectl(&["get", "isrroute", "blog", "--namespace", "default", "--output", "name"]);
    assert_eq!(route.trim(), "isrroute.kube-isr.dev/blog");
    release.must("helm4", &["uninstall", "kube-isr"]);
    assert_eq!(release.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_helm_3_is_upgraded_by_helm_4() {
    let release = Release::new().await;
    release.install("helm3", &[]);
    // An autoscaler has chosen another number of proxies; the chart leaves that alone from then on.
    release.upgrade("helm4", &["--set", "proxy.autoscaling.enabled=true,valkey.enabled=true"]);
    release.plane.kubectl(&["scale", "deployment/kube-isr-proxy", "--namespace", NAMESPACE, "--replicas=5"]);
    release.upgrade("helm4", &["--set", "proxy.autoscaling.enabled=true,valkey.enabled=true,logLevel=debug"]);
    assert_eq!(release.get("deployment", "kube-isr-proxy")["spec"]["replicas"], 5);
}
