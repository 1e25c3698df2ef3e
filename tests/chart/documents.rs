//! Things that stand in two places say the same.

use serde_json::{Value, json};

use crate::tools::{CASES, object, objects, read, render, template};

#[test]
fn roles_have_the_rules_that_tests_run_with() {
    let objects = objects(&render("helm4", "default"));
    let namespaced = crate::tools::objects(&render("helm4", "namespaced"));
    for (file, kind, name, objects) in [
        ("operator-cluster", "ClusterRole", "kube-isr-operator", &objects),
        ("operator-namespace", "Role", "kube-isr-operator", &objects),
        ("proxy", "Role", "kube-isr-proxy", &objects),
        ("operator-watched", "Role", "kube-isr-operator-watched", &namespaced),
    ] {
        let rules: Value =
            serde_saphyr::from_str(&read(&format!("charts/kube-isr/rbac/{file}.yaml"))).expect("rules");
        assert_eq!(object(objects, kind, name)["rules"], rules["rules"], "{file}");
    }
    assert!(
        !namespaced
            .iter()
            .any(|object| object["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster")))
    );
}

#[test]
fn roles_name_the_objects_of_the_installation() {
    let objects = objects(&render("helm4", "daemonset"));
    let rules = object(&objects, "Role", "pages-operator")["rules"].to_string();
    for name in ["pages-routes", "pages-purges", "pages-origin-tokens", "pages-operator"] {
        assert!(rules.contains(name), "{name} is not in {rules}");
    }
    assert!(!rules.contains("kube-isr-"), "{rules}");
    // These are the same in every installation: an Ingress names the Service.
    let rules = object(&objects, "ClusterRole", ":pages-operator")["rules"].to_string();
    for name in [r#""kube-isr""#, r#""kube-isr-ipv4""#, r#""kube-isr.dev""#] {
        assert!(rules.contains(name), "{name} is not in {rules}");
    }
}

/// The arguments of the operator.
fn operator_arguments(objects: &[Value]) -> Vec<String> {
    let deployment = objects.iter().find(|object| {
        object["kind"] == "Deployment"
            && object["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"
    });
    let container = &deployment.expect("the operator")["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().expect("arguments").iter();
    arguments.map(|argument| argument.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn owners_are_roles_that_the_operator_may_read() {
    let system = "kube-isr-system";
    let watched: &[&str] = &["shop", "blog"];
    for case in CASES {
        let objects = objects(&render("helm4", case));
        let arguments = operator_arguments(&objects);
        let owner = |option: &str| {
            let argument = arguments.iter().find_map(|argument| argument.strip_prefix(option));
            argument
                .and_then(|argument| argument.split_once('/'))
                .unwrap_or_else(|| panic!("{case}: {arguments:?}"))
        };
        let is_namespaced = arguments.iter().any(|argument| argument.starts_with("--watch-namespaces="));
        let (kind, name) = owner("--ingress-owner=");
        let ingress: Vec<_> = if is_namespaced {
            watched.iter().map(|namespace| ("Role", "roles", Some(*namespace))).collect()
        } else {
            vec![("ClusterRole", "clusterroles", None)]
        };
        let mut expected: Vec<_> = ingress.into_iter().map(|place| (place, kind, name)).collect();
        let (kind, name) = owner("--owner=");
        expected.push((("Role", "roles", Some(system)), kind, name));
        for ((kind, resource, namespace), named, name) in expected {
            assert_eq!(named, kind.to_lowercase(), "{case}");
            let is = |object: &&Value| {
                object["kind"] == kind
                    && object["metadata"]["name"] == name
                    && object["metadata"]["namespace"].as_str() == namespace
            };
            let granted =
                objects.iter().find(is).unwrap_or_else(|| panic!("{case}: there is no {kind} {name}"));
            let rule = json!({ "apiGroups": ["rbac.authorization.k8s.io"], "resources": [resource],
                "resourceNames": [name], "verbs": ["get"] });
            assert!(
                granted["rules"].as_array().expect("rules").contains(&rule),
                "{case}: {name} may not be read"
            );
        }
    }
}

#[test]
fn without_roles_there_are_no_owners() {
    let objects = objects(&template("helm4", &["--set", "rbac.create=false"]).expect("a rendering"));
    let arguments = operator_arguments(&objects);
    assert!(!arguments.iter().any(|argument| argument.contains("owner")), "{arguments:?}");
}

#[test]
fn the_grace_period_covers_the_drain() {
    for (case, expected) in [("default", 10 + 25 + 5), ("everything", 15 + 30 + 5)] {
        let objects = objects(&render("helm4", case));
        let pod = &object(&objects, "Deployment", "kube-isr-proxy")["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], expected, "{case}");
    }
}

#[test]
fn visitors_have_no_service_with_the_admin_port() {
    for case in ["default", "everything"] {
        let objects = objects(&render("helm4", case));
        let ports = |name: &str| -> Vec<String> {
            let ports =
                object(&objects, "Service", name)["spec"]["ports"].as_array().cloned().unwrap_or_default();
            ports.iter().map(|port| port["name"].as_str().unwrap_or_default().to_owned()).collect()
        };
        assert!(!ports("kube-isr-proxy").contains(&"admin".to_owned()), "{case}");
        assert_eq!(ports("kube-isr-proxy-admin"), ["http", "admin"], "{case}");
        let arguments = &object(&objects, "Deployment", "kube-isr-operator")["spec"]["template"]["spec"]["containers"]
            [0]["args"];
        assert!(arguments.to_string().contains("--proxy-service=kube-isr-proxy-admin"), "{arguments}");
    }
}

#[test]
fn an_autoscaled_deployment_has_no_replicas() {
    let objects = objects(&render("helm4", "everything"));
    assert!(object(&objects, "Deployment", "kube-isr-proxy")["spec"].get("replicas").is_none());
    object(&objects, "HorizontalPodAutoscaler", "kube-isr-proxy");
}
