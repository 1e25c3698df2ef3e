//! The fields of an `IsrPurge`, and what the operator says back.
//!
//! The selectors are those of `POST /v1/invalidate`, and mean the same there and here. As in `spec`, doc comments are what
//! `kubectl explain` prints, and the CEL rules repeat what `isr-routes` checks.
#![allow(unreachable_pub)] // KubeSchema repeats each struct, as public as it is, inside of a function
#![allow(clippy::duplicated_attributes)] // columns of one type repeat `type_`

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Makes pages of this namespace's routes stale, once, on every proxy. Whoever may create it may purge: no token is
/// needed. To purge again, create another.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "kube-isr.dev",
    version = "v1alpha1",
    kind = "IsrPurge",
    plural = "isrpurges",
    namespaced,
    status = "IsrPurgeStatus",
    derive = "PartialEq",
    doc = "A purge: makes pages of the routes of its namespace stale, or takes them away, on every proxy. It is carried out once, says in its status when every ready proxy has done it, and is deleted some time after.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Done", type_ = "integer", json_path = ".status.doneReplicas"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Complete",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Complete')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Complete')].reason",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.everything) && self.everything) || (has(self.paths) && size(self.paths) > 0) || (has(self.prefixes) && size(self.prefixes) > 0) || (has(self.tags) && size(self.tags) > 0) || (has(self.hosts) && size(self.hosts) > 0)")
        .message("nothing is named: write paths, prefixes, tags, hosts, or everything: true"),
    validation = Rule::new("self == oldSelf")
        .message("a purge is carried out once and does not change: create another IsrPurge")
)]
pub struct IsrPurgeSpec {
    /// Pages, by their URLs, such as `https://shop.example.com/blog-posts/1`, with all their variants and data companions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 1024)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(p, p.matches('^https?://[^/?#]+(/[^?#]*)?$'))")
            .message("a page is named by its URL, without a query: write https://shop.example.com/blog-posts/1")
    )]
    pub paths: Vec<String>,

    /// Everything at or below these: URLs such as `https://shop.example.com/blog` for one host, or paths such as `/blog` for
    /// all hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(p, p.matches('^(https?://[^/?#]+)?(/[^?#]*)?$'))")
            .message("a prefix is a path or a URL: write /blog, or https://shop.example.com/blog")
    )]
    pub prefixes: Vec<String>,

    /// Pages that carry one of these tags, of their route or from the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(t, t.matches('^[!-~]+$'))")
            .message("a tag is printable ASCII without spaces: write blog or post-1")
    )]
    pub tags: Vec<String>,

    /// All pages of these hosts, such as `shop.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(h, h.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))")
            .message("a host is lower-case labels of letters, digits and hyphens joined by dots, without port, path and *: write shop.example.com")
    )]
    pub hosts: Vec<String>,

    /// All pages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,

    /// Of all this only the pages of these routes, by the names of `IsrRoute`s of this namespace. Empty: of all its routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(r, r.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$'))")
            .message("a route is named without its namespace, which is this one: write blog-posts")
    )]
    pub routes: Vec<String>,

    /// `Soft` (also when absent): pages are served once more while they are rendered anew. `Hard`: they are gone, and the
    /// next visitor waits.
    #[serde(default)]
    pub mode: PurgeMode,

    /// How long this object stays after it is finished, such as `24h` (also when absent), or `Never` to keep it: where
    /// something applies it again and again, as what follows a repository does, it would otherwise be carried out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("self == 'Never' || self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')")
            .message("ttlAfterFinished is a duration such as 24h, or Never")
    )]
    pub ttl_after_finished: Option<Duration>,
}

/// What becomes of the pages: `Soft` serves them once more, `Hard` takes them away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PurgeMode {
    /// Stale: served once more, and rendered behind the visitor's back.
    #[default]
    Soft,
    /// Gone: the next visitor waits for a render.
    Hard,
}

/// What became of a purge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsrPurgeStatus {
    /// The `metadata.generation` that this status speaks about; -1 before the operator has seen the purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many proxies were ready when they were last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How many of them have done it: nothing that they serve from now on is older than the purge allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_replicas: Option<i32>,
    /// Accepted (it makes sense), Complete (every ready proxy has done it) and Ready (the same as Complete, for tools that
    /// wait for that word).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
