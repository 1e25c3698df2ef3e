//! What a table of 100,000 routes takes: figures, for `make bench-routes`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "time is measured here, memory is read, and both are printed"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use isr_api::IsrRoute;
use isr_routes::{Backends, Found, Options, References, Service, compile, compile_after};
use serde_json::json;

/// The image's allocator: what lies side by side in memory is half of what a lookup costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HOSTS: usize = 10_000;
/// Exact, parameters, catch-alls: so many routes has each host.
const PATHS: [&str; 10] = [
    "/about",
    "/blog/archive",
    "/blog/[slug]",
    "/shop/[category]",
    "/shop/[category]/[product]",
    "/docs/[...page]",
    "/en/news/[year]/[slug]",
    "/files/[[...path]]",
    "/search",
    "/[lang]/legal/[...rest]",
];
/// What is asked for, each answered by another of them.
const ASKED: [&str; 10] = [
    "/about",
    "/blog/archive",
    "/blog/a-post",
    "/shop/shoes",
    "/shop/shoes/42",
    "/docs/guide/start",
    "/en/news/2026/today",
    "/files",
    "/search",
    "/de/legal/imprint/long",
];
/// Of so many hosts one is a wildcard.
const WILDCARD_EVERY: usize = 10;
const LOOKUPS: usize = 2_000_000;
/// From one lookup to the next: a prime, so that all are asked for, and no two in a row lie together in memory.
const STRIDE: usize = 40_009;

#[test]
#[ignore = "prints figures: make bench-routes"]
fn scale_a_hundred_thousand_routes() {
    let wildcard = |host: usize| host.is_multiple_of(WILDCARD_EVERY);
    let hostname = |host: usize| format!("{}shop-{host}.example.com", if wildcard(host) { "*." } else { "" });
    let mut resources: Vec<_> = (0..HOSTS * PATHS.len())
        .map(|number| {
            let (host, path) = (number / PATHS.len(), PATHS[number % PATHS.len()]);
            resource(number, &hostname(host), path)
        })
        .collect();
    let mut references = References::default();
    let web = Service { external_name: Some("127.0.0.1".into()), ports: vec![3000] };
    references.services.insert(("shop".into(), "web".into()), web);
    let options = Options { backends: Backends::Standalone, shared_hosts: false };

    let before = resident();
    let begun = Instant::now();
    let compiled = compile(&resources, &references, &options);
    let took = begun.elapsed();
    let most = resident().saturating_sub(before) / resources.len();
    println!(
        "{} routes on {HOSTS} hosts: compiled in {took:.0?}, {most} bytes of memory each at most",
        resources.len()
    );
    assert_eq!(compiled.table.routes().count(), resources.len());

    let changed = resources.len() / 2;
    resources[changed] = resource(changed, &hostname(changed / PATHS.len()), "/new");
    let begun = Instant::now();
    let table = compile_after(&compiled.table, &resources, &references, &options).table;
    println!("one route changed: compiled in {:.0?}", begun.elapsed());

    let asked: Vec<_> = (0..HOSTS)
        .flat_map(|host| {
            let name = format!("{}shop-{host}.example.com", if wildcard(host) { "deep.www." } else { "" });
            ASKED.map(|path| (name.clone(), path))
        })
        .collect();
    let mut times: Vec<Duration> = Vec::new();
    let mut host = String::new();
    for number in 0..LOOKUPS {
        let (name, path) = &asked[number * STRIDE % asked.len()];
        // As in a request, which has just been read.
        host.clear();
        host.push_str(name);
        let begun = Instant::now();
        let found = black_box(table.find(black_box(&host), black_box(path)));
        times.push(begun.elapsed());
        assert!(matches!(found, Found::Route { .. } | Found::Pass(_)), "{host}{path}");
    }
    times.sort_unstable();
    let (median, p99) = (times[LOOKUPS / 2], times[LOOKUPS / 100 * 99]);
    println!(
        "{LOOKUPS} lookups of any of them: median {median:?}, p99 {p99:?}, each with a look at the clock"
    );
}

fn resource(number: usize, hostname: &str, path: &str) -> IsrRoute {
    serde_json::from_value(json!({
        "apiVersion": isr_api::API_VERSION,
        "kind": isr_api::KIND,
        "metadata": { "namespace": "shop", "name": format!("route-{number}") },
        "spec": {
            "hostnames": [hostname],
            "path": path,
            "interval": "10s",
            "backendRef": { "name": "web", "port": 3000 },
        },
    }))
    .expect("a resource")
}

/// Bytes that this process has in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}
