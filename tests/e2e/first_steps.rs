//! What a person does first: install, apply, look, purge.

use crate::cluster::{
    SYSTEM, answered, apply_example, ask, delete_example, helm, installed, kubectl, proxies, proxy_pods,
};
use crate::support::{Response, get, head};

const HOST: &str = "shop.example.com";
/// The token in `examples/kubernetes/routes.yaml`.
const TOKEN: &str = "example-only-token-write-your-own-here";

/// Requests after a purge: enough for each proxy to get many.
const REQUESTS: usize = 40;

fn is_hit(response: &Response) -> bool {
    response.status == 200 && response.cache() == "HIT"
}

#[tokio::test]
async fn e2e_from_nothing_to_a_purge_through_a_real_ingress() {
    installed().await;
    proxies(2);
    helm(&["test", "kube-isr", "--namespace", SYSTEM]);

    apply_example("application");
    apply_example("routes");
    kubectl(&["rollout", "status", "deployment/web", "--namespace", "shop", "--timeout=10m"]);
    kubectl(&["wait", "--for=condition=Ready", "isrroute", "--all", "--namespace", "shop", "--timeout=10m"]);
    let listed = kubectl(&["get", "isrroute", "--namespace", "shop"]);
    let ready = listed.lines().skip(1).filter(|line| line.split_whitespace().any(|word| word == "True"));
    assert_eq!(ready.count(), 2, "{listed}");

    // By the Gateway, and by the Ingress: each alone, the same page from the same cache.
    let post = get("/blog-posts/1").host(HOST);
    apply_example("httproute");
    let by_gateway = answered("the page comes from the cache by the HTTPRoute", &post, is_hit).await;
    delete_example("httproute");
    answered("nothing leads to the proxies", &post, |response| response.status == 404).await;
    apply_example("ingress");
    let by_ingress = answered("the page comes from the cache by the Ingress", &post, is_hit).await;
    assert_eq!(by_ingress.text(), by_gateway.text(), "one page, whichever way it is reached");

    // The interval: stale at once, and then what was rendered meanwhile.
    let list = get("/blog-posts").host(HOST);
    let first = answered("the list is in the cache", &list, is_hit).await.text();
    answered("the list is stale after its interval", &list, |response| response.cache() == "STALE").await;
    let renewed = |response: &Response| is_hit(response) && response.text() != first;
    answered("the list was rendered behind the visitor's back", &list, renewed).await;

    // On demand: only with the token.
    let before = ask(&post).await;
    let refused =
        ask(&head("/blog-posts/1").host(HOST).revalidate("not-the-token-not-the-token-not-it")).await;
    assert_eq!(refused.status, 401);
    assert_eq!(ask(&post).await.text(), before.text(), "a wrong token changes nothing");
    let purged = ask(&head("/blog-posts/1").host(HOST).revalidate(TOKEN)).await;
    assert_eq!((purged.status, purged.cache()), (200, "REVALIDATED"));
    // Traefik sends each connection to the next proxy.
    let after = ask(&post).await.text();
    assert_ne!(after, before.text(), "the page was rendered anew");
    for _ in 0..REQUESTS {
        assert_eq!(ask(&post).await.text(), after, "every proxy has the new page");
    }

    // From outside the cluster, by the token that the route names: the API server leads to each proxy.
    let purge = ["isr", "purge", "isrroute/blog-post", "--namespace", "shop"];
    let said = kubectl(&[&purge[..], &["--path", "/blog-posts/1", "--hard"]].concat());
    let mut pods: Vec<String> = proxy_pods().into_iter().map(|(pod, _)| pod).collect();
    pods.sort_unstable();
    assert_eq!(said.lines().count(), pods.len(), "{said}");
    for pod in &pods {
        let line = said.lines().find(|line| line.starts_with(&format!("{pod} (")));
        assert!(
            line.is_some_and(|line| line.ends_with(":9090) done: hard, 1 page, 0 marks, of shop/blog-post")),
            "{said}"
        );
    }
    let anew = ask(&post).await.text();
    assert_ne!(anew, after, "the page was rendered anew");
    for _ in 0..REQUESTS {
        assert_eq!(ask(&post).await.text(), anew, "every proxy has the new page");
    }
}
