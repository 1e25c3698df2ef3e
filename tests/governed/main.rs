//! Routes without an interval, where a shared cache can go wrong: visitors who come at once, visitors who mean to harm,
//! origins that say too little, and requests that overtake each other. Beside these, `cache_tests` runs the public
//! suite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

#[allow(dead_code, unused_imports, reason = "the kit offers more than these tests take")]
#[path = "../support/support.rs"]
mod support;

mod overtaking;
mod poison;
mod sharing;
mod together;

use support::{Answer, Origin, Proxy, route};

/// A proxy with one route for everything, whose origin's word governs.
async fn governed(origin: &Origin) -> Proxy {
    Proxy::serving(origin, [route("/[[...page]]").allow_query(&["*"])]).await
}

/// A page that counts how often its target was asked for, with this `Cache-Control`.
fn page(nth: usize, control: &str) -> Answer {
    Answer::page(format!("v{nth}")).header("cache-control", control)
}
