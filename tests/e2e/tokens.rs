//! A token is rotated in its Secret: both count for a while, then the new one alone, and nothing restarts.

use crate::cluster::{
    PATIENCE, answered, application, apply, ask, installed, proxies, proxy_pods, route, says,
};
use crate::support::{eventually, get, head};

const NAMESPACE: &str = "rotating";
const HOST: &str = "rotating.example.com";
const PAGE: &str = "/blog-posts/1";
const OLD: &str = "the-old-token-of-thirty-two-characters";
const NEW: &str = "the-new-token-of-thirty-two-characters";

/// Writes the Secret. The route that names it is left alone, so that nothing but the Secret is news.
fn secret(values: &str) {
    apply(&format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: isr-token, namespace: {NAMESPACE} }}
stringData: {{ {values} }}
"
    ));
}

/// Waits until every proxy answers a token like this: they take turns, so each has had several.
async fn status_of(token: &str, status: u16, why: &str) {
    let request = head(PAGE).host(HOST).revalidate(token);
    eventually(&format!("{status} for {why}"), PATIENCE, async || {
        for _ in 0..8 {
            if ask(&request).await.status != status {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn e2e_a_token_is_rotated_without_a_restart() {
    installed().await;
    proxies(2);
    application(NAMESPACE, HOST);
    secret(&format!("token: {OLD}"));
    let token = "bypassToken:
    secretKeyRef: { name: isr-token, key: token }
    previousSecretKeyRef: { name: isr-token, key: previous }";
    apply(&route(NAMESPACE, "page", HOST, PAGE, &format!("interval: Never\n  {token}")));
    says(NAMESPACE, "page", "Ready", "True", "Ready").await;
    answered("the page is there", &get(PAGE).host(HOST), |response| response.status == 200).await;
    let before = proxy_pods();

    status_of(OLD, 200, "the token").await;
    status_of(NEW, 401, "what is no token yet").await;

    secret(&format!("token: {NEW}, previous: {OLD}"));
    status_of(NEW, 200, "the new token").await;
    status_of(OLD, 200, "the previous token").await;

    secret(&format!("token: {NEW}, previous: {NEW}"));
    status_of(OLD, 401, "the token that is over").await;
    status_of(NEW, 200, "the only token").await;

    assert_eq!(proxy_pods(), before, "no proxy was replaced, and none restarted");
}
