use serde_json::json;

use super::*;

fn proxies() -> Vec<EndpointSlice> {
    serde_json::from_value(json!([{
        "metadata": { "name": "kube-isr-proxy-abc" },
        "addressType": "IPv4",
        "ports": [{ "name": "admin", "port": 9090 }, { "name": "http", "port": 8080 }],
        "endpoints": [
            { "addresses": ["10.0.0.2"], "conditions": { "ready": true, "serving": true, "terminating": false },
              "nodeName": "worker-1", "zone": "a", "hints": { "forZones": [{ "name": "a" }] },
              "targetRef": { "kind": "Pod", "name": "proxy-2", "namespace": "kube-isr-system" } },
            { "addresses": ["10.0.0.1"] },
            { "addresses": ["10.0.0.3"], "conditions": { "ready": false } },
            { "addresses": ["10.0.0.4"], "conditions": { "ready": false, "serving": true, "terminating": true } },
        ],
    }]))
    .expect("slices")
}

fn mirror() -> EndpointSlice {
    slice(Family::V4, &proxies(), &service("shop", "kube-isr", None), "kube-isr")
        .expect("there are IPv4 addresses")
}

#[test]
fn who_answers_is_mirrored_with_where_they_are() {
    let mirror = mirror();
    let addresses: Vec<&str> =
        mirror.endpoints.iter().map(|endpoint| endpoint.addresses[0].as_str()).collect();
    assert_eq!(
        addresses,
        ["10.0.0.1", "10.0.0.2", "10.0.0.4"],
        "ready ones, and one that ends and still serves"
    );
    let second = &mirror.endpoints[1];
    assert_eq!((second.zone.as_deref(), second.node_name.as_deref()), (Some("a"), Some("worker-1")));
    assert!(second.hints.is_some(), "traffic stays in its zone");
    assert!(second.target_ref.is_none(), "its pod is in another namespace");
    let conditions = |number: usize| mirror.endpoints[number].conditions.clone().expect("conditions");
    assert_eq!(conditions(0).ready, Some(true));
    assert_eq!((conditions(2).ready, conditions(2).terminating), (Some(false), Some(true)));
    assert_eq!(
        mirror.ports.as_ref().expect("ports")[0].port,
        Some(8080),
        "the port of visitors, not of admins"
    );
    assert_eq!(mirror.labels()["kubernetes.io/service-name"], "kube-isr");
}

#[test]
fn a_family_without_proxies_has_no_slice() {
    assert!(slice(Family::V6, &proxies(), &service("shop", "kube-isr", None), "kube-isr").is_none());
}

#[test]
fn what_is_as_it_should_be_is_not_written() {
    let wanted = service("shop", "kube-isr", None);
    assert!(is_service_kept(&wanted, &wanted));
    assert!(is_ours(wanted.labels(), "kube-isr") && !is_ours(wanted.labels(), "other"));
    let mut present = wanted.clone();
    present.labels_mut().insert("added-by".into(), "somebody".into());
    present.spec.as_mut().expect("a spec").cluster_ip = Some("10.96.0.9".into());
    assert!(is_service_kept(&present, &wanted), "what others add is theirs");
    present.spec.as_mut().expect("a spec").selector = Some([("app".into(), "web".into())].into());
    assert!(!is_service_kept(&present, &wanted), "a selector would send visitors elsewhere");

    let owned_by = |uid: &str| {
        let owner = OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() };
        service("shop", "kube-isr", Some(owner))
    };
    assert!(!is_service_kept(&wanted, &owned_by("first")), "it would outlive the installation");
    assert!(!is_service_kept(&owned_by("former"), &owned_by("first")), "its owner was made again");
    assert!(is_service_kept(&owned_by("first"), &owned_by("first")));
    assert!(is_service_kept(&owned_by("first"), &wanted), "whoever wants no owner takes none away");

    let wanted = mirror();
    assert!(is_slice_kept(&wanted, &wanted));
    let mut present = wanted.clone();
    present.endpoints.pop();
    assert!(!is_slice_kept(&present, &wanted));
    let mut present = wanted.clone();
    present.labels_mut().remove("kubernetes.io/service-name");
    assert!(!is_slice_kept(&present, &wanted), "a slice of no Service");
}

#[test]
fn a_thousand_proxies_fit_and_no_more() {
    let mut many = proxies();
    many[0].endpoints = (0..1500)
        .map(|number| Endpoint {
            addresses: vec![format!("10.0.{}.{}", number / 250, number % 250)],
            ..Endpoint::default()
        })
        .collect();
    let mirror = slice(Family::V4, &many, &service("shop", "kube-isr", None), "kube-isr").expect("a slice");
    assert_eq!(mirror.endpoints.len(), ENDPOINTS_MOST);
}
