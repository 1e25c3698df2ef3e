//! What a request claims about itself beyond its target.
//!
//! On routes that the origin governs it sees the visitor's own request, and applications read many fields that change
//! what a request means without a `Vary` for them: under which scheme and host they are reached, which other path or
//! method is meant. A page made for such a claim goes to nobody who does not claim the same.

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use isr_cache::vary;

use crate::config::Scheme;

/// Fields that a proxy writes. They reach the origin only from trusted peers.
const OF_PROXIES: [&str; 5] =
    ["forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto"];

/// Fields that reach the origin from anybody, and that frameworks are known to read: Rack, Symfony, Laravel, Spring,
/// gunicorn, IIS, Next.js.
const OF_ANYBODY: [&str; 19] = [
    "front-end-https",
    "x-forwarded-path",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-matched-path",
    "x-method-override",
    "x-now-route-matches",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// What Next.js tells itself between its parts.
const OF_NEXTJS: [&str; 2] = ["x-invoke-", "x-middleware-"];

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What most requests claim: nothing is added to their key.
pub(super) struct Plain<'p> {
    pub(super) scheme: Scheme,
    pub(super) host: &'p str,
}

/// Appends to `key` what a request claims that `plain` requests do not. `scheme` is how it came here.
pub(super) fn write(
    headers: &HeaderMap,
    trusted: bool,
    scheme: Scheme,
    plain: &Plain<'_>,
    key: &mut Vec<u8>,
) {
    let mut claims = HeaderMap::new();
    for (name, value) in headers {
        if !claims_something(name.as_str(), trusted) {
            continue;
        }
        if name == FORWARDED {
            if let Some(rest) = without_nodes(value) {
                claims.append(name, rest);
            }
        } else {
            claims.append(name, value.clone());
        }
    }
    if scheme != plain.scheme && !claims.contains_key(&PROTO) {
        claims.insert(PROTO, HeaderValue::from_static(scheme.as_str()));
    }
    drop_if_only(&mut claims, &PROTO, plain.scheme.as_str());
    drop_if_only(&mut claims, &HeaderName::from_static("x-forwarded-host"), plain.host);
    if claims.is_empty() {
        return;
    }
    let mut names: Vec<HeaderName> = claims.keys().cloned().collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    vary::secondary_key(&names, &claims, key);
}

fn claims_something(name: &str, trusted: bool) -> bool {
    // All but two begin so; most fields of a request do not.
    if !(name.starts_with("x-") || name.starts_with('f')) {
        return false;
    }
    OF_ANYBODY.contains(&name)
        || (trusted && OF_PROXIES.contains(&name))
        || OF_NEXTJS.iter().any(|prefix| name.starts_with(prefix))
}

/// A `Forwarded` field without the addresses in it: who asks is no claim about what is asked.
fn without_nodes(forwarded: &HeaderValue) -> Option<HeaderValue> {
    let parameters = forwarded.as_bytes().split(|byte| matches!(byte, b',' | b';')).map(<[u8]>::trim_ascii);
    let kept: Vec<&[u8]> = parameters
        .filter(|parameter| {
            let name = parameter.get(..4).unwrap_or_default().to_ascii_lowercase();
            !parameter.is_empty() && name != b"for=" && !name.starts_with(b"by=")
        })
        .collect();
    if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b';')).ok() }
}

fn drop_if_only(claims: &mut HeaderMap, name: &HeaderName, plain: &str) {
    let mut values = claims.get_all(name).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && value.as_bytes().eq_ignore_ascii_case(plain.as_bytes())
    {
        claims.remove(name);
    }
}

#[cfg(test)]
mod tests;
