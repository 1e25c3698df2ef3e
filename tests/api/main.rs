//! The operator and proxies against a real API server: what is applied is what is served, and the status tells the
//! truth about it.
//!
//! Each test has a control plane of its own ([`control_plane`]), an operator with exactly the rights that
//! `charts/kube-isr/rbac/` gives it, and proxies as real processes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

#[allow(dead_code, unused_imports, reason = "the kit offers more than these tests take")]
#[path = "../support/support.rs"]
mod support;

mod chaos;
mod conditions;
mod control_plane;
mod crash;
mod definition;
mod installation;
mod lifecycle;
mod outage;
mod ownership;
mod prerendering;
mod privileges;
mod purge;
mod purge_resource;
mod rivals;
mod rollout;
mod scale;
