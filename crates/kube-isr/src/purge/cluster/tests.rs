use serde_json::{Value, json};

use super::proxies::of;
use super::*;

/// An endpoint that is in this condition.
fn endpoint(address: &str, name: &str, condition: &str) -> Value {
    let conditions = match condition {
        "untold" => json!({}),
        "draining" => json!({ "ready": false, "serving": true, "terminating": true }),
        "gone" => json!({ "ready": false, "serving": false, "terminating": true }),
        _ => json!({ "ready": condition == "ready" }),
    };
    json!({ "addresses": [address], "conditions": conditions, "targetRef": { "kind": "Pod", "name": name } })
}

/// A slice whose endpoints have a port of this name.
fn slice(service: &str, port: &str, endpoints: &[Value]) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": { "labels": { "kubernetes.io/service-name": service } }, "addressType": "IPv4",
        "ports": [{ "name": "other", "port": 8080 }, { "name": port, "port": 9090 }], "endpoints": endpoints,
    }))
    .expect("a slice")
}

#[test]
fn every_proxy_that_may_serve_again_is_asked_once() {
    let endpoints = [
        endpoint("10.0.0.1", "proxy-1", "untold"),
        endpoint("10.0.0.2", "proxy-2", "unready"),
        endpoint("10.0.0.3", "draining", "draining"),
        endpoint("10.0.0.4", "gone", "gone"),
        json!({ "addresses": ["10.0.0.5"], "conditions": { "ready": true } }),
    ];
    let slices = [
        slice("proxies", "admin", &endpoints),
        slice("proxies", "admin", &[endpoint("fd00::1", "proxy-1", "ready")]),
        slice("visitors", "http", &[endpoint("10.0.0.6", "other", "ready")]),
    ];
    let found: Vec<(String, bool)> = of(&slices)
        .expect("proxies")
        .into_iter()
        .map(|proxy| (proxy.replica.to_string(), proxy.is_ready))
        .collect();
    let expected = [
        ("10.0.0.5:9090", true),
        ("draining (10.0.0.3:9090)", false),
        ("proxy-1 (10.0.0.1:9090)", true),
        ("proxy-2 (10.0.0.2:9090)", false),
    ];
    assert_eq!(found, expected.map(|(replica, is_ready)| (replica.to_owned(), is_ready)));
}

#[test]
fn nobody_is_not_everybody_and_two_installations_are_not_one() {
    let one = slice("one-proxy-admin", "admin", &[endpoint("10.0.0.1", "proxy-1", "ready")]);
    let other = slice("other-proxy-admin", "admin", &[endpoint("10.0.0.2", "proxy-2", "ready")]);
    let refused = of(&[one, other]).expect_err("which of them?");
    assert!(refused.contains("one-proxy-admin and other-proxy-admin: name one with --service"), "{refused}");
    for slices in [vec![], vec![slice("proxies", "admin", &[])]] {
        let refused = of(&slices).expect_err("there is nobody");
        assert!(refused.contains("no proxy was found"), "{refused}");
    }
}

#[test]
fn a_route_is_typed_as_for_kubectl() {
    for text in ["blog", "isrroute/blog", "isr/blog", "isrroutes/blog", "isrroutes.kube-isr.dev/blog"] {
        assert_eq!(route_name(text).as_deref(), Ok("blog"), "{text}");
    }
    for text in
        ["", "pod/blog", "isrroute/", "shop/blog/x", "/blog", "isrroute/blog?x", "httproute.kube-isr.dev/b"]
    {
        let refused = route_name(text).expect_err("no route");
        assert!(refused.contains("write isrroute/NAME"), "{text}: {refused}");
    }
}

#[test]
fn the_api_server_does_not_speak_for_a_proxy() {
    let status = |code: u16, message: &str| {
        let body =
            json!({ "kind": "Status", "status": "Failure", "message": message, "code": code }).to_string();
        let status = StatusCode::from_u16(code).expect("a status");
        refusal(status, &body.into()).expect("a refusal").message
    };
    let forbidden = status(403, "pods \"proxy-1:9090\" is forbidden");
    assert!(
        forbidden.starts_with("The API server answers 403: pods \"proxy-1:9090\" is forbidden. It may still"),
        "{forbidden}"
    );
    let away = status(503, "error trying to reach service");
    assert!(away.contains("networkPolicy.monitoring"), "{away}");
    assert!(status(404, "not found").contains("Purge again"));
    let problem = Bytes::from(json!({ "title": "Not Revalidated", "detail": "No." }).to_string());
    assert_eq!(refusal(StatusCode::UNAUTHORIZED, &problem), None, "the proxy's own words");
}
