//! A real API server admits every pod into a namespace that enforces the Pod Security Standard `restricted`.

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::tools::{objects, render};

const NAMESPACE: &str = "kube-isr-system";

/// The pods that the controllers of a rendering would create, and those that stand in it themselves.
fn pods(objects: &[Value]) -> Vec<Value> {
    let pods = objects.iter().filter_map(|object| {
        let spec = match object["kind"].as_str()? {
            "Deployment" | "DaemonSet" => &object["spec"]["template"]["spec"],
            "Pod" => &object["spec"],
            _ => return None,
        };
        let name = object["metadata"]["name"].as_str()?;
        let metadata = json!({ "name": name, "namespace": NAMESPACE });
        Some(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }))
    });
    pods.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_is_admitted_where_restricted_is_enforced() {
    let plane = ControlPlane::start().await;
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    plane.apply(&[json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": labels } })]);
    let create =
        |pod: &Value| plane.try_kubectl(&["create", "--dry-run=server", "-f", "-"], Some(&pod.to_string()));
    for case in ["default", "everything", "daemonset"] {
        let pods = pods(&objects(&render("helm4", case)));
        assert_eq!(pods.len(), 3, "{case}");
        for pod in &pods {
            create(pod).unwrap_or_else(|error| panic!("{case}: {}: {error}", pod["metadata"]["name"]));
        }
        // The API server does look: without its security context each is refused.
        for mut pod in pods {
            pod["spec"]["containers"][0]["securityContext"] = json!({});
            let error = create(&pod).expect_err("a container that may do anything");
            assert!(error.contains("violates PodSecurity"), "{error}");
        }
    }
}
