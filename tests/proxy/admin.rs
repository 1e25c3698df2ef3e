//! The admin listener and the logs: what an operator sees, in bounded size.

use crate::support::{
    Answer, Folder, HOST, Origin, PATIENCE, Proxy, TOKEN, eventually, get, let_the_interval_end, post, route,
};

#[tokio::test]
async fn liveness_readiness_and_configuration() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    for probe in ["/livez", "/readyz"] {
        assert_eq!(proxy.admin(probe).await.status, 200, "{probe}");
    }
    let configz = proxy.admin_json("/configz").await;
    assert!(configz["generation"].as_u64().is_some_and(|g| g >= 1), "the generation in force: {configz}");
    assert!(
        configz["digest"].as_str().is_some_and(|digest| digest.len() >= 16),
        "the digest of the table: {configz}"
    );
    for list in ["rejected", "problems"] {
        assert_eq!(configz[list].as_array().map(Vec::len), Some(0), "{list} is an empty list: {configz}");
    }
    let unknown = proxy.admin("/elsewhere").await;
    assert_eq!(unknown.status, 404, "an unknown admin path");
    let again = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    assert_eq!(
        again.admin_json("/configz").await["digest"],
        configz["digest"],
        "same manifests, same digest"
    );
}

#[tokio::test]
async fn the_public_listener_has_no_admin() {
    let origin = Origin::start(|request| Answer::page(format!("app {}", request.target))).await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    for path in ["/metrics", "/configz", "/livez", "/readyz", "/routes", "/cache?url=x"] {
        assert_eq!(proxy.get(path).await.text(), format!("app {path}"), "{path} is the application's own");
    }
}

#[tokio::test]
async fn metrics_are_open_metrics_with_bounded_labels() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/fails" => Answer::status(500),
        _ => Answer::page("page"),
    })
    .await;
    let (page, clock) = (route("/page").interval("60s").token(TOKEN), route("/clock").interval("1s"));
    let labels = [&page, &clock].map(|route| format!("route=\"{}\"", route.label()));
    let proxy = Proxy::serving(&origin, [page, clock, route("/fails").interval("60s")]).await;
    for target in ["/page", "/page", "/page", "/clock"] {
        proxy.get(target).await;
    }
    let_the_interval_end().await;
    proxy.get("/clock").await;
    origin.received(3).await;
    proxy.send(&get("/page").revalidate(TOKEN)).await;
    proxy.get("/fails").await;
    let metrics = proxy.admin("/metrics").await;
    let kind = metrics.header("content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "OpenMetrics by its media type: {kind:?}");
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends with # EOF");
    let [page, clock] = &labels;
    let counts = [(page, "MISS", 1.0), (page, "HIT", 2.0), (page, "REVALIDATED", 1.0), (clock, "STALE", 1.0)];
    for (label, cache, count) in counts {
        let mut sum = 0.0;
        for spelling in [cache.to_owned(), cache.to_lowercase()] {
            sum += proxy.metric("isr_requests_total", &[label, &format!("cache=\"{spelling}\"")]).await;
        }
        assert!(
            (sum - count).abs() < 0.1,
            "requests of {label} counted as {cache}: {count}, not {sum}:\n{text}"
        );
    }
    for name in [
        "isr_refresh_total",
        "isr_config_reloads_total",
        "isr_cache_bytes",
        "isr_cache_entries",
        "isr_evictions_total",
        "isr_stale_served_total",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is there:\n{text}");
    }
    let renders = proxy.metric("isr_refresh_total", &[page]).await;
    assert!((renders - 2.0).abs() < 0.1, "each render is counted once: {renders}:\n{text}");
    assert!(proxy.metric("isr_cache_entries", &[]).await >= 1.0, "stored pages are counted");
    assert!(proxy.metric("isr_cache_bytes", &[]).await >= 4.0, "their bytes are counted");

    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    for index in 0..100 {
        let own = format!("own-{index}");
        proxy.send(&get(&format!("/unmatched/{own}?q={own}")).header("X-Own", own.clone())).await;
        proxy.send(&get("/page").host(&format!("{own}.unknown.example.org"))).await;
        proxy.send(&crate::support::Request::new(&format!("M{index}"), &format!("/{own}"))).await;
    }
    let (before, after) = (series(&text), series(&proxy.admin("/metrics").await.text()));
    assert!(
        after <= before + 12,
        "hosts, paths and methods of visitors are no labels: {before}, then {after} series"
    );
}

#[tokio::test]
async fn the_routes_in_force_are_listed() {
    let origin = Origin::counting().await;
    let page = route("/blog-posts/[slug]").interval("10s").token(TOKEN);
    let label = page.label();
    let proxy = Proxy::serving(&origin, [page]).await;
    let routes = proxy.admin_json("/routes").await.to_string();
    for part in [label.as_str(), HOST, "/blog-posts/[slug]"] {
        assert!(routes.contains(part), "/routes tells {part}: {routes}");
    }
}

#[tokio::test]
async fn the_cache_explains_a_page() {
    let origin = Origin::counting().await;
    let page = route("/blog-posts/[slug]").interval("1s").framework("NextJs");
    let proxy = Proxy::serving(&origin, [page]).await;
    let url = format!("/cache?url=http://{HOST}/blog-posts/1");
    let count = |value: &serde_json::Value| {
        let list = value
            .as_array()
            .or_else(|| value.as_object().and_then(|o| o.values().find_map(|v| v.as_array())));
        list.map_or(0, Vec::len)
    };
    let empty = proxy.admin_json(&url).await;
    assert_eq!(count(&empty), 0, "nothing is stored yet: {empty}");
    proxy.get("/blog-posts/1").await.is(200, "MISS", "v1", "the first visitor renders");
    proxy.send(&get("/blog-posts/1").header("RSC", "1")).await;
    proxy.get("/blog-posts/2").await;
    let stored = proxy.admin_json(&url).await;
    assert_eq!(count(&stored), 2, "both variants of the page's group, not the other page: {stored}");
    let text = stored.to_string().to_lowercase();
    for word in ["age", "fresh", "render"] {
        assert!(text.contains(word), "the answer tells {word}: {stored}");
    }
    origin.answer(|_| Answer::status(503).body("closed"));
    let_the_interval_end().await;
    proxy.get("/blog-posts/1").await.is(200, "STALE", "v1", "the last good page");
    eventually("the failure is explained", PATIENCE, async || {
        let text = proxy.admin_json(&url).await.to_string();
        (text.to_lowercase().contains("fail") && text.contains("503")).then_some(())
    })
    .await;
    let encoded = format!("/cache?url=http%3A%2F%2F{HOST}%2Fblog-posts%2F1");
    assert_eq!(count(&proxy.admin_json(&encoded).await), 2, "the URL may be percent-encoded");
    for bad in ["/cache", "/cache?url=", "/cache?url=::"] {
        assert_eq!(proxy.admin(bad).await.status, 400, "{bad} is explained, not guessed");
    }
}

#[tokio::test]
async fn the_log_has_one_line_for_each_event() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/page").interval("60s").token(TOKEN)]);
    let proxy = Proxy::with(folder).option("--log-format", "json").flag("--access-log").start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let asked = get("/page?private=1").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    proxy.send(&asked).await.is(200, "MISS", "v1", "the first visitor renders");
    proxy.send(&get("/page").header("Authorization", "Bearer very-private")).await;
    proxy.send(&post("/form", "x").header("Cookie", "session=very-private")).await;
    eventually("the access log has three lines for visitors", PATIENCE, async || {
        let log = proxy.log().to_lowercase();
        (log.contains("hit") && log.contains("/form")).then_some(())
    })
    .await;
    let log = proxy.log();
    for line in log.lines() {
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        assert!(parsed.is_ok_and(|value| value.is_object()), "each line is one JSON object: {line:?}");
    }
    assert!(
        log.lines().any(|line| line.contains("render") && line.contains("shop/page")),
        "a render is a line: {log}"
    );
    assert!(!log.contains("very-private"), "no secret of a visitor is logged");

    let quiet = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    quiet.get("/page").await;
    let what = "a render is a line without the access log, too";
    eventually(what, PATIENCE, async || quiet.log().contains("shop/page").then_some(())).await;
    let lines = quiet.log().lines().count();
    for _ in 0..50 {
        quiet.get("/page").await.is(200, "HIT", &quiet.get("/page").await.text(), "hits");
    }
    let more = quiet.log().lines().count() - lines;
    assert!(more < 10, "without the access log hits are silent, not {more} lines");
}
