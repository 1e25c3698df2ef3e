//! Answering from a stored response: the right representation, 304, a range, HEAD; and the fields that tell why.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue,
};
use http::{Method, Response, StatusCode};
use isr_cache::{
    CacheStatus, Coding, Forward, Precondition, Range, Representation, RequestFields, StoredResponse,
    XIsrCache, conditional, negotiate, range,
};

use crate::body::Body;
use crate::problem::X_ISR_CACHE;

pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What a response says about itself.
pub(crate) struct Label<'a> {
    pub(crate) short: XIsrCache,
    pub(crate) status: CacheStatus<'a>,
}

/// Why a request goes past the cache.
pub(crate) struct Past {
    pub(crate) reason: Forward,
    pub(crate) detail: Cow<'static, str>,
}

/// The response to a GET or HEAD with these fields, `age` seconds after the stored response was made.
pub(crate) fn answer(
    method: &Method,
    request: &impl RequestFields,
    stored: &StoredResponse,
    age: u64,
    label: &Label<'_>,
) -> Response<Body> {
    let representation = negotiate::choose(request, stored).representation;
    answer_with(method, request, stored, representation, age, label)
}

/// The same with a representation that is chosen already.
pub(crate) fn answer_with(
    method: &Method,
    request: &impl RequestFields,
    stored: &StoredResponse,
    representation: Representation<'_>,
    age: u64,
    label: &Label<'_>,
) -> Response<Body> {
    let (etag, status) = (representation.etag, stored.status());

    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = stored.head.to_map();
    let fields = response.headers_mut();
    // The bytes of a value make a value.
    if let Some(Ok(etag)) = etag.map(HeaderValue::from_bytes) {
        fields.insert(ETAG, etag);
    }
    fields.insert(AGE, HeaderValue::from(age));
    label.write(fields);

    if conditional::precondition(method, request, etag, stored.modified, status) == Precondition::NotModified
    {
        // Fields about the content say nothing without it (RFC 9110 §15.4.5).
        fields.remove(CONTENT_TYPE);
        fields.remove(CONTENT_ENCODING);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    if representation.coding != Coding::Identity {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static(representation.coding.name()));
    }

    let length = representation.body.len() as u64;
    let body = if status == StatusCode::OK {
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        match range::range(method, request, length, etag) {
            Range::Whole => representation.body.clone(),
            Range::Part { first, last } => {
                let content_range = format!("bytes {first}-{last}/{length}");
                set(fields, CONTENT_RANGE, content_range);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                representation.body.slice(part(representation.body, first, last))
            }
            Range::Unsatisfiable => {
                set(fields, CONTENT_RANGE, format!("bytes */{length}"));
                fields.remove(CONTENT_TYPE);
                fields.remove(CONTENT_ENCODING);
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                Bytes::new()
            }
        }
    } else {
        representation.body.clone()
    };
    let headers = response.headers_mut();
    // A 204 has no content, not even content of length 0 (RFC 9110 §8.6).
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if *method != Method::HEAD {
        *response.body_mut() = Body::whole(body);
    }
    response
}

impl Label<'_> {
    /// Adds the fields that tell how the response came about. The members of caches before us stay before ours
    /// (RFC 9211 §2).
    pub(crate) fn write(&self, fields: &mut HeaderMap) {
        let mut status = Vec::with_capacity(64);
        self.status.write(&mut status);
        if let Ok(status) = HeaderValue::from_maybe_shared(Bytes::from(status)) {
            fields.append(CACHE_STATUS, status);
        }
        fields.insert(X_ISR_CACHE, HeaderValue::from_static(self.short.as_str()));
    }
}

fn set(fields: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
        fields.insert(name, value);
    }
}

/// The part of a body from the byte `first` to the byte `last`.
pub(crate) fn part(body: &Bytes, first: u64, last: u64) -> std::ops::Range<usize> {
    let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
    let (start, end) = (bound(first), bound(last.saturating_add(1)));
    start.min(end)..end
}
