//! Purges as they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isr_cache::{Mode, Pages, Realm, Spread, Timestamp};
use serde::{Deserialize, Serialize};

use super::{FORMAT, Purge, PurgeLog};
use crate::snapshot::shard_name;

/// Why a list of purges cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadLog {
    /// It is no JSON, or lacks a field.
    #[error("the list of purges is unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Its writer is newer.
    #[error(
        "the list of purges has format {found}, and this version reads {FORMAT} at most: update this program first"
    )]
    Newer {
        /// The format that it has.
        found: u32,
    },
    /// Its fields do not belong together.
    #[error("the list of purges is damaged: its digest is not that of its content")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct LogForm {
    format: u32,
    id: String,
    first: u64,
    /// SHA-256 over everything else.
    digest: String,
    purges: Vec<PurgeForm>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    served: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PurgeForm {
    cause: String,
    uid: String,
    hard: bool,
    /// Of this namespace's routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Of these, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pages: Vec<PagesForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spread: Option<SpreadForm>,
}

/// In milliseconds, the beginning since the Unix epoch.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpreadForm {
    begins_ms: u64,
    over_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PagesForm {
    All,
    Host(String),
    Prefix {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        path: String,
    },
    Tag(String),
}

pub(super) fn write(log: &PurgeLog) -> Vec<u8> {
    let purges: Vec<PurgeForm> = log.purges.iter().map(PurgeForm::of).collect();
    let digest = digest(&log.id, log.first, &purges, &log.served);
    let (id, served) = (log.id.clone(), log.served.clone());
    let form = LogForm { format: FORMAT, id, first: log.first, digest, purges, served };
    // Strings and numbers only: cannot fail.
    serde_json::to_vec(&form).unwrap_or_default()
}

pub(super) fn parse(bytes: &[u8]) -> Result<PurgeLog, BadLog> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    // Asked first, because a newer list may lack what this version needs.
    let Version { format } = serde_json::from_slice(bytes)?;
    if format > FORMAT {
        return Err(BadLog::Newer { found: format });
    }
    let form: LogForm = serde_json::from_slice(bytes)?;
    if form.first == 0 || form.digest != digest(&form.id, form.first, &form.purges, &form.served) {
        return Err(BadLog::Damaged);
    }
    let purges: Vec<Purge> = form.purges.into_iter().map(PurgeForm::into_purge).collect();
    let bytes = purges.iter().map(size).sum();
    Ok(PurgeLog { id: form.id, first: form.first, purges, bytes, served: form.served })
}

/// Bytes that a purge takes in the list.
pub(super) fn size(purge: &Purge) -> usize {
    serde_json::to_vec(&PurgeForm::of(purge)).map_or(0, |bytes| bytes.len() + 1)
}

fn digest(id: &str, first: u64, purges: &[PurgeForm], served: &BTreeMap<String, BTreeSet<String>>) -> String {
    shard_name(&serde_json::to_vec(&(id, first, purges, served)).unwrap_or_default())
}

impl PurgeForm {
    fn of(purge: &Purge) -> Self {
        let mut form = Self {
            cause: purge.cause.clone(),
            uid: purge.uid.clone(),
            hard: purge.mode == Mode::Hard,
            namespace: None,
            routes: Vec::new(),
            groups: purge.groups.clone(),
            pages: purge.pages.iter().map(PagesForm::of).collect(),
            spread: purge.spread.map(|spread| SpreadForm {
                begins_ms: spread.begins.0,
                over_ms: u64::try_from(spread.over.as_millis()).unwrap_or(u64::MAX),
            }),
        };
        for realm in &purge.realms {
            match realm {
                Realm::Installation => {}
                Realm::Namespace(namespace) => form.namespace = Some(namespace.to_string()),
                Realm::Route(route) => form.routes.push(route.to_string()),
            }
        }
        form
    }

    fn into_purge(self) -> Purge {
        let namespace = self.namespace.map(|namespace| Realm::Namespace(namespace.into()));
        let routes = self.routes.into_iter().map(|route| Realm::Route(route.into()));
        Purge {
            cause: self.cause,
            uid: self.uid,
            mode: if self.hard { Mode::Hard } else { Mode::Soft },
            realms: namespace.into_iter().chain(routes).collect(),
            groups: self.groups,
            pages: self.pages.into_iter().map(PagesForm::into_pages).collect(),
            spread: self.spread.map(|spread| Spread {
                begins: Timestamp(spread.begins_ms),
                over: Duration::from_millis(spread.over_ms),
            }),
        }
    }
}

impl PagesForm {
    fn of(pages: &Pages) -> Self {
        match pages {
            Pages::All => Self::All,
            Pages::Host(host) => Self::Host(host.to_string()),
            Pages::Prefix { host, path } => {
                Self::Prefix { host: host.as_ref().map(ToString::to_string), path: path.to_string() }
            }
            Pages::Tag(tag) => Self::Tag(tag.to_string()),
        }
    }

    fn into_pages(self) -> Pages {
        match self {
            Self::All => Pages::All,
            Self::Host(host) => Pages::Host(host.into()),
            Self::Prefix { host, path } => Pages::Prefix { host: host.map(Into::into), path: path.into() },
            Self::Tag(tag) => Pages::Tag(tag.into()),
        }
    }
}
