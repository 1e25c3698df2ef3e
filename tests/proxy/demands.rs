//! What is a demand and what is not, and what it is answered.

use crate::support::{Answer, Origin, Proxy, TOKEN, get, post, route};

#[tokio::test]
async fn two_tokens_in_one_request_are_none() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    let twice = get("/p").revalidate(TOKEN).revalidate("another");
    proxy.send(&twice).await.problem(401, "whoever reads the other of two values reads another request");
    assert_eq!(origin.count(), 1, "nothing was rendered");
}

#[tokio::test]
async fn a_post_is_never_a_demand() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    let answer = proxy.send(&post("/p", "x").revalidate(TOKEN)).await;
    assert_eq!(answer.cache(), "BYPASS", "a POST goes to the application, whatever it carries");
    assert_eq!((origin.last().method.as_str(), origin.count()), ("POST", 2), "as it is");
    proxy.get("/p").await.is(200, "HIT", "v1", "the page is as it was");
}

#[tokio::test]
async fn a_demand_for_what_no_route_answers_is_refused() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    let problem =
        proxy.send(&get("/elsewhere").revalidate(TOKEN)).await.problem(401, "nothing of it is cached");
    assert!(problem["detail"].to_string().contains("IsrRoute"), "the problem says why: {problem}");
    assert_eq!(origin.count(), 0, "a demand never passes for a visit");
}

#[tokio::test]
async fn a_demand_is_answered_with_the_whole_page_whatever_its_sender_holds() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    for (name, value) in [("If-None-Match", "*"), ("Range", "bytes=0-0")] {
        let answer = proxy.send(&get("/p").header(name, value).revalidate(TOKEN)).await;
        answer.is_revalidated(200, name);
        assert_eq!(answer.text(), format!("v{}", origin.count()), "{name}: the page's own status and body");
    }
}

#[tokio::test]
async fn a_demand_that_met_a_render_of_the_application_is_put_again() {
    let origin = Origin::counting().await;
    let routes = [route("/p").interval("Never").token(TOKEN).framework("NextJs")];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    origin.answer(|request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 2 { page.header("x-nextjs-cache", "STALE") } else { page }
    });
    let answer = proxy.send(&get("/p").revalidate(TOKEN)).await;
    answer.is_revalidated(200, "the older render has ended");
    assert_eq!(answer.text(), "v3", "and this one began after the demand");
    proxy.get("/p").await.is(200, "HIT", "v3", "which is stored");
}

#[tokio::test]
async fn a_stale_copy_is_not_called_revalidated() {
    let origin = Origin::counting().await;
    let routes = [route("/p").interval("Never").token(TOKEN).framework("NextJs")];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    for said in ["STALE", "HIT"] {
        origin.answer(move |_| Answer::page("a copy").header("x-nextjs-cache", said));
        let answer = proxy.send(&get("/p").revalidate(TOKEN)).await;
        let problem = answer.problem(502, said);
        assert!(origin.count() <= 6, "{said}: it is not asked for ever");
        assert!(problem.to_string().contains("originToken"), "the problem says what to set: {problem}");
        assert_eq!(proxy.get("/p").await.text(), "v1", "{said}: the last good page stays");
    }
}
