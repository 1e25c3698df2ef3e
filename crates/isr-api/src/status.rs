//! What the operator says back.
#![allow(unreachable_pub)] // KubeSchema repeats the struct, as public as it is, inside of a function

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What is known about a route: whether it is valid, resolved, and in force on every ready proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsrRouteStatus {
    /// The `metadata.generation` that this status speaks about; -1 before the operator has seen the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted (valid and not in conflict), `ResolvedRefs` (its Service and Secrets exist), Programmed (every ready
    /// proxy serves it) and Ready (all of these). With `spec.prerender` also Prerendered (no proxy has a page left to
    /// render), which does not count for Ready: old pages are served meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The types of conditions.
pub mod condition {
    /// The route is valid and wins every hostname and path that it names; the purge names what there is.
    pub const ACCEPTED: &str = "Accepted";
    /// The Service and Secrets that the route names exist and can be used.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// Every ready proxy serves this generation of the route.
    pub const PROGRAMMED: &str = "Programmed";
    /// No ready proxy has a page of `spec.prerender` left to render. Only there where the route has that.
    pub const PRERENDERED: &str = "Prerendered";
    /// Every ready proxy has carried the purge out.
    pub const COMPLETE: &str = "Complete";
    /// All that the object asks for is so.
    pub const READY: &str = "Ready";
}

/// The reasons of conditions.
pub mod reason {
    /// Nobody has looked at the object yet, or not every proxy has done what it asks for.
    pub const PENDING: &str = "Pending";
    /// `Accepted=True`.
    pub const ACCEPTED: &str = "Accepted";
    /// `Accepted=False`: a field holds something that cannot be put in force.
    pub const INVALID: &str = "Invalid";
    /// `Accepted=False`: another route or namespace came first.
    pub const CONFLICTED: &str = "Conflicted";
    /// `ResolvedRefs=True`.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// `ResolvedRefs=False`: the Service does not exist, lacks the port, or has no address that may be used.
    pub const BACKEND_NOT_FOUND: &str = "BackendNotFound";
    /// `ResolvedRefs=False`: the Secret or its key does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// `ResolvedRefs=False`: the operator is not allowed to read the Secret, or the API server fails to show it.
    pub const SECRET_NOT_READABLE: &str = "SecretNotReadable";
    /// `ResolvedRefs=False`: the Secret's value cannot serve as a token.
    pub const INVALID_TOKEN: &str = "InvalidToken";
    /// `Programmed=False`, `Complete=False`, `Prerendered=Unknown`: the object makes no sense, so that nothing was done.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// `Programmed=False`: a proxy cannot put the route in force.
    pub const REJECTED_BY_PROXY: &str = "RejectedByProxy";
    /// `Programmed=Unknown`, `Complete=Unknown`, `Prerendered=Unknown`: there is no proxy to ask.
    pub const NO_READY_PROXIES: &str = "NoReadyProxies";
    /// `Prerendered=True`.
    pub const PRERENDERED: &str = "Prerendered";
    /// `Prerendered=False`: a page could not be rendered, and is tried again.
    pub const PAGES_FAILING: &str = "PagesFailing";
    /// `Programmed=True`.
    pub const PROGRAMMED: &str = "Programmed";
    /// `Complete=True`.
    pub const COMPLETE: &str = "Complete";
    /// `Ready=True`.
    pub const READY: &str = "Ready";
}
