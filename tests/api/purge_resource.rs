//! `IsrPurge`: applied with kubectl, carried out by real proxies, complete when every one of them says so.

use std::process::Command;

use serde_json::{Value, json};

use crate::installation::{Cluster, SHOP, SYSTEM, condition_of, text};
use crate::support::{HOST, PATIENCE, Proxy, eventually, route};

fn purge(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "kube-isr.dev/v1alpha1", "kind": "IsrPurge",
        "metadata": { "name": name, "namespace": SHOP }, "spec": spec })
}

fn get_purge(cluster: &Cluster, name: &str) -> Option<Value> {
    let arguments = ["get", "isrpurge", name, "-n", SHOP, "-o", "json"];
    serde_json::from_str(&cluster.plane.try_kubectl(&arguments, None).ok()?).ok()
}

/// Waits until `Complete` of a purge is this, as `Status Reason`; its message.
async fn says(cluster: &Cluster, name: &str, expected: &str) -> String {
    let what = format!("Complete of {name} is {expected}");
    eventually(&what, PATIENCE * 2, async || {
        let found = condition_of(&get_purge(cluster, name)?, "Complete");
        let says = format!("{} {}", text(&found["status"]), text(&found["reason"]));
        (says == expected).then(|| text(&found["message"]))
    })
    .await
}

fn wait(cluster: &Cluster, name: &str) {
    let name = format!("isrpurge/{name}");
    cluster.plane.kubectl(&["wait", "--for=condition=Complete", &name, "-n", SHOP, "--timeout=60s"]);
}

/// How far a proxy is in the published list.
async fn position(proxy: &Proxy) -> u64 {
    proxy.admin_json("/configz").await["purges"]["position"].as_u64().expect("a number")
}

fn list(cluster: &Cluster) -> Value {
    let arguments =
        ["get", "configmap", "kube-isr-purges", "-n", SYSTEM, "-o", r"jsonpath={.data.purges\.json}"];
    serde_json::from_str(&cluster.plane.kubectl(&arguments)).expect("JSON")
}

#[tokio::test]
async fn api_a_purge_is_complete_when_every_ready_proxy_has_carried_it_out() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let (one, two) = (cluster.proxy("proxy-1").await, cluster.proxy("proxy-2").await);
    cluster.route(&route("/blog/[slug]").named("blog").interval("10s"));
    cluster.says("blog", "Ready", "True Ready").await;
    let page = format!("https://{HOST}/blog/1");
    let spec = json!({ "paths": [page], "tags": ["news"], "routes": ["blog"], "mode": "Hard" });
    cluster.plane.apply(&[purge("news", &spec)]);
    wait(&cluster, "news");
    for proxy in [&one, &two] {
        assert_eq!(position(proxy).await, 1);
    }
    let published = &list(&cluster)["purges"][0];
    assert_eq!(published["groups"], json!([format!("{HOST}/blog/1")]));
    assert_eq!((&published["routes"], &published["hard"]), (&json!(["shop/blog"]), &json!(true)));
    let listed = cluster.plane.kubectl(&["get", "isrpurges", "-n", SHOP, "-o", "wide"]);
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "MODE", "DONE", "REPLICAS", "COMPLETE", "REASON", "AGE"]);
    assert_eq!(lines[1][..6], ["news", "Hard", "2", "2", "True", "Complete"]);
    let message = says(&cluster, "news", "True Complete").await;
    assert_eq!(message, "Done by all 2 ready proxies.");
    cluster.tells("news", "Normal Complete").await;
    assert_eq!(cluster.events("news").len(), 1, "{:?}", cluster.events("news"));

    // One that is stopped is named; one that is not ready is not waited for.
    two.pause().await;
    cluster.plane.apply(&[purge("all", &json!({ "everything": true }))]);
    let message = says(&cluster, "all", "False Pending").await;
    assert!(message.starts_with("1 of 2 ready proxies have done it; proxy-2 ("), "{message}");
    let (http, admin) = (two.address().port(), two.admin_address().port());
    cluster.endpoint("proxy-2", http, admin, false);
    says(&cluster, "all", "True Complete").await;
    for told in ["Warning Pending", "Normal Complete"] {
        cluster.tells("all", told).await;
    }
    cluster.endpoint("proxy-2", http, admin, true);
    two.signal("CONT");
    cluster.plane.apply(&[purge("more", &json!({ "prefixes": ["/blog"] }))]);
    wait(&cluster, "more");
    assert_eq!((position(&one).await, position(&two).await), (3, 3));
}

#[tokio::test]
async fn api_a_purge_is_issued_once_whoever_ends_or_takes_the_list_away() {
    let cluster = Cluster::new().await;
    let operator = cluster.operator("operator-1");
    let proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/page").interval("10s"));
    cluster.plane.apply(&[purge("first", &json!({ "everything": true }))]);
    wait(&cluster, "first");
    // Not complete while the operator ends: the proxy cannot say so.
    proxy.pause().await;
    cluster.plane.apply(&[purge("second", &json!({ "everything": true }))]);
    says(&cluster, "second", "False Pending").await;
    let before = list(&cluster);
    operator.signal("KILL");
    drop(operator);
    let _operator = cluster.operator("operator-2");
    proxy.signal("CONT");
    wait(&cluster, "second");
    assert_eq!(list(&cluster), before, "nothing is added");

    cluster.plane.kubectl(&["delete", "configmap", "kube-isr-purges", "-n", SYSTEM]);
    eventually("the list is there again, as it was", PATIENCE * 2, async || {
        let arguments = ["get", "configmap", "kube-isr-purges", "-n", SYSTEM];
        cluster.plane.try_kubectl(&arguments, None).ok()
    })
    .await;
    assert_eq!(list(&cluster), before);
    assert_eq!(position(&proxy).await, 2, "nothing is repeated");
}

#[tokio::test]
async fn api_what_makes_no_sense_waits_for_its_route_and_the_finished_go() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let _proxy = cluster.proxy("proxy-1").await;
    let early = json!({ "paths": [format!("https://{HOST}/blog/1")], "ttlAfterFinished": "1h" });
    cluster.plane.apply(&[purge("early", &early)]);
    says(&cluster, "early", "False NotAccepted").await;
    let accepted = condition_of(&get_purge(&cluster, "early").expect("it is there"), "Accepted");
    assert_eq!(
        text(&accepted["message"]),
        format!("spec.paths[0]: `https://{HOST}/blog/1` is no page of an IsrRoute.")
    );
    cluster.tells("early", "Warning Invalid").await;
    cluster.route(&route("/blog/[slug]").named("blog").interval("10s"));
    wait(&cluster, "early");

    // Another namespace's page is nobody's business here.
    cluster.namespace("rival");
    cluster.route(&route("/theirs").host("rival.example.com").interval("10s").in_namespace("rival"));
    let theirs = json!({ "paths": ["https://rival.example.com/theirs"], "ttlAfterFinished": "1s" });
    cluster.plane.apply(&[purge("theirs", &theirs)]);
    cluster.plane.apply(&[purge("brief", &json!({ "everything": true, "ttlAfterFinished": "1s" }))]);
    cluster.plane.apply(&[purge("kept", &json!({ "everything": true, "ttlAfterFinished": "Never" }))]);
    wait(&cluster, "kept");
    eventually("the finished are gone", PATIENCE * 2, async || {
        let gone = |name| get_purge(&cluster, name).is_none();
        (gone("brief") && gone("theirs")).then_some(())
    })
    .await;
    assert!(get_purge(&cluster, "kept").is_some() && get_purge(&cluster, "early").is_some());
    let causes: Vec<String> =
        list(&cluster)["purges"].as_array().expect("purges").iter().map(|one| text(&one["cause"])).collect();
    assert!(!causes.contains(&"IsrPurge shop/theirs".to_owned()), "{causes:?}");
}

/// Field, value, and whether a purge of everything with it is one.
fn cases() -> Vec<(&'static str, Value, bool)> {
    let long = |size: usize| "n".repeat(size);
    vec![
        ("everything", json!(true), true),
        ("everything", json!(false), false),
        ("everything", json!("yes"), false),
        ("paths", json!(["https://shop.example.com/blog/1", "http://shop.example.com"]), true),
        ("paths", json!(["/blog/1"]), false),
        ("paths", json!(["https://shop.example.com/blog?page=2"]), false),
        ("paths", json!(["https://shop.example.com/a", "https://shop.example.com/a"]), false),
        ("paths", json!([format!("https://shop.example.com/{}", long(1000))]), false),
        (
            "paths",
            json!((0..101).map(|page| format!("https://shop.example.com/{page}")).collect::<Vec<_>>()),
            false,
        ),
        ("prefixes", json!(["/blog", "/", "https://shop.example.com/blog"]), true),
        ("prefixes", json!(["blog"]), false),
        ("prefixes", json!([""]), false),
        ("tags", json!(["news", "post-1"]), true),
        ("tags", json!(["two words"]), false),
        ("tags", json!([long(257)]), false),
        ("hosts", json!(["shop.example.com"]), true),
        ("hosts", json!(["Shop.example.com"]), false),
        ("hosts", json!(["shop.example.com:80"]), false),
        ("routes", json!(["blog-posts"]), true),
        ("routes", json!(["shop/blog-posts"]), false),
        ("routes", json!([""]), false),
        ("mode", json!("Soft"), true),
        ("mode", json!("Hard"), true),
        ("mode", json!("hard"), false),
        ("ttlAfterFinished", json!("Never"), true),
        ("ttlAfterFinished", json!("90s"), true),
        ("ttlAfterFinished", json!("1d"), false),
        ("ttlAfterFinished", json!("90"), false),
    ]
}

#[tokio::test]
async fn api_the_api_server_and_kube_isr_check_are_of_one_mind_about_purges() {
    let cluster = Cluster::new().await;
    let mut disagreements = Vec::new();
    for (field, value, expected) in cases() {
        let mut spec = json!({ "everything": true });
        spec[field] = value.clone();
        let manifest = purge("case", &spec);
        let stored = cluster
            .plane
            .try_kubectl(&["create", "--dry-run=server", "-f", "-"], Some(&manifest.to_string()));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("case.yaml"), manifest.to_string()).expect("a file");
        let check = Command::new(env!("CARGO_BIN_EXE_kube-isr")).arg("check").arg(folder.path()).output();
        let check = check.expect("kube-isr check");
        if stored.is_ok() != expected || check.status.success() != expected {
            let said = String::from_utf8_lossy(&check.stdout);
            disagreements
                .push(format!("{field}: {value}: expected {expected}, stored {stored:?}, checked {said}"));
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));

    cluster.plane.apply(&[purge("once", &json!({ "everything": true }))]);
    let changed = purge("once", &json!({ "everything": true, "mode": "Hard" }));
    let said = cluster.plane.try_kubectl(&["apply", "--server-side", "-f", "-"], Some(&changed.to_string()));
    let said = said.expect_err("it is carried out once");
    assert!(said.contains("create another IsrPurge"), "{said}");
    let newborn = get_purge(&cluster, "once").expect("it is there");
    assert_eq!(newborn["status"]["observedGeneration"], -1, "nobody has looked at it");
    let early = ["wait", "--for=condition=Complete", "isrpurge/once", "-n", SHOP, "--timeout=1s"];
    assert!(cluster.plane.try_kubectl(&early, None).expect_err("nobody has done it").contains("timed out"));
    let explained = cluster.plane.kubectl(&["explain", "isrpurge.spec.prefixes"]);
    assert!(explained.contains("for one host"), "{explained}");
}
