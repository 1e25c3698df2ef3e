//! Invalidating many pages at once, with a route's token.

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Folder, HOST, Origin, Proxy, Request, Response, TOKEN, get, post, route,
};

const OTHER_TOKEN: &str = "example-token-of-another-route-00";
const PUBLIC: &str = "/.well-known/kube-isr/v1/invalidate";

fn ask(body: &Value) -> Request {
    post(PUBLIC, body.to_string()).revalidate(TOKEN)
}

/// A site of three routes, of which two have the token: /blog/… with tags of its pages, /shop, and /other with another.
async fn site() -> (Origin, Proxy) {
    let origin = Origin::start(|request| {
        let page = Answer::page(format!("v{}", request.nth));
        match request.target.rsplit('/').next() {
            Some("tagged") => page.header("cache-tag", "posts, other"),
            Some("keyed") => page.header("surrogate-key", "posts").header("xkey", "more"),
            Some("grouped") => page.header("cache-groups", "\"posts\""),
            _ => page,
        }
    })
    .await;
    let routes = [
        route("/blog/[...path]").interval("1h").token(TOKEN),
        route("/shop").interval("1h").token(TOKEN).set("tags", json!(["of-the-route"])),
        route("/other").interval("1h").token(OTHER_TOKEN),
    ];
    let folder = Folder::of(&origin, routes);
    (origin, Proxy::with(folder).start().await)
}

const PAGES: [&str; 7] =
    ["/blog/a", "/blog/a/b", "/blog/tagged", "/blog/keyed", "/blog/grouped", "/shop", "/other"];

/// What each page says when everything has been rendered once and then this has been invalidated.
async fn after(body: &Value) -> Vec<(&'static str, String)> {
    let (_origin, proxy) = site().await;
    let mut client = proxy.client().await;
    for page in PAGES {
        let rendered = client.get(page).await;
        rendered.is(200, "MISS", "v1", page);
        for field in ["cache-tag", "surrogate-key", "xkey", "cache-groups"] {
            assert_eq!(rendered.header(field), "", "{field} is between the origin and its caches");
        }
    }
    let answer = client.send(&ask(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut found = Vec::new();
    for page in PAGES {
        let answer = client.get(page).await;
        if answer.cache() != "HIT" {
            found.push((page, format!("{} {}", answer.cache(), answer.text())));
        }
    }
    found
}

fn all(pages: &[&'static str], what: &str) -> Vec<(&'static str, String)> {
    pages.iter().map(|page| (*page, what.to_owned())).collect()
}

#[tokio::test]
async fn each_way_of_naming_pages_reaches_those_and_no_others() {
    const TAGGED: [&str; 3] = ["/blog/tagged", "/blog/keyed", "/blog/grouped"];
    const BLOG: [&str; 5] = ["/blog/a", "/blog/a/b", "/blog/tagged", "/blog/keyed", "/blog/grouped"];
    const OWN: [&str; 6] = ["/blog/a", "/blog/a/b", "/blog/tagged", "/blog/keyed", "/blog/grouped", "/shop"];
    for (body, reached) in [
        (json!({ "paths": ["/blog/a"] }), &["/blog/a"][..]),
        (json!({ "paths": [format!("https://{HOST}/blog/a")] }), &["/blog/a"]),
        (json!({ "prefixes": ["/blog/a"] }), &["/blog/a", "/blog/a/b"]),
        (json!({ "prefixes": ["/blog"] }), &BLOG),
        (json!({ "tags": ["posts"] }), &TAGGED),
        (json!({ "tags": ["more", "of-the-route"] }), &["/blog/keyed", "/shop"]),
        (json!({ "hosts": [HOST] }), &OWN),
        (json!({ "everything": true }), &OWN),
        (json!({ "everything": true, "routes": ["shop/shop"] }), &["/shop"]),
        (json!({ "prefixes": ["/"], "routes": ["shop/blog-path"] }), &BLOG),
    ] {
        assert_eq!(after(&body).await, all(reached, "STALE v1"), "softly: {body}");
        let mut hard = body.clone();
        hard["mode"] = json!("hard");
        assert_eq!(after(&hard).await, all(reached, "MISS v2"), "{hard}");
    }
}

#[tokio::test]
async fn what_is_invalidated_softly_is_rendered_behind_the_visitors_back() {
    let (_origin, proxy) = site().await;
    proxy.get("/shop").await.is(200, "MISS", "v1", "rendered");
    assert_eq!(proxy.send(&ask(&json!({ "everything": true }))).await.status, 200);
    proxy.get("/shop").await.is(200, "STALE", "v1", "served once more");
    proxy.visit_until("/shop", "the new page", |page| page.cache() == "HIT" && page.text() == "v2").await;
}

#[tokio::test]
async fn a_token_reaches_its_routes_alone_and_a_wrong_one_nothing() {
    let (_origin, proxy) = site().await;
    for page in PAGES {
        proxy.get(page).await.is(200, "MISS", "v1", "rendered");
    }
    let everything = json!({ "everything": true, "mode": "hard" }).to_string();
    let refused = async |request: Request| {
        proxy.send(&request).await.problem(401, "no route's token");
    };
    refused(post(PUBLIC, everything.clone())).await;
    refused(post(PUBLIC, everything.clone()).revalidate("example-token-that-nobody-has-00")).await;
    refused(post(PUBLIC, everything.clone()).revalidate(TOKEN).revalidate(OTHER_TOKEN)).await;
    refused(post(PUBLIC, everything.clone()).revalidate(TOKEN).host("unknown.example.com")).await;
    let foreign = ask(&json!({ "paths": ["/other"] }));
    let problem = proxy.send(&foreign).await.problem(400, "another route's page");
    assert!(
        problem["detail"].as_str().is_some_and(|why| why.contains("shop/other, which has another token"))
    );
    let foreign = [
        (
            json!({ "everything": true, "routes": ["shop/other"] }),
            "`shop/other` is no route that has the token",
        ),
        (json!({ "paths": ["/shop"], "routes": ["shop/blog-path"] }), "or is not among routes"),
    ];
    for (body, expected) in foreign {
        let problem = proxy.send(&ask(&body)).await.problem(400, "not its routes");
        assert!(problem["detail"].as_str().is_some_and(|why| why.contains(expected)), "{problem}");
    }
    for page in PAGES {
        proxy.get(page).await.is(200, "HIT", "v1", "nothing changed");
    }
    let other = proxy.send(&post(PUBLIC, everything).revalidate(OTHER_TOKEN)).await;
    let told: Value = serde_json::from_slice(&other.body).expect("JSON");
    assert_eq!(told["routes"], json!(["shop/other"]));
    for page in PAGES {
        let cache = if page == "/other" { "MISS" } else { "HIT" };
        assert_eq!(proxy.get(page).await.cache(), cache, "{page}");
    }
}

#[tokio::test]
async fn the_admin_listener_reaches_the_routes_of_all_hosts() {
    let origin = Origin::counting().await;
    let hosts = ["one.example.com", "two.example.com"];
    let routes = hosts.map(|host| {
        let name = host.split('.').next().expect("a label");
        route("/page").named(name).host(host).interval("1h").token(TOKEN)
    });
    let proxy = Proxy::with(Folder::of(&origin, routes)).start().await;
    let admin = async |body: Value| -> Response {
        let request = post("/v1/invalidate", body.to_string()).host("localhost").revalidate(TOKEN);
        Client::connect(proxy.admin_address()).await.send(&request).await
    };
    let cache = async |host: &str| proxy.send(&get("/page").host(host)).await.cache().to_owned();
    for host in hosts {
        assert_eq!(cache(host).await, "MISS");
    }
    admin(json!({ "paths": ["/page"] })).await.problem(400, "which host's?");
    assert_eq!(admin(json!({ "hosts": ["one.example.com"], "mode": "hard" })).await.status, 200);
    assert_eq!((&*cache("one.example.com").await, &*cache("two.example.com").await), ("MISS", "HIT"));
    assert_eq!(admin(json!({ "everything": true, "mode": "hard" })).await.status, 200);
    assert_eq!((&*cache("one.example.com").await, &*cache("two.example.com").await), ("MISS", "MISS"));
}

#[tokio::test]
async fn what_is_asked_badly_is_explained() {
    let (_origin, proxy) = site().await;
    for (body, status, expected) in [
        (String::new(), 400, "the body is not what it should be"),
        ("{}".to_owned(), 400, "nothing is named"),
        (r#"{"tag": "a"}"#.to_owned(), 400, "unknown field `tag`"),
        (r#"{"hosts": ["u@shop.example.com"]}"#.to_owned(), 400, "send the host alone."),
        (r#"{"paths": ["/blog/../a"]}"#.to_owned(), 400, "`/blog/../a`: the path holds a . or .. segment"),
        (r#"{"prefixes": ["/blog/%"]}"#.to_owned(), 400, "write %25 for a percent sign."),
        (format!(r#"{{"tags": ["{}"]}}"#, "a".repeat(300 << 10)), 413, "longer than 262144 bytes"),
    ] {
        let answer = proxy.send(&post(PUBLIC, body).revalidate(TOKEN)).await;
        let problem = answer.problem(status, expected);
        assert!(problem["detail"].as_str().is_some_and(|why| why.contains(expected)), "{problem}");
    }
    assert_ne!(proxy.get(PUBLIC).await.cache(), "HIT", "only a POST is meant");
}
