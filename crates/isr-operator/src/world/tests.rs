use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PartialObjectMeta;
use serde_json::{Value, json};

use super::*;
use crate::follow::Collect;
use crate::object::Stored;

fn world() -> World {
    let names = Names { namespace: "kube-isr-system".into(), installation: "kube-isr".into() };
    World::new(Arc::new(names), ["isrroutes in all namespaces".to_owned()].into())
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.into(), name.into())
}

fn keys<const N: usize>(keys: [(&str, &str); N]) -> BTreeSet<Key> {
    keys.into_iter().map(|(namespace, name)| key(namespace, name)).collect()
}

fn object<K: serde::de::DeserializeOwned>(namespace: &str, name: &str, fields: &Value) -> K {
    let mut object = json!({ "metadata": { "namespace": namespace, "name": name } });
    for (field, value) in fields.as_object().expect("fields").clone() {
        match (field.as_str(), value) {
            ("metadata", Value::Object(more)) => {
                object["metadata"].as_object_mut().expect("metadata").extend(more);
            }
            (_, value) => object[field] = value,
        }
    }
    serde_json::from_value(object).expect("an object")
}

fn route(name: &str, fields: &Value) -> Stored<IsrRoute> {
    let mut all = json!({
        "spec": {
            "hostnames": ["shop.example.com"],
            "path": "/blog",
            "bypassToken": { "secretKeyRef": { "name": "isr", "key": "token" } },
            "backendRef": { "name": "web", "port": 3000 },
        },
    });
    all.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    object("shop", name, &all)
}

fn service(port: u16) -> k8s_openapi::api::core::v1::Service {
    object("shop", "web", &json!({ "spec": { "ports": [{ "port": port }], "externalName": "ignored" } }))
}

fn revision(world: &World) -> Revision {
    *world.revisions().borrow()
}

#[test]
fn a_route_counts_when_it_means_something_else_and_its_versions_count_apart() {
    let world = world();
    world.apply(route("blog", &json!({})));
    let first = revision(&world);
    assert_eq!((first.meaning, first.versions), (1, 0));

    world.apply(route(
        "blog",
        &json!({ "metadata": { "resourceVersion": "5", "annotations": { "a": "b" } } }),
    ));
    assert_eq!(revision(&world), Revision { versions: 1, ..first }, "annotations mean nothing");

    world.apply(route(
        "blog",
        &json!({ "metadata": { "resourceVersion": "6" }, "status": { "observedGeneration": 1 } }),
    ));
    assert_eq!(revision(&world), Revision { versions: 2, ..first }, "neither does a status");

    world.apply(route("blog", &json!({ "metadata": { "generation": 2 } })));
    assert_eq!(revision(&world).meaning, 2);
    world.apply(route("blog", &json!({ "metadata": { "generation": 2, "uid": "another" } })));
    assert_eq!(revision(&world).meaning, 3);
    world.apply(route("blog", &json!({ "spec": { "path": 5 } })));
    assert_eq!(revision(&world).meaning, 4);
    Collect::<Stored<IsrRoute>>::remove(&world, &key("shop", "blog"));
    assert_eq!(revision(&world).meaning, 5);
}

#[test]
fn what_nobody_reads_is_not_kept() {
    let world = world();
    let metadata = json!({ "annotations": { "a": "b" }, "labels": { "a": "b" }, "managedFields": [{}], "generation": 3 });
    world.apply(route("blog", &json!({ "metadata": metadata })));
    let kept = &world.view().routes[0].object.metadata;
    assert_eq!((&kept.annotations, &kept.labels, &kept.managed_fields), (&None, &None, &None));
    assert_eq!(kept.generation, Some(3));
}

#[test]
fn a_view_holds_the_services_that_routes_name_and_the_secrets_that_may_have_changed() {
    let world = world();
    world.apply(service(3000));
    assert!(world.view().references.services.is_empty());
    world.apply(route("blog", &json!({})));
    let view = world.view();
    let web = &view.references.services[&key("shop", "web")];
    assert_eq!((web.ports.as_slice(), &web.external_name), ([3000].as_slice(), &None));
    assert_eq!(view.touched, keys([("shop", "isr")]));
    assert!(world.view().touched.is_empty(), "told once");
}

#[test]
fn a_service_counts_when_its_ports_change() {
    let world = world();
    world.apply(service(3000));
    world.apply(service(3000));
    assert_eq!(revision(&world).meaning, 1);
    world.apply(service(3001));
    assert_eq!(revision(&world).meaning, 2);
}

#[test]
fn what_a_list_leaves_out_is_gone_within_the_namespace_of_the_list() {
    let world = world();
    world.apply(route("blog", &json!({})));
    world.apply(route("home", &json!({})));
    Collect::<Stored<IsrRoute>>::keep_only(&world, Some("other"), &BTreeSet::new());
    assert_eq!(world.view().routes.len(), 2);
    Collect::<Stored<IsrRoute>>::keep_only(&world, Some("shop"), &keys([("shop", "home")]));
    assert_eq!(world.view().routes.len(), 1);
    Collect::<Stored<IsrRoute>>::keep_only(&world, None, &BTreeSet::new());
    assert_eq!(world.view().routes.len(), 0);
}

#[test]
fn where_secrets_are_watched_a_change_touches_them() {
    let world = world();
    world.apply(route("blog", &json!({})));
    world.view();
    world.apply(object::<PartialObjectMeta<Secret>>("shop", "isr", &json!({})));
    assert_eq!(world.view().touched, keys([("shop", "isr")]));
    Collect::<PartialObjectMeta<Secret>>::keep_only(&world, Some("shop"), &BTreeSet::new());
    assert_eq!(world.view().touched, keys([("shop", "isr")]), "it may have gone unnoticed");
}

fn shard(resource_version: &str, text: &str) -> ConfigMap {
    let metadata = json!({ "resourceVersion": resource_version });
    object(
        "kube-isr-system",
        "kube-isr-routes-00",
        &json!({ "metadata": metadata, "data": { "routes.json": text } }),
    )
}

#[test]
fn a_watch_that_is_behind_our_own_writes_takes_nothing_back() {
    let world = world();
    world.wrote(|published| {
        published.shards.insert("kube-isr-routes-00".into(), PresentShard::of(&shard("20", "new")));
    });
    world.apply(shard("10", "old"));
    assert_eq!(world.published().shards["kube-isr-routes-00"], PresentShard::of(&shard("20", "new")));
    world.apply(shard("20", "new"));
    assert_eq!(revision(&world), Revision::default(), "our own write is no news");
    world.apply(shard("30", "theirs"));
    assert_eq!(revision(&world), Revision { published: 1, ..Revision::default() });
}

#[test]
fn proxies_are_told_once_all_of_them_are_known() {
    let world = world();
    let proxies = world.proxies();
    let slice = || {
        object::<EndpointSlice>("kube-isr-system", "a", &json!({ "addressType": "IPv4", "endpoints": [] }))
    };
    world.apply(slice());
    assert!(proxies.borrow().is_none());
    Collect::<EndpointSlice>::keep_only(&world, None, &keys([("kube-isr-system", "a")]));
    assert_eq!(proxies.borrow().as_ref().map(|slices| slices.len()), Some(1));
    Collect::<EndpointSlice>::remove(&world, &key("kube-isr-system", "a"));
    assert_eq!(proxies.borrow().as_ref().map(|slices| slices.len()), Some(0));
}

#[tokio::test]
async fn nothing_is_complete_before_every_watch_was_listed() {
    let world = world();
    assert_eq!(world.unlisted().len(), 1);
    world.is_listed("isrroutes in all namespaces");
    world.listed().await;
}
