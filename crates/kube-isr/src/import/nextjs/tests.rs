use serde_json::json;

use super::*;

fn files(prerendered: Value, routes: Value) -> Files {
    Files { prerendered, routes, app_paths: Value::Null, page_paths: Value::Null, server: Value::Null }
}

fn paths(build: &Build) -> Vec<(&str, Every)> {
    build.pages.iter().map(|page| (page.path.as_str(), page.interval)).collect()
}

/// As Next.js 16.4 writes it for a site in both routers.
#[test]
fn both_routers() {
    let files = Files {
        prerendered: json!({
            "version": 4,
            "routes": {
                "/": { "response": "complete", "compute": "static", "initialRevalidateSeconds": false, "srcRoute": "/", "dataRoute": "/index.rsc" },
                "/_not-found": { "initialStatus": 404, "initialRevalidateSeconds": false, "srcRoute": "/_not-found" },
                "/news": { "initialRevalidateSeconds": 10, "initialExpireSeconds": 31_536_000, "srcRoute": "/news" },
                "/news/1": { "initialRevalidateSeconds": 60, "srcRoute": "/news/[slug]" },
                "/news/a%20b": { "initialRevalidateSeconds": 30, "srcRoute": "/news/[slug]" },
                "/blog-posts": { "initialRevalidateSeconds": 3600, "srcRoute": null, "dataRoute": "/_next/data/b/blog-posts.json" },
                "/cart": { "compute": "resuming", "renderingMode": "PARTIALLY_STATIC", "initialRevalidateSeconds": 60, "srcRoute": "/cart" },
                "/sale": { "compute": "static", "renderingMode": "PARTIALLY_STATIC", "initialRevalidateSeconds": 60, "srcRoute": "/sale" }
            },
            "dynamicRoutes": {
                "/news/[slug]": { "routeRegex": "^/news/([^/]+?)(?:/)?$", "fallback": null, "compute": "blocking" },
                "/docs/[[...rest.of]]": { "fallback": null, "fallbackRevalidate": false },
                "/feed/(..)photo/[id]": { "fallback": null },
                "/blog-posts/[slug]": { "fallback": null }
            },
            "notFoundRoutes": [],
            "preview": { "previewModeId": "not-looked-at" }
        }),
        routes: json!({ "version": 3, "basePath": "" }),
        app_paths: json!({ "/page": "/", "/news/page": "/news", "/(a)/news/[slug]/page": "/news/[slug]", "/_not-found/page": "/_not-found", "/news/drafts/page": "/news/drafts", "/cart/page": "/cart" }),
        page_paths: json!({ "/_app": "pages/_app.js", "/blog-posts": "pages/blog-posts.js", "/api/revalidate": "pages/api/revalidate.js" }),
        server: json!({ "config": { "trailingSlash": false } }),
    };
    let build = pages(&files).expect("a build");
    assert_eq!(
        paths(&build),
        [
            ("/", Every::Never),
            ("/blog-posts", Every::Seconds(3600)),
            ("/news", Every::Seconds(10)),
            ("/sale", Every::Seconds(60)),
            ("/blog-posts/[slug]", Every::Unsaid),
            ("/docs/[[...rest_of]]", Every::Never),
            ("/news/[slug]", Every::Seconds(30)),
        ]
    );
    let news = &build.pages[6];
    assert_eq!(news.known, ["/news/1", "/news/a%20b"]);
    assert_eq!(
        news.source,
        "app/(a)/news/[slug]/page, revalidate: 30, the shortest of its pages (dynamicRoutes of .next/prerender-manifest.json)"
    );
    assert!(build.pages[1].source.starts_with("pages/blog-posts, revalidate: 3600"));
    let others: Vec<&str> = build.others.iter().map(|other| other.path.as_str()).collect();
    assert_eq!(others, ["/api/revalidate", "/cart", "/news/drafts"], "what is not for everybody as a whole");
    let notes = build.notes.join("\n");
    assert!(
        notes.contains("/feed/(..)photo/[id]") && notes.contains("(partial prerendering): /cart."),
        "{notes}"
    );
}

/// As Next.js 16.4 writes it for the Pages Router with languages, below a path, with slashes at the end.
#[test]
fn languages_below_a_path() {
    let files = Files {
        server: json!({ "config": { "trailingSlash": true } }),
        ..files(
            json!({
                "version": 4,
                "routes": {
                    "/en": { "initialRevalidateSeconds": 60, "srcRoute": null },
                    "/en/404": { "initialRevalidateSeconds": false, "srcRoute": null },
                    "/en/about": { "initialRevalidateSeconds": false, "srcRoute": null },
                    "/en/posts/a b": { "initialRevalidateSeconds": 10, "srcRoute": "/posts/[slug]" },
                    "/fr": { "initialRevalidateSeconds": 60, "srcRoute": null },
                    "/fr/about": { "initialRevalidateSeconds": false, "srcRoute": null },
                    "/fr/posts/x": { "initialRevalidateSeconds": 10, "srcRoute": "/posts/[slug]" }
                },
                "dynamicRoutes": { "/posts/[slug]": { "fallback": null } }
            }),
            json!({ "basePath": "/shop", "i18n": { "locales": ["en", "fr"], "defaultLocale": "en" } }),
        )
    };
    let build = pages(&files).expect("a build");
    assert_eq!(
        paths(&build),
        [
            ("/shop", Every::Seconds(60)),
            ("/shop/about", Every::Never),
            ("/shop/fr", Every::Seconds(60)),
            ("/shop/fr/about", Every::Never),
            ("/shop/posts/[slug]", Every::Seconds(10)),
            ("/shop/fr/posts/[slug]", Every::Seconds(10)),
        ]
    );
    let known: Vec<&[String]> = build.pages.iter().map(|page| &*page.known).collect();
    assert_eq!(known[0], ["/shop/"]);
    assert_eq!(
        (known[4], known[5]),
        (&["/shop/posts/a%20b/".to_owned()][..], &["/shop/fr/posts/x/".to_owned()][..])
    );
    assert!(build.notes[0].contains("localeDetection") && build.notes[0].contains("of en."));
}

/// As Next.js 12 to 14 wrote it, without the fields that came later.
#[test]
fn older_builds() {
    let prerendered = json!({
        "version": 3,
        "routes": { "/about": { "initialRevalidateSeconds": 5, "srcRoute": null, "dataRoute": "/_next/data/b/about.json" } },
        "dynamicRoutes": {}
    });
    let build = pages(&files(prerendered, json!({ "version": 3, "basePath": "" }))).expect("a build");
    assert_eq!(paths(&build), [("/about", Every::Seconds(5))]);
}

#[test]
fn what_is_no_build_is_told() {
    let empty = tempfile::tempdir().expect("a folder");
    let said = format!("{:#}", read(empty.path()).expect_err("nothing was built"));
    assert!(said.contains("holds no .next/prerender-manifest.json: run next build there first"), "{said}");
    let built = empty.path().join(".next");
    std::fs::create_dir(&built).expect("a folder");
    std::fs::write(built.join(PRERENDERED), "{").expect("a file");
    let said = format!("{:#}", read(empty.path()).expect_err("half a file"));
    assert!(said.contains("prerender-manifest.json is no JSON: run the build anew"), "{said}");
    let said = format!("{:#}", pages(&files(json!({ "pages": [] }), json!({}))).expect_err("something else"));
    assert!(said.contains("is not what Next.js 12 or later writes: missing field `routes`"), "{said}");
    let said = format!("{:#}", pages(&files(json!({ "routes": {} }), json!({}))).expect_err("no page"));
    assert!(said.contains("lists no page: give a page getStaticProps or a revalidate"), "{said}");
}
