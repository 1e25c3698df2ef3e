//! What is written is what is read, changes stay small, and nothing secret is in it.

mod damage;

use std::collections::HashMap;

use isr_api::IsrRoute;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::compile::{Backends, Compiled, Options, compile};
use crate::references::References;
use crate::table::{Found, RouteTable};
use crate::testing::{self, TOKEN};
use crate::token::OriginToken;

const SALT: Salt = Salt([7; 32]);

fn cluster() -> Options {
    Options { backends: Backends::Cluster { domain: "cluster.local".into() }, shared_hosts: false }
}

fn references() -> References {
    let mut references = testing::references();
    for service in references.services.values_mut() {
        service.external_name = None;
    }
    references
}

fn compiled(routes: &[IsrRoute]) -> Compiled {
    compile(routes, &references(), &cluster())
}

fn shards(snapshot: &Snapshot) -> HashMap<String, Shard> {
    let shards = snapshot.shards.values().map(|bytes| Shard::parse(bytes));
    shards.map(|shard| (shard.name().to_owned(), shard)).collect()
}

fn assembled(snapshot: &Snapshot) -> Assembled {
    let shards = shards(snapshot);
    assemble(
        &RouteTable::default(),
        &snapshot.index,
        |name| shards.get(name),
        |name| snapshot.origin_tokens.get(name).cloned(),
    )
    .expect("complete")
}

/// A route of its own host for each number; the number also chooses what it says.
fn typical(number: usize) -> IsrRoute {
    let fields = match number % 5 {
        0 => {
            json!({ "framework": "NextJs", "bypassToken": { "secretKeyRef": { "name": "isr", "key": "token" } },
            "originToken": { "secretKeyRef": { "name": "isr", "key": "twelve" } } })
        }
        1 => json!({ "framework": "SvelteKit", "query": { "allow": ["page"] } }),
        2 => json!({ "framework": "Nuxt", "staleFor": "24h", "tags": ["blog"] }),
        3 => json!({ "interval": null, "varyBy": { "headers": ["Accept-Language"] } }),
        _ => json!({ "bypass": [{ "cookie": "session" }], "interval": "Never" }),
    };
    testing::resource(
        &format!("shop/route-{number}"),
        &format!("shop-{number}.example.com"),
        "/blog-posts/[slug]",
        &fields,
    )
}

fn any_fields() -> impl Strategy<Value = Value> {
    let interval =
        prop_oneof![Just(json!(null)), Just(json!("Never")), Just(json!("1500ms")), Just(json!("1h30m"))];
    let framework =
        prop_oneof![Just(json!(null)), Just(json!("NextJs")), Just(json!("SvelteKit")), Just(json!("Nuxt"))];
    let query = prop_oneof![
        Just(json!(null)),
        Just(json!({"allow": ["*"]})),
        Just(json!({"allow": ["page", "q%20"]}))
    ];
    let headers =
        prop_oneof![Just(json!(null)), Just(json!({"headers": ["Accept-Language", "X-Market", "RSC"]}))];
    let bypass =
        prop_oneof![Just(json!(null)), Just(json!([{"cookie": "session"}, {"header": "X-Preview"}]))];
    let token = prop_oneof![
        Just(json!(null)),
        Just(
            json!({"secretKeyRef": {"name": "isr", "key": "token"}, "previousSecretKeyRef": {"name": "isr", "key": "previous"}})
        ),
        Just(json!({"secretKeyRef": {"name": "none", "key": "token"}})),
    ];
    let origin =
        prop_oneof![Just(json!(null)), Just(json!({"secretKeyRef": {"name": "isr", "key": "twelve"}}))];
    let backend =
        prop_oneof![Just(json!({"name": "web", "port": 3000})), Just(json!({"name": "gone", "port": 1}))];
    (interval, framework, query, headers, bypass, token, origin, backend, any::<bool>()).prop_map(
        |(interval, framework, query, headers, bypass, token, origin, backend, flag)| {
            let with_interval = flag && !interval.is_null();
            let locale = if framework == json!("NextJs") && flag { json!("en-US") } else { Value::Null };
            json!({ "interval": interval, "framework": framework, "defaultLocale": locale, "query": query, "varyBy": headers,
                "bypass": bypass, "bypassToken": token, "originToken": origin, "backendRef": backend,
                "staleFor": if with_interval { json!("90s") } else { Value::Null },
                "cacheControl": if with_interval { json!("Override") } else { Value::Null },
                "prerender": if with_interval { json!({ "paths": ["/"], "sitemap": "/sitemap.xml" }) } else { Value::Null },
                "tags": if flag { json!(["blog", "post-1"]) } else { Value::Null } })
        },
    )
}

fn any_routes() -> impl Strategy<Value = Vec<IsrRoute>> {
    let host = prop_oneof![Just("shop.example.com"), Just("*.example.com"), Just("example.com")];
    let path = prop_oneof![
        Just("/"),
        Just("/blog/[slug]"),
        Just("/blog/new"),
        Just("/docs/[[...rest]]"),
        Just("/caf%C3%A9/**"),
    ];
    let namespace = prop_oneof![Just("shop"), Just("rival")];
    let one = (namespace, host, path, any_fields());
    prop::collection::vec(one, 0..8).prop_map(|routes| {
        let routes = routes.into_iter().enumerate();
        routes
            .map(|(number, (namespace, host, path, fields))| {
                testing::resource(&format!("{namespace}/route-{number}"), host, path, &fields)
            })
            .collect()
    })
}

fn answers(table: &RouteTable) -> Vec<String> {
    let hosts = ["shop.example.com", "other.example.com", "example.com", "elsewhere.test"];
    let paths = [
        "/",
        "/blog/new",
        "/blog/1",
        "/docs",
        "/docs/a/b",
        "/caf%C3%A9/x",
        "/blog/1/__data.json",
        "/_next/data/b/blog/1.json",
    ];
    let pairs = hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path)));
    pairs
        .map(|(host, path)| match table.find(host, path) {
            Found::Route { route, page } => format!("{} {page}", route.id),
            Found::Pass(backend) => format!("pass {}", backend.name),
            Found::NoRoute(routes) => format!("404 {}", routes.hostname()),
            Found::UnknownHost => "421".into(),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_compiled(routes in any_routes()) {
        let compiled = compiled(&routes);
        let snapshot = write(&compiled.table, false, &SALT);
        let read = assembled(&snapshot);
        prop_assert!(read.rejected.is_empty(), "{:?}", read.rejected);
        let (written, read) = (compiled.table, read.table);
        prop_assert!(written.routes().eq(read.routes()));
        prop_assert_eq!(written.digest(), read.digest());
        prop_assert_eq!(answers(&written), answers(&read));
    }

    #[test]
    fn the_order_of_the_routes_is_nothing(routes in any_routes().prop_shuffle()) {
        // Without timestamps it is the names that decide, so any order compiles to one table.
        let mut sorted = routes.clone();
        sorted.sort_by_key(|route| route.metadata.name.clone());
        let (one, other) = (write(&compiled(&routes).table, false, &SALT), write(&compiled(&sorted).table, false, &SALT));
        prop_assert_eq!(one.index, other.index);
    }

    #[test]
    fn any_bytes_are_read_without_a_fall(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Index::parse(&bytes).is_err());
        let shard = Shard::parse(&bytes);
        let index = Index { shards: vec![shard.name().to_owned()], ..write(&compiled(&[]).table, false, &SALT).index };
        let read = assemble(&RouteTable::default(), &index, |_| Some(&shard), |_| None).expect("complete");
        prop_assert_eq!(read.rejected.len(), 1, "what is in it is reported");
    }
}

#[test]
fn one_changed_route_changes_one_shard() {
    let mut routes: Vec<IsrRoute> = (0..5_000).map(typical).collect();
    let before = write(&compiled(&routes).table, false, &SALT);
    assert!(before.shards.len() > 3, "{} shards", before.shards.len());
    routes[77].spec.tags = vec!["changed".into()];
    let after = write(&compiled(&routes).table, false, &SALT);
    let new = after.index.shards.iter().filter(|name| !before.shards.contains_key(*name)).count();
    assert_eq!((new, after.shards.len()), (1, before.shards.len()));
    assert_ne!(before.index.digest, after.index.digest);
    let changed = after.fingerprints.iter().filter(|(id, print)| before.fingerprints[*id] != **print);
    assert_eq!(changed.map(|(id, _)| &**id).collect::<Vec<_>>(), ["shop/route-77"]);
}

#[test]
fn a_hundred_thousand_routes_fit() {
    // Without compiling that many in a debug build: a bucket sees bytes only.
    let form = serde_json::to_vec(&form::Form::of(
        compiled(&[typical(0)]).table.routes().next().expect("a route"),
        Some("0".repeat(32)),
    ));
    let bytes = form.expect("JSON");
    assert!((300..600).contains(&bytes.len()), "{} bytes are no typical route", bytes.len());
    let items = (0..100_000).map(|number| bucket::Item::new(&format!("shop/route-{number}"), bytes.clone()));
    let buckets = bucket::fill(items.collect(), SPLIT_ABOVE);
    let greatest = buckets.iter().map(|bucket| bucket.len() * (bytes.len() + 1)).max().expect("a bucket");
    assert!(greatest <= SPLIT_ABOVE, "{greatest} bytes in one bucket");
    // 64 digits, quotes and a comma for each.
    let index = buckets.len() * 67;
    assert!(index < SHARD_MOST / 8, "{} shards make an index of {index} bytes", buckets.len());
}

#[test]
fn the_greatest_route_fits_in_a_shard() {
    let wide = |count: usize, length: usize| -> Vec<String> {
        (0..count).map(|number| format!("{number:0>length$}")).collect()
    };
    let hosts: Vec<String> = wide(16, 61)
        .iter()
        .map(|label| format!("a{label}.{label}.{label}.{}", &label[..50]).to_lowercase() + ".example")
        .collect();
    let fields = json!({
        "hostnames": hosts,
        "path": "/[[...any]]",
        "prerender": {
            "paths": wide(100, 511).iter().map(|path| format!("/{path}")).collect::<Vec<_>>(),
            "sitemap": format!("/{}.xml", "a".repeat(507)),
        },
        // Of all characters these take most room in JSON.
        "query": { "allow": wide(32, 2).iter().map(|name| name.clone() + &"\u{1}".repeat(126)).collect::<Vec<_>>() },
        "varyBy": { "headers": wide(8, 64) },
        "tags": wide(64, 256),
        "bypass": wide(16, 128).iter().map(|name| json!({ "cookie": name })).collect::<Vec<_>>(),
    });
    let compiled = compiled(&[testing::resource("shop/great", "shop.example.com", "/", &fields)]);
    assert!(compiled.reports[0].accepted, "{:?}", compiled.reports[0].problems);
    let snapshot = write(&compiled.table, false, &SALT);
    let size = snapshot.shards.values().next().expect("a shard").len();
    assert!(size < SHARD_MOST / 4, "{size} bytes");
}

#[test]
fn no_secret_is_in_an_index_or_a_shard() {
    let origin_token = "0123456789ab";
    let snapshot = write(&compiled(&[typical(0)]).table, false, &SALT);
    let mut text = String::from_utf8(snapshot.index.to_bytes()).expect("JSON");
    for shard in snapshot.shards.values() {
        text.push_str(std::str::from_utf8(shard).expect("JSON"));
    }
    let name = snapshot.origin_tokens.keys().next().expect("an origin token");
    assert_eq!(snapshot.origin_tokens[name].expose(), origin_token);
    assert!(text.contains(name.as_str()), "the route refers to it");
    let unsalted = hex(&Sha256::digest(origin_token));
    for secret in [TOKEN, origin_token, &unsalted, &unsalted[..32]] {
        assert!(!text.contains(secret));
    }
    assert!(text.contains(&hex(&Sha256::digest(TOKEN))), "of the bypass token, the digest");
    assert!(!format!("{snapshot:?}{SALT:?}").contains(origin_token));
    let other = write(&compiled(&[typical(0)]).table, false, &Salt([8; 32]));
    assert_ne!(snapshot.origin_tokens.keys().next(), other.origin_tokens.keys().next(), "the salt counts");
}

#[test]
fn a_shard_tells_the_fingerprints_of_its_routes() {
    let routes: Vec<_> = (0..40).map(typical).collect();
    let snapshot = write(&compiled(&routes).table, false, &SALT);
    let told: HashMap<_, _> = snapshot.shards.values().flat_map(|bytes| fingerprints(bytes)).collect();
    assert_eq!(told, snapshot.fingerprints);
}
