//! A real Next.js application behind the proxy: the blog of `examples/nextjs`, built and started as its users would.
//!
//! The scripted origin of the other suites answers as it is told; Next.js answers as it likes. It is a page cache of
//! its own, gives a page as HTML, as data and as RSC payloads, and redirects whoever asks for these in a way it does
//! not expect. Every promise here is held for both routers. Each test has its own data service, its own copy of the
//! built application, its own Next.js process and its own proxy, so that none sees another's posts or pages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

#[path = "../support/support.rs"]
#[allow(dead_code, unused_imports, reason = "the kit offers more than this suite needs")]
mod support;

#[path = "../shared/store.rs"]
#[allow(dead_code, reason = "the kit offers more than this suite needs")]
mod store;

mod application;
mod fleet;
mod page;
mod process;
mod site;
mod tap;

mod companions;
mod failure;
mod generations;
mod import;
mod intercepting;
mod interval;
mod joining;
mod mounted;
mod on_demand;
mod outcomes;
mod privacy;
mod replicas;
mod staleness;
mod unreachable;
