//! Validation of stored responses (RFC 9111 §4.3), their update by a 304 (§3.2), and invalidation (§4.4).

mod reference;

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, SET_COOKIE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::connection::{HOP_BY_HOP, connection_fields};
use crate::control::{CacheControl, Scope};
use crate::freshness::date;

/// Header fields that a 304 does not change in a stored response, besides those that are never stored: they describe the
/// stored bytes (§3.2 lets a cache keep these), name them (`ETag`), or belong to one visitor (`Set-Cookie`).
const KEPT: [HeaderName; 7] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    HeaderName::from_static("content-md5"),
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
    SET_COOKIE,
];

/// Whether the origin can be asked if a response is still good.
pub fn has_validator(response_headers: &HeaderMap) -> bool {
    response_headers.contains_key(ETAG) || date(response_headers, &LAST_MODIFIED).is_some()
}

/// The header fields that turn a request for a stored response into its validation (§4.3.1): `If-None-Match` from its
/// `ETag`, `If-Modified-Since` from its `Last-Modified`, each where there is one.
pub fn conditional_request(stored: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let etag = stored.get(ETAG).map(|etag| (IF_NONE_MATCH, etag.clone()));
    let last_modified = stored.get(LAST_MODIFIED).filter(|_| date(stored, &LAST_MODIFIED).is_some());
    let last_modified = last_modified.map(|modified| (IF_MODIFIED_SINCE, modified.clone()));
    etag.into_iter().chain(last_modified)
}

/// Whether a 304 speaks of this stored response (§4.3.4): it does unless it has the strong entity tag of another one.
pub fn confirms(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    let strong = not_modified.get(ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""));
    strong.is_none_or(|etag| stored.get(ETAG).is_none_or(|stored| weakly(stored) == weakly(etag)))
}

/// Whether a 200 to HEAD shows that a GET would no longer bring what is stored (§4.3.5): a validator or the length is
/// another one.
pub fn head_contradicts(stored: &HeaderMap, stored_length: u64, response_to_head: &HeaderMap) -> bool {
    let differs =
        |name: &HeaderName| response_to_head.get(name).is_some_and(|new| stored.get(name) != Some(new));
    let length = response_to_head.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let other_length = length.is_some_and(|length| length.parse() != Ok(stored_length));
    differs(&ETAG) || differs(&LAST_MODIFIED) || other_length
}

/// Updates the header fields of a stored response by those of a 304 (§3.2).
///
/// `Age` and `Date` tell when the response was last known to be good; a 304 without them is good now.
pub fn merge_not_modified(stored: &mut HeaderMap, fresh: &HeaderMap) {
    let connection = connection_fields(fresh);
    let control = CacheControl::from_response(fresh);
    let scoped = [&control.private, &control.no_cache];
    stored.remove(AGE);
    stored.remove(DATE);
    for name in fresh.keys() {
        let excluded = KEPT.contains(name)
            || HOP_BY_HOP.contains(name)
            || connection.contains(name)
            || scoped.iter().any(|scope: &&Scope| scope.fields().contains(name));
        if excluded {
            continue;
        }
        stored.remove(name);
        for value in fresh.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

/// What a response to this method makes out of date (§4.4): the target, and what `Location` and `Content-Location` name
/// on the same origin. Empty for safe methods and for errors.
pub fn invalidates(
    method: &Method,
    response_status: StatusCode,
    response_headers: &HeaderMap,
    target: &Uri,
) -> Vec<PathAndQuery> {
    let mut targets = Vec::new();
    // Only these are known to be safe (RFC 9110 §9.2.1); an unknown method may change anything.
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if safe || !(response_status.is_success() || response_status.is_redirection()) {
        return targets;
    }
    let named = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| {
        let reference = response_headers.get(name)?;
        reference::resolve(target, reference.to_str().ok()?)
    });
    for target in target.path_and_query().cloned().into_iter().chain(named) {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

/// What weak comparison compares (RFC 9110 §8.8.3.2).
fn weakly(etag: &HeaderValue) -> &[u8] {
    let etag = etag.as_bytes();
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests;
