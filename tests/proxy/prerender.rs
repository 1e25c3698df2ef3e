//! `spec.prerender`: pages are there before anybody asks for them, and nobody waits because of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::manifest::Route;
use crate::support::{
    Answer, Folder, Gate, HOST, Origin, PATIENCE, Proxy, TOKEN, eventually, get, head, let_the_interval_end,
    let_time_pass, post, route,
};

/// A route for `/[page]` that wants these paths.
fn wanting(paths: &[&str]) -> Route {
    route("/[page]").named("pages").interval("1h").token(TOKEN).set("prerender", json!({ "paths": paths }))
}

/// A route of this path whose pages a sitemap names.
fn mapped(path: &str, sitemap: &str) -> Route {
    route(path).interval("1h").set("prerender", json!({ "sitemap": sitemap }))
}

/// How far the route is.
async fn progress(proxy: &Proxy, name: &str) -> Value {
    let routes = proxy.admin_json("/routes").await;
    let routes = routes.as_array().expect("a list");
    let found = routes.iter().find(|route| route["route"] == format!("shop/{name}").as_str());
    found.unwrap_or_else(|| panic!("no route {name}"))["prerender"].clone()
}

/// What `/configz` tells of the route.
async fn unfinished(proxy: &Proxy, name: &str) -> Value {
    let told = proxy.admin_json("/configz").await["prerendering"].clone();
    assert_eq!((&told["moreFailing"], &told["moreRendering"]), (&json!(0), &json!(0)), "{told}");
    told["routes"][format!("shop/{name}")].clone()
}

/// Waits until the route is in this state.
async fn is(proxy: &Proxy, name: &str, state: &str) -> Value {
    let what = format!("the pages of {name} are {state}");
    eventually(&what, PATIENCE * 2, async || {
        Some(progress(proxy, name).await).filter(|progress| progress["state"] == state)
    })
    .await
}

/// Waits until so many looks have ended so.
async fn looks(proxy: &Proxy, result: &str, count: f64) {
    let label = format!("result=\"{result}\"");
    eventually(&format!("{count} looks are {result}"), PATIENCE, async || {
        (proxy.metric("isr_prerender_looks_total", &[&label]).await > count - 0.5).then_some(())
    })
    .await;
}

async fn renders(proxy: &Proxy, trigger: &str) -> f64 {
    proxy.metric("isr_refresh_total", &[&format!("trigger=\"{trigger}\"")]).await
}

fn invalidate(body: &Value) -> crate::support::Request {
    post("/.well-known/kube-isr/v1/invalidate", body.to_string()).revalidate(TOKEN)
}

#[tokio::test]
async fn pages_are_there_before_anybody_asks() {
    let origin = Origin::start(|request| match &*request.target {
        "/gone" => Answer::status(404).body("no such page"),
        "/dynamic" => Answer::page("for you alone").header("cache-control", "no-store"),
        _ => Answer::page(format!("v{}", request.nth)),
    })
    .await;
    let wildcard = wanting(&["/1", "/2", "/gone", "/dynamic", "/other"]).host(HOST).host("*.example.com");
    let routes = [wildcard, route("/other").interval("1h")];
    let proxy = Proxy::serving(&origin, routes).await;
    let told = is(&proxy, "pages", "done").await;
    assert_eq!((told["pages"].as_u64(), &told["lastFailure"]), (Some(5), &Value::Null), "{told}");
    assert_eq!(origin.count(), 4, "each once, and none that another route answers: {:?}", origin.requests());
    assert_eq!(
        (&told["notFound"], &told["notFoundSuchAs"]),
        (&json!(1), &json!([format!("{HOST}/gone")])),
        "{told}"
    );
    let problems = proxy.admin_json("/configz").await["problems"].to_string();
    assert!(
        problems.contains("`/other` is not rendered for this route, because IsrRoute shop/other answers it"),
        "{problems}"
    );
    for page in ["/1", "/2"] {
        proxy.get(page).await.is(200, "HIT", "v1", "the first visitor finds it");
    }
    proxy.get("/gone").await.is(404, "HIT", "no such page", "as good a page as any");
    for (result, count) in [("stored", 3.0), ("opted_out", 1.0), ("other_route", 1.0)] {
        looks(&proxy, result, count).await;
    }
    assert!((renders(&proxy, "prerender").await - 4.0).abs() < 0.1);
    let done = proxy.metric("isr_prerender_pages", &["route=\"shop/pages\"", "state=\"done\""]).await;
    assert!((done - 5.0).abs() < 0.1, "{done}");
    let seen = origin.requests();
    assert!(seen.iter().all(|request| request.headers.get("host") == Some(HOST)));
    for line in ["all pages to prerender are there", "pages to prerender are answered as not found"] {
        assert!(proxy.log().contains(line), "{line}: {}", proxy.log());
    }
    let folder = proxy.crash();
    let proxy = Proxy::with(folder).start().await;
    let told = is(&proxy, "pages", "done").await;
    assert_eq!(told["notFound"], json!(1), "what the disk has says so as well: {told}");
}

#[tokio::test]
async fn visitors_go_first() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| Answer::page(format!("v{}", request.nth)).when(&door)).await;
    let folder = Folder::of(&origin, [wanting(&["/a", "/b", "/c"])]);
    let proxy = Proxy::with(folder).option("--max-renders-per-backend", "1").start().await;
    origin.received(1).await;
    let first = origin.last().target;
    // A visitor who asks for the one that is under way joins it; one who asks for another of them waits for no line.
    let waits = ["/a", "/b", "/c"].into_iter().find(|page| *page != first).expect("another");
    let mut visitors = Vec::new();
    for page in [&*first, "/visited", waits] {
        let mut client = proxy.client().await;
        client.write(&get(page).bytes()).await;
        visitors.push(client);
    }
    eventually("all three wait", PATIENCE, async || {
        (proxy.metric("isr_cache_keys_under_way", &[]).await > 2.5).then_some(())
    })
    .await;
    gate.open();
    for visitor in &mut visitors {
        assert_eq!(visitor.read().await.text(), "v1", "each page is rendered once");
    }
    is(&proxy, "pages", "done").await;
    let order: Vec<String> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(order.len(), 4, "{order:?}");
    let mut second: Vec<&str> = order[1..3].iter().map(String::as_str).collect();
    second.sort_unstable();
    let mut expected = ["/visited", waits];
    expected.sort_unstable();
    assert_eq!(second, expected, "what visitors wait for comes before the rest: {order:?}");
    assert_eq!(origin.peak(), 1);
}

#[tokio::test]
async fn the_application_is_asked_for_a_quarter_of_its_renders_at_a_time() {
    let origin = Origin::start(|_| Answer::page("page").after(Duration::from_millis(50))).await;
    let paths: Vec<String> = (0..24).map(|number| format!("/{number}")).collect();
    let wanted = wanting(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let proxy =
        Proxy::with(Folder::of(&origin, [wanted])).option("--max-renders-per-backend", "8").start().await;
    is(&proxy, "pages", "done").await;
    assert_eq!((origin.count(), origin.peak()), (24, 2));
}

#[tokio::test]
async fn what_is_invalidated_is_rendered_again_and_what_grows_old_is_not() {
    let origin = Origin::start(|request| {
        Answer::page(format!("v{}", request.nth)).header("cache-tag", &request.target[1..])
    })
    .await;
    let old =
        route("/old/[page]").named("old").interval("1s").set("prerender", json!({ "paths": ["/old/1"] }));
    let proxy = Proxy::serving(&origin, [wanting(&["/a", "/b"]), old]).await;
    is(&proxy, "pages", "done").await;
    is(&proxy, "old", "done").await;
    let mut stored = 3.0;
    looks(&proxy, "stored", stored).await;
    for (body, pages) in [
        (json!({ "paths": ["/a"] }), 1.0),
        (json!({ "paths": ["/b"], "mode": "hard" }), 1.0),
        (json!({ "tags": ["a"] }), 1.0),
        (json!({ "prefixes": ["/b"], "mode": "hard" }), 1.0),
        (json!({ "everything": true }), 2.0),
    ] {
        assert_eq!(proxy.send(&invalidate(&body)).await.status, 200, "{body}");
        stored += pages;
        looks(&proxy, "stored", stored).await;
    }
    for page in ["/a", "/b"] {
        proxy.get(page).await.is(200, "HIT", "v4", "nobody asked for the versions between");
    }
    // Rendered on demand it is there, and what another tag covers is not concerned.
    proxy.send(&head("/a").revalidate(TOKEN)).await.is_revalidated(200, "on demand");
    proxy.send(&invalidate(&json!({ "tags": ["nothing"], "mode": "hard" }))).await;
    let present = proxy.metric("isr_prerender_looks_total", &["result=\"present\""]).await;
    looks(&proxy, "present", present + 2.0).await;
    let_the_interval_end().await;
    assert_eq!((origin.count_of("/a"), origin.count_of("/b")), (5, 4));
    assert_eq!(origin.count_of("/old/1"), 1, "older than its interval, and nobody has asked for it");
    assert_eq!(proxy.get("/old/1").await.cache(), "STALE", "its next visitor renews it");
}

#[tokio::test]
async fn after_a_restart_nothing_is_rendered_that_the_disk_has() {
    let origin = Origin::counting().await;
    let soon_old = wanting(&["/a", "/b", "/c"]).interval("1s");
    let proxy = Proxy::serving(&origin, [soon_old]).await;
    is(&proxy, "pages", "done").await;
    eventually("they are on the disk", PATIENCE, async || {
        (proxy.metric("isr_disk_entries", &[]).await > 2.5).then_some(())
    })
    .await;
    // One of them is not what it was; nobody is there to hear of it but the disk.
    assert_eq!(proxy.send(&invalidate(&json!({ "paths": ["/c"] }))).await.status, 200);
    let folder = proxy.crash();
    let before = origin.count();
    assert!((3..=4).contains(&before));
    let_the_interval_end().await;
    let proxy = Proxy::with(folder).start().await;
    is(&proxy, "pages", "done").await;
    looks(&proxy, "present", 2.0).await;
    let rendered: Vec<String> = origin.requests()[before..].iter().map(|seen| seen.target.clone()).collect();
    assert!(rendered.iter().all(|target| target == "/c"), "they are old, and they are there: {rendered:?}");
    assert!(origin.count_of("/c") >= 2, "it was invalidated before the end");
}

#[tokio::test]
async fn a_failing_application_is_left_alone_until_it_is_well() {
    let origin = Origin::start(|_| Answer::status(500)).await;
    let paths: Vec<String> = (0..50).map(|number| format!("/{number}")).collect();
    let wanted = wanting(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let folder = Folder::of(&origin, [wanted]);
    let proxy = Proxy::with(folder).option("--max-renders-per-backend", "4").start().await;
    let told = is(&proxy, "pages", "failing").await;
    // Three, and those that were under way by then.
    let tries = origin.count();
    assert!((3..=12).contains(&tries), "{tries} tries");
    let next = told["nextTryInSeconds"].as_u64().expect("a time");
    assert!((20..=30).contains(&next), "{told}");
    let why = told["lastFailure"]["why"].as_str().expect("a reason");
    assert!(why.contains("500"), "{told}");
    eventually("it is told in the log", PATIENCE, async || {
        proxy.log().contains("pages cannot be prerendered; trying again").then_some(())
    })
    .await;
    assert!(proxy.metric("isr_prerender_pages", &["state=\"failing\""]).await > 2.5);
    // A purge makes no application well.
    proxy.send(&invalidate(&json!({ "everything": true }))).await;
    let_time_pass(Duration::from_millis(1500)).await;
    assert!(origin.count() <= 12, "it is asked no more often");
    let told = unfinished(&proxy, "pages").await;
    assert!(told["failing"].as_u64() >= Some(3) && told["pages"] == 50, "{told}");
    let such_as = told["suchAs"]["why"].as_str().expect("a reason");
    assert!(such_as.contains("500"), "{told}");
    let gate = Gate::new();
    let door = gate.clone();
    origin.answer(move |request| {
        let page = Answer::page(format!("well {}", request.target));
        if request.target == "/7" { page } else { page.when(&door) }
    });
    proxy.get("/7").await.is(200, "MISS", "well /7", "visitors are not held up by it");
    // 30 s after the failure at most.
    let asked = origin.count();
    eventually("it tries again", Duration::from_mins(1), async || (origin.count() > asked).then_some(()))
        .await;
    assert_eq!(progress(&proxy, "pages").await["state"], "rendering");
    let told = unfinished(&proxy, "pages").await;
    assert!(told["failing"].as_u64() >= Some(2), "what is tried again is not there yet: {told}");
    assert!(proxy.metric("isr_prerender_pages", &["state=\"failing\""]).await > 1.5);
    gate.open();
    eventually("all pages are there", Duration::from_mins(1), async || {
        (progress(&proxy, "pages").await["state"] == "done").then_some(())
    })
    .await;
    assert_eq!(unfinished(&proxy, "pages").await, Value::Null, "nothing is left to tell");
    proxy.get("/8").await.is(200, "HIT", "well /8", "by itself");
}

#[tokio::test]
async fn another_table_begins_adds_and_ends_it() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.target.starts_with("/slow") { page.when(&door) } else { page }
    })
    .await;
    let folder = Folder::of(&origin, [wanting(&["/a"])]);
    let proxy = Proxy::with(folder).option("--max-renders-per-backend", "1").start().await;
    is(&proxy, "pages", "done").await;
    let write = |name: &str, route: &Route| {
        proxy.folder().write(name, &route.yaml(origin.address().port()));
    };
    write("route-0.yaml", &wanting(&["/a", "/b"]));
    origin.received(2).await;
    assert_eq!((origin.count_of("/a"), origin.count_of("/b")), (1, 1), "what is new is rendered");
    let slow = route("/slow/[page]").named("slow").interval("1h");
    write("slow.yaml", &slow.clone().set("prerender", json!({ "paths": ["/slow/1", "/slow/2", "/slow/3"] })));
    origin.received(3).await;
    let generation = proxy.generation().await;
    write("slow.yaml", &slow);
    proxy.newer_than(generation).await;
    gate.open();
    eventually("the one that was under way is stored", PATIENCE, async || {
        (renders(&proxy, "prerender").await > 2.5).then_some(())
    })
    .await;
    assert_eq!(progress(&proxy, "slow").await, Value::Null);
    assert!(
        proxy.metric("isr_prerender_pages", &["route=\"shop/slow\""]).await < 0.5,
        "nothing is told of it"
    );
    let_time_pass(Duration::from_millis(300)).await;
    assert_eq!(origin.count(), 3, "the others are nobody's wish any more");
}

fn urlset(urls: &[&str]) -> Vec<u8> {
    let urls = urls.iter().map(|url| format!("<url><loc>{url}</loc></url>")).collect::<Vec<_>>().concat();
    format!("<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{urls}</urlset>").into_bytes()
}

fn xml(body: impl Into<Vec<u8>>) -> Answer {
    Answer::status(200).header("content-type", "application/xml").body(body)
}

#[tokio::test]
async fn a_sitemap_names_the_pages_of_each_route() {
    let origin = Origin::start(|request| match &*request.target {
        "/sitemap.xml" => xml(format!(
            "<sitemapindex><sitemap><loc>http://{HOST}/maps/1.xml</loc></sitemap>\
             <sitemap><loc>http://{HOST}/maps/2.xml</loc></sitemap>\
             <sitemap><loc>http://elsewhere.example.com/3.xml</loc></sitemap></sitemapindex>"
        )),
        "/maps/1.xml" => xml(urlset(&[
            &format!("https://{HOST}/blog/1"),
            &format!("https://{HOST}/blog/2?utm_source=sitemap"),
            &format!("https://{HOST}/news/1"),
            &format!("https://{HOST}/about"),
            "https://elsewhere.example.com/blog/3",
        ])),
        // Another post every time.
        "/maps/2.xml" => xml(urlset(&[&format!("https://{HOST}/blog/new-{}", request.nth)])),
        _ => Answer::page(format!("v{} {}", request.nth, request.target)),
    })
    .await;
    let blog = mapped("/blog/[slug]", "/sitemap.xml").named("blog").token(TOKEN);
    let news = mapped("/news/[slug]", "/maps/1.xml").named("news");
    let proxy = Proxy::serving(&origin, [blog, news]).await;
    let told = is(&proxy, "blog", "done").await;
    let brought = &told["sitemaps"][HOST];
    assert_eq!((told["pages"].as_u64(), brought["files"].as_u64()), (Some(3), Some(3)), "{told}");
    assert_eq!((&brought["ofOtherHosts"], &brought["ofOtherRoutes"]), (&json!(2), &json!(2)), "{told}");
    assert_eq!(brought["problem"], Value::Null, "{told}");
    is(&proxy, "news", "done").await;
    for page in ["/blog/1", "/blog/2", "/blog/new-1", "/news/1"] {
        proxy.get(page).await.is(200, "HIT", &format!("v1 {page}"), "it was rendered before");
    }
    let taken = ["route=\"shop/blog\"", "kind=\"taken\""];
    assert!((proxy.metric("isr_prerender_sitemap_urls", &taken).await - 3.0).abs() < 0.1);
    assert_eq!(origin.count_of("/about"), 0);
    assert_eq!(origin.count_of("/blog/3"), 0, "nobody's page here");

    proxy.send(&invalidate(&json!({ "prefixes": ["/blog/1"] }))).await;
    looks(&proxy, "stored", 6.0).await;
    proxy.get("/blog/1").await.is(200, "HIT", "v2 /blog/1", "it was invalidated");
    proxy.get("/blog/new-2").await.is(200, "HIT", "v1 /blog/new-2", "it is new in the sitemap");
    proxy.get("/blog/2").await.is(200, "HIT", "v1 /blog/2", "nothing has happened to it");
}

#[tokio::test]
async fn a_sitemap_of_other_pages_is_told() {
    let origin = Origin::start(|request| match &*request.target {
        "/sitemap.xml" => {
            xml(urlset(&["https://www.example.org/blog/1", &format!("https://{HOST}/about"), "blog/2"]))
        }
        _ => Answer::status(404),
    })
    .await;
    let proxy = Proxy::serving(&origin, [mapped("/blog/[slug]", "/sitemap.xml").named("blog")]).await;
    let told = is(&proxy, "blog", "done").await;
    let problem = told["sitemaps"][HOST]["problem"].as_str().unwrap_or_default();
    let expected = "names no page of this route: 1 of its URLs are of other hosts, 1 are answered by other routes or none, 1 are no URLs";
    assert_eq!(problem, expected, "{told}");
    assert_eq!(origin.count(), 1, "it is read once");
    assert!(proxy.log().contains("a sitemap names no page to prerender"), "{}", proxy.log());
}

#[tokio::test]
async fn what_is_no_sitemap_is_told_and_harms_nothing() {
    let bomb = "<!DOCTYPE lolz [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;\">]><urlset><url><loc>&b;</loc></url></urlset>";
    let origin = Origin::start(move |request| match &*request.target {
        "/html.xml" => xml("<html><body>Sorry</body></html>"),
        "/text.xml" => xml("https://shop.example.com/text/1"),
        "/bomb.xml" => xml(bomb),
        "/huge.xml" => xml(vec![b' '; (8 << 20) + 1]),
        "/missing.xml" => Answer::status(404),
        "/moved.xml" => Answer::status(301).header("location", "/elsewhere.xml"),
        "/nested.xml" => xml(format!(
            "<sitemapindex><sitemap><loc>http://{HOST}/nested.xml</loc></sitemap>\
             <sitemap><loc>http://{HOST}/good.xml</loc></sitemap></sitemapindex>"
        )),
        "/good.xml" => xml(urlset(&[&format!("http://{HOST}/nested/1")])),
        _ => Answer::page(format!("v{}", request.nth)),
    })
    .await;
    let cases = [
        ("html", "begins with <html>"),
        ("text", "is no XML"),
        ("bomb", "has a document type"),
        ("huge", "is longer than 8388608 bytes"),
        ("missing", "answers 404"),
        ("moved", "write the path that it leads to, /elsewhere.xml"),
        ("nested", "is an index within an index"),
    ];
    let routes = cases.map(|(name, _)| {
        let path = format!("/{name}/[page]");
        let prerender = json!({ "sitemap": format!("/{name}.xml"), "paths": [format!("/{name}/listed")] });
        route(&path).named(name).interval("1h").set("prerender", prerender)
    });
    let proxy = Proxy::serving(&origin, routes).await;
    for (name, why) in cases {
        let told = is(&proxy, name, "failing").await;
        let problem = told["sitemaps"][HOST]["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(why) && problem.starts_with(&format!("/{name}.xml")), "{name}: {told}");
        proxy.get(&format!("/{name}/listed")).await.is(200, "HIT", "v1", "what the route lists is there");
    }
    proxy.get("/nested/1").await.is(200, "HIT", "v1", "what could be read is rendered");
    // Twice for each of the tries that there has been time for.
    assert!(origin.count_of("/nested.xml") <= 4, "one level is followed");
}
