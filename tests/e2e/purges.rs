//! A purge as a resource, and the one that follows a rollout of the application: done on every proxy.

use crate::cluster::{
    PATIENCE, admin, answered, application, apply, installed, kubectl, proxies, proxy_pods, route, says,
    settled,
};
use crate::support::{eventually, get};

const NAMESPACE: &str = "purged";
const HOST: &str = "purged.example.com";
const PAGE: &str = "/blog-posts/1";

/// Visits the page until every proxy has it fresh; when each of them rendered it.
async fn fresh_everywhere(what: &str) {
    eventually(what, PATIENCE, async || {
        answered("the page is there", &get(PAGE).host(HOST), |response| response.status == 200).await;
        is_everywhere("fresh").then_some(())
    })
    .await;
}

/// Whether every proxy has the page in this state.
fn is_everywhere(state: &str) -> bool {
    let has = |(pod, _): &(String, u64)| {
        let known = admin(pod, &format!("/cache?url=http://{HOST}{PAGE}"));
        let stored = known["stored"].as_array().cloned().unwrap_or_default();
        let is_it =
            |variant: &serde_json::Value| variant["status"] == 200 && variant["freshness"]["state"] == state;
        !stored.is_empty() && stored.iter().all(is_it)
    };
    proxy_pods().iter().all(has)
}

#[tokio::test]
async fn e2e_a_purge_and_a_rollout_reach_every_proxy() {
    installed().await;
    proxies(2);
    application(NAMESPACE, HOST);
    let further = "interval: Never\n  invalidateOn: { backendRollout: { over: 1s } }";
    // Until a node knows of a new Service, others than the application may answer for it, and nothing would ever replace that.
    apply(&route(NAMESPACE, "page", HOST, PAGE, "interval: 10s"));
    says(NAMESPACE, "page", "Ready", "True", "Ready").await;
    fresh_everywhere("every proxy reaches the application").await;
    apply(&route(NAMESPACE, "page", HOST, PAGE, further));
    says(NAMESPACE, "page", "Ready", "True", "Ready").await;
    fresh_everywhere("every proxy has the page").await;

    apply(&format!(
        "apiVersion: kube-isr.dev/v1alpha1
kind: IsrPurge
metadata: {{ name: once, namespace: {NAMESPACE} }}
spec: {{ prefixes: [/blog-posts], ttlAfterFinished: Never }}
"
    ));
    kubectl(&["wait", "--for=condition=Complete", "isrpurge/once", "-n", NAMESPACE, "--timeout=60s"]);
    assert!(is_everywhere("stale"), "nobody has visited it since");
    fresh_everywhere("it is rendered anew").await;

    kubectl(&["rollout", "restart", "deployment/web", "-n", NAMESPACE]);
    settled(NAMESPACE).await;
    eventually("the page is stale on every proxy", PATIENCE, async || is_everywhere("stale").then_some(()))
        .await;
    fresh_everywhere("the new pods have rendered it").await;
    kubectl(&["scale", "deployment/web", "--replicas=2", "-n", NAMESPACE]);
    settled(NAMESPACE).await;
    assert!(is_everywhere("fresh"), "scaling is no rollout");
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
}
