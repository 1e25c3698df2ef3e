//! What `examples/kubernetes` shows would be in force, and fits the chart.

use std::process::Command;

use crate::tools::{argument, object, objects, read, repository, template};

#[test]
fn the_routes_of_the_examples_would_be_in_force() {
    let output = Command::new(env!("CARGO_BIN_EXE_kube-isr"))
        .args(["check", "--cluster"])
        .arg(repository("examples/kubernetes"))
        .output()
        .expect("kube-isr runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("2 routes in force, 0 errors, 0 warnings"), "{printed}");
}

#[test]
fn the_values_of_the_examples_are_values_of_the_chart() {
    let render = |example: &str| {
        let values = argument(&format!("examples/kubernetes/{example}/values.yaml"));
        objects(&template("helm4", &["--values", &values]).unwrap_or_else(|error| panic!("{error}")))
    };
    let namespaced = render("namespaced");
    object(&namespaced, "Role", "kube-isr-operator-watched");
    assert!(!namespaced.iter().any(|object| object["kind"] == "CustomResourceDefinition"));
    let tls = render("tls");
    assert_eq!(object(&tls, "Service", "kube-isr-proxy")["spec"]["type"], "LoadBalancer");
}

#[test]
fn the_examples_lead_to_services_that_are_there() {
    let set = "gateway.referenceGrant.namespaces={shop}";
    let objects = objects(&template("helm4", &["--set", set]).expect("a rendering"));
    let service = object(&objects, "Service", "kube-isr-proxy");
    let route: serde_json::Value =
        serde_saphyr::from_str(&read("examples/kubernetes/httproute.yaml")).expect("YAML");
    let backend = &route["spec"]["rules"][0]["backendRefs"][0];
    assert_eq!(backend["name"], service["metadata"]["name"]);
    assert_eq!(backend["namespace"], service["metadata"]["namespace"]);
    assert_eq!(backend["port"], service["spec"]["ports"][0]["port"]);
    let grant = &object(&objects, "ReferenceGrant", "kube-isr-proxy")["spec"];
    assert_eq!(grant["from"][0]["namespace"], route["metadata"]["namespace"]);
    assert_eq!(grant["to"][0]["name"], backend["name"]);
}
