//! Several proxies with a shared tier: one render for all, purges that reach everything, and what happens when the server
//! between them is away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

#[allow(dead_code, unused_imports, reason = "the kit offers more than these tests take")]
#[path = "../support/support.rs"]
mod support;

mod agreeing;
mod outages;
mod places;
mod prerendering;
mod races;
mod relay;
mod rendering;
mod scale;
mod store;

use store::Store;
use support::manifest::Route;
use support::proxy::Launch;
use support::{Folder, Origin, Proxy};

/// A replica with this name, not started yet.
fn replica(store: &Store, name: &str, folder: Folder) -> Launch {
    Proxy::with(folder).option("--shared", store.url()).option("--replica", name)
}

/// So many replicas that serve these routes, ready. Their names are `one`, `two` and so on.
async fn replicas<const COUNT: usize>(store: &Store, origin: &Origin, routes: &[Route]) -> [Proxy; COUNT] {
    let mut started = Vec::new();
    for name in ["one", "two", "three"].into_iter().take(COUNT) {
        started.push(replica(store, name, Folder::of(origin, routes.iter().cloned())).start().await);
    }
    started.try_into().ok().expect("three at most")
}
