//! `spec.invalidateOn.backendRollout`: the pods behind a Service are replaced, and the route's pages turn stale, once.

use serde_json::{Value, json};

use crate::installation::{Cluster, SHOP, SYSTEM, text};
use crate::support::{PATIENCE, Proxy, eventually, route};

/// A pod of a version, behind the Service `web`.
pub fn pod(cluster: &Cluster, name: &str, label: &str, version: &str) {
    cluster.plane.apply(&[json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": SHOP, "labels": { label: version } },
        "spec": { "containers": [{ "name": "web", "image": "example" }] },
    })]);
}

/// Says which pods stand behind the Service `web`, each with whether it is ready.
pub fn endpoints(cluster: &Cluster, slice: &str, pods: &[(&str, bool)]) {
    let uid = |name: &str| {
        cluster.plane.kubectl(&["get", "pod", name, "-n", SHOP, "-o", "jsonpath={.metadata.uid}"])
    };
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|(name, ready)| {
            json!({ "addresses": ["10.1.2.3"], "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": name, "namespace": SHOP, "uid": uid(name) } })
        })
        .collect();
    cluster.plane.apply(&[json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": slice, "namespace": SHOP, "labels": { "kubernetes.io/service-name": "web" } },
        "ports": [{ "name": "http", "port": 3000 }], "endpoints": endpoints,
    })]);
}

/// The published list; nothing if there is none.
pub fn list(cluster: &Cluster) -> Option<Value> {
    let arguments =
        ["get", "configmap", "kube-isr-purges", "-n", SYSTEM, "-o", r"jsonpath={.data.purges\.json}"];
    serde_json::from_str(&cluster.plane.try_kubectl(&arguments, None).ok()?).ok()
}

/// Waits until these versions of the Service are known to have served.
pub async fn served(cluster: &Cluster, expected: &[&str]) {
    let what = format!("{expected:?} have served");
    eventually(&what, PATIENCE * 2, async || {
        (list(cluster)?["served"]["shop/web"] == json!(expected)).then_some(())
    })
    .await;
}

fn purges(cluster: &Cluster) -> usize {
    list(cluster).map_or(0, |list| list["purges"].as_array().expect("purges").len())
}

async fn position(proxy: &Proxy) -> u64 {
    proxy.admin_json("/configz").await["purges"]["position"].as_u64().expect("a number")
}

#[tokio::test]
async fn api_pages_turn_stale_once_when_a_rollout_is_over() {
    let cluster = Cluster::new().await;
    let operator = cluster.operator("operator-1");
    let proxy = cluster.proxy("proxy-1").await;
    let label = "pod-template-hash";
    for (name, version) in [("web-a-1", "a"), ("web-a-2", "a"), ("web-b-1", "b"), ("web-b-2", "b")] {
        pod(&cluster, name, label, version);
    }
    endpoints(&cluster, "web-1", &[("web-a-1", true)]);
    let rollout = json!({ "backendRollout": { "over": "90s" } });
    cluster.route(&route("/page").interval("1h").set("invalidateOn", rollout));
    cluster.route(&route("/other").interval("1h"));
    cluster.says("page", "Ready", "True Ready").await;
    served(&cluster, &["a"]).await;

    // Scaled, in a second slice, then replaced pod by pod; the operator ends in the middle.
    endpoints(&cluster, "web-2", &[("web-a-2", true)]);
    endpoints(&cluster, "web-1", &[("web-a-1", true), ("web-b-1", true)]);
    served(&cluster, &["a", "b"]).await;
    operator.signal("KILL");
    drop(operator);
    endpoints(&cluster, "web-1", &[("web-b-1", true)]);
    endpoints(&cluster, "web-2", &[("web-a-2", false), ("web-b-2", true)]);
    let _operator = cluster.operator("operator-2");
    // A change that it sees after the pods: it has looked at them by then.
    cluster.route(&route("/later").interval("1h").set("invalidateOn", json!({ "backendRollout": {} })));
    cluster.says("later", "Ready", "True Ready").await;
    assert_eq!(purges(&cluster), 0, "an old pod is still there");
    endpoints(&cluster, "web-2", &[("web-b-2", true)]);
    served(&cluster, &["b"]).await;
    let published = list(&cluster).expect("the list");
    let by_route = |route: &str| {
        let purges = published["purges"].as_array().expect("purges");
        let found: Vec<Value> =
            purges.iter().filter(|one| one["routes"] == json!([route])).cloned().collect();
        assert_eq!(found.len(), 1, "{route}: {published}");
        found[0].clone()
    };
    let of_page = by_route("shop/page");
    assert_eq!(text(&of_page["cause"]), "rollout of Service shop/web");
    assert_eq!((&of_page["hard"], &of_page["spread"]["overMs"]), (&json!(false), &json!(90_000)));
    assert_eq!(by_route("shop/later")["spread"]["overMs"], json!(60_000), "a minute if nothing is said");
    assert_eq!(purges(&cluster), 2, "and the other route has asked for nothing");
    eventually("the proxy knows", PATIENCE, async || (position(&proxy).await == 2).then_some(())).await;

    // Scaling is no rollout; going back is one.
    endpoints(&cluster, "web-2", &[]);
    endpoints(&cluster, "web-1", &[("web-b-1", false)]);
    endpoints(&cluster, "web-1", &[("web-b-1", true), ("web-b-2", true)]);
    endpoints(&cluster, "web-1", &[("web-a-1", true)]);
    served(&cluster, &["a"]).await;
    assert_eq!(purges(&cluster), 4);
}

#[tokio::test]
async fn api_a_stateful_set_has_rollouts_and_its_restarts_are_none() {
    let cluster = Cluster::installed(&[SHOP]).await;
    let _operator = cluster.operator("operator-1");
    let _proxy = cluster.proxy("proxy-1").await;
    let label = "controller-revision-hash";
    pod(&cluster, "web-0", label, "web-1");
    endpoints(&cluster, "web", &[("web-0", true)]);
    cluster.route(&route("/page").interval("1h").set("invalidateOn", json!({ "backendRollout": {} })));
    cluster.says("page", "Ready", "True Ready").await;
    served(&cluster, &["web-1"]).await;
    for version in ["web-1", "web-2"] {
        // Another pod of the same name.
        cluster.plane.kubectl(&["delete", "pod", "web-0", "-n", SHOP, "--force", "--grace-period=0"]);
        pod(&cluster, "web-0", label, version);
        endpoints(&cluster, "web", &[("web-0", true)]);
    }
    served(&cluster, &["web-2"]).await;
    assert_eq!(purges(&cluster), 1, "the same version again is no rollout");
}
