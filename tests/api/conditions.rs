//! What is wrong is said on the route that it is wrong with, and heals when it is put right.

use crate::installation::{Cluster, SHOP, text};
use crate::support::{PATIENCE, eventually, get, route};

const FIRST: &str = "example-token-of-32-characters-01";
const SECOND: &str = "example-token-of-32-characters-02";

#[tokio::test]
async fn api_the_oldest_route_wins_and_the_loser_heals() {
    let cluster = Cluster::new().await;
    cluster.namespace("rival");
    let _operator = cluster.operator("operator-1");
    let _proxy = cluster.proxy("proxy-1").await;
    cluster.route(&route("/page").named("winner").interval("10s"));
    cluster.says("winner", "Ready", "True Ready").await;
    // The age of an object has a resolution of a second.
    crate::support::let_the_interval_end().await;
    cluster.route(&route("/page").named("loser").interval("20s"));
    let said = cluster.says("loser", "Accepted", "False Conflicted").await;
    assert!(said.contains("IsrRoute shop/winner already answers shop.example.com/page"), "{said}");
    cluster.says("loser", "Programmed", "False NotAccepted").await;
    cluster.says("winner", "Ready", "True Ready").await;

    // Another tenant, who comes later than both, cannot take a host by any path.
    crate::support::let_the_interval_end().await;
    let squatter = route("/other").named("squatter").interval("10s").in_namespace("rival");
    cluster.route(&squatter);
    let message_there = || {
        let route = cluster.plane.kubectl(&["get", "isrroute", "squatter", "-n", "rival", "-o", "json"]);
        let route: serde_json::Value = serde_json::from_str(&route).expect("JSON");
        text(&crate::installation::condition_of(&route, "Accepted")["message"])
    };
    eventually("the host belongs to the shop", PATIENCE, async || {
        message_there().contains("`shop.example.com` belongs to namespace shop").then_some(())
    })
    .await;

    cluster.plane.kubectl(&["delete", "isrroute", "winner", "-n", SHOP]);
    cluster.says("loser", "Ready", "True Ready").await;
}

#[tokio::test]
async fn api_a_secret_is_missing_too_short_rotated_and_deleted() {
    let cluster = Cluster::new().await;
    let operator = cluster.operator_with("operator-1", &["--secret-period", "1s"]);
    let proxy = cluster.proxy("proxy-1").await;
    let page = route("/page").named("page").interval("10s").set(
        "bypassToken",
        serde_json::json!({
            "secretKeyRef": { "name": "isr", "key": "token" },
            "previousSecretKeyRef": { "name": "isr", "key": "previous" },
        }),
    );
    cluster.route(&page);
    let said = cluster.says("page", "ResolvedRefs", "False SecretNotFound").await;
    assert!(said.contains("spec.bypassToken.secretKeyRef.name: Secret shop/isr does not exist"), "{said}");
    cluster.says("page", "Programmed", "True Programmed").await;
    // Whether a token counts: 401 if not; if it does, the application, which is not there, is asked.
    let counts = async |token: &str, expected: bool| {
        let what = format!("the token ending in {} counts: {expected}", &token[31..]);
        let request = get("/page").revalidate(token);
        eventually(&what, PATIENCE, async || {
            (proxy.send(&request).await.status == if expected { 502 } else { 401 }).then_some(())
        })
        .await;
    };
    cluster.secret(SHOP, "isr", &[("token", "short")]);
    let said = cluster.says("page", "ResolvedRefs", "False InvalidToken").await;
    assert!(said.contains("has 5 characters") && !said.contains("short"), "{said}");

    cluster.secret(SHOP, "isr", &[("token", FIRST)]);
    cluster.says("page", "Ready", "True Ready").await;
    counts(FIRST, true).await;
    counts(SECOND, false).await;
    cluster.secret(SHOP, "isr", &[("token", SECOND), ("previous", FIRST)]);
    counts(SECOND, true).await;
    counts(FIRST, true).await;
    cluster.plane.kubectl(&["delete", "secret", "isr", "-n", SHOP]);
    cluster.secret(SHOP, "isr", &[("token", SECOND)]);
    counts(FIRST, false).await;
    counts(SECOND, true).await;
    cluster.plane.kubectl(&["delete", "secret", "isr", "-n", SHOP]);
    cluster.says("page", "Ready", "False SecretNotFound").await;
    counts(SECOND, false).await;

    // What is nobody's business is nowhere: tokens, and outside of the published table their digests.
    let everything = cluster.plane.kubectl(&["get", "isrroutes,events", "-A", "-o", "yaml"])
        + &operator.log()
        + &proxy.log();
    // Shards are named by the SHA-256 of their bytes.
    let digest = |token: &str| isr_routes::snapshot::shard_name(token.as_bytes());
    for token in [FIRST, SECOND] {
        assert!(!everything.contains(token) && !everything.contains(&digest(token)));
    }
    let maps = cluster.plane.kubectl(&["get", "configmaps", "-A", "-o", "yaml"]);
    assert!(!maps.contains(FIRST) && !maps.contains(SECOND), "of tokens, digests are published");
}

#[tokio::test]
async fn api_a_service_is_missing_or_lacks_the_port() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let proxy = cluster.proxy("proxy-1").await;
    let backend = |port: u16| {
        let reference = serde_json::json!({ "name": "late", "port": port });
        route("/page").named("page").interval("10s").set("backendRef", reference)
    };
    cluster.route(&backend(8080));
    let said = cluster.says("page", "ResolvedRefs", "False BackendNotFound").await;
    assert!(said.starts_with("spec.backendRef.name: Service shop/late does not exist"), "{said}");
    cluster.says("page", "Programmed", "True Programmed").await;
    assert_eq!(proxy.get("/page").await.status, 503, "in force, so that its stored pages are served");
    cluster.service(SHOP, "late", 80);
    let said = cluster.says("page", "ResolvedRefs", "False BackendNotFound").await;
    eventually("the port is named", PATIENCE, async || {
        let route = cluster.get_route("page");
        let message = text(&crate::installation::condition_of(&route, "ResolvedRefs")["message"]);
        message.contains("has no port 8080: write one of its ports (80)").then_some(())
    })
    .await;
    assert!(said.contains("Service shop/late"), "{said}");
    cluster.route(&backend(80));
    cluster.says("page", "Ready", "True Ready").await;
    cluster.plane.kubectl(&["delete", "service", "late", "-n", SHOP]);
    cluster.says("page", "Ready", "False BackendNotFound").await;
}
