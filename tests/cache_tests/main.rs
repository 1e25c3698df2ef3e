//! The public conformance suite for HTTP caches, `http-cache-tests`, against a route without an interval.
//!
//! What fails is compared with `expected.txt`, which says of every accepted failure why it is accepted. A failure that
//! is not in it fails this test, and so does one that is in it and passes. The suite's origin and client are Node.js
//! programs of an npm package, so that this runs only with the feature `external-suites`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

mod expected;
mod score;
mod suite;
#[allow(dead_code, unused_imports, reason = "the suite brings its own origin and its own client")]
#[path = "../support/support.rs"]
mod support;

use support::{Folder, Proxy};

use crate::expected::Expected;
use crate::score::{Grade, Verdict};
use crate::suite::Suite;

/// Everything under `localhost` goes to the suite's origin, whose word governs.
fn manifests(port: u16) -> Folder {
    let folder = Folder::new();
    let text = format!(
        "apiVersion: v1
kind: Service
metadata: {{ name: origin, namespace: suite }}
spec: {{ type: ExternalName, externalName: 127.0.0.1, ports: [{{ port: {port} }}] }}
---
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: {{ name: everything, namespace: suite }}
spec:
  hostnames: [localhost]
  path: /[[...rest]]
  query: {{ allow: [\"*\"] }}
  backendRef: {{ name: origin, port: {port} }}
"
    );
    folder.write("routes.yaml", &text);
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_suite_agrees_that_this_is_a_shared_cache() {
    let expected = Expected::read(include_str!("expected.txt"));
    let suite = Suite::install();
    let origin = suite.origin();
    let proxy = Proxy::with(manifests(origin.port())).start().await;
    let base = format!("http://localhost:{}", proxy.address().port());

    let results = suite.run_all(&base);
    let tests = suite.catalogue();
    let verdicts = score::judge(&tests, &results);

    let mut complaints = Vec::new();
    for test in tests.iter().filter(|test| test.grade != Grade::Check) {
        let accepted = expected.reason(&test.id);
        match verdicts[&*test.id] {
            // Alone, no other test can have slowed it down.
            Verdict::Failed if accepted.is_none() && !suite.passes_alone(&base, &test.id) => {
                complaints.push(format!("{} fails: {}: {}", test.id, test.name, results[&*test.id]));
            }
            Verdict::Passed if accepted.is_some() && suite.passes_alone(&base, &test.id) => {
                complaints.push(format!("{} passes: take it out of expected.txt", test.id));
            }
            _ => {}
        }
    }
    for id in expected.ids().filter(|id| !verdicts.contains_key(*id)) {
        complaints.push(format!("{id} is no test of the suite: take it out of expected.txt"));
    }
    println!("{}", score::summary(&tests, &verdicts));
    let failed = |id: &str| verdicts.get(id) == Some(&Verdict::Failed);
    for (reason, ids) in expected.by_reason() {
        let failed: Vec<&str> = ids.into_iter().filter(|id| failed(id)).collect();
        println!("  {} accepted: {}\n    {reason}", failed.len(), failed.join(", "));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
