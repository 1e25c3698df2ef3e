use std::sync::Arc;

use super::{Found, RouteTable};
use crate::preset::Preset;
use crate::route::{Backend, Route};
use crate::testing::route_with;
use isr_api::Framework;

fn route(hostname: &str, path: &str, framework: Option<Framework>, backend: &str) -> Arc<Route> {
    let backend = Backend { name: backend.into(), address: Err("nowhere".into()) };
    Arc::new(Route {
        id: format!("shop/{path}").into(),
        hostnames: vec![hostname.into()],
        preset: Preset::of(framework),
        backend: backend.into(),
        ..route_with(path)
    })
}

fn answer(table: &RouteTable, host: &str, path: &str) -> String {
    match table.find(host, path) {
        Found::Route { route, page } => format!("{} for {page}", route.path),
        Found::Pass(backend) => format!("pass {}", backend.name),
        Found::NoRoute(routes) => format!("404 {}", routes.hostname()),
        Found::UnknownHost => "421".into(),
    }
}

#[test]
fn the_longest_hostname_is_asked_first() {
    let plain = |hostname, path| route(hostname, path, None, "web");
    let routes = vec![
        plain("a.b.example.com", "/exact"),
        plain("*.b.example.com", "/near"),
        plain("*.b.example.com", "/exact"),
        plain("*.example.com", "/far"),
    ];
    let table = RouteTable::after(&RouteTable::default(), routes, false);
    for (host, path, expected) in [
        ("a.b.example.com", "/exact", "/exact for /exact"),
        ("a.b.example.com", "/near", "/near for /near"),
        ("a.b.example.com", "/far", "/far for /far"),
        ("x.b.example.com", "/exact", "/exact for /exact"),
        ("x.y.b.example.com", "/near", "/near for /near"),
        ("x.y.b.example.com", "/far", "/far for /far"),
        ("b.example.com", "/near", "pass web"),
        ("b.example.com", "/far", "/far for /far"),
        ("example.com", "/far", "421"),
        ("xexample.com", "/far", "421"),
        ("com", "/far", "421"),
        ("", "/far", "421"),
    ] {
        assert_eq!(answer(&table, host, path), expected, "{host}{path}");
    }
    let asked: Vec<&str> = table.hosts_for("a.b.example.com").map(super::HostRoutes::hostname).collect();
    assert_eq!(asked, ["a.b.example.com", "*.b.example.com", "*.example.com"]);
}

#[test]
fn data_companions_belong_to_their_page() {
    let next = |path| route("next", path, Some(Framework::NextJs), "web");
    let svelte = |path| route("svelte", path, Some(Framework::SvelteKit), "web");
    let of_nuxt = |path| route("nuxt", path, Some(Framework::Nuxt), "web");
    let routes = vec![
        next("/"),
        next("/blog/[slug]"),
        next("/index"),
        next("/docs"),
        next("/docs/[slug]"),
        route("next", "/plain/[x]", None, "web"),
        svelte("/"),
        svelte("/blog/[slug]"),
        of_nuxt("/"),
        of_nuxt("/blog/[slug]"),
    ];
    let table = RouteTable::after(&RouteTable::default(), routes, false);
    for (host, path, expected) in [
        ("next", "/_next/data/build/blog/1.json", "/blog/[slug] for /blog/1"),
        ("next", "/_next/data/build/blog/a%2Fb.json", "/blog/[slug] for /blog/a%2Fb"),
        ("next", "/_next/data/build/index.json", "/ for /"),
        ("next", "/_next/data/build/index/index.json", "/index for /index"),
        ("next", "/docs/_next/data/build/1.json", "/docs/[slug] for /docs/1"),
        ("next", "/docs/_next/data/build/index.json", "/docs for /docs"),
        ("next", "/_next/data/build/blog.json", "pass web"),
        ("next", "/_next/data/build/plain/1.json", "pass web"),
        ("next", "/_next/data//blog/1.json", "pass web"),
        ("next", "/_next/data/blog/1.json", "pass web"),
        ("next", "/_next/database/blog/1.json", "pass web"),
        ("next", "/blog/1.json", "/blog/[slug] for /blog/1.json"),
        ("svelte", "/__data.json", "/ for /"),
        ("svelte", "/blog/1/__data.json", "/blog/[slug] for /blog/1"),
        ("svelte", "/blog/1.html__data.json", "/blog/[slug] for /blog/1.html"),
        ("svelte", "/blog/1__data.json", "/blog/[slug] for /blog/1__data.json"),
        ("svelte", "/blog/__data.json", "/blog/[slug] for /blog/__data.json"),
        ("nuxt", "/_payload.json", "/ for /"),
        ("nuxt", "/blog/1/_payload.json", "/blog/[slug] for /blog/1"),
        ("nuxt", "/blog/1/_payload.js", "/blog/[slug] for /blog/1"),
        ("next", "/blog/1/_payload.json", "pass web"),
    ] {
        assert_eq!(answer(&table, host, path), expected, "{host}{path}");
    }
}

/// The default language is in data URLs, and not in the paths of its pages.
#[test]
fn data_of_the_default_language_belongs_to_its_page() {
    let spoken = |path, locale: Option<&str>| {
        let route = route("h", path, Some(Framework::NextJs), "web");
        Arc::new(Route { default_locale: locale.map(ToOwned::to_owned), ..Route::clone(&route) })
    };
    let routes = vec![
        spoken("/docs", Some("en")),
        spoken("/docs/posts/[slug]", Some("en")),
        spoken("/docs/de/posts/[slug]", None),
        spoken("/docs/news/[slug]", Some("en-US")),
        spoken("/docs/plain/[slug]", None),
        spoken("/[[...all]]", None),
    ];
    let table = RouteTable::after(&RouteTable::default(), routes, false);
    for (path, expected) in [
        ("/docs/_next/data/b/en/posts/1.json", "/docs/posts/[slug] for /docs/posts/1"),
        ("/docs/_next/data/b/posts/1.json", "/docs/posts/[slug] for /docs/posts/1"),
        ("/docs/_next/data/b/de/posts/1.json", "/docs/de/posts/[slug] for /docs/de/posts/1"),
        ("/docs/_next/data/b/en.json", "/docs for /docs"),
        ("/docs/_next/data/b/en-US/news/1.json", "/docs/news/[slug] for /docs/news/1"),
        // Each route has its own, and without one a language is a segment as any other.
        ("/docs/_next/data/b/en/news/1.json", "/[[...all]] for /docs/en/news/1"),
        ("/docs/_next/data/b/en/plain/1.json", "/[[...all]] for /docs/en/plain/1"),
        ("/docs/_next/data/b/end/posts/1.json", "/[[...all]] for /docs/end/posts/1"),
        ("/docs/en/posts/1", "/[[...all]] for /docs/en/posts/1"),
    ] {
        assert_eq!(answer(&table, "h", path), expected, "{path}");
    }
}

#[test]
fn a_companion_without_a_page_is_looked_up_under_its_own_path() {
    let routes = vec![
        route("h", "/blog/[slug]", Some(Framework::NextJs), "web"),
        route("h", "/_next/data/[build]/other.json", None, "web"),
    ];
    let table = RouteTable::after(&RouteTable::default(), routes, false);
    let expected = "/_next/data/[build]/other.json for /_next/data/b/other.json";
    assert_eq!(answer(&table, "h", "/_next/data/b/other.json"), expected);
}

#[test]
fn untouched_paths_are_never_answered_by_their_framework() {
    let one = RouteTable::after(
        &RouteTable::default(),
        vec![route("h", "/[[...path]]", Some(Framework::NextJs), "web")],
        false,
    );
    for path in ["/_next/static/chunks/a.js", "/_next/image", "/docs/_next/static/a.js"] {
        assert_eq!(answer(&one, "h", path), "pass web", "{path}");
    }
    assert_eq!(answer(&one, "h", "/_next/data/b/a.json"), "/[[...path]] for /a");

    let mixed =
        vec![route("h", "/shop/[id]", Some(Framework::NextJs), "web"), route("h", "/api/**", None, "api")];
    let mixed = RouteTable::after(&RouteTable::default(), mixed, false);
    assert_eq!(answer(&mixed, "h", "/_next/static/a.js"), "pass web", "the one backend of the framework");
    assert_eq!(answer(&mixed, "h", "/other"), "404 h");

    let several = vec![
        route("h", "/shop/[id]", Some(Framework::NextJs), "shop"),
        route("h", "/blog/[id]", Some(Framework::NextJs), "blog"),
        route("h", "/_next/static/blog/**", None, "blog"),
    ];
    let several = RouteTable::after(&RouteTable::default(), several, false);
    assert_eq!(answer(&several, "h", "/_next/static/a.js"), "404 h", "nobody knows whose it is");
    assert_eq!(
        answer(&several, "h", "/_next/static/blog/a.js"),
        "/_next/static/blog/** for /_next/static/blog/a.js",
        "a plain route may say whose it is"
    );
}
