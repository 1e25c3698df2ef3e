//! A route in force: what `compile` made of an `IsrRoute` and the objects it refers to.

use std::sync::Arc;

use http::HeaderName;
use http::header::COOKIE;
use isr_cache::{Policy, RequestFields};

use crate::key_header::KeyHeader;
use crate::path::PathPattern;
use crate::preset::Preset;
use crate::token::{OriginToken, Tokens};

/// The cookie that shows drafts to those who know a token. The name is the one that Vercel and Next.js use.
pub const DRAFT_COOKIE: &str = "__prerender_bypass";

/// An `IsrRoute` in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// `namespace/name`: the identity in logs, metrics and answers.
    pub id: Arc<str>,
    /// The hostnames that the route won; those it lost to another route are not among them.
    pub hostnames: Vec<String>,
    /// Which paths it answers.
    pub path: PathPattern,
    /// How long its pages are fresh and who says so.
    pub policy: Policy,
    /// Where its pages are rendered.
    pub backend: Arc<Backend>,
    /// What revalidates on demand; empty when nothing does.
    pub tokens: Tokens,
    /// What makes an origin with its own page cache render anew.
    pub origin_token: Option<OriginToken>,
    /// Which query parameters are keyed and passed on.
    pub query: QueryRule,
    /// Which request headers are keyed and passed on, sorted by name.
    pub key_headers: Vec<KeyHeader>,
    /// What is known about its framework.
    pub preset: &'static Preset,
    /// The language that data URLs name where the page's path names none.
    pub default_locale: Option<String>,
    /// Tags of each of its pages.
    pub tags: Vec<String>,
    /// Marks of the requests that never touch the cache.
    pub bypass: Vec<BypassRule>,
    /// What is rendered before anybody asks for it.
    pub prerender: Option<Prerender>,
}

/// Which pages of a route are rendered before anybody asks for them, on each of its hostnames without a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerender {
    /// Paths in the normal form of a request's path, each of a page that the route's own path matches.
    pub paths: Vec<String>,
    /// The path of a sitemap, likewise in normal form.
    pub sitemap: Option<String>,
}

/// A port of a Service, and where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `namespace/service:port`: the identity in limits, logs and metrics.
    pub name: String,
    /// `host:port` to connect to, or a phrase that says why there is none. A route without an address stays in
    /// force, so that its stored pages are still served.
    pub address: Result<String, String>,
}

/// Which query parameters are part of a page's identity. Names are compared percent-decoded; only `&` separates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryRule {
    /// Those of these names; with no names, none.
    Names(Vec<String>),
    /// All of them.
    All,
}

/// One mark of a request that never touches the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BypassRule {
    /// It carries a cookie of this name.
    Cookie(String),
    /// It carries this header.
    Header(HeaderName),
}

impl Route {
    /// Whether a request with these headers goes past the cache by one of the route's bypass rules.
    pub fn bypasses(&self, request: &impl RequestFields) -> bool {
        self.bypass.iter().any(|rule| match rule {
            BypassRule::Cookie(name) => cookies(request).any(|(cookie, _)| cookie == name.as_bytes()),
            BypassRule::Header(name) => request.first(name).is_some(),
        })
    }

    /// Whether a request with these headers is shown the draft of a page: its draft cookie equals one of the tokens or
    /// the origin token. Any other value means nothing, so that a guess neither shows drafts nor empties the cache.
    pub fn is_draft(&self, request: &impl RequestFields) -> bool {
        cookies(request).filter(|(name, _)| *name == DRAFT_COOKIE.as_bytes()).any(|(_, value)| {
            self.tokens.accepts(value) || self.origin_token.as_ref().is_some_and(|token| token.accepts(value))
        })
    }
}

/// The cookies of a request: name and value (RFC 6265 §5.4; HTTP/2 may split them over several fields).
fn cookies(request: &impl RequestFields) -> impl Iterator<Item = (&[u8], &[u8])> {
    request.values(&COOKIE).flat_map(|value| value.split(|&byte| byte == b';')).filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    })
}
