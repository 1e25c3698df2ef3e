//! Conditional requests answered from a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Method, StatusCode};

use crate::control::list;
use crate::freshness::date;
use crate::{RequestFields, Seconds};

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
    request: &impl RequestFields,
    etag: Option<&[u8]>,
    modified_at: Option<Seconds>,
    status: StatusCode,
) -> Precondition {
    // Conditions count only where the answer without them is a success (§13.2.1).
    if !(method == Method::GET || method == Method::HEAD) || !status.is_success() {
        return Precondition::Full;
    }
    let not_modified = if request.first(&IF_NONE_MATCH).is_some() {
        none_match_fails(request, etag)
    } else {
        let since = || date(request, &IF_MODIFIED_SINCE);
        // Dates have whole seconds; a change within the same second is not told apart.
        modified_at.is_some_and(|modified| since().is_some_and(|since| modified <= since.seconds()))
    };
    if not_modified { Precondition::NotModified } else { Precondition::Full }
}

fn none_match_fails(request: &impl RequestFields, etag: Option<&[u8]>) -> bool {
    let stored = etag.map(opaque);
    let mut candidates = request.values(&IF_NONE_MATCH).flat_map(list::entity_tags);
    // `*` means any representation, and there is one.
    candidates.any(|candidate| candidate == b"*" || Some(opaque(candidate)) == stored)
}

/// What weak comparison compares (§8.8.3.2).
fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests;
