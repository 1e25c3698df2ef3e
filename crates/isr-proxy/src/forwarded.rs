//! Telling the origin about the visitor: `X-Forwarded-*` and `Forwarded` (RFC 7239), written by us.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::config::Scheme;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Beside all `X-Forwarded-*`, what origins read as the word of a proxy about the visitor.
const CLAIMS: [HeaderName; 8] = [
    FORWARDED,
    HeaderName::from_static("front-end-https"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-scheme"),
    HeaderName::from_static("x-url-scheme"),
];

/// Writes what is known of the visitor. What the request says itself is believed, and extended, only if the `peer` that
/// brought it is `trusted`; anybody else could claim anything.
pub(crate) fn write(headers: &mut HeaderMap, peer: IpAddr, trusted: bool, scheme: Scheme, host: &str) {
    if !trusted {
        let claimed: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("x-forwarded-") || CLAIMS.contains(name))
            .cloned()
            .collect();
        for claim in claimed {
            headers.remove(claim);
        }
    }
    let peer = peer.to_canonical();
    extend(headers, &FOR, &peer.to_string());
    set_if_absent(headers, &HOST, host);
    set_if_absent(headers, &PROTO, scheme.as_str());

    let node = match peer {
        IpAddr::V4(address) => address.to_string(),
        // RFC 7239 §6: an IPv6 address is bracketed, and quoted because of its colons.
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    extend(headers, &FORWARDED, &format!("for={node};host=\"{}\";proto={}", quoted(host), scheme.as_str()));
}

fn extend(headers: &mut HeaderMap, name: &HeaderName, member: &str) {
    let before = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let list: Vec<&str> = before.chain([member]).collect();
    if let Ok(value) = HeaderValue::from_str(&list.join(", ")) {
        headers.insert(name, value);
    }
}

fn set_if_absent(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if !headers.contains_key(name)
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(name, value);
    }
}

fn quoted(host: &str) -> String {
    host.chars().filter(|character| !matches!(character, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(trusted: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers.insert("x-real-ip", HeaderValue::from_static("203.0.113.9"));
        headers.insert("x-forwarded-ssl", HeaderValue::from_static("on"));
        let peer = "::ffff:192.0.2.1".parse().unwrap();
        write(&mut headers, peer, trusted, Scheme::Http, "shop.example.com");
        headers
    }

    #[test]
    fn a_visitor_cannot_claim_to_be_somebody_else() {
        let headers = written(false);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "shop.example.com");
        assert_eq!(headers["forwarded"], "for=192.0.2.1;host=\"shop.example.com\";proto=http");
        assert!(!headers.contains_key("x-real-ip"));
        assert!(!headers.contains_key("x-forwarded-ssl"));
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_the_list_goes_on() {
        let headers = written(true);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 192.0.2.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-real-ip"], "203.0.113.9");
    }
}
