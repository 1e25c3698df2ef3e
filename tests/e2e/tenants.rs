//! What a tenant of a shared cluster cannot do to another, and what pods the namespace of the release admits.

use serde_json::Value;

use crate::cluster::{
    SYSTEM, admin, answered, application, apply, apply_with, ask, attempt, installed, kubectl, listed,
    proxies, proxy_pods, route, says,
};
use crate::support::{Request, Response, get, head, post};

const OWNER: &str = "owner";
const RIVAL: &str = "rival";
const OWN: &str = "owner.tenants.example.com";
const RIVALS: &str = "rival.tenants.example.com";
const PAGE: &str = "/blog-posts/1";
const OWNERS_TOKEN: &str = "token-of-the-owner-and-of-nobody-else";
const RIVALS_TOKEN: &str = "token-of-the-rival-and-of-nobody-else";
/// Who writes in the rival's namespace: whatever may be done there, and nothing elsewhere.
const ACCOUNT: &str = "--as=system:serviceaccount:rival:tenant";

fn is_hit(response: &Response) -> bool {
    response.status == 200 && response.cache() == "HIT"
}

/// A namespace with an application, and a page that only its token renders anew.
async fn tenant(namespace: &str, host: &str, token: &str) -> String {
    application(namespace, host);
    apply(&secret(namespace, token));
    apply(&paged(namespace, "page", host));
    says(namespace, "page", "Ready", "True", "Ready").await;
    answered("the page is stored", &get(PAGE).host(host), is_hit).await.text()
}

fn secret(namespace: &str, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: isr-token, namespace: {namespace} }}
stringData: {{ token: {token} }}
"
    )
}

fn paged(namespace: &str, name: &str, host: &str) -> String {
    let token = "bypassToken: { secretKeyRef: { name: isr-token, key: token } }";
    route(namespace, name, &format!("'{host}'"), PAGE, &format!("interval: Never\n  {token}"))
}

#[tokio::test]
async fn e2e_a_tenant_cannot_reach_into_another_namespace() {
    installed().await;
    proxies(2);
    let page = tenant(OWNER, OWN, OWNERS_TOKEN).await;
    let rivals_page = tenant(RIVAL, RIVALS, RIVALS_TOKEN).await;
    admitted_at_home_alone();

    hosts_stay_with_who_named_them().await;
    secrets_stay_in_their_namespace().await;
    let still = answered("the owner's page is there", &get(PAGE).host(OWN), is_hit).await;
    assert_eq!(still.text(), page, "nothing of that touched the owner's page");
    tokens_reach_their_own_routes(&page, &rivals_page).await;
}

/// A `ServiceAccount` that may do in its namespace what its administrator may.
fn admitted_at_home_alone() {
    apply(
        "apiVersion: v1
kind: ServiceAccount
metadata: { name: tenant, namespace: rival }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: tenant, namespace: rival }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin }
subjects: [{ kind: ServiceAccount, name: tenant, namespace: rival }]
",
    );
}

async fn hosts_stay_with_who_named_them() {
    // The very page, another path, and every host of the domain.
    let taken = [
        paged(RIVAL, "same-page", OWN),
        route(RIVAL, "other-path", OWN, "/search", "interval: 1h"),
        paged(RIVAL, "wildcard", "*.tenants.example.com"),
    ];
    for manifest in &taken {
        apply_with(manifest, &[ACCOUNT]).unwrap_or_else(|error| panic!("{error}"));
    }
    for name in ["same-page", "other-path"] {
        let message = says(RIVAL, name, "Accepted", "False", "Conflicted").await;
        assert!(message.contains("belongs to namespace owner"), "{name}: {message}");
    }
    // A wildcard is for hosts that nobody names: the owner's page and everything beside it stay the owner's.
    says(RIVAL, "wildcard", "Ready", "True", "Ready").await;
    for (pod, _) in proxy_pods() {
        let routes = admin(&pod, "/routes");
        let ids = routes.as_array().expect("routes").iter().filter_map(|route| route["route"].as_str());
        let found: Vec<&str> = ids.filter(|id| id.starts_with("rival/")).collect();
        assert_eq!(found, ["rival/page", "rival/wildcard"], "what is Conflicted is not served");
    }
    let answer = ask(&get(PAGE).host(OWN)).await;
    assert!(is_hit(&answer), "{} {}", answer.status, answer.cache());
}

async fn secrets_stay_in_their_namespace() {
    for arguments in
        [["get", "secret", "isr-token"], ["get", "secrets", "-o=name"], ["get", "isrroute", "page"]]
    {
        let refused =
            attempt("kubectl", &[&arguments[..], &["-n", OWNER, ACCOUNT]].concat()).expect_err("refused");
        assert!(refused.contains("(Forbidden)"), "{refused}");
    }
    // A route names Secrets of its own namespace: there is no field for another, not even for who insists.
    let reaching = paged(RIVAL, "reaching", "reaching.tenants.example.com")
        .replace("name: isr-token", "name: owners-token, namespace: owner");
    let refused = apply_with(&reaching, &[ACCOUNT]).expect_err("refused");
    assert!(refused.contains("unknown field \"spec.bypassToken.secretKeyRef.namespace\""), "{refused}");
    kubectl(&[
        "create",
        "secret",
        "generic",
        "owners-token",
        "-n",
        OWNER,
        &format!("--from-literal=token={OWNERS_TOKEN}"),
    ]);
    apply_with(&reaching, &[ACCOUNT, "--validate=ignore"]).unwrap_or_else(|error| panic!("{error}"));
    let message = says(RIVAL, "reaching", "ResolvedRefs", "False", "SecretNotFound").await;
    assert!(message.contains("rival/owners-token"), "{message}");
}

async fn tokens_reach_their_own_routes(page: &str, rivals_page: &str) {
    let refused = ask(&head(PAGE).host(OWN).revalidate(RIVALS_TOKEN)).await;
    assert_eq!(refused.status, 401, "the rival's token at the owner's page");
    let invalidate = |host: &str| -> Request {
        let everything = r#"{"everything": true, "mode": "hard"}"#;
        post("/.well-known/kube-isr/v1/invalidate", everything).host(host).revalidate(RIVALS_TOKEN)
    };
    assert_eq!(ask(&invalidate(OWN)).await.status, 401, "the rival's token at the owner's host");
    let own = ask(&invalidate(RIVALS)).await;
    assert_eq!(own.status, 200, "{}", own.text());

    let after = ask(&get(PAGE).host(OWN)).await;
    assert!(is_hit(&after), "the owner's page: {} {}", after.status, after.cache());
    assert_eq!(after.text(), page, "the owner's page is as it was");
    assert_ne!(
        ask(&get(PAGE).host(RIVALS)).await.text(),
        rivals_page,
        "the rival's own page was rendered anew"
    );
    let purged = ask(&head(PAGE).host(OWN).revalidate(OWNERS_TOKEN)).await;
    assert_eq!(
        (purged.status, purged.cache()),
        (200, "REVALIDATED"),
        "the owner's token at the owner's page"
    );
}

#[tokio::test]
async fn e2e_the_release_runs_where_pods_are_restricted() {
    installed().await;
    // Two that the standard refuses: one with everything, and one that just says nothing.
    for further in [&["--privileged"][..], &[]] {
        let pod = ["run", "refused", "--image=kube-isr:dev", "-n", SYSTEM];
        let refused = attempt("kubectl", &[&pod, further].concat()).expect_err("the pod is refused");
        assert!(refused.contains("violates PodSecurity \"restricted:latest\""), "{refused}");
    }
    let pods = listed(SYSTEM, "pods", &["--selector", "app.kubernetes.io/instance=kube-isr"]);
    let ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
    assert!(pods.iter().filter(ready).count() >= 3, "operators and proxies run there: {pods:?}");
}
