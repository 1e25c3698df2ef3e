//! A request's target, normalised once.
//!
//! Matching, the cache key and the origin all see the bytes that [`Target::parse`] returns, so no two of them can
//! disagree about which page a request means. Spellings that RFC 3986 calls equivalent become the same bytes;
//! spellings that servers are known to read differently from how they look (dot segments, encoded backslashes,
//! control characters) are refused. A target that is already normal is borrowed: the hot path allocates nothing.

use std::borrow::Cow;

use http::Uri;
use thiserror::Error;

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

/// Why a target is answered with 400: a phrase.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// Neither `Host`, `:authority` nor an absolute-form target names a host.
    #[error("the request names no host: send a Host header")]
    NoHost,
    /// `user@host` is not allowed in an HTTP request (RFC 9110 §4.2.4).
    #[error("the host holds user information: send the host alone")]
    Userinfo,
    /// The host is neither a DNS name nor an IP address.
    #[error("the host is neither a DNS name nor an IP address")]
    BadHost,
    /// What follows the host's colon is no port.
    #[error("the port of the host is not a number from 0 to 65535")]
    BadPort,
    /// The target is not a path (`*`, or the authority of a CONNECT).
    #[error("the request target is not a path: it must start with a slash")]
    NotAPath,
    /// `%` is not followed by two hexadecimal digits.
    #[error(
        "the path holds a percent sign that is not followed by two hexadecimal digits: write %25 for a percent sign"
    )]
    BadEncoding,
    /// A `.` or `..` segment, in any spelling.
    #[error("the path holds a . or .. segment: send the path that it resolves to")]
    DotSegment,
    /// A backslash, which some servers read as a slash.
    #[error("the path holds a backslash: write slashes")]
    Backslash,
    /// An encoded or raw control character.
    #[error("the path holds a control character")]
    ControlCharacter,
}

#[cfg(test)]
mod tests;
