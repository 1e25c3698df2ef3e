//! What the operator makes is deleted with the roles that let it: every object says so. There is no garbage collector
//! here; what it does with them, a cluster of kind shows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::control_plane::Audited;
use crate::installation::{Cluster, Operator, SHOP, SYSTEM};
use crate::support::{PATIENCE, Proxy, eventually, route};

/// Where an object is: its resource, its namespace, its name.
type Place = (String, String, String);

fn get(cluster: &Cluster, (resource, namespace, name): &Place) -> Option<Value> {
    let arguments = ["get", resource, name, "--namespace", namespace, "--output", "json"];
    let text = cluster.plane.try_kubectl(&arguments, None).ok()?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn place(resource: &str, namespace: &str, name: &str) -> Place {
    (resource.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Everything that an operator has made and that is there, whatever it is, by the audit log. Events end by themselves.
fn made(cluster: &Cluster) -> BTreeSet<Place> {
    let is_made = |entry: &Audited| {
        let code = entry.response_status.as_ref().map_or(0, |status| status.code);
        entry.user.username == "operator" && code == 201
    };
    let audit = cluster.plane.audit().into_iter().filter(is_made).filter_map(|entry| entry.object_ref);
    let objects = audit.filter(|object| object.resource != "events");
    let places = objects.map(|object| {
        (object.resource, object.namespace.unwrap_or_default(), object.name.expect("a name that was chosen"))
    });
    places.filter(|place| get(cluster, place).is_some()).collect()
}

/// What an object says of its owners; nothing if it has none.
fn owners(cluster: &Cluster, place: &Place) -> Value {
    get(cluster, place).unwrap_or_else(|| panic!("{place:?} is there"))["metadata"]["ownerReferences"].clone()
}

/// What an object must say whose only owner is this one, and that holds nobody's deletion up.
fn owned_by(cluster: &Cluster, api_version: &str, kind: &str, owner: &Place) -> Value {
    let uid = get(cluster, owner).unwrap_or_else(|| panic!("{owner:?} is there"))["metadata"]["uid"].clone();
    json!([{ "apiVersion": api_version, "kind": kind, "name": owner.2, "uid": uid }])
}

/// Brings the operator to make one of everything.
async fn make_everything(cluster: &Cluster) -> Proxy {
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/page").named("page").interval("10s").origin_token("example-origin-token"));
    cluster.says("page", "Ready", "True Ready").await;
    cluster.plane.kubectl(&["label", "namespace", SHOP, "kube-isr.dev/ingress-service=true"]);
    let slice = place("endpointslices", SHOP, "kube-isr-ipv4");
    eventually("the ingress Service is there", PATIENCE * 4, async || get(cluster, &slice)).await;
    let kinds: BTreeSet<String> = made(cluster).into_iter().map(|(resource, ..)| resource).collect();
    assert_eq!(
        kinds.iter().map(String::as_str).collect::<Vec<_>>(),
        ["configmaps", "endpointslices", "leases", "secrets", "services"]
    );
    proxy
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Looks at everything that was made, where the ingress Service has this owner.
fn assert_owned(cluster: &Cluster, ingress_owner: &Value) {
    let installed = owned_by(cluster, RBAC, "Role", &place("roles", SYSTEM, "kube-isr-operator"));
    let service = owned_by(cluster, "v1", "Service", &place("services", SHOP, "kube-isr"));
    for place in made(cluster) {
        let expected = match (&*place.0, &*place.1) {
            (_, SYSTEM) => &installed,
            ("services", SHOP) => ingress_owner,
            ("endpointslices", SHOP) => &service,
            _ => panic!("nobody expects {place:?}"),
        };
        assert_eq!(owners(cluster, &place), *expected, "{place:?}");
    }
}

#[tokio::test]
async fn api_what_is_made_in_cluster_mode_belongs_to_the_role_and_the_cluster_role() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let _proxy = make_everything(&cluster).await;
    let owner = place("clusterroles", "", "kube-isr-system:kube-isr-operator");
    assert_owned(&cluster, &owned_by(&cluster, RBAC, "ClusterRole", &owner));
}

#[tokio::test]
async fn api_what_is_made_in_namespaced_mode_belongs_to_the_role_of_its_namespace() {
    let cluster = Cluster::installed(&[SHOP]).await;
    let _operator = cluster.operator("operator-1");
    let _proxy = make_everything(&cluster).await;
    let owner = place("roles", SHOP, "kube-isr-operator-watched");
    assert_owned(&cluster, &owned_by(&cluster, RBAC, "Role", &owner));
}

#[tokio::test]
async fn api_what_is_made_after_its_owner_was_made_again_belongs_to_the_new_one() {
    let cluster = Cluster::installed(&[SHOP]).await;
    let _operator = cluster.operator("operator-1");
    let _proxy = make_everything(&cluster).await;
    let before = made(&cluster);
    cluster.plane.kubectl(&["delete", "role", "kube-isr-operator", "--namespace", SYSTEM]);
    cluster.plane.kubectl(&["delete", "role", "kube-isr-operator-watched", "--namespace", SHOP]);
    cluster.grant("operator", "operator-namespace", Some(SYSTEM));
    cluster.grant("operator", "operator-watched", Some(SHOP));
    // As the garbage collector does. The Secret, which is looked at again within a minute, is written over instead.
    for (resource, namespace, name) in before.iter().filter(|(resource, ..)| resource != "secrets") {
        cluster.plane.kubectl(&["delete", resource, name, "--namespace", namespace, "--ignore-not-found"]);
    }
    cluster.route(&route("/other").named("other").interval("10s").origin_token("another-origin-token"));
    cluster.says("other", "Ready", "True Ready").await;
    eventually("everything is made again", PATIENCE * 4, async || {
        // Of the shards, those that the new table has not.
        let is_shard = |(.., name): &Place| name.starts_with("kube-isr-routes-");
        before.iter().all(|place| is_shard(place) || get(&cluster, place).is_some()).then_some(())
    })
    .await;
    let owner = place("roles", SHOP, "kube-isr-operator-watched");
    assert_owned(&cluster, &owned_by(&cluster, RBAC, "Role", &owner));
}

#[tokio::test]
async fn api_who_names_no_owner_makes_objects_that_stay_until_there_is_one() {
    let cluster = Cluster::new().await;
    let operator = Operator::start(&cluster.plane.kubeconfig("operator"), "operator-1", &[]);
    let _proxy = make_everything(&cluster).await;
    let made = made(&cluster);
    for place in made.iter().filter(|(resource, ..)| resource != "endpointslices") {
        assert_eq!(owners(&cluster, place), Value::Null, "{place:?}");
    }
    drop(operator);
    let _operator = cluster.operator("operator-1");
    for place in &made {
        let what = format!("{place:?} says whose it is");
        eventually(&what, PATIENCE * 4, async || {
            get(&cluster, place).filter(|object| object["metadata"]["ownerReferences"].is_array())
        })
        .await;
    }
}

#[tokio::test]
async fn api_nothing_is_made_for_an_owner_that_is_not_there() {
    let cluster = Cluster::new().await;
    let arguments = ["--owner", "role/kube-isr-proxy"];
    let operator = Operator::start(&cluster.plane.kubeconfig("operator"), "operator-1", &arguments);
    operator.says("cannot read role/kube-isr-proxy, which --owner names: the API server answers 403").await;
    assert_eq!(made(&cluster), BTreeSet::new());
}
