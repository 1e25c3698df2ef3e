//! Pages that are rendered before anybody asks for them, by one replica for all.

use serde_json::json;

use crate::support::{Origin, PATIENCE, Proxy, TOKEN, eventually, post, route};
use crate::{Store, replicas};

/// Waits until each page is there on this replica.
async fn is_done(proxy: &Proxy) {
    eventually("all pages are there", PATIENCE * 2, async || {
        let routes = proxy.admin_json("/routes").await;
        (routes[0]["prerender"]["state"] == "done").then_some(())
    })
    .await;
}

#[tokio::test]
async fn shared_pages_are_prerendered_once_for_all_replicas_and_again_after_a_purge() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let paths: Vec<String> = (0..40).map(|number| format!("/{number}")).collect();
    let pages = route("/[page]").interval("1h").token(TOKEN).set("prerender", json!({ "paths": paths }));
    let proxies = replicas::<3>(&store, &origin, &[pages]).await;
    for proxy in &proxies {
        is_done(proxy).await;
    }
    assert_eq!(origin.count(), 40, "each page once for three replicas");
    for proxy in &proxies {
        for path in &paths {
            proxy.get(path).await.is(200, "HIT", "v1", "it is here before the first visitor");
        }
    }
    let body = json!({ "everything": true, "mode": "hard" }).to_string();
    let purge = post("/.well-known/kube-isr/v1/invalidate", body).revalidate(TOKEN);
    assert_eq!(proxies[1].send(&purge).await.status, 200);
    for proxy in &proxies {
        eventually("the log has told this replica", PATIENCE * 2, async || {
            // Its own looks, by which it has every page that is new.
            let stored = proxy.metric("isr_prerender_looks_total", &["result=\"stored\""]).await;
            let present = proxy.metric("isr_prerender_looks_total", &["result=\"present\""]).await;
            (stored + present > 79.5).then_some(())
        })
        .await;
        is_done(proxy).await;
    }
    assert_eq!(origin.count(), 80, "once more");
    for proxy in &proxies {
        for path in &paths {
            proxy.get(path).await.is(200, "HIT", "v2", "and nobody waited");
        }
    }
}
