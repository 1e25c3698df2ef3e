//! The Helm chart: what it renders is what a reviewer has read (`golden/`), is valid for every Kubernetes release it
//! claims, says nothing that is not so, and is installed, upgraded, rolled back and removed by Helm 4 and Helm 3.
//!
//! The tools are built from Go modules (`tools/build`), the control plane is that of `tests/api`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]
#![allow(dead_code, unused_imports, reason = "the kit serves other suites too")]

#[path = "../api/control_plane.rs"]
mod control_plane;
#[path = "../api/installation.rs"]
mod installation;
#[path = "../support/support.rs"]
mod support;

mod admission;
mod documents;
mod examples;
mod golden;
mod metrics;
mod release;
mod tools;
mod validity;
mod values;
