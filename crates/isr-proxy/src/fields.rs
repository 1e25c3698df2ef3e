//! Fields that end at each hop, and fields that name the hops.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    UPGRADE, VIA,
};
use http::{Version, header};
use isr_cache::connection::{HOP_BY_HOP, connection_fields};

/// How this proxy names itself in `Via` and `Cache-Status`.
pub(crate) const PSEUDONYM: &str = "kube-isr";

/// More passages than this through proxies of our name are a loop: some backend leads back to us.
const MOST_PASSAGES: usize = 8;

/// A client may not use `Connection` to remove what others rely on: the origin would see another request than the one
/// that was matched and authorised.
const NEVER_STRIPPED: [HeaderName; 7] =
    [header::AUTHORIZATION, header::CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRAILER];

/// Removes the fields that are meant for this hop alone (RFC 9110 §7.6.1), those that `Connection` names included.
/// `TE: trailers` is kept: we pass trailers on.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let mut named = connection_fields(headers);
    named.retain(|name| !NEVER_STRIPPED.contains(name));
    let trailers = list(headers, &TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    // Trailers are passed on, and so is their announcement.
    for name in named.iter().chain(HOP_BY_HOP.iter().filter(|name| **name != TRAILER)) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether the message asks to change the protocol of its connection (RFC 9110 §7.8).
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && list(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// Adds this proxy to `Via` (RFC 9110 §7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, received: Version) {
    let passage = match received {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 kube-isr",
        Version::HTTP_2 => "2 kube-isr",
        Version::HTTP_3 => "3 kube-isr",
        _ => "1.1 kube-isr",
    };
    headers.append(VIA, HeaderValue::from_static(passage));
}

/// Whether the request came through here too often to be on its way anywhere.
pub(crate) fn is_loop(headers: &HeaderMap) -> bool {
    let ours = |passage: &str| passage.split_ascii_whitespace().nth(1) == Some(PSEUDONYM);
    list(headers, &VIA).filter(|passage| ours(passage)).count() > MOST_PASSAGES
}

/// The members of a comma-separated list field.
pub(crate) fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_is_meant_for_one_hop_goes_no_further() {
        let mut fields = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("te", "gzip, trailers"),
            ("upgrade", "h2c"),
            ("accept", "text/html"),
        ]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(fields, headers(&[("te", "trailers"), ("accept", "text/html")]));
    }

    #[test]
    fn connection_cannot_strip_what_others_rely_on() {
        let mut fields =
            headers(&[("connection", "Host, Cookie, Authorization"), ("host", "a"), ("cookie", "b")]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(fields, headers(&[("host", "a"), ("cookie", "b")]));
    }

    #[test]
    fn a_loop_is_seen() {
        let mut fields = HeaderMap::new();
        for _ in 0..MOST_PASSAGES {
            add_via(&mut fields, Version::HTTP_11);
        }
        assert!(!is_loop(&fields));
        add_via(&mut fields, Version::HTTP_2);
        assert!(is_loop(&fields));
    }
}
