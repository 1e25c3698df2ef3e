//! A route from its creation to its end, over two proxies.

use crate::installation::{Cluster, SHOP, condition_of, text};
use crate::support::{PATIENCE, TOKEN, eventually, get, route};

#[tokio::test]
async fn api_a_route_is_served_by_every_proxy_and_says_so_generation_by_generation() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let proxies = [cluster.proxy("proxy-1").await, cluster.proxy("proxy-2").await];

    cluster.route(&route("/blog/[slug]").named("blog").interval("10s").token(TOKEN));
    let said = cluster.says("blog", "Programmed", "True Programmed").await;
    assert_eq!(said, "Served by all 2 ready proxies.");
    cluster.says("blog", "Ready", "True Ready").await;
    for proxy in &proxies {
        assert_eq!(proxy.admin_json("/routes").await[0]["route"], "shop/blog");
        // No application answers here; that the proxy asks it, and knows the token, is what counts.
        assert_eq!(proxy.get("/blog/1").await.status, 502, "the route is known");
        assert_eq!(proxy.send(&get("/blog/1").revalidate("wrong")).await.status, 401);
    }

    cluster.route(&route("/blog/[slug]").named("blog").interval("20s").token(TOKEN));
    cluster.says("blog", "Programmed", "True Programmed").await;
    for proxy in &proxies {
        assert_eq!(proxy.admin_json("/routes").await[0]["interval"], "20s", "True means that it is served");
    }
    assert_eq!(cluster.get_route("blog")["metadata"]["generation"], 2);

    cluster.plane.kubectl(&["delete", "isrroute", "blog", "-n", SHOP]);
    for proxy in &proxies {
        eventually("the route is gone", PATIENCE, async || {
            (proxy.admin_json("/routes").await.as_array().map(Vec::len) == Some(0)).then_some(())
        })
        .await;
        assert_eq!(proxy.get("/blog/1").await.status, 421, "nobody answers for the host");
    }
}

#[tokio::test]
async fn api_programmed_waits_for_the_last_proxy_and_names_it() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let quick = cluster.proxy("quick").await;
    let slow = cluster.proxy("slow").await;
    cluster.route(&route("/first").interval("10s"));
    cluster.says("first", "Ready", "True Ready").await;

    slow.signal("STOP");
    cluster.route(&route("/second").interval("10s"));
    let said = cluster.says("second", "Programmed", "False Pending").await;
    assert!(said.starts_with("1 of 2 ready proxies serve it; slow ("), "{said}");
    assert_eq!(quick.get("/second").await.status, 502, "the other one serves it");
    let first = condition_of(&cluster.get_route("first"), "Programmed");
    assert_eq!(text(&first["reason"]), "Pending", "who does not answer cannot be vouched for");

    slow.signal("CONT");
    cluster.says("second", "Programmed", "True Programmed").await;
    cluster.says("first", "Ready", "True Ready").await;
}

#[tokio::test]
async fn api_a_proxy_that_is_not_ready_holds_nobody_up() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    cluster.route(&route("/page").interval("10s"));
    cluster.says("page", "Ready", "Unknown NoReadyProxies").await;
    let proxy = cluster.proxy("proxy-1").await;
    cluster.says("page", "Ready", "True Ready").await;
    // Nobody listens there: a pod that crashes, and another that Kubernetes calls ready.
    cluster.endpoint("crashing", 1, 1, false);
    cluster.endpoint("deaf", 2, 2, true);
    let said = cluster.says("page", "Programmed", "False Pending").await;
    assert!(said.contains("deaf (") && said.contains("does not say what it serves"), "{said}");
    cluster.plane.kubectl(&["delete", "endpointslice", "deaf", "-n", crate::installation::SYSTEM]);
    cluster.says("page", "Ready", "True Ready").await;
    drop(proxy);
}

#[tokio::test]
async fn api_a_change_costs_one_status_write_and_one_shard() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let _proxy = cluster.proxy("proxy-1").await;
    for page in 0..20 {
        cluster.route(
            &route(&format!("/page-{page}")).host(&format!("shop-{page}.example.com")).interval("10s"),
        );
    }
    for page in 0..20 {
        cluster.says(&format!("page-{page}"), "Ready", "True Ready").await;
    }
    let writes = |cluster: &Cluster| {
        let audit = cluster.plane.audit().into_iter().filter(|entry| entry.user.username == "operator");
        let of = |name: &'static str| {
            move |entry: &crate::control_plane::Audited| {
                let object = entry.object_ref.clone().unwrap_or_default();
                (object.resource == name && !["get", "list", "watch"].contains(&&*entry.verb))
                    .then(|| format!("{} {}", entry.verb, object.name.unwrap_or_default()))
            }
        };
        let audit: Vec<_> = audit.collect();
        let statuses: Vec<String> = audit.iter().filter_map(of("isrroutes")).collect();
        let maps: Vec<String> = audit.iter().filter_map(of("configmaps")).collect();
        (statuses, maps)
    };
    let (before, maps_before) = writes(&cluster);
    assert!(before.len() <= 2 * 20, "birth and readiness at most: {before:?}");
    cluster.route(&route("/page-7").host("shop-7.example.com").interval("30s"));
    cluster.says("page-7", "Ready", "True Ready").await;
    let (after, maps_after) = writes(&cluster);
    assert_eq!(after[before.len()..], ["patch page-7"], "one transition, one write");
    let verbs: Vec<&str> =
        maps_after[maps_before.len()..].iter().filter_map(|write| write.split(' ').next()).collect();
    assert_eq!(verbs, ["create", "patch"], "one shard and the index");
}

#[tokio::test]
async fn api_a_route_that_somebody_annotated_still_gets_its_status() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let _one = cluster.proxy("proxy-1").await;
    let other = cluster.proxy("proxy-2").await;
    cluster.route(&route("/page").interval("10s"));
    cluster.says("page", "Ready", "True Ready").await;
    cluster.plane.kubectl(&["annotate", "isrroute", "page", "-n", SHOP, "reviewed-by=somebody"]);
    // Nothing is declared anew from here on: what changes is what a proxy says.
    other.signal("STOP");
    let said = cluster.says("page", "Programmed", "False Pending").await;
    assert!(said.contains("1 of 2 ready proxies"), "{said}");
    cluster.plane.kubectl(&[
        "annotate",
        "isrroute",
        "page",
        "-n",
        SHOP,
        "reviewed-by=another",
        "--overwrite",
    ]);
    other.signal("CONT");
    cluster.says("page", "Programmed", "True Programmed").await;
}
