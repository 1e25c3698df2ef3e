//! A page in whose place another one is shown to who comes from a certain page.

use serde_json::json;

use crate::application::Application;
use crate::page::rsc;
use crate::support::manifest::{SERVICE, service};
use crate::support::{Client, Folder, HOST, PATIENCE, Proxy, TOKEN, eventually, get, post, route};

/// Who follows a link in the feed sees the photo over it; who comes from elsewhere, or loads the page, sees it by itself.
#[tokio::test]
async fn an_intercepting_route_is_shown_to_who_comes_from_its_page() {
    let application = Application::second().await;
    let mut data = application.data_service();
    let data = data.listening("data service listening").await;
    let proxy = Proxy::with(Folder::new()).start_unready().await;
    let mut next = application.server(&[
        ("DATA_URL", &format!("http://{data}")),
        ("KUBE_ISR_URL", &format!("http://{}", proxy.address())),
        ("KUBE_ISR_HOST", HOST),
        ("KUBE_ISR_TOKEN", TOKEN),
    ]);
    let next = next.listening("Ready").await;
    let photo = route("/photo/[id]").interval("1h").token(TOKEN).framework("NextJs");
    let photo = photo.set("varyBy", json!({ "headers": ["Next-Url"] }));
    proxy.folder().write("service.yaml", &service(SERVICE, next));
    proxy.folder().write("route.yaml", &photo.yaml(next.port()));
    eventually("the proxy serves the route", PATIENCE, async || {
        (proxy.admin_json("/configz").await["routes"] == 1).then_some(())
    })
    .await;

    let path = "/photo/1";
    let asked = [
        (rsc(path), "by itself"),
        (rsc(path).header("Next-Url", "/feed"), "over the feed"),
        (rsc(path).header("Next-Url", "/elsewhere"), "by itself"),
        (get(path), "by itself"),
    ];
    for cache in ["MISS", "HIT"] {
        for (request, words) in &asked {
            let answer = proxy.send(request).await;
            let why = format!("{words}: {:?}, {:?}", request.headers, answer.headers);
            assert_eq!((answer.status, answer.cache()), (200, cache), "{why}");
            assert!(answer.text().contains(words), "{why}: {}", answer.text());
        }
    }
    let edit = post("/blog/1", json!({ "title": "Another title" }).to_string());
    assert_eq!(Client::connect(data).await.send(&edit).await.status, 200);
    proxy.send(&get(path).revalidate(TOKEN)).await.is_revalidated(200, path);
    for (request, words) in &asked {
        let answer = proxy.send(request).await;
        assert!(answer.text().contains(&format!("Another title, {words}")), "{}", answer.text());
    }
}
