//! Who may revalidate: right tokens, wrong tokens, rotating tokens, and where tokens never appear.

use crate::support::{
    Folder, Origin, PATIENCE, Proxy, TOKEN, eventually, get, head, let_the_interval_end, post, route,
};

/// The token before the current one.
const PREVIOUS: &str = "old-2b8e6d10c4f94c7a8e5d1f3a9b7c0e44";
/// What the origin wants to see with every render.
const ORIGIN_TOKEN: &str = "org-9a1f7c3e5b2d48608c4e6a0f1d3b5c72";

#[tokio::test]
async fn a_wrong_token_is_refused_and_changes_nothing() {
    let origin = Origin::counting().await;
    let routes = [
        route("/guarded").interval("1s").token(TOKEN),
        route("/unguarded").interval("60s"),
        route("/other").interval("60s").token(PREVIOUS),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    for page in ["/guarded", "/unguarded", "/other"] {
        proxy.get(page).await.is(200, "MISS", "v1", "the first visitor renders");
    }
    let_the_interval_end().await;
    let longer = format!("{TOKEN}x");
    let upper = TOKEN.to_uppercase();
    let quoted = format!("\"{TOKEN}\"");
    let cases = [
        ("/guarded", "wrong", "another word"),
        ("/guarded", "", "an empty value"),
        ("/guarded", &TOKEN[..31], "a beginning of the token"),
        ("/guarded", longer.as_str(), "more than the token"),
        ("/guarded", upper.as_str(), "the token in upper case"),
        ("/guarded", quoted.as_str(), "the token in quotes"),
        ("/guarded", PREVIOUS, "another route's token"),
        ("/unguarded", TOKEN, "a route without a token"),
        ("/unguarded", "", "a route without a token and an empty value"),
    ];
    for (page, token, why) in cases {
        for request in [get(page), head(page)] {
            let method = request.method.clone();
            let answer = proxy.send(&request.revalidate(token)).await;
            if method == "GET" {
                let problem = answer.problem(401, why);
                assert!(problem["detail"].is_string(), "{why}: the refusal says what is wrong: {problem}");
                assert!(!answer.text().contains(TOKEN), "{why}: the refusal does not tell the token");
            } else {
                assert_eq!(answer.status, 401, "{why}");
            }
            assert_ne!(answer.cache(), "REVALIDATED", "{why}");
        }
    }
    assert_eq!(origin.count(), 3, "a refused demand does not reach the origin, not even for a stale page");
    proxy.get("/unguarded").await.is(200, "HIT", "v1", "the page is as it was");
    proxy.get("/guarded").await.is(200, "STALE", "v1", "the page is as it was");
}

#[tokio::test]
async fn both_tokens_count_while_rotating() {
    let origin = Origin::counting().await;
    let routes = [route("/p").interval("Never").token(TOKEN).previous_token(PREVIOUS)];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.send(&get("/p").revalidate(TOKEN)).await.is_revalidated(200, "the current token");
    proxy.send(&get("/p").revalidate(PREVIOUS)).await.is_revalidated(200, "the previous token");

    let rotated = route("/p").interval("Never").token(ORIGIN_TOKEN).previous_token(TOKEN);
    proxy.folder().write("route-0.yaml", &rotated.yaml(origin.address().port()));
    eventually("the retired token is refused", PATIENCE, async || {
        (proxy.send(&get("/p").revalidate(PREVIOUS)).await.status == 401).then_some(())
    })
    .await;
    proxy.send(&get("/p").revalidate(TOKEN)).await.is_revalidated(200, "the token that is now the previous");
    proxy.send(&get("/p").revalidate(ORIGIN_TOKEN)).await.is_revalidated(200, "the new token");
}

#[tokio::test]
async fn the_token_is_nowhere_to_be_found() {
    let origin = Origin::counting().await;
    let folder = Folder::of(
        &origin,
        [
            route("/p").interval("Never").token(TOKEN).previous_token(PREVIOUS).origin_token(ORIGIN_TOKEN),
            route("/plain").interval("Never").token(TOKEN),
        ],
    );
    let proxy = Proxy::with(folder).flag("--access-log").option("--log-format", "json").start().await;
    let mut seen = Vec::new();
    for page in ["/p", "/plain", "/unrouted"] {
        for token in [TOKEN, "wrong-but-secret-all-the-same-0001"] {
            seen.push(proxy.send(&get(page).revalidate(token)).await);
            seen.push(proxy.send(&post(page, "x").revalidate(token)).await);
        }
        let draft = format!("__prerender_bypass={TOKEN}");
        seen.push(proxy.send(&get(page).header("Cookie", draft)).await);
    }
    let secrets = [TOKEN, PREVIOUS, ORIGIN_TOKEN, "wrong-but-secret-all-the-same-0001"];
    for answer in &seen {
        for secret in secrets {
            assert!(!answer.headers.mention(secret), "no answer tells a token: {:?}", answer.headers);
            assert!(!answer.text().contains(secret), "no answer tells a token: {}", answer.text());
        }
    }
    for request in origin.requests() {
        let sent = request.headers.get("x-prerender-revalidate");
        let draft = request.headers.mention("__prerender_bypass");
        assert!(
            !request.headers.mention(TOKEN) || draft,
            "the bypass token is not for the origin: {request:?}"
        );
        assert!(
            sent.is_none() || sent == Some(ORIGIN_TOKEN),
            "only originToken goes to the origin, not {sent:?}"
        );
    }
    for page in ["/metrics", "/configz", "/routes", "/cache?url=http://shop.example.com/p"] {
        let text = proxy.admin(page).await.text();
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{page} does not tell a token: {text}");
    }
    let what = "the access log has the demand";
    eventually(what, PATIENCE, async || proxy.log().contains("/plain").then_some(())).await;
    assert!(secrets.iter().all(|secret| !proxy.log().contains(secret)), "the log does not tell a token");
}

#[tokio::test]
async fn the_origin_token_goes_with_every_render_and_only_with_renders() {
    let origin = Origin::counting().await;
    let proxy =
        Proxy::serving(&origin, [route("/p").interval("1s").token(TOKEN).origin_token(ORIGIN_TOKEN)]).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    proxy.send(&get("/p").revalidate(TOKEN)).await.is_revalidated(200, "on demand");
    let_the_interval_end().await;
    proxy.get("/p").await.is(200, "STALE", "v2", "after the interval");
    origin.received(3).await;
    for render in origin.requests() {
        let sent = render.headers.get("x-prerender-revalidate");
        assert_eq!(sent, Some(ORIGIN_TOKEN), "render {} makes the origin render anew", render.nth);
    }
    proxy.get("/elsewhere").await;
    let passed = origin.last();
    assert_eq!(passed.target, "/elsewhere", "the passed request");
    assert_eq!(passed.headers.get("x-prerender-revalidate"), None, "a passed request is no render");
}
