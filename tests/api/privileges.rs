//! Least privilege: what is asked for is allowed, and what is allowed is asked for.

use std::path::Path;

use serde_json::{Value, json};

use crate::control_plane::Audited;
use crate::installation::{Cluster, SHOP, SYSTEM};
use crate::support::{PATIENCE, TOKEN, eventually, route};

/// Everything that needs a right, once.
async fn tour(cluster: &Cluster) {
    let mut operator = cluster.operator_with("operator-1", &["--secret-period", "1s"]);
    let _proxy = cluster.proxy("proxy-1").await;
    cluster.route(
        &route("/page").named("page").interval("10s").token(TOKEN).origin_token("example-origin-token"),
    );
    cluster.says("page", "Ready", "True Ready").await;
    // The same news a second time is counted in the event of the first.
    cluster.plane.kubectl(&["delete", "secret", "page-token", "-n", SHOP]);
    cluster.says("page", "Ready", "False SecretNotFound").await;
    cluster.secret(SHOP, "page-token", &[("token", TOKEN)]);
    cluster.says("page", "Ready", "True Ready").await;
    // A purge that makes the list, one that is added to it, and the end of both.
    for name in ["first", "second"] {
        cluster.plane.apply(&[json!({ "apiVersion": "kube-isr.dev/v1alpha1", "kind": "IsrPurge",
            "metadata": { "name": name, "namespace": SHOP },
            "spec": { "everything": true, "ttlAfterFinished": "1s" } })]);
        eventually("the purge is done and gone", PATIENCE * 2, async || {
            cluster.plane.try_kubectl(&["get", "isrpurge", name, "-n", SHOP], None).err()
        })
        .await;
    }
    // A route that asks for the versions of its pods.
    crate::rollout::pod(cluster, "web-a", "pod-template-hash", "a");
    crate::rollout::endpoints(cluster, "web", &[("web-a", true)]);
    cluster.route(&route("/rolled").interval("10s").set("invalidateOn", json!({ "backendRollout": {} })));
    crate::rollout::served(cluster, &["a"]).await;
    // A shard that somebody replaced: it is deleted and made again.
    let index = ["get", "configmap", "kube-isr-routes", "-n", SYSTEM, "-o", r"jsonpath={.data.index\.json}"];
    let index: Value = serde_json::from_str(&cluster.plane.kubectl(&index)).expect("JSON");
    let shard = format!("configmap/kube-isr-routes-{}", &index["shards"][0].as_str().expect("a shard")[..16]);
    let shard = shard.as_str();
    // Stopped, so that it does not mend the first half of this before the second.
    operator.signal("STOP");
    cluster.plane.kubectl(&["delete", shard, "-n", SYSTEM]);
    let labels = json!({ "kube-isr.dev/routes": "kube-isr" });
    let metadata =
        json!({ "name": shard.trim_start_matches("configmap/"), "namespace": SYSTEM, "labels": labels });
    cluster.plane.apply(&[json!({ "apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
        "metadata": metadata, "data": { "routes.json": "{}" } })]);
    operator.signal("CONT");
    eventually("the shard is mended", PATIENCE * 2, async || {
        let text = cluster.plane.try_kubectl(&["get", shard, "-n", SYSTEM, "-o", "yaml"], None).ok()?;
        text.contains("shop/page").then_some(())
    })
    .await;
    // The ingress Service comes, loses an endpoint to somebody's hand, and goes.
    cluster.plane.kubectl(&["label", "namespace", SHOP, "kube-isr.dev/ingress-service=true"]);
    let there = |kind: &'static str, name: &'static str| {
        move |cluster: &Cluster| cluster.plane.try_kubectl(&["get", kind, name, "-n", SHOP], None).is_ok()
    };
    let (service, slice) = (there("service", "kube-isr"), there("endpointslice", "kube-isr-ipv4"));
    eventually("the ingress Service is there", PATIENCE * 4, async || {
        (service(cluster) && slice(cluster)).then_some(())
    })
    .await;
    cluster.plane.kubectl(&["label", "namespace", SHOP, "kube-isr.dev/ingress-service-"]);
    eventually("the ingress Service is gone", PATIENCE * 4, async || {
        (!service(cluster) && !slice(cluster)).then_some(())
    })
    .await;
    operator.signal("TERM");
    eventually("the operator ends", PATIENCE, async || operator.child.try_wait().expect("its state")).await;
}

/// The rules of a file of `charts/kube-isr/rbac/`.
fn rules(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../charts/kube-isr/rbac/{file}.yaml"));
    let rules: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(path).expect("the rules")).expect("YAML");
    rules["rules"].as_array().expect("a list").clone()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect()
}

/// Whether a request makes use of a right. Server-side apply that makes a new object (201) also needs to create.
fn uses(entry: &Audited, group: &str, resource: &str, verb: &str, names: &[String]) -> bool {
    let Some(object) = &entry.object_ref else { return false };
    let asked = match &object.subresource {
        Some(part) => format!("{}/{part}", object.resource),
        None => object.resource.clone(),
    };
    let created =
        entry.verb == "patch" && entry.response_status.as_ref().is_some_and(|status| status.code == 201);
    let is_verb = entry.verb == verb || (verb == "create" && created);
    let is_named = names.is_empty() || object.name.as_ref().is_some_and(|name| names.contains(name));
    asked == resource && object.api_group.as_deref().unwrap_or_default() == group && is_verb && is_named
}

fn assert_least(cluster: &Cluster, user: &str, files: &[&str]) {
    let audit: Vec<Audited> =
        cluster.plane.audit().into_iter().filter(|entry| entry.user.username == user).collect();
    for entry in &audit {
        let code = entry.response_status.as_ref().map_or(200, |status| status.code);
        assert!(![401, 403].contains(&code), "{user} may not {} {}", entry.verb, entry.uri);
    }
    for file in files {
        for rule in rules(file) {
            let names = texts(&rule["resourceNames"]);
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        let is_used = audit.iter().any(|entry| uses(entry, &group, &resource, &verb, &names));
                        assert!(is_used, "{file}: nobody needs to {verb} {resource} {names:?}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn api_cluster_mode_needs_exactly_the_rights_it_is_given() {
    let cluster = Cluster::new().await;
    tour(&cluster).await;
    assert_least(&cluster, "operator", &["operator-cluster", "operator-namespace"]);
    assert_least(&cluster, "proxy", &["proxy"]);
    let listed = cluster.plane.audit().into_iter().find(|entry| {
        let is_secret = entry.object_ref.as_ref().is_some_and(|object| object.resource == "secrets");
        is_secret && entry.user.username == "operator" && ["list", "watch"].contains(&&*entry.verb)
    });
    assert!(listed.is_none(), "no Secret is listed: {listed:?}");
}

#[tokio::test]
async fn api_namespaced_mode_needs_exactly_the_rights_it_is_given() {
    let cluster = Cluster::installed(&[SHOP]).await;
    tour(&cluster).await;
    assert_least(&cluster, "operator", &["operator-watched", "operator-namespace"]);
}
