//! Conditional requests answered from a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::header::{HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, Method, StatusCode};

use crate::Timestamp;
use crate::control::list;
use crate::freshness::date;

/// How much of a response a conditional request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// All of it: there is no condition, or the visitor's copy is out of date.
    Full,
    /// 304: the visitor has it.
    NotModified,
}

/// Evaluates the conditions of a request against a stored response, in the order of RFC 9110 §13.2.2.
///
/// `modified_at` is [`crate::freshness::modified_at`]. `If-Match` and `If-Unmodified-Since` are the origin's: they protect
/// changes, which never end here, and §13.1.1 and §13.1.4 let a cache ignore them.
pub fn precondition(
    method: &Method,
    request_headers: &HeaderMap,
    etag: Option<&HeaderValue>,
    modified_at: Option<Timestamp>,
    status: StatusCode,
) -> Precondition {
    // Conditions count only where the answer without them is a success (§13.2.1).
    if !(method == Method::GET || method == Method::HEAD) || !status.is_success() {
        return Precondition::Full;
    }
    let not_modified = if request_headers.contains_key(IF_NONE_MATCH) {
        none_match_fails(request_headers, etag)
    } else {
        let since = || date(request_headers, &IF_MODIFIED_SINCE);
        // Dates have whole seconds; a change within the same second is not told apart.
        modified_at.is_some_and(|modified| since().is_some_and(|since| modified.as_secs() <= since.as_secs()))
    };
    if not_modified { Precondition::NotModified } else { Precondition::Full }
}

fn none_match_fails(request_headers: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    let stored = etag.map(|etag| opaque(etag.as_bytes()));
    let mut candidates =
        request_headers.get_all(IF_NONE_MATCH).iter().flat_map(|line| list::entity_tags(line.as_bytes()));
    // `*` means any representation, and there is one.
    candidates.any(|candidate| candidate == b"*" || Some(opaque(candidate)) == stored)
}

/// What weak comparison compares (§8.8.3.2).
fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests;
