//! Pages that cannot be rendered before anybody asks: said on the route, told once, and over when they are there.

use serde_json::{Value, json};

use crate::installation::{Cluster, SHOP, condition_of};
use crate::support::{PATIENCE, eventually, route};

/// How often the operator wrote the status of a route of the shop.
fn writes(cluster: &Cluster, name: &str) -> usize {
    let is_one = |entry: &crate::control_plane::Audited| {
        let object = entry.object_ref.clone().unwrap_or_default();
        (object.resource.as_str(), object.name.as_deref(), &*entry.verb) == ("isrroutes", Some(name), "patch")
            && entry.user.username == "operator"
    };
    cluster.plane.audit().iter().filter(|entry| is_one(entry)).count()
}

#[tokio::test]
async fn api_pages_that_cannot_be_rendered_before_are_said_on_the_route_until_they_are_there() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let _proxies = [cluster.proxy("proxy-1").await, cluster.proxy("proxy-2").await];
    let pages = route("/pages/[page]").named("pages").interval("1h");
    let wanting = |page: &str| pages.clone().set("prerender", json!({ "paths": [page] }));
    cluster.route(&wanting("/pages/1"));
    // No application answers here.
    let said = cluster.says("pages", "Prerendered", "False PagesFailing").await;
    let example = "could not render 1 of 1 pages, such as shop.example.com/pages/1: ";
    assert!(said.starts_with("proxy-") && said.contains(example), "{said}");
    cluster.says("pages", "Ready", "True Ready").await;
    cluster.tells("pages", "Warning PagesFailing").await;

    // What another route answers is not rendered for this one, which is said in its status too.
    cluster.route(&route("/pages/1").named("one").interval("1h"));
    let said = |condition: &str, wanted: Value| {
        let found = condition_of(&cluster.get_route("pages"), condition);
        found.as_object().is_some_and(|found| found.values().any(|value| *value == wanted)).then_some(())
    };
    let before = writes(&cluster, "pages");
    // The proxies try again after 30 s.
    let soon = PATIENCE * 6;
    eventually("no page fails any more", soon, async || said("Prerendered", json!("Prerendered"))).await;
    cluster.says("pages", "Prerendered", "True Prerendered").await;
    cluster.tells("pages", "Normal Prerendered").await;
    assert!(writes(&cluster, "pages") - before <= 2, "the warning, and that all pages are there");
    let events = cluster.events("pages");
    assert_eq!(events.len(), 3, "it became ready, its pages failed, and then not: {events:?}");

    // Another page is another wish, and without one there is nothing to say.
    cluster.route(&wanting("/pages/2"));
    eventually("the new page fails", soon, async || said("Prerendered", json!("PagesFailing"))).await;
    let wide = cluster.plane.kubectl(&["get", "isrroute", "pages", "-n", SHOP, "-o", "wide"]);
    let cells: Vec<&str> = wide.lines().nth(1).expect("a line").split_whitespace().collect();
    assert_eq!(cells[4..7], ["True", "Ready", "False"], "{wide}");
    cluster.route(&pages);
    eventually("nothing is said of pages", soon, async || {
        condition_of(&cluster.get_route("pages"), "Prerendered").is_null().then_some(())
    })
    .await;
    cluster.says("pages", "Ready", "True Ready").await;
}
