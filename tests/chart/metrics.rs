//! Alerts and dashboard speak of metrics that exist, and alerts fire when they should.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::installation::{Cluster, SYSTEM};
use crate::support::{Answer, Client, Origin, PATIENCE, Proxy, eventually, get, route};
use crate::tools::{argument, folder, read, run};

#[test]
fn alerts_fire_when_they_should() {
    run("promtool", &["check", "rules", &argument("charts/kube-isr/files/alerts.yaml")]);
    run("promtool", &["test", "rules", &argument("tests/chart/alerts.test.yaml")]);
}

/// Names of metrics in a text: words that begin with `isr_`.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("isr_")).map(str::to_owned).collect()
}

/// Names of the samples that an OpenMetrics text may have.
fn told(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .flat_map(|(name, kind)| match kind {
            "counter" => vec![format!("{name}_total")],
            "histogram" => vec![format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count")],
            _ => vec![name.to_owned()],
        })
        .collect()
}

/// What promtool says of a text of metrics. It knows the older format, in which a counter is declared with its suffix.
fn lint(text: &str) -> String {
    let counters: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut lines = String::new();
    for line in text.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words: Vec<_> = line.splitn(4, ' ').map(str::to_owned).collect();
        if line.starts_with('#') && counters.contains(&*words[2]) {
            words[2].push_str("_total");
        }
        lines.push_str(&words.join(" "));
        lines.push('\n');
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("metrics");
    std::fs::write(&file, lines).expect("the metrics");
    let mut promtool = Command::new(folder().join("promtool"));
    let input = std::fs::File::open(file).expect("the metrics");
    let output = promtool.args(["check", "metrics"]).stdin(input).output().expect("promtool");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// A metric with labels is told once something was counted, so something of each kind must happen.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_name_metrics_that_exist() {
    let origin = Origin::start(|_| Answer::page("page").header("set-cookie", "session=anna")).await;
    let wanted = route("/wanted").interval("10s").set("prerender", json!({ "paths": ["/wanted"] }));
    let proxy = Proxy::serving(&origin, [route("/page").interval("10s"), wanted]).await;
    proxy.get("/page").await.is(200, "MISS", "page", "it is rendered");
    eventually("pages to prerender are counted", PATIENCE, async || {
        (proxy.metric("isr_prerender_pages", &[]).await > 0.5).then_some(())
    })
    .await;

    let cluster = Cluster::new().await;
    let operator = cluster.operator("operator-1");
    let counted = async |name: &str| {
        let what = format!("{name} is counted");
        eventually(&what, PATIENCE, async || (operator.metric(name, "").await > 0.0).then_some(())).await;
    };
    counted("isr_operator_generation").await;
    // From here on it may not write the index, and the next table fails.
    let mut rules: Value =
        serde_saphyr::from_str(&read("charts/kube-isr/rbac/operator-namespace.yaml")).expect("rules");
    let rules = rules["rules"].as_array_mut().expect("rules");
    rules.retain(|rule| {
        let names = rule["resourceNames"].as_array();
        !names.is_some_and(|names| names.contains(&json!("kube-isr-routes")))
    });
    cluster.plane.apply(&[json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules,
        "metadata": { "name": "kube-isr-operator", "namespace": SYSTEM } })]);
    cluster.route(&route("/page").named("page"));
    counted("isr_operator_reconcile_errors_total").await;
    // And with the definition its watch ends.
    cluster.plane.kubectl(&["delete", "crd", "isrroutes.kube-isr.dev"]);
    counted("isr_operator_watch_restarts_total").await;

    let mut known = BTreeSet::new();
    for admin in [operator.admin, proxy.admin_address()] {
        let metrics = Client::connect(admin).await.send(&get("/metrics").host("localhost")).await.text();
        assert_eq!(lint(&metrics), "", "{admin}");
        known.extend(told(&metrics));
    }
    for file in ["alerts.yaml", "dashboard.json"] {
        let mentioned = mentioned(&read(&format!("charts/kube-isr/files/{file}")));
        assert!(mentioned.len() >= 10, "{file} mentions {mentioned:?}");
        let unknown: Vec<_> = mentioned.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} mentions metrics that nobody tells: {unknown:?}");
    }
}
