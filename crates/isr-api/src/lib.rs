//! The `IsrRoute` and `IsrPurge` resources, exactly as users write them.
//!
//! An `IsrRoute` says: for these hostnames and this path, keep one rendered page, render it again after this interval,
//! and at once when a request carries this secret. This crate decides nothing about that: it holds the words, their
//! documentation (`kubectl explain isrroute.spec`), and the rules that an API server can check by itself. What the
//! words mean together is decided by `compile` in `isr-routes`. An `IsrPurge` says which pages are out of date.
//!
//! One definition serves everywhere: the Rust types, the CRDs' OpenAPI schema and their CEL rules are all derived from
//! [`IsrRouteSpec`] and [`IsrPurgeSpec`]. Start reading there; [`crds()`] shows what is added to the derived CRDs,
//! [`condition`] and [`reason`] hold the vocabulary of the status.

mod crd;
mod duration;
mod purge;
mod reference;
mod spec;
mod status;

pub use crd::crds;
pub use duration::Duration;
pub use purge::{IsrPurge, IsrPurgeSpec, IsrPurgeStatus, PurgeMode};
pub use reference::{BackendRef, SecretKeyRef};
pub use spec::{
    BackendRollout, BypassRule, BypassToken, CacheControl, Framework, InvalidateOn, IsrRoute, IsrRouteSpec,
    OriginToken, Prerender, Query, VaryBy,
};
pub use status::{IsrRouteStatus, condition, reason};

/// The API group of every kube-isr resource.
pub const GROUP: &str = "kube-isr.dev";
/// The version of the resources that this crate describes.
pub const VERSION: &str = "v1alpha1";
/// The kind of a route.
pub const KIND: &str = "IsrRoute";
/// The kind of a purge.
pub const PURGE_KIND: &str = "IsrPurge";
/// What `apiVersion` says in a manifest.
pub const API_VERSION: &str = "kube-isr.dev/v1alpha1";

/// The fewest characters of a bypass token: 128 bits of entropy at four bits per character, the length of a random
/// number in hexadecimal. Its digest may then be published without a key.
pub const MIN_TOKEN_CHARACTERS: usize = 32;
