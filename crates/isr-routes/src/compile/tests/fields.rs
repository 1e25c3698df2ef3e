use std::time::Duration;

use isr_api::reason;
use isr_cache::{Interval, NoStore, Policy};
use serde_json::json;

use super::{HOST, answer, compiled, said};
use crate::report::{Condition, Severity};
use crate::testing::{TOKEN, resource};

#[test]
fn fields_become_a_route() {
    let fields = json!({
        "staleFor": "24h",
        "cacheControl": "Override",
        "framework": "NextJs",
        "query": { "allow": ["page"] },
        "varyBy": { "headers": ["Accept-Language", "X-Market"] },
        "tags": ["blog"],
        "bypass": [{ "cookie": "session" }, { "header": "X-Preview" }],
        "bypassToken": {
            "secretKeyRef": { "name": "isr", "key": "token" },
            "previousSecretKeyRef": { "name": "isr", "key": "previous" },
        },
        "originToken": { "secretKeyRef": { "name": "isr", "key": "token" } },
    });
    let compiled = compiled(&[resource("shop/blog", HOST, "/blog/[slug]", &fields)]);
    assert_eq!(said(&compiled, "shop/blog"), [""; 0]);
    let route = compiled.table.routes().next().expect("a route");
    let policy = Interval {
        every: Some(Duration::from_secs(10)),
        stale_for: Some(Duration::from_hours(24)),
        no_store: NoStore::Override,
    };
    assert_eq!(route.policy, Policy::Interval(policy));
    assert_eq!(route.backend.name, "shop/web:3000");
    assert_eq!(route.backend.address, Ok("127.0.0.1:3000".into()));
    let keyed: Vec<&str> = route.key_headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(keyed, ["accept-language", "next-router-segment-prefetch", "rsc", "x-market"]);
    assert!(route.tokens.accepts(TOKEN.as_bytes()), "the token in use");
    assert!(
        route.tokens.accepts(b"fedcba9876543210fedcba9876543210"),
        "the previous token, without its line end"
    );
    assert!(!route.tokens.accepts(b"") && !route.tokens.accepts(&TOKEN.as_bytes()[1..]));
    assert_eq!(route.origin_token.as_ref().map(crate::OriginToken::expose), Some(TOKEN));
    assert_eq!(route.tags, ["blog"]);
}

#[test]
fn pages_to_prerender_are_kept_as_requests_name_them() {
    let fields = json!({ "path": "/caf%C3%A9/[[...any]]",
        "prerender": { "paths": ["/caf%c3%a9", "/caf%C3%A9/%61/"], "sitemap": "/sitemap.xml" } });
    let compiled = compiled(&[resource("shop/a", HOST, "/", &fields)]);
    assert_eq!(said(&compiled, "shop/a"), [""; 0]);
    let route = compiled.table.routes().next().expect("a route");
    let prerender = route.prerender.as_ref().expect("what is prerendered");
    assert_eq!(prerender.paths, ["/caf%C3%A9", "/caf%C3%A9/a/"]);
    assert_eq!(prerender.sitemap.as_deref(), Some("/sitemap.xml"));
}

#[test]
fn a_path_to_prerender_that_another_route_answers_is_warned_of() {
    let wanted =
        json!({ "prerender": { "paths": ["/blog/1", "/blog/new"] }, "hostnames": [HOST, "*.example.com"] });
    let routes = [
        resource("shop/all", HOST, "/blog/[slug]", &wanted),
        resource("shop/new", HOST, "/blog/new", &json!({})),
    ];
    let compiled = compiled(&routes);
    let expected = "spec.prerender.paths[1]: `/blog/new` is not rendered for this route, because IsrRoute shop/new answers it: name it there if it is for everybody, and remove it here";
    assert_eq!(said(&compiled, "shop/all"), [expected]);
    assert_eq!(said(&compiled, "shop/new"), [""; 0]);
    assert!(compiled.reports.iter().all(|report| report.accepted), "both are in force");
}

#[test]
fn policies() {
    let isr = |every, stale_for| Policy::Interval(Interval { every, stale_for, no_store: NoStore::Honor });
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (fields, policy) in [
        (json!({}), isr(seconds(10), None)),
        (json!({ "interval": "Never" }), isr(None, None)),
        (json!({ "interval": "Never", "staleFor": "1h" }), isr(None, seconds(3600))),
        (json!({ "cacheControl": "HonorNoStore" }), isr(seconds(10), None)),
        (json!({ "interval": null }), Policy::Origin),
    ] {
        let compiled = compiled(&[resource("shop/a", HOST, "/", &fields)]);
        assert_eq!(compiled.table.routes().next().map(|route| route.policy), Some(policy), "{fields}");
    }
}

/// Each row: fields of the spec, the field that is named, what is wrong, and what to write instead. The route is left
/// out, and its neighbour stands.
#[test]
#[allow(clippy::too_many_lines)] // one row per mistake
fn bad_fields_reject_the_route_and_no_other() {
    let many = |count: usize| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let table = [
        (
            json!({ "defaultLocale": "en" }),
            "spec.defaultLocale",
            "says how Next.js names the data of a page",
            "set framework: NextJs too, or remove defaultLocale",
        ),
        (
            json!({ "defaultLocale": "en/us", "framework": "NextJs" }),
            "spec.defaultLocale",
            "is no language",
            "write one of i18n.locales, such as en or en-US",
        ),
        (
            json!({ "prerender": {} }),
            "spec.prerender",
            "names no page",
            "write paths: [/blog-posts/1], or sitemap: /sitemap.xml",
        ),
        (
            json!({ "prerender": { "paths": ["/case"] }, "interval": null }),
            "spec.prerender",
            "there is none",
            "write an interval such as 10s",
        ),
        (
            json!({ "prerender": { "sitemap": "/sitemap.xml" }, "hostnames": ["*.example.com"] }),
            "spec.prerender",
            "only wildcards",
            "add a hostname such as shop.example.com",
        ),
        (
            json!({ "prerender": { "paths": ["/elsewhere"] }, "path": "/blog/[slug]" }),
            "spec.prerender.paths[0]",
            "no page of this route, whose path is /blog/[slug]",
            "write a path that it matches",
        ),
        (
            json!({ "prerender": { "paths": ["/blog/1", "/blog/[slug]"] }, "path": "/blog/[slug]" }),
            "spec.prerender.paths[1]",
            "is a pattern",
            "write the path of one page",
        ),
        (
            json!({ "prerender": { "paths": ["/blog/1?page=2"] }, "path": "/blog/[slug]" }),
            "spec.prerender.paths[0]",
            "holds a ?",
            "write",
        ),
        (
            json!({ "prerender": { "sitemap": "https://shop.example.com/sitemap.xml" } }),
            "spec.prerender.sitemap",
            "is a URL",
            "write its path alone, such as /sitemap.xml",
        ),
        (
            json!({ "prerender": { "sitemap": "/sitemap" } }),
            "spec.prerender.sitemap",
            "does not end in .xml",
            "such as /sitemap.xml",
        ),
        (
            json!({ "hostnames": [] }),
            "spec.hostnames",
            "names no host",
            "write hostnames: [shop.example.com]",
        ),
        (
            json!({ "hostnames": [HOST, "A.example.com"] }),
            "spec.hostnames[1]",
            "not a hostname",
            "write a.example.com",
        ),
        (json!({ "hostnames": many(17) }), "spec.hostnames", "17 hostnames", "write 16 at most"),
        (json!({ "path": "blog/[slug" }), "spec.path", "`blog/[slug`", "write /blog/[slug]"),
        (json!({ "interval": 10 }), "spec.interval", "`10` has no unit", "write 10s"),
        (json!({ "interval": "never" }), "spec.interval", "`never`", "write Never"),
        (json!({ "interval": "0s" }), "spec.interval", "shorter than a second", "write 1s or more"),
        (json!({ "interval": "soon" }), "spec.interval", "not a duration", "10s, 5m or 1h30m, or Never"),
        (json!({ "staleFor": "Never" }), "spec.staleFor", "not a duration", "such as 10s"),
        (
            json!({ "interval": null, "staleFor": "1h" }),
            "spec.staleFor",
            "there is none",
            "write an interval",
        ),
        (
            json!({ "interval": null, "cacheControl": "Override" }),
            "spec.cacheControl",
            "there is none",
            "write an interval",
        ),
        (
            json!({ "backendRef": { "name": "web", "port": 0 } }),
            "spec.backendRef.port",
            "0 is no port",
            "from 1 to 65535",
        ),
        (
            json!({ "backendRef": { "name": "web", "port": 65536 } }),
            "spec.backendRef.port",
            "no port",
            "from 1 to 65535",
        ),
        (
            json!({ "backendRef": { "name": "", "port": 80 } }),
            "spec.backendRef.name",
            "is empty",
            "write the name",
        ),
        (
            json!({ "query": { "allow": ["*", "page"] } }),
            "spec.query.allow[0]",
            "every parameter",
            "write [\"*\"] alone",
        ),
        (
            json!({ "query": { "allow": ["page=1"] } }),
            "spec.query.allow[0]",
            "not a name",
            "write the name alone",
        ),
        (json!({ "query": { "allow": [""] } }), "spec.query.allow[0]", "is empty", "such as page"),
        (json!({ "hostnames": [HOST, HOST] }), "spec.hostnames[1]", "a second time", "remove it"),
        (json!({ "tags": ["blog", "blog"] }), "spec.tags[1]", "a second time", "remove it"),
        (
            json!({ "query": { "allow": ["page", "page"] } }),
            "spec.query.allow[1]",
            "a second time",
            "remove it",
        ),
        (json!({ "query": { "allow": many(33) } }), "spec.query.allow", "33 parameters", "write 32 at most"),
        (
            json!({ "varyBy": { "headers": ["Cookie"] } }),
            "spec.varyBy.headers[0]",
            "tells visitors apart",
            "spec.bypass",
        ),
        (
            json!({ "varyBy": { "headers": ["AUTHORIZATION"] } }),
            "spec.varyBy.headers[0]",
            "tells visitors apart",
            "spec.bypass",
        ),
        (
            json!({ "varyBy": { "headers": ["Accept-Encoding"] } }),
            "spec.varyBy.headers[0]",
            "handled by kube-isr",
            "remove",
        ),
        (
            json!({ "varyBy": { "headers": ["Host"] } }),
            "spec.varyBy.headers[0]",
            "handled by kube-isr",
            "remove",
        ),
        (
            json!({ "varyBy": { "headers": ["TE"] } }),
            "spec.varyBy.headers[0]",
            "handled by kube-isr",
            "remove",
        ),
        (
            json!({ "varyBy": { "headers": ["a b"] } }),
            "spec.varyBy.headers[0]",
            "not a header name",
            "Accept-Language",
        ),
        (json!({ "varyBy": { "headers": many(9) } }), "spec.varyBy.headers", "9 headers", "write 8 at most"),
        (json!({ "tags": ["a b"] }), "spec.tags[0]", "not a tag", "such as blog"),
        (json!({ "tags": many(65) }), "spec.tags", "65 tags", "write 64 at most"),
        (json!({ "bypass": [{}] }), "spec.bypass[0]", "either", "cookie: session"),
        (
            json!({ "bypass": [{ "cookie": "a", "header": "b" }] }),
            "spec.bypass[0]",
            "either",
            "header: X-Preview",
        ),
        (
            json!({ "bypass": [{ "cookie": "a b" }] }),
            "spec.bypass[0].cookie",
            "not a cookie name",
            "such as session",
        ),
        (
            json!({ "bypass": [{ "header": "a:b" }] }),
            "spec.bypass[0].header",
            "not a header name",
            "such as X-Preview",
        ),
    ];
    for (fields, field, wrong, fix) in table {
        let routes =
            [resource("shop/bad", HOST, "/bad", &fields), resource("shop/good", HOST, "/good", &json!({}))];
        let compiled = compiled(&routes);
        let said = said(&compiled, "shop/bad").join("\n");
        assert!(said.starts_with(&format!("{field}: ")), "{fields}: {said}");
        assert!(said.contains(wrong) && said.contains(fix), "{fields}: {said}");
        let report = &compiled.reports[0];
        assert!(!report.accepted && report.has_errors(), "{fields}");
        assert_eq!(
            (report.problems[0].condition, report.problems[0].reason),
            (Condition::Accepted, reason::INVALID)
        );
        assert_eq!(answer(&compiled, HOST, "/good"), "shop/good", "{fields}");
        assert!(compiled.reports[1].problems.is_empty(), "{fields}");
    }
}

#[test]
fn one_report_says_everything() {
    let fields = json!({ "path": "blog", "interval": 10, "tags": ["a b"] });
    let said = said(&compiled(&[resource("shop/bad", HOST, "/", &fields)]), "shop/bad");
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn doubtful_fields_are_warned_of() {
    for (fields, field) in [
        (json!({ "path": "/blog/:slug" }), "spec.path"),
        (json!({ "framework": "NextJs", "varyBy": { "headers": ["RSC"] } }), "spec.varyBy.headers[0]"),
    ] {
        let compiled = compiled(&[resource("shop/a", HOST, "/", &fields)]);
        let report = &compiled.reports[0];
        assert!(report.accepted && !report.has_errors(), "{fields}: {:?}", report.problems);
        assert_eq!(
            (report.problems[0].severity, &*report.problems[0].field),
            (Severity::Warning, field),
            "{fields}"
        );
    }
}
