use std::collections::HashSet;

use isr_api::{IsrRoute, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{HOST, answer, compiled, said, standalone};
use crate::compile::{Options, compile};
use crate::report::ObjectRef;
use crate::testing::{references, resource};

fn created(mut route: IsrRoute, seconds: i64) -> IsrRoute {
    let time: Time =
        serde_json::from_value(json!(format!("2026-01-01T00:00:{seconds:02}Z"))).expect("a time");
    route.metadata.creation_timestamp = Some(time);
    route
}

#[test]
fn the_oldest_route_of_a_path_wins_and_conflicts_heal() {
    let young = created(resource("shop/a-young", HOST, "/blog/[id]", &json!({})), 20);
    let old = created(resource("shop/z-old", HOST, "/blog/[slug]/", &json!({})), 10);
    let compiled_both = compiled(&[young.clone(), old]);
    assert_eq!(answer(&compiled_both, HOST, "/blog/1"), "shop/z-old");
    let report = &compiled_both.reports[0];
    assert!(!report.accepted);
    let problem = &report.problems[0];
    assert_eq!((problem.reason, &*problem.field), (reason::CONFLICTED, "spec.hostnames[0]"));
    assert_eq!(problem.other, Some(ObjectRef::route("shop", "z-old")));
    assert!(
        problem.message.contains("IsrRoute shop/z-old already answers shop.example.com/blog/[id]"),
        "{}",
        problem.message
    );

    let healed = compiled(&[young]);
    assert_eq!(answer(&healed, HOST, "/blog/1"), "shop/a-young", "the winner is gone");
    assert!(healed.reports[0].problems.is_empty());
}

#[test]
fn without_timestamps_the_name_decides() {
    let routes = [resource("shop/b", HOST, "/x", &json!({})), resource("shop/a", HOST, "/x", &json!({}))];
    assert_eq!(answer(&compiled(&routes), HOST, "/x"), "shop/a");
    let dated = [created(routes[0].clone(), 1), routes[1].clone()];
    assert_eq!(answer(&compiled(&dated), HOST, "/x"), "shop/b", "a route without timestamp is the youngest");
}

#[test]
fn a_route_keeps_the_hostnames_that_it_does_not_lose() {
    let both = json!({ "hostnames": ["www.example.com", HOST] });
    let routes = [resource("shop/a", HOST, "/x", &json!({})), resource("shop/b", HOST, "/x", &both)];
    let compiled = compiled(&routes);
    assert_eq!(answer(&compiled, HOST, "/x"), "shop/a");
    assert_eq!(answer(&compiled, "www.example.com", "/x"), "shop/b");
    let report = &compiled.reports[1];
    assert!(report.accepted && report.has_errors());
    assert_eq!(report.problems[0].field, "spec.hostnames[1]");
}

#[test]
fn different_shapes_do_not_conflict() {
    let paths = ["/a", "/[x]", "/[...x]", "/[[...x]]", "/a/[x]", "/a%40", "/a@"];
    let routes: Vec<IsrRoute> = paths
        .iter()
        .enumerate()
        .map(|(number, path)| resource(&format!("shop/r{number}"), HOST, path, &json!({})))
        .collect();
    assert!(compiled(&routes).reports.iter().all(|report| report.problems.is_empty()));
}

#[test]
fn a_host_belongs_to_the_namespace_that_named_it_first() {
    let routes = [
        created(resource("shop/home", HOST, "/", &json!({})), 1),
        created(
            resource("rival/sneak", HOST, "/sneak", &json!({ "hostnames": [HOST, "rival.example.com"] })),
            2,
        ),
        created(resource("shop/blog", HOST, "/blog", &json!({})), 3),
    ];
    let owned = compiled(&routes);
    assert_eq!(answer(&owned, HOST, "/sneak"), "pass shop/web:3000");
    assert_eq!(answer(&owned, "rival.example.com", "/sneak"), "rival/sneak");
    let said = said(&owned, "rival/sneak").join("\n");
    assert!(said.contains("spec.hostnames[0]: `shop.example.com` belongs to namespace shop"), "{said}");
    assert!(said.contains("IsrRoute shop/home"), "{said}");
    assert_eq!(owned.reports[1].problems[0].reason, reason::CONFLICTED);

    let shared = compile(&routes, &references(), &Options { shared_hosts: true, ..standalone() });
    assert_eq!(answer(&shared, HOST, "/sneak"), "rival/sneak");
    assert_eq!(answer(&shared, HOST, "/blog"), "shop/blog");
}

#[test]
fn a_rejected_route_claims_nothing() {
    let routes = [
        created(resource("rival/bad", HOST, "no-slash", &json!({})), 1),
        created(resource("shop/home", HOST, "/", &json!({})), 2),
    ];
    assert_eq!(answer(&compiled(&routes), HOST, "/"), "shop/home");
}

/// A wider wildcard of another namespace must not answer for a host that it does not own.
#[test]
fn wildcards_help_out_hosts_of_their_own_namespace_only() {
    let wide = |id: &str| resource(id, "*.example.com", "/[...rest]", &json!({}));
    let home = resource("shop/home", HOST, "/home", &json!({}));
    let own = compiled(&[wide("shop/wide"), home.clone()]);
    assert_eq!(answer(&own, HOST, "/home"), "shop/home");
    assert_eq!(answer(&own, HOST, "/other"), "shop/wide");
    assert_eq!(answer(&own, "else.example.com", "/home"), "shop/wide");

    let rival = [wide("rival/wide"), home];
    let separate = compiled(&rival);
    assert_eq!(answer(&separate, HOST, "/other"), "pass shop/web:3000");
    assert_eq!(answer(&separate, "else.example.com", "/other"), "rival/wide");
    let shared = compile(&rival, &references(), &Options { shared_hosts: true, ..standalone() });
    assert_eq!(answer(&shared, HOST, "/other"), "rival/wide");
}

#[test]
fn unmatched_paths_pass_through_where_there_is_one_backend() {
    let api = json!({ "backendRef": { "name": "api", "port": 3000 } });
    let blog = resource("shop/blog", HOST, "/blog", &json!({}));
    let one = compiled(&[blog.clone(), resource("shop/home", HOST, "/", &json!({}))]);
    assert_eq!(answer(&one, HOST, "/cart"), "pass shop/web:3000");
    assert_eq!(answer(&one, "other.example.com", "/"), "421");

    let several = compiled(&[blog.clone(), resource("shop/api", HOST, "/api/**", &api)]);
    assert_eq!(answer(&several, HOST, "/cart"), "404 shop.example.com");
    assert_eq!(answer(&several, HOST, "/api"), "404 shop.example.com");
    assert_eq!(answer(&several, HOST, "/api/1"), "shop/api");

    // A wildcard's backends do not count for a more specific host.
    let wide = resource("shop/wide", "*.example.com", "/wide", &api);
    let specific = compiled(&[blog, wide]);
    assert_eq!(answer(&specific, HOST, "/cart"), "pass shop/web:3000");
    assert_eq!(answer(&specific, HOST, "/wide"), "shop/wide");
    assert_eq!(answer(&specific, "x.example.com", "/cart"), "pass shop/api:3000");
}

#[test]
fn the_digest_is_of_the_meaning() {
    let routes = [resource("shop/a", HOST, "/a", &json!({})), resource("shop/b", HOST, "/b", &json!({}))];
    let digest = |routes: &[IsrRoute]| compiled(routes).table.digest().to_owned();
    let first = digest(&routes);
    assert_eq!(first.len(), 64);
    assert_eq!(first, digest(&[routes[1].clone(), routes[0].clone()]), "order");
    let spelled = resource("shop/a", HOST, "/a/", &json!({ "interval": "10000ms" }));
    assert_eq!(first, digest(&[spelled, routes[1].clone()]), "spelling");
    let mut known = HashSet::from([first]);
    for fields in [
        json!({ "interval": "11s" }),
        json!({ "interval": null }),
        json!({ "staleFor": "1h" }),
        json!({ "framework": "Nuxt" }),
        json!({ "framework": "NextJs" }),
        json!({ "framework": "NextJs", "defaultLocale": "en" }),
        json!({ "prerender": { "paths": ["/a"] } }),
        json!({ "tags": ["a"] }),
        json!({ "query": { "allow": ["a"] } }),
        json!({ "query": { "allow": ["*"] } }),
        json!({ "varyBy": { "headers": ["a"] } }),
        json!({ "bypass": [{ "cookie": "a" }] }),
        json!({ "bypass": [{ "header": "a" }] }),
        json!({ "cacheControl": "Override" }),
        json!({ "backendRef": { "name": "api", "port": 3000 } }),
        json!({ "bypassToken": { "secretKeyRef": { "name": "isr", "key": "token" } } }),
        json!({ "originToken": { "secretKeyRef": { "name": "isr", "key": "token" } } }),
        json!({ "hostnames": [HOST, "b.example.com"] }),
        json!({ "path": "/c" }),
    ] {
        let changed = [resource("shop/a", HOST, "/a", &fields), routes[1].clone()];
        assert!(known.insert(digest(&changed)), "{fields}");
    }
}
