//! The objects that hold the published table, as they are in the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use isr_routes::purges::{BadLog, PurgeLog};
use isr_routes::snapshot::{BadIndex, Fingerprint, Index, fingerprints, shard_name};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use crate::owner::is_owned;

/// The data key of the index.
pub(crate) const INDEX_KEY: &str = "index.json";
/// The data key of a shard.
pub(crate) const SHARD_KEY: &str = "routes.json";

/// The data key of the list of purges.
pub(crate) const PURGES_KEY: &str = "purges.json";

/// The list of purges as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentLog {
    /// What a write has to name, so that it overwrites nothing that it has not seen.
    pub(crate) resource_version: String,
    /// What it says; `None` if somebody changed it, so that it makes no sense.
    pub(crate) content: Option<PurgeLog>,
    /// A newer version of the operator wrote it.
    pub(crate) is_newer: bool,
    /// Whether it says whose it is.
    pub(crate) is_owned: bool,
}

/// The ConfigMaps of the installation's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// The index.
    pub(crate) index: Option<PresentIndex>,
    /// The shards, by the names of their ConfigMaps.
    pub(crate) shards: BTreeMap<String, PresentShard>,
}

/// The index as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentIndex {
    /// What a write has to name, so that it overwrites nothing that it has not seen.
    pub(crate) resource_version: String,
    /// What it says.
    pub(crate) content: IndexContent,
    /// Whether it says whose it is.
    pub(crate) is_owned: bool,
}

/// What an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IndexContent {
    /// It is whole.
    Sound(Index),
    /// Somebody changed it. Its generation still counts, if it can be read.
    Damaged {
        /// The generation that it claims.
        generation: u64,
    },
    /// A newer version of the operator wrote it.
    Newer {
        /// Its format.
        format: u32,
    },
}

/// A shard as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresentShard {
    /// What a deletion has to name, so that it deletes nothing that it has not seen.
    pub(crate) resource_version: String,
    /// SHA-256 of its bytes: the name that an index calls it by.
    pub(crate) digest: String,
    /// Whether it says whose it is.
    pub(crate) is_owned: bool,
    /// The written forms of its routes, by `namespace/name`.
    pub(crate) routes: Arc<[(Arc<str>, Fingerprint)]>,
}

impl PresentIndex {
    pub(crate) fn of(object: &ConfigMap) -> Self {
        let text = object.data.as_ref().and_then(|data| data.get(INDEX_KEY)).map_or("", String::as_str);
        let content = match Index::parse(text.as_bytes()) {
            Ok(index) => IndexContent::Sound(index),
            Err(BadIndex::Newer { found }) => IndexContent::Newer { format: found },
            Err(BadIndex::Unreadable(_) | BadIndex::Damaged) => {
                let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
                let generation = value.and_then(|value| value.get("generation")?.as_u64()).unwrap_or(0);
                IndexContent::Damaged { generation }
            }
        };
        let is_owned = is_owned(&object.metadata);
        Self { resource_version: object.resource_version().unwrap_or_default(), content, is_owned }
    }
}

impl PresentLog {
    pub(crate) fn of(object: &ConfigMap) -> Self {
        let text = object.data.as_ref().and_then(|data| data.get(PURGES_KEY)).map_or("", String::as_str);
        let parsed = PurgeLog::parse(text.as_bytes());
        Self {
            resource_version: object.resource_version().unwrap_or_default(),
            is_newer: matches!(parsed, Err(BadLog::Newer { .. })),
            is_owned: is_owned(&object.metadata),
            content: parsed.ok(),
        }
    }
}

impl PresentShard {
    pub(crate) fn of(object: &ConfigMap) -> Self {
        let text = object.data.as_ref().and_then(|data| data.get(SHARD_KEY)).map_or("", String::as_str);
        Self {
            resource_version: object.resource_version().unwrap_or_default(),
            digest: shard_name(text.as_bytes()),
            is_owned: is_owned(&object.metadata),
            routes: fingerprints(text.as_bytes()).collect(),
        }
    }
}

/// Whether `one` is known to be an older version of an object than `other`. What cannot be compared is not.
pub(super) fn is_older(one: &str, other: &str) -> bool {
    match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one < other,
        _ => false,
    }
}
