use http::HeaderValue;
use isr_cache::Policy;
use isr_routes::compile;
use isr_routes::manifest::{self, Manifests};
use std::sync::Arc;

use super::*;
use crate::active::STANDALONE;

/// The one route of a manifest with these additional lines in its spec.
fn route(lines: &str) -> Arc<Route> {
    let text = format!(
        "apiVersion: kube-isr.dev/v1alpha1\nkind: IsrRoute\nmetadata: {{ name: blog, namespace: shop }}\nspec:\n  \
         hostnames: [shop.example.com]\n  path: /blog/[slug]\n  interval: 10s\n  \
         backendRef: {{ name: web, port: 80 }}\n{lines}"
    );
    let manifests = Manifests::from_files([manifest::read("test.yaml", &text)]);
    let compiled = compile(&manifests.routes, &manifests.references, &STANDALONE);
    compiled.table.routes().next().map(Arc::clone).unwrap()
}

fn judged(
    route: &Route,
    path: &str,
    status: u16,
    fields: &[(&'static str, &'static str)],
) -> (Outcome, String) {
    judged_after(Trigger::Stale, route, path, status, fields)
}

fn judged_after(
    trigger: Trigger,
    route: &Route,
    path: &str,
    status: u16,
    fields: &[(&'static str, &'static str)],
) -> (Outcome, String) {
    judged_with(trigger, route, path, status, fields, "")
}

fn judged_with(
    trigger: Trigger,
    route: &Route,
    path: &str,
    status: u16,
    fields: &[(&'static str, &'static str)],
    body: &str,
) -> (Outcome, String) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let Policy::Interval(policy) = route.policy else { panic!("the route has an interval") };
    let status = StatusCode::from_u16(status).unwrap();
    let answered = Answered {
        path,
        page: "/blog/1",
        trigger,
        status,
        headers: &headers,
        body: body.as_bytes(),
        framed: true,
        at: Timestamp(0),
    };
    let judged = judge(route, &policy, &answered);
    (judged.outcome, judged.detail.unwrap_or_default().into_owned())
}

#[test]
fn the_statuses_that_replace_a_page_are_those_of_vercel() {
    let route = route("");
    for status in [200, 301, 302, 307, 308, 404, 410] {
        let (outcome, _) = judged(&route, "/blog/1", status, &[("location", "/elsewhere")]);
        assert_eq!(outcome, Outcome::Rendered, "{status}");
    }
    for status in [201, 204, 206, 303, 304, 400, 401, 403, 429, 500, 502, 503, 504] {
        let judged = judged(&route, "/blog/1", status, &[]);
        assert_eq!(judged, (Outcome::Failed, format!("status-{status}")));
    }
}

#[test]
fn the_interval_overrides_what_the_origin_says_except_no_store_on_a_page() {
    let page = |lines, control| judged(&route(lines), "/blog/1", 200, &[("cache-control", control)]).0;
    assert_eq!(page("", "private, max-age=0, must-revalidate"), Outcome::Rendered);
    assert_eq!(page("", "private, no-store"), Outcome::OptedOut);
    assert_eq!(page("  cacheControl: Override\n", "private, no-store"), Outcome::Rendered);

    let svelte = route("  framework: SvelteKit\n");
    let no_store = [("cache-control", "private, no-store")];
    assert_eq!(judged(&svelte, "/blog/1/__data.json", 200, &no_store).0, Outcome::Rendered);
    assert_eq!(
        judged(&svelte, "/blog/1", 200, &no_store).0,
        Outcome::OptedOut,
        "the page itself still opts out"
    );
}

#[test]
fn a_response_that_varies_by_more_than_the_key_is_not_stored() {
    let vary = |lines, vary| judged(&route(lines), "/blog/1", 200, &[("vary", vary)]);
    assert_eq!(vary("", "Accept-Encoding").0, Outcome::Rendered);
    assert_eq!(vary("", "Accept-Encoding, Cookie"), (Outcome::Unstorable, "vary-cookie".into()));
    assert_eq!(vary("", "*"), (Outcome::Unstorable, "vary-*".into()));
    assert_eq!(vary("  varyBy: { headers: [Accept-Language] }\n", "Accept-Language").0, Outcome::Rendered);
    let next = "RSC, Next-Router-State-Tree, Next-Router-Prefetch, Next-Router-Segment-Prefetch";
    assert_eq!(vary("  framework: NextJs\n", next).0, Outcome::Rendered);
    assert_eq!(
        vary("", next).0,
        Outcome::Unstorable,
        "without the preset nobody said that RSC is in the key"
    );
}

#[test]
fn what_cannot_be_shared_as_it_is_is_not_stored() {
    let route = route("");
    let encoded = judged(&route, "/blog/1", 200, &[("content-encoding", "zstd")]);
    assert_eq!(encoded, (Outcome::Unstorable, "content-encoding".into()));
    for location in ["/blog/1", "/blog/1?_rsc=x", "https://shop.example.com/blog/1"] {
        let circle = judged(&route, "/blog/1", 307, &[("location", location)]);
        assert_eq!(circle, (Outcome::Unstorable, "redirect-to-itself".into()), "{location}");
    }
}

#[test]
fn a_body_that_may_have_been_cut_off_is_not_stored() {
    let (route, headers) = (route(""), HeaderMap::new());
    let Policy::Interval(policy) = route.policy else { panic!("the route has an interval") };
    let (path, status) = ("/blog/1", StatusCode::OK);
    let answered = Answered {
        path,
        page: path,
        trigger: Trigger::Miss,
        status,
        headers: &headers,
        body: b"",
        framed: false,
        at: Timestamp(0),
    };
    assert_eq!(judge(&route, &policy, &answered).outcome, Outcome::Unstorable);
}

#[test]
fn a_copy_from_the_cache_of_next_js_is_told_from_a_render() {
    let next = route("  framework: NextJs\n");
    let cases = [
        ("STALE", Trigger::Stale, Outcome::AlreadyStale),
        ("STALE", Trigger::OnDemand, Outcome::AlreadyStale),
        // Good enough for the interval; but who asks for a render now is not told that there was one.
        ("HIT", Trigger::Stale, Outcome::Rendered),
        ("HIT", Trigger::OnDemand, Outcome::AlreadyStale),
        ("MISS", Trigger::OnDemand, Outcome::Rendered),
        ("REVALIDATED", Trigger::OnDemand, Outcome::Rendered),
    ];
    for (says, trigger, outcome) in cases {
        let judged = judged_after(trigger, &next, "/blog/1", 200, &[("x-nextjs-cache", says)]);
        assert_eq!(judged.0, outcome, "{says} after {trigger:?}");
    }
    let plain = judged(&route(""), "/blog/1", 200, &[("x-nextjs-cache", "STALE")]);
    assert_eq!(plain.0, Outcome::Rendered, "only Next.js means this by it");
}

#[test]
fn data_that_holds_an_error_is_a_failed_render() {
    let failed = r#"{"type":"data","nodes":[null,{"type":"error","error":{"status":500}}]}"#;
    let absent = r#"{"type":"data","nodes":[null,{"type":"error","error":{"status":404}}]}"#;
    let judged =
        |framework: &str, path, body| judged_with(Trigger::Stale, &route(framework), path, 200, &[], body);
    let (svelte, data) = ("  framework: SvelteKit\n", "/blog/1/__data.json");
    assert_eq!(judged(svelte, data, failed), (Outcome::Failed, "status-500".into()));
    assert_eq!(judged(svelte, data, absent).0, Outcome::Rendered, "a page that is not there is one");
    assert_eq!(judged(svelte, "/blog/1", failed).0, Outcome::Rendered, "a page may say what it likes");
    assert_eq!(judged("", data, failed).0, Outcome::Rendered, "and so may data of others");
}

#[test]
fn data_of_another_build_is_not_stored_as_absent() {
    let next = route("  framework: NextJs\n");
    let data = "/_next/data/build/blog/1.json";
    let html = [("content-type", "text/html; charset=utf-8")];
    assert_eq!(judged(&next, data, 404, &html), (Outcome::Unstorable, "other-build".into()));
    assert_eq!(judged(&next, data, 404, &[]).0, Outcome::Rendered, "data of a page that is not there");
    let with_body = |path, body| judged_with(Trigger::Stale, &next, path, 404, &[], body).0;
    assert_eq!(with_body(data, "{}"), Outcome::Unstorable, "as an application with a middleware says it");
    assert_eq!(
        with_body(data, r#"{"notFound":true}"#),
        Outcome::Rendered,
        "data of a page that is not there"
    );
    assert_eq!(with_body("/blog/1", "{}"), Outcome::Rendered, "a page may say what it likes");
    assert_eq!(judged(&next, "/blog/1", 404, &html).0, Outcome::Rendered, "the page that is not there");
    let other = route("  framework: Nuxt\n");
    assert_eq!(judged(&other, "/blog/1/_payload.json", 404, &html).0, Outcome::Rendered, "no build in it");
}
