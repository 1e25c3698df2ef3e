use std::collections::BTreeMap;

use isr_api::reason;
use serde_json::json;

use super::{HOST, answer, compiled, standalone};
use crate::compile::{Backends, Options, compile};
use crate::references::{References, Service};
use crate::report::Condition;
use crate::testing::{TOKEN, references, resource};

/// A reference that cannot be used is reported and leaves the route in force.
#[test]
fn unresolved_references_leave_the_route_in_force() {
    let token = |key: &str| json!({ "bypassToken": { "secretKeyRef": { "name": "isr", "key": key } } });
    let origin = |name: &str| json!({ "originToken": { "secretKeyRef": { "name": name, "key": "token" } } });
    let table = [
        (
            json!({ "backendRef": { "name": "nope", "port": 3000 } }),
            "spec.backendRef.name",
            "Service shop/nope does not exist",
            reason::BACKEND_NOT_FOUND,
        ),
        (
            json!({ "backendRef": { "name": "web", "port": 80 } }),
            "spec.backendRef.port",
            "has no port 80: write one of its ports (3000)",
            reason::BACKEND_NOT_FOUND,
        ),
        (token("nope"), "spec.bypassToken.secretKeyRef.key", "has no key `nope`", reason::SECRET_NOT_FOUND),
        (
            token("twelve"),
            "spec.bypassToken.secretKeyRef.key",
            "has 12 characters: write a random value of 32 or more",
            reason::INVALID_TOKEN,
        ),
        (
            token("odd"),
            "spec.bypassToken.secretKeyRef.key",
            "cannot be sent in a header",
            reason::INVALID_TOKEN,
        ),
        (
            json!({ "bypassToken": { "secretKeyRef": { "name": "nope", "key": "token" } } }),
            "spec.bypassToken.secretKeyRef.name",
            "Secret shop/nope does not exist",
            reason::SECRET_NOT_FOUND,
        ),
        (
            origin("nope"),
            "spec.originToken.secretKeyRef.name",
            "Secret shop/nope does not exist",
            reason::SECRET_NOT_FOUND,
        ),
    ];
    for (fields, field, wrong, reason) in table {
        let compiled = compiled(&[resource("shop/a", HOST, "/a", &fields)]);
        let report = &compiled.reports[0];
        assert!(report.accepted && report.has_errors(), "{fields}");
        let problem = &report.problems[0];
        assert_eq!(
            (&*problem.field, problem.condition, problem.reason),
            (field, Condition::ResolvedRefs, reason),
            "{fields}"
        );
        assert!(problem.message.contains(wrong), "{fields}: {}", problem.message);
        assert!(!problem.message.contains("0123456789ab"), "no secret in {}", problem.message);
        assert_eq!(answer(&compiled, HOST, "/a"), "shop/a", "{fields}");
        let route = compiled.table.routes().next().expect("a route");
        assert!(route.tokens.is_empty() && route.origin_token.is_none(), "{fields}");
        assert_eq!(route.backend.address.is_err(), reason == reason::BACKEND_NOT_FOUND, "{fields}");
    }
}

#[test]
fn a_missing_previous_token_is_a_warning() {
    let fields = json!({ "bypassToken": {
        "secretKeyRef": { "name": "isr", "key": "token" },
        "previousSecretKeyRef": { "name": "isr", "key": "nope" },
    } });
    let compiled = compiled(&[resource("shop/a", HOST, "/a", &fields)]);
    assert!(!compiled.reports[0].has_errors() && compiled.reports[0].problems.len() == 1);
    assert!(compiled.table.routes().next().expect("a route").tokens.accepts(TOKEN.as_bytes()));
}

#[test]
fn backends_inside_and_outside_of_a_cluster() {
    let cluster = Backends::Cluster { domain: "cluster.local".into() };
    let external = |name: &str| Service { external_name: Some(name.into()), ports: vec![3000] };
    let internal = Service { external_name: None, ports: vec![80, 3000] };
    let table = [
        (external("127.0.0.1"), Backends::Standalone, Ok("127.0.0.1:3000")),
        (external("::1"), Backends::Standalone, Ok("[::1]:3000")),
        (external("Web.Example.com."), Backends::Standalone, Ok("web.example.com:3000")),
        (external("http://web"), Backends::Standalone, Err("neither a DNS name nor an IP address")),
        (internal.clone(), Backends::Standalone, Err("type: ExternalName")),
        (internal, cluster.clone(), Ok("web.shop.svc.cluster.local:3000")),
        (external("169.254.169.254"), cluster.clone(), Err("refused in a cluster")),
        (Service { external_name: None, ports: vec![] }, cluster, Err("has no ports")),
    ];
    for (service, backends, expected) in table {
        let services = BTreeMap::from([(("shop".to_owned(), "web".to_owned()), service)]);
        let references = References { services, ..References::default() };
        let options = Options { backends, shared_hosts: false };
        let compiled = compile(&[resource("shop/a", HOST, "/", &json!({}))], &references, &options);
        let route = compiled.table.routes().next().expect("a route");
        match (&route.backend.address, expected) {
            (Ok(address), Ok(expected)) => assert_eq!(address, expected),
            (Err(wrong), Err(part)) => assert!(wrong.contains(part) && !wrong.ends_with('.'), "{wrong}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn references_stay_within_the_namespace() {
    let mut references = references();
    references.services.remove(&("shop".into(), "web".into()));
    let compiled = compile(&[resource("shop/a", HOST, "/", &json!({}))], &references, &standalone());
    assert!(compiled.reports[0].has_errors(), "the Service of another namespace is no backend");
}
