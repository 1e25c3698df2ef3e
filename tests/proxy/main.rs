//! The proxy as its visitors, its origin and its operators see it: real sockets, the real binary, a scripted origin.
//!
//! One module for each room of promises. A test's name is the promise; its assertions say which sentence they hold
//! the proxy to. Everything runs on loopback with Rust alone, in parallel, each test with its own proxy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

#[allow(dead_code, reason = "the kit offers more than these tests take")]
#[path = "../support/support.rs"]
mod support;

mod admin;
mod bad_input;
mod codings;
mod collapse;
mod connections;
mod demands;
mod disk;
mod folder;
mod framing;
mod generations;
mod hits;
mod hops;
mod invalidate;
mod kit;
mod life;
mod limits;
mod memory;
mod on_demand;
mod origin_governed;
mod outcomes;
mod passing;
mod prerender;
mod privacy;
mod published;
mod published_purges;
mod purge;
mod reload;
mod scale;
mod since;
mod stored;
mod streams;
mod target;
mod tls;
mod tokens;
mod unstored;
mod validators;
