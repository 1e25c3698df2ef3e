//! A request's target, normalised once.
//!
//! Matching, the cache key and the origin all see the bytes that [`Target::parse`] returns, so no two of them can
//! disagree about which page a request means. Spellings that RFC 3986 calls equivalent become the same bytes;
//! spellings that servers are known to read differently from how they look (dot segments, encoded backslashes,
//! control characters) are refused. A target that is already normal is borrowed: the hot path allocates nothing.

use std::borrow::Cow;

use http::Uri;

use crate::bad_target::BadTarget;
use crate::{host, path};

/// Where a request goes: host, path and query, in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'r> {
    /// Lower case, without port, trailing dot and userinfo. An IPv6 address keeps its brackets.
    pub host: Cow<'r, str>,
    /// Starts with `/`. Unreserved characters stand for themselves, all others that may not stand in a path are
    /// percent-encoded with upper-case digits. `%2F`, `;` and `//` are kept as they came.
    pub path: Cow<'r, str>,
    /// What followed the `?`, as it came; empty when there was none.
    pub query: &'r str,
}

impl<'r> Target<'r> {
    /// Normalises a request's target.
    ///
    /// `authority` is the `Host` header or `:authority` as received. The authority of an absolute-form `uri` goes
    /// before it (RFC 9112 §3.2.2).
    pub fn parse(authority: &'r str, uri: &'r Uri) -> Result<Self, BadTarget> {
        let authority = uri.authority().map_or(authority, |authority| authority.as_str());
        Self::of(authority, uri.path(), uri.query().unwrap_or_default())
    }

    /// The same for a target that is in its parts already: the query without its `?`.
    pub fn of(authority: &'r str, path: &'r str, query: &'r str) -> Result<Self, BadTarget> {
        Ok(Self { host: host::normalise(authority)?, path: path::normalise(path)?, query })
    }
}

#[cfg(test)]
mod tests;
