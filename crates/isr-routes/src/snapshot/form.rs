//! A route as it is written.
//!
//! What a preset knows is not written: every proxy has its own. Fields with their usual value are left out, because a
//! hundred thousand routes have them.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use isr_cache::{Interval, NoStore, Policy};
use serde::{Deserialize, Serialize};

use super::{from_hex, hex};
use crate::key_header::KeyHeader;
use crate::path::PathPattern;
use crate::preset::Preset;
use crate::route::{Backend, BypassRule, Prerender, QueryRule, Route};
use crate::token::Tokens;

/// A route as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Form {
    /// `namespace/name`.
    pub(super) id: String,
    hostnames: Vec<String>,
    path: String,
    /// Absent: the origin's own `Cache-Control` governs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<IntervalForm>,
    backend: BackendForm,
    /// Digests of the bypass tokens, hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<String>,
    /// The name of the origin token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin_token: Option<String>,
    #[serde(default, skip_serializing_if = "is_no_query")]
    query: QueryForm,
    /// Key headers besides those of the preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vary_by: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_locale: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bypass: Vec<BypassForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prerender: Option<PrerenderForm>,
}

/// Times in milliseconds, the finest that a duration in a manifest can say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IntervalForm {
    /// Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    /// Absent: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_for_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    override_no_store: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrerenderForm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sitemap: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackendForm {
    name: String,
    /// Absent where there is a problem instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum QueryForm {
    Names(Vec<String>),
    All(All),
}

#[derive(Debug, Serialize, Deserialize)]
enum All {
    #[serde(rename = "*")]
    All,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BypassForm {
    Cookie(String),
    Header(String),
}

impl Default for QueryForm {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_no_query(query: &QueryForm) -> bool {
    matches!(query, QueryForm::Names(names) if names.is_empty())
}

impl Form {
    /// The written form of a route whose origin token, if it has one, goes by this name.
    pub(super) fn of(route: &Route, origin_token: Option<String>) -> Self {
        let is_of_preset = |header: &&KeyHeader| {
            route.preset.key_headers.iter().any(|known| header.name.as_str() == known.name)
        };
        Self {
            id: route.id.to_string(),
            hostnames: route.hostnames.clone(),
            path: route.path.to_string(),
            interval: match &route.policy {
                Policy::Origin => None,
                Policy::Interval(interval) => Some(IntervalForm::of(interval)),
            },
            backend: BackendForm {
                name: route.backend.name.clone(),
                address: route.backend.address.clone().ok(),
                problem: route.backend.address.clone().err(),
            },
            tokens: route.tokens.digests().iter().map(|digest| hex(digest)).collect(),
            origin_token,
            query: match &route.query {
                QueryRule::All => QueryForm::All(All::All),
                QueryRule::Names(names) => QueryForm::Names(names.clone()),
            },
            vary_by: route
                .key_headers
                .iter()
                .filter(|header| !is_of_preset(header))
                .map(|header| header.name.to_string())
                .collect(),
            framework: route.preset.framework().map(ToOwned::to_owned),
            default_locale: route.default_locale.clone(),
            tags: route.tags.clone(),
            bypass: route
                .bypass
                .iter()
                .map(|rule| match rule {
                    BypassRule::Cookie(name) => BypassForm::Cookie(name.clone()),
                    BypassRule::Header(name) => BypassForm::Header(name.to_string()),
                })
                .collect(),
            prerender: route
                .prerender
                .clone()
                .map(|Prerender { paths, sitemap }| PrerenderForm { paths, sitemap }),
        }
    }

    /// The route, still without its origin token. The error is a sentence for people.
    pub(super) fn into_route(self) -> Result<Route, String> {
        let preset = match &self.framework {
            None => Preset::of(None),
            Some(name) => Preset::named(name).ok_or_else(|| {
                format!("its framework {name} is not known to this version: update the proxy.")
            })?,
        };
        let digests = self.tokens.iter().map(|digest| from_hex(digest)).collect::<Option<Vec<_>>>();
        let header = |name: String| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name."))
        };
        let vary_by = self.vary_by.into_iter().map(header).collect::<Result<Vec<_>, _>>()?;
        let bypass = |rule| match rule {
            BypassForm::Cookie(name) => Ok(BypassRule::Cookie(name)),
            BypassForm::Header(name) => header(name).map(BypassRule::Header),
        };
        Ok(Route {
            id: self.id.into(),
            hostnames: self.hostnames,
            path: PathPattern::parse(&self.path)?,
            policy: self
                .interval
                .map_or(Policy::Origin, |interval| Policy::Interval(interval.into_interval())),
            backend: Arc::new(Backend {
                name: self.backend.name,
                address: self
                    .backend
                    .address
                    .ok_or_else(|| self.backend.problem.unwrap_or_else(|| "it has no address".into())),
            }),
            tokens: Tokens::from_digests(digests.ok_or("a digest of its tokens is damaged.")?),
            origin_token: None,
            query: match self.query {
                QueryForm::All(_) => QueryRule::All,
                QueryForm::Names(names) => QueryRule::Names(names),
            },
            key_headers: preset.key_headers_and(vary_by),
            preset,
            default_locale: self.default_locale,
            tags: self.tags,
            bypass: self.bypass.into_iter().map(bypass).collect::<Result<_, String>>()?,
            prerender: self.prerender.map(|PrerenderForm { paths, sitemap }| Prerender { paths, sitemap }),
        })
    }
}

impl IntervalForm {
    fn of(interval: &Interval) -> Self {
        let milliseconds =
            |time: Option<Duration>| time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self {
            every_ms: milliseconds(interval.every),
            stale_for_ms: milliseconds(interval.stale_for),
            override_no_store: interval.no_store == NoStore::Override,
        }
    }

    fn into_interval(self) -> Interval {
        Interval {
            every: self.every_ms.map(Duration::from_millis),
            stale_for: self.stale_for_ms.map(Duration::from_millis),
            no_store: if self.override_no_store { NoStore::Override } else { NoStore::Honor },
        }
    }
}
