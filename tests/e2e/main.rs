//! kube-isr as it is used: installed by Helm in a cluster of kind, an application behind it, a real ingress in front.
//!
//! `make e2e` brings the cluster up (`tests/kind/up`), builds and loads the images of this checkout, and runs these. The
//! first test that needs it installs the release anew; all share it, each with a namespace and hosts of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]
#![allow(dead_code, unused_imports, reason = "the kit serves other suites too")]

#[path = "../support/support.rs"]
mod support;

mod changes;
mod cluster;
mod first_steps;
mod load;
mod nothing_is_lost;
mod purges;
mod release;
mod site;
mod tenants;
mod tokens;
