use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;

use super::{NotStored, RenderOutcome, may_store, render_outcome, strip_unstorable};
use crate::Timestamp;
use crate::control::tests::{any_value, headers};

/// Tue, 18 Aug 2026 02:01:18 GMT.
const NOW: Timestamp = Timestamp(1_787_018_478_000);

type Lines<'a> = &'a [(&'a str, &'a str)];

fn stores(request: Lines<'_>, status: u16, response: Lines<'_>) -> Result<(), NotStored> {
    may_store(&Method::GET, &headers(request), StatusCode::from_u16(status).unwrap(), &headers(response), NOW)
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const ETAG: (&str, &str) = ("etag", "\"a\"");
const MODIFIED: (&str, &str) = ("last-modified", "Thu, 18 Aug 2005 02:01:18 GMT");
const COOKIE: Lines<'static> = &[("cookie", "a=b")];
const AUTHORIZED: Lines<'static> = &[("authorization", "Basic eA==")];

#[test]
fn responses_that_a_shared_cache_may_store() {
    let table: &[(&str, Lines<'_>, u16, Lines<'_>)] = &[
        ("§3 max-age", &[], 200, &[FRESH]),
        ("§3 s-maxage", &[], 200, &[("cache-control", "s-maxage=60")]),
        ("§3 Expires", &[], 200, &[("expires", "Thu, 18 Aug 2050 02:01:18 GMT")]),
        ("§3 a validator alone", &[], 200, &[ETAG]),
        ("§3 a date as validator", &[], 200, &[("last-modified", "Thu, 18 Aug 2005 02:01:18 GMT")]),
        ("§3 public and a validator", &[], 599, &[("cache-control", "public"), ETAG]),
        ("§3 any final status", &[], 599, &[FRESH]),
        ("§3 errors with a lifetime", &[], 503, &[FRESH]),
        ("§5.2.2.4 no-cache and a validator", &[], 200, &[("cache-control", "no-cache"), ETAG]),
        ("RFC 5861 §3 a window alone", &[], 200, &[("cache-control", "max-age=0, stale-while-revalidate=9")]),
        ("RFC 5861 §4 a window alone", &[], 200, &[("cache-control", "max-age=0, stale-if-error=9")]),
        ("§5.2.2.3 known status", &[], 200, &[("cache-control", "max-age=60, no-store, must-understand")]),
        ("§5.2.2.7 qualified", &[], 200, &[("cache-control", "max-age=60, private=\"x-user\"")]),
        ("§3.5 public", AUTHORIZED, 200, &[("cache-control", "max-age=60, public")]),
        ("§3.5 s-maxage", AUTHORIZED, 200, &[("cache-control", "s-maxage=60")]),
        ("§3.5 must-revalidate", AUTHORIZED, 200, &[("cache-control", "max-age=60, must-revalidate")]),
        ("§4.1 Vary", &[], 200, &[FRESH, ("vary", "Accept-Encoding, Foo")]),
        ("§7.3 Cookie in the request", COOKIE, 200, &[FRESH]),
        ("§7.3 Cookie, to validate each time", COOKIE, 200, &[("cache-control", "public, max-age=0"), ETAG]),
        ("§7.3 Cookie, a window", COOKIE, 200, &[("cache-control", "max-age=0, stale-while-revalidate=9")]),
        ("§4.2.2 heuristics", &[], 200, &[MODIFIED]),
        ("RFC 9110 §14.4 means nothing on 200", &[], 200, &[FRESH, ("content-range", "bytes 0-1/2")]),
        (
            "RFC 9213 §2.2 over no-store",
            &[],
            200,
            &[("cache-control", "no-store, private"), ("cdn-cache-control", "max-age=60")],
        ),
    ];
    for (rule, request, status, response) in table {
        assert_eq!(stores(request, *status, response), Ok(()), "{rule}: {request:?} {status} {response:?}");
    }
}

#[test]
fn responses_that_it_may_not_and_why() {
    use NotStored::{
        Authorization, Cookie, NoFreshness, NoStore, NotUnderstood, Partial, Private, RequestNoStore,
        SetCookie, Status, VaryAuthorization, VaryCookie, VaryStar, VaryUnusable,
    };
    let names = (0..17).map(|n| format!("h{n}")).collect::<Vec<_>>().join(",");
    let table: &[(&str, NotStored, Lines<'_>, u16, Lines<'_>)] = &[
        ("§5.2.1.5", RequestNoStore, &[("cache-control", "no-store")], 200, &[FRESH]),
        ("§3.3", Partial, &[], 206, &[FRESH, ("content-range", "bytes 0-1/2")]),
        ("RFC 9110 §15.5.17", Partial, &[], 416, &[FRESH]),
        ("§3 interim", Status, &[], 103, &[FRESH]),
        ("§3 304", Status, &[], 304, &[FRESH]),
        ("RFC 9110 §15.5.13", Status, &[], 412, &[FRESH]),
        ("RFC 6585 §4", Status, &[], 429, &[FRESH]),
        ("§5.2.2.3", NotUnderstood, &[], 599, &[("cache-control", "max-age=60, must-understand")]),
        ("§5.2.2.3", NotUnderstood, &[], 599, &[("cache-control", "max-age=60, no-store, must-understand")]),
        ("§5.2.2.5", NoStore, &[], 200, &[("cache-control", "max-age=60, no-store"), ETAG]),
        ("§5.2.2.7", Private, &[], 200, &[("cache-control", "private, max-age=60")]),
        (
            "§7.3 our rule",
            SetCookie,
            &[],
            200,
            &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")],
        ),
        (
            "§7.3 even qualified",
            SetCookie,
            &[],
            200,
            &[("cache-control", "max-age=60, private=\"set-cookie\""), ("set-cookie", "a=b")],
        ),
        ("§3.5", Authorization, AUTHORIZED, 200, &[FRESH]),
        ("§3.5 Expires", Authorization, AUTHORIZED, 200, &[("expires", "Thu, 18 Aug 2050 02:01:18 GMT")]),
        ("our rule: heuristics", Cookie, COOKIE, 200, &[MODIFIED]),
        ("our rule: a validator alone", Cookie, COOKIE, 200, &[ETAG]),
        ("our rule: max-age=0", Cookie, COOKIE, 200, &[("cache-control", "max-age=0"), ETAG]),
        ("our rule: no-cache", Cookie, COOKIE, 200, &[("cache-control", "no-cache"), ETAG]),
        ("§4.1", VaryStar, &[], 200, &[FRESH, ("vary", "Foo, *")]),
        ("§4.1 our rule", VaryCookie, &[], 200, &[FRESH, ("vary", "accept, COOKIE")]),
        (
            "§4.1 our rule",
            VaryAuthorization,
            AUTHORIZED,
            200,
            &[("cache-control", "public, max-age=60"), ("vary", "authorization")],
        ),
        ("§4.1 our bound", VaryUnusable, &[], 200, &[FRESH, ("vary", &names)]),
        ("§4.1 no field name", VaryUnusable, &[], 200, &[FRESH, ("vary", "a b")]),
        ("§3 nothing said", NoFreshness, &[], 200, &[]),
        ("§3 of no use", NoFreshness, &[], 200, &[("cache-control", "max-age=0, must-revalidate")]),
        ("§3 of no use", NoFreshness, &[], 200, &[("cache-control", "no-cache")]),
        ("§3 of no use", NoFreshness, &[], 200, &[("expires", "0")]),
        (
            "§3 a window that is forbidden",
            NoFreshness,
            &[],
            200,
            &[("cache-control", "no-cache, stale-if-error=9")],
        ),
        ("§3 a validator on 403", NoFreshness, &[], 403, &[ETAG]),
        (
            "§3 a heuristic on 599",
            NoFreshness,
            &[],
            599,
            &[("last-modified", "Thu, 18 Aug 2005 02:01:18 GMT")],
        ),
        ("RFC 9213 no-store", NoStore, &[], 200, &[FRESH, ("cdn-cache-control", "no-store")]),
        ("RFC 9213 private", Private, &[], 200, &[FRESH, ("cdn-cache-control", "private")]),
        ("RFC 9213 no-cache", NoFreshness, &[], 200, &[FRESH, ("cdn-cache-control", "no-cache")]),
        (
            "RFC 9213 invalid",
            NoStore,
            &[],
            200,
            &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60, &")],
        ),
    ];
    for (rule, reason, request, status, response) in table {
        assert_eq!(
            stores(request, *status, response),
            Err(*reason),
            "{rule}: {request:?} {status} {response:?}"
        );
    }
    for method in [Method::HEAD, Method::POST, Method::OPTIONS, Method::from_bytes(b"M-SEARCH").unwrap()] {
        let stored = may_store(&method, &HeaderMap::new(), StatusCode::OK, &headers(&[FRESH]), NOW);
        assert_eq!(stored, Err(NotStored::Method), "{method}");
    }
}

#[test]
fn fields_that_are_not_stored() {
    let mut map = headers(&[
        ("connection", "a, Keep-Alive"),
        ("connection", "b"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "x"),
        ("proxy-authentication-info", "x"),
        ("proxy-authorization", "x"),
        ("proxy-connection", "x"),
        ("te", "x"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("cache-control", "max-age=60, no-cache=\"c, d\", private=\"e\""),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("d", "4"),
        ("e", "5"),
        ("f", "6"),
        ("content-type", "text/html"),
    ]);
    strip_unstorable(&mut map);
    let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["cache-control", "content-type", "f"], "§3.1, §5.2.2.4, §5.2.2.7");
}

#[test]
fn renders_by_status() {
    for code in 100..=999 {
        let success = [200, 301, 302, 307, 308, 404, 410].contains(&code);
        let expected = if success { RenderOutcome::Success } else { RenderOutcome::Failure };
        assert_eq!(render_outcome(StatusCode::from_u16(code).unwrap()), expected, "{code}");
    }
}

proptest! {
    #[test]
    fn no_words_of_the_origin_store_a_cookie(
        values in proptest::collection::vec(any_value(), 4), status in 100_u16..1000, cookie in any_value(),
    ) {
        let names = ["cache-control", "cdn-cache-control", "vary", "expires"];
        let mut map: HeaderMap = names.iter().map(|name| name.parse().unwrap()).zip(values).collect();
        let status = StatusCode::from_u16(status).unwrap();
        let plain = may_store(&Method::GET, &map, status, &map, NOW);
        prop_assert!(plain.is_ok() || plain.is_err_and(|reason| !reason.detail().is_empty()));
        map.insert("set-cookie", cookie);
        prop_assert!(may_store(&Method::GET, &HeaderMap::new(), status, &map, NOW).is_err());
        strip_unstorable(&mut map);
    }
}
