//! Making a stored response of what the origin sent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{
    self, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_LENGTH, DATE, ETAG, EXPIRES, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY,
};
use http::{StatusCode, Version};
use isr_cache::freshness::{initial_age, lifetime, modified_at};
use isr_cache::{
    Asked, Coding, Extra, Governed, Group, Head, Policy, Render, Routed, StoredResponse, Timestamp, tags,
};
use isr_routes::Route;
use sha2::{Digest, Sha256};

use crate::fields::{add_via, list, strip_hop_by_hop};

/// What browsers and caches beyond us are told: keep it, but ask every time. A page that was revalidated here is so
/// seen at once everywhere, and an unchanged one costs a 304. Vercel sends the same.
const DOWNSTREAM: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// Told of pages that are not stored.
const NOT_STORED: HeaderValue = HeaderValue::from_static("private, no-store");

/// Fields of the origin that do not go out with a page of an ISR route: they speak to this cache, about one visitor,
/// or about bytes that we describe ourselves.
const REPLACED: [HeaderName; 16] = [
    AGE,
    CACHE_CONTROL,
    CONTENT_LENGTH,
    ETAG,
    EXPIRES,
    PRAGMA,
    SET_COOKIE,
    VARY,
    header::ACCEPT_RANGES,
    HeaderName::from_static("cache-status"),
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("kube-isr-cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("x-isr-cache"),
    HeaderName::from_static("x-nextjs-cache"),
    HeaderName::from_static("x-vercel-cache"),
];

/// What a page is made of.
pub(crate) struct Ingredients {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) version: Version,
    pub(crate) body: Bytes,
    pub(crate) render: Render,
    pub(crate) group: Arc<Group>,
    /// Whether it will be stored; if not, nobody else may store it either.
    pub(crate) storable: bool,
}

/// Makes of a render the response that is sent to every visitor.
pub(crate) fn make(route: &Route, ingredients: Ingredients) -> StoredResponse {
    let Ingredients { status, mut headers, version, body, render, group, storable } = ingredients;
    let tags = tags::of(&headers).into_boxed_slice();
    let vary = vary(route, &headers);
    let finished = render.finished.timestamp();
    let modified = headers.contains_key(LAST_MODIFIED).then(|| modified_at(&headers, finished).seconds());
    let governed = (route.policy == Policy::Origin).then(|| Governed {
        lifetime: lifetime(&headers, status, finished),
        initial_age: initial_age(&headers, finished, finished),
        vary: Box::default(),
    });
    let said = headers.get(CACHE_CONTROL).cloned();
    strip_hop_by_hop(&mut headers);
    for name in REPLACED.iter().chain(&tags::FIELDS) {
        headers.remove(name);
    }
    // Its time of origin stays with a stored response (RFC 9110 §6.6.1); an origin without a clock gets ours.
    if !headers.contains_key(DATE) {
        headers.insert(DATE, http_date(finished));
    }
    add_via(&mut headers, version);
    let governed = storable.then_some(governed).flatten();
    // Where the origin governs, what it said to other caches holds for them as well.
    let control = match (&governed, said) {
        (Some(_), Some(said)) => said,
        _ if storable => DOWNSTREAM,
        _ => NOT_STORED,
    };
    headers.insert(CACHE_CONTROL, control);
    if let Some(vary) = vary {
        headers.insert(VARY, vary);
    }
    let media_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let etag = storable.then(|| entity_tag(media_type, &body, Coding::Identity)).flatten();
    let head = head(status, &route.id, etag.as_ref(), headers);
    let asked = if governed.is_some() { Asked::never() } else { Asked::not_yet(&head, &body) };
    StoredResponse {
        head,
        body,
        asked,
        modified,
        render,
        routed: Routed::default(),
        group,
        extra: Extra { governed: governed.map(Box::new), tags, ..Extra::default() }.if_any(),
    }
}

/// Whether a stored response is a page of this route, kept by the rules that the route has now. What another route left
/// under the same host and path, perhaps another tenant's, is not.
pub(crate) fn belongs(stored: &StoredResponse, route: &Route) -> bool {
    // As a rule it is the very same name: a table keeps the routes that are the same in the one before.
    let is_of_route = Arc::ptr_eq(stored.head.route(), &route.id) || *stored.head.route() == route.id;
    is_of_route && stored.governed().is_some() == (route.policy == Policy::Origin)
}

/// The head of a stored response. Nothing of the buffer from which the fields were read is kept.
pub(crate) fn head(
    status: StatusCode,
    route: &Arc<str>,
    etag: Option<&HeaderValue>,
    headers: HeaderMap,
) -> Head {
    let mut fields: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        // A repeated field comes without its name from the second value on.
        let name = name.or_else(|| last.clone());
        if let Some(name) = name {
            last = Some(name.clone());
            // Said twice is said once: Next.js repeats `Location`, and a client that joins the two goes nowhere.
            if !fields.contains(&(name.clone(), value.clone())) {
                fields.push((name, value));
            }
        }
    }
    Head::new(status, route, etag, fields.iter().map(|(name, value)| (name, value)))
}

/// A body in no more memory than it needs: one that came in pieces was read into a buffer that grows by doubling.
pub(crate) fn compact_body(read: BytesMut) -> Bytes {
    if read.capacity() > read.len() + read.len() / 8 { Bytes::copy_from_slice(&read) } else { read.freeze() }
}

/// Six bits as a character.
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A strong entity tag (RFC 9110 §8.8.3): the same content in the same coding gets the same tag from every replica, so
/// that a visitor who moves between them, or comes after a render that changed nothing, gets a 304.
pub(crate) fn entity_tag(media_type: &[u8], body: &[u8], coding: Coding) -> Option<HeaderValue> {
    let mut digest = Sha256::new();
    digest.update(media_type);
    digest.update([0]);
    digest.update(body);
    let digest = digest.finalize();
    // 96 bits: two versions of one page never meet by chance. In base64url (RFC 4648 §5), because each page keeps it.
    let mut tag = String::with_capacity(32);
    tag.push('"');
    for three in digest[..12].chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| (bits << 8) | usize::from(*byte));
        tag.extend([18, 12, 6, 0].map(|shift| char::from(BASE64URL[(bits >> shift) & 63])));
    }
    if coding != Coding::Identity {
        tag.push('-');
        tag.push_str(coding.name());
    }
    tag.push('"');
    HeaderValue::from_maybe_shared(Bytes::from(tag)).ok()
}

/// `Vary` as the visitor needs it: what the origin says, what the key holds, and the codings we make.
fn vary(route: &Route, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut names: Vec<String> = vec![ACCEPT_ENCODING.as_str().to_owned()];
    let of_key = route.key_headers.iter().map(|header| header.name.as_str());
    for name in list(headers, &VARY).chain(of_key) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.to_ascii_lowercase());
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(names.join(", "))).ok()
}

/// A moment as an HTTP date (RFC 9110 §5.6.7).
pub(crate) fn http_date(time: Timestamp) -> HeaderValue {
    HeaderValue::from_bytes(&time.seconds().http_date())
        .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_page_keeps_nothing_of_the_buffer_that_it_was_read_into() {
        let buffer = Bytes::from(b"text/html no-cache".repeat(1000));
        let mut headers = HeaderMap::new();
        for (name, range) in [(header::CONTENT_TYPE, 0..9), (CACHE_CONTROL, 10..18)] {
            headers.insert(name, HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap());
        }
        let kept = head(StatusCode::OK, &"shop/blog".into(), None, headers);
        assert_eq!(kept.field(&header::CONTENT_TYPE), Some(&b"text/html"[..]));
        assert_eq!(kept.field(&CACHE_CONTROL), Some(&b"no-cache"[..]));
        assert!(buffer.is_unique(), "the buffer can go");
    }

    #[test]
    fn a_body_takes_no_more_than_it_needs() {
        let mut read = BytesMut::with_capacity(64 << 10);
        read.extend_from_slice(b"a short page");
        let room = read.as_ptr();
        let body = compact_body(read);
        assert_eq!(&body[..], b"a short page");
        assert_ne!(body.as_ptr(), room, "it was copied out of its room");
        assert_eq!(&compact_body(BytesMut::from(&body[..]))[..], b"a short page");
    }
}
