//! What an application that keeps data is told with each render: the last invalidation that may concern the page.

use serde_json::json;

use crate::support::origin::Received;
use crate::support::{Origin, Proxy, TOKEN, get, head, post, route};

const OTHER_TOKEN: &str = "example-token-of-another-route-00";

/// Who has asked, and the number that was told.
#[track_caller]
fn since(render: &Received) -> (String, u64) {
    let value = render.headers.get("x-isr-since").expect("every render has the field");
    let (proxy, number) = value.split_once('.').expect("PROXY.NUMBER");
    assert_eq!(
        (proxy.len(), number.len()),
        (16, 16),
        "of one length, so that texts compare as numbers: {value}"
    );
    (proxy.to_owned(), u64::from_str_radix(number, 16).expect("hexadecimal"))
}

async fn site() -> (Origin, Proxy) {
    let origin = Origin::counting().await;
    let routes = [
        route("/blog/[slug]").interval("1h").token(TOKEN),
        route("/other").interval("1h").token(OTHER_TOKEN),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    (origin, proxy)
}

async fn invalidate(proxy: &Proxy, token: &str, what: &serde_json::Value) {
    let request = post("/.well-known/kube-isr/v1/invalidate", what.to_string()).revalidate(token);
    assert_eq!(proxy.send(&request).await.status, 200, "{what}");
}

/// The number that the next render of a page is told, which nobody has asked for yet.
async fn told(origin: &Origin, proxy: &Proxy, page: &str) -> u64 {
    assert_eq!(proxy.get(page).await.cache(), "MISS", "{page}");
    since(&origin.last()).1
}

#[tokio::test]
async fn every_invalidation_of_many_pages_is_told_to_the_renders_that_it_may_concern() {
    let (origin, proxy) = site().await;
    let mut last = told(&origin, &proxy, "/blog/1").await;
    assert_eq!(told(&origin, &proxy, "/blog/2").await, last, "nothing has happened in between");
    let other = told(&origin, &proxy, "/other").await;
    for (page, what) in [
        ("/blog/3", json!({ "tags": ["posts"] })),
        ("/blog/4", json!({ "prefixes": ["/elsewhere"] })),
        ("/blog/5", json!({ "everything": true, "mode": "hard" })),
        ("/blog/6", json!({ "paths": ["/blog/1"] })),
    ] {
        invalidate(&proxy, TOKEN, &what).await;
        let now = told(&origin, &proxy, page).await;
        assert!(now > last, "{what}: a page that nobody has seen may have the tag, or be made of the same");
        last = now;
    }
    invalidate(&proxy, OTHER_TOKEN, &json!({ "tags": ["posts"] })).await;
    assert_eq!(told(&origin, &proxy, "/blog/7").await, last, "whoever has another token has other pages");
    invalidate(&proxy, OTHER_TOKEN, &json!({ "everything": true, "mode": "hard" })).await;
    let render = proxy.get("/other").await;
    assert_eq!(render.cache(), "MISS");
    assert!(since(&origin.last()).1 > other, "and hears of its own");
}

#[tokio::test]
async fn a_demand_is_told_as_the_latest_of_all_and_concerns_its_page_alone() {
    let (origin, proxy) = site().await;
    for page in ["/blog/1", "/blog/2"] {
        proxy.get(page).await;
    }
    let before = since(&origin.last()).1;
    proxy.send(&head("/blog/1").revalidate(TOKEN)).await.is_revalidated(200, "on demand");
    let demand = since(&origin.last()).1;
    assert!(demand > before, "it must not be made of what was there before");
    invalidate(&proxy, TOKEN, &json!({ "paths": ["/blog/2"] })).await;
    assert_eq!(proxy.get("/blog/2").await.cache(), "STALE");
    origin.received(4).await;
    assert!(since(&origin.last()).1 > demand, "its own invalidation is later");
    invalidate(&proxy, TOKEN, &json!({ "paths": ["/blog/1"] })).await;
    let own = since(&origin.last()).1;
    proxy.get("/blog/1").await;
    origin.received(5).await;
    assert!(since(&origin.last()).1 > own);
}

#[tokio::test]
async fn after_a_restart_it_is_another_proxy() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    proxy.send(&head("/p").revalidate(TOKEN)).await.is_revalidated(200, "a number");
    let (before, _) = since(&origin.last());
    let proxy = Proxy::with(proxy.crash()).start().await;
    proxy.send(&head("/p").revalidate(TOKEN)).await.is_revalidated(200, "another");
    assert_ne!(since(&origin.last()).0, before, "what it knew before nobody can compare with");
}

#[tokio::test]
async fn no_visitor_says_it() {
    let (origin, proxy) = site().await;
    let forged = "00000000000000ff.00000000000000ff";
    proxy.send(&get("/blog/1").header("x-isr-since", forged)).await;
    assert_ne!(origin.last().headers.get("x-isr-since"), Some(forged), "a render");
    for passed in
        [get("/nowhere"), post("/blog/1", "form"), get("/blog/1").header("Authorization", "Basic x")]
    {
        let count = origin.count();
        let answer = proxy.send(&passed.header("x-isr-since", forged)).await;
        if origin.count() > count {
            assert_eq!(origin.last().headers.get("x-isr-since"), None, "{}", answer.cache());
        }
    }
    assert!(origin.count() >= 3, "some were passed");
}
