//! kube-isr is away: the application goes on, tries again, and says so once.

use crate::application::Application;
use crate::support::{Answer, Client, HOST, Origin, PATIENCE, TOKEN, eventually, get, post};
use serde_json::json;

#[tokio::test]
async fn the_application_goes_on_and_tells_kube_isr_when_it_is_back() {
    let away = Origin::start(|_| Answer::status(503)).await;
    let application = Application::fixture().await;
    let mut data = application.data_service();
    let data = data.listening("data service listening").await;
    let mut next = application.server(&[
        ("DATA_URL", &format!("http://{data}")),
        ("KUBE_ISR_URL", &format!("http://{}", away.address())),
        ("KUBE_ISR_HOST", HOST),
        ("KUBE_ISR_TOKEN", TOKEN),
    ]);
    let next_address = next.listening("Ready").await;
    let mut client = Client::connect(next_address).await;
    for tag in ["posts", "others"] {
        let call = post("/docs/api/revalidate", json!({ "tag": tag }).to_string());
        let answer = client.send(&call.header("Content-Type", "application/json")).await;
        assert_eq!(answer.status, 200, "{tag}: {}", answer.text());
        assert_eq!(client.send(&get("/docs/blog")).await.status, 200, "pages are there");
    }
    away.received(4).await;
    let complaints = || next.log().matches("could not be told of a revalidation").count();
    assert_eq!(complaints(), 1, "{}", next.log());

    away.answer(|_| Answer::page("{}"));
    eventually("kube-isr is told of all of it", PATIENCE * 2, async || {
        let told = away.requests();
        let last = told.last().expect("requests");
        let body = String::from_utf8_lossy(&last.body).into_owned();
        (next.log().contains("has been told") && body.contains("posts") && body.contains("others"))
            .then_some(())
    })
    .await;
    assert_eq!(complaints(), 1);
    assert!(!next.log().contains(TOKEN), "no secret is printed");
}

#[tokio::test]
async fn without_an_address_it_warns_and_works() {
    let application = Application::fixture().await;
    let mut data = application.data_service();
    let data = data.listening("data service listening").await;
    let mut next = application.server(&[("DATA_URL", &format!("http://{data}"))]);
    let mut client = Client::connect(next.listening("Ready").await).await;
    for _ in 0..2 {
        assert_eq!(client.send(&get("/docs/blog")).await.status, 200);
        let call = post("/docs/api/revalidate", json!({ "tag": "posts" }).to_string());
        assert_eq!(client.send(&call.header("Content-Type", "application/json")).await.status, 200);
    }
    assert_eq!(next.log().matches("KUBE_ISR_URL is not set").count(), 1, "{}", next.log());
}
