use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Plain, write};
use crate::config::Scheme;

type Lines<'a> = &'a [(&'static str, &'static str)];

fn key(lines: Lines<'_>, trusted: bool, scheme: Scheme) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut key = Vec::new();
    write(&headers, trusted, scheme, &Plain { scheme: Scheme::Https, host: "shop.example.com" }, &mut key);
    key
}

#[test]
fn what_most_requests_claim_adds_nothing() {
    let cases: &[(Lines<'_>, bool, Scheme)] = &[
        (&[], false, Scheme::Https),
        (&[("accept", "text/html"), ("from", "a@example.com"), ("x-request-id", "1")], false, Scheme::Https),
        // Removed on the way to the origin.
        (&[("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "gopher")], false, Scheme::Https),
        (&[("forwarded", "host=evil.example")], false, Scheme::Https),
        // TLS ended before the trusted proxy that says so.
        (&[("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example.com")], true, Scheme::Http),
        (&[("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.1;by=_a")], true, Scheme::Http),
        (&[("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.1")], true, Scheme::Https),
    ];
    for (lines, trusted, scheme) in cases {
        assert_eq!(key(lines, *trusted, *scheme), b"", "{lines:?}");
    }
}

#[test]
fn whoever_claims_more_shares_with_those_who_claim_the_same() {
    let cases: &[(Lines<'_>, bool)] = &[
        (&[("x-forwarded-proto", "http")], true),
        (&[("x-forwarded-host", "other.example.com")], true),
        (&[("x-forwarded-host", "shop.example.com"), ("x-forwarded-host", "other.example.com")], true),
        (&[("x-forwarded-prefix", "/shop")], true),
        (&[("forwarded", "for=192.0.2.1;host=other.example.com")], true),
        (&[("forwarded", "for=192.0.2.1, proto=http")], true),
        (&[("x-forwarded-scheme", "http")], false),
        (&[("x-original-url", "/admin")], false),
        (&[("x-http-method-override", "POST")], false),
        (&[("x-middleware-prefetch", "1")], false),
        (&[("x-invoke-status", "404")], false),
        (&[("front-end-https", "on")], false),
    ];
    let mut keys = vec![Vec::new()];
    for (lines, trusted) in cases {
        let claimed = key(lines, *trusted, Scheme::Https);
        assert_eq!(claimed, key(lines, *trusted, Scheme::Https), "{lines:?}");
        assert!(!keys.contains(&claimed), "{lines:?} has a key of its own");
        keys.push(claimed);
    }
    assert_eq!(
        key(&[], false, Scheme::Http),
        key(&[("x-forwarded-proto", "http")], true, Scheme::Https),
        "however it is known that the visitor uses http"
    );
    assert_eq!(
        key(&[("forwarded", "for=192.0.2.1;host=b")], true, Scheme::Https),
        key(&[("forwarded", "for=192.0.2.2;host=b")], true, Scheme::Https),
        "who asks is not what is asked"
    );
}
