use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri};
use proptest::prelude::*;

use super::{
    conditional_request, confirms, has_validator, head_contradicts, invalidates, merge_not_modified,
};
use crate::control::tests::{any_value, headers};

type Lines<'a> = &'a [(&'a str, &'a str)];

const MODIFIED: &str = "Tue, 18 Aug 2026 02:01:18 GMT";

#[test]
fn validators() {
    let table: &[(&str, Lines<'_>, Lines<'_>)] = &[
        ("§4.3.1 none", &[("content-type", "text/html")], &[]),
        ("§4.3.1 strong", &[("etag", "\"a\"")], &[("if-none-match", "\"a\"")]),
        ("§4.3.1 weak", &[("etag", "W/\"a\"")], &[("if-none-match", "W/\"a\"")]),
        ("§4.3.1 date", &[("last-modified", MODIFIED)], &[("if-modified-since", MODIFIED)]),
        (
            "§4.3.1 both",
            &[("last-modified", MODIFIED), ("etag", "\"a\"")],
            &[("if-none-match", "\"a\""), ("if-modified-since", MODIFIED)],
        ),
        ("RFC 9110 §8.8.2 no date", &[("last-modified", "yesterday")], &[]),
    ];
    for (rule, stored, expected) in table {
        let stored = headers(stored);
        let asked: HeaderMap = conditional_request(&stored).collect();
        assert_eq!(asked, headers(expected), "{rule}");
        assert_eq!(has_validator(&stored), !expected.is_empty(), "{rule}");
    }
}

#[test]
fn a_304_of_another_response() {
    let table: &[(&str, Lines<'_>, Lines<'_>, bool)] = &[
        ("§4.3.4 says nothing", &[("etag", "\"a\"")], &[], true),
        ("§4.3.4 the same", &[("etag", "\"a\"")], &[("etag", "\"a\"")], true),
        ("§4.3.4 another", &[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
        ("§4.3.4 a weak one selects by date", &[("etag", "\"a\"")], &[("etag", "W/\"b\"")], true),
        ("made strong on the way", &[("etag", "W/\"a\"")], &[("etag", "\"a\"")], true),
        ("§4.3.4 asked by date alone", &[("last-modified", MODIFIED)], &[("etag", "\"b\"")], true),
    ];
    for (rule, stored, fresh, expected) in table {
        assert_eq!(confirms(&headers(stored), &headers(fresh)), *expected, "{rule}");
    }
}

#[test]
fn a_head_that_contradicts_what_is_stored() {
    let stored = headers(&[("etag", "\"a\""), ("last-modified", MODIFIED)]);
    let table: &[(&str, Lines<'_>, bool)] = &[
        ("§4.3.5 says nothing", &[], false),
        ("§4.3.5 the same", &[("etag", "\"a\""), ("content-length", "5")], false),
        ("§4.3.5 another tag", &[("etag", "\"b\""), ("content-length", "5")], true),
        ("§4.3.5 another date", &[("last-modified", "Wed, 19 Aug 2026 02:01:18 GMT")], true),
        ("§4.3.5 another length", &[("etag", "\"a\""), ("content-length", "6")], true),
    ];
    for (rule, response, expected) in table {
        assert_eq!(head_contradicts(&stored, 5, &headers(response)), *expected, "{rule}");
    }
}

#[test]
fn a_304_updates_what_is_stored() {
    let table: &[(&str, Lines<'_>, Lines<'_>, Lines<'_>)] = &[
        ("§3.2 stays", &[("a", "1")], &[], &[("a", "1")]),
        ("§3.2 replaced", &[("a", "1"), ("a", "2")], &[("a", "3")], &[("a", "3")]),
        ("§3.2 all lines", &[("a", "1")], &[("a", "2"), ("a", "3")], &[("a", "2"), ("a", "3")]),
        ("§3.2 added", &[("a", "1")], &[("b", "2")], &[("a", "1"), ("b", "2")]),
        (
            "§3.2 freshness",
            &[("cache-control", "max-age=1")],
            &[("cache-control", "max-age=60")],
            &[("cache-control", "max-age=60")],
        ),
        (
            "§3.2 Content-Length",
            &[("content-length", "5")],
            &[("content-length", "0")],
            &[("content-length", "5")],
        ),
        ("§3.2 not added either", &[], &[("content-length", "0"), ("content-encoding", "gzip")], &[]),
        (
            "§3.2 Content-Encoding",
            &[("content-encoding", "br")],
            &[("content-encoding", "gzip")],
            &[("content-encoding", "br")],
        ),
        ("§3.2 Content-Range", &[], &[("content-range", "bytes 0-1/2")], &[]),
        (
            "§3.2 Content-Type",
            &[("content-type", "text/html")],
            &[("content-type", "text/x-component")],
            &[("content-type", "text/html")],
        ),
        ("§4.3.4 ETag", &[("etag", "\"a\"")], &[("etag", "\"b\"")], &[("etag", "\"a\"")]),
        ("our rule", &[], &[("set-cookie", "a=b")], &[]),
        ("§3.1 hop by hop", &[], &[("keep-alive", "timeout=5"), ("connection", "x"), ("x", "1")], &[]),
        (
            "§5.2.2.7 qualified",
            &[("x", "1")],
            &[("cache-control", "private=\"x\""), ("x", "2")],
            &[("x", "1"), ("cache-control", "private=\"x\"")],
        ),
        (
            "§4.2.3 a 304 without age is new",
            &[("age", "500"), ("date", MODIFIED), ("a", "1")],
            &[],
            &[("a", "1")],
        ),
        (
            "§4.2.3 the age of the 304",
            &[("age", "500"), ("date", MODIFIED)],
            &[("age", "7")],
            &[("age", "7")],
        ),
        ("§4.2.3 the date of the 304", &[("date", MODIFIED)], &[("date", "x")], &[("date", "x")]),
    ];
    for (rule, stored, fresh, expected) in table {
        let mut merged = headers(stored);
        merge_not_modified(&mut merged, &headers(fresh));
        assert_eq!(merged, headers(expected), "{rule}");
    }
}

fn paths(method: &str, status: u16, response: Lines<'_>, target: &str) -> Vec<String> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let target: Uri = target.parse().unwrap();
    let targets = invalidates(&method, StatusCode::from_u16(status).unwrap(), &headers(response), &target);
    targets.iter().map(PathAndQuery::to_string).collect()
}

#[test]
fn methods_that_invalidate() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO"] {
        for status in [200, 201, 204, 301, 303] {
            assert_eq!(paths(method, status, &[], "/a?b"), ["/a?b"], "§4.4: {method} {status}");
        }
        for status in [100, 400, 404, 500, 503] {
            assert!(paths(method, status, &[], "/a").is_empty(), "§4.4: {method} {status}");
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert!(paths(method, 200, &[("location", "/x")], "/a").is_empty(), "RFC 9110 §9.2.1: {method}");
    }
}

#[test]
fn references_that_are_invalidated_too() {
    let long = format!("/{}", "x".repeat(9000));
    let table: &[(&str, &str, Option<&str>)] = &[
        ("relative", "target", Some("/dir/target")),
        ("relative with query", "target?q=1#f", Some("/dir/target?q=1")),
        ("absolute path", "/x/y", Some("/x/y")),
        ("dots", "../x/./y/../z", Some("/x/z")),
        ("dots beyond the root", "/../../x", Some("/x")),
        ("dots at the end", "/a/b/..", Some("/a/")),
        ("dot at the end", ".", Some("/dir/")),
        ("empty segments stay", "/a//b", Some("/a//b")),
        ("query only", "?q=1", Some("/dir/page?q=1")),
        ("empty is the target itself", "", None),
        ("fragment is the target itself", "#top", None),
        ("same origin", "http://shop.example.com/x", Some("/x")),
        ("same origin, TLS ends before us", "https://SHOP.example.com:443/x?y", Some("/x?y")),
        ("same origin, no path", "http://shop.example.com", Some("/")),
        ("same origin, query only", "http://shop.example.com?y", Some("/?y")),
        ("network path", "//shop.example.com/x", Some("/x")),
        ("other host", "http://evil.example.com/x", None),
        ("other port", "http://shop.example.com:8080/x", None),
        ("other host in a network path", "//evil.example.com/x", None),
        ("host in user information", "http://shop.example.com@evil.example.com/x", None),
        ("other scheme", "ftp://shop.example.com/x", None),
        ("no hierarchy", "mailto:a@b", None),
        ("colon in a query", "?a:b", Some("/dir/page?a:b")),
        ("colon in a folder", "./a:b", Some("/dir/a:b")),
        ("broken authority", "http://[/x", None),
        ("no path characters", "/a b", None),
        ("too long", &long, None),
    ];
    for (rule, reference, expected) in table {
        for name in ["location", "content-location"] {
            let found = paths("POST", 201, &[(name, reference)], "http://shop.example.com/dir/page?z");
            let all: Vec<_> = std::iter::once("/dir/page?z").chain(*expected).collect();
            assert_eq!(found, all, "§4.4 {rule}: {reference}");
        }
    }
    let both = paths("PUT", 200, &[("location", "/x"), ("content-location", "/y")], "/a");
    assert_eq!(both, ["/a", "/x", "/y"], "§4.4");
    assert_eq!(paths("PUT", 200, &[("location", "/a"), ("content-location", "/a")], "/a"), ["/a"]);
    assert_eq!(
        paths("PUT", 200, &[("location", "http://h/x")], "/a"),
        ["/a"],
        "an origin that is not known is another one"
    );
}

proptest! {
    #[test]
    fn any_reference_is_resolved_to_a_path(reference in any_value(), other in "[/.a?:#-]{0,12}") {
        let target: Uri = "http://shop.example.com/dir/page".parse().unwrap();
        for value in [reference, other.parse().unwrap()] {
            let mut map = HeaderMap::new();
            map.insert("location", value);
            for found in invalidates(&Method::POST, StatusCode::OK, &map, &target) {
                prop_assert!(found.path().starts_with('/'));
                prop_assert!(found.path().split('/').all(|segment| segment != ".."));
            }
        }
    }

    #[test]
    fn any_304_leaves_the_body_described(values in proptest::collection::vec(any_value(), 4)) {
        let names = ["cache-control", "connection", "content-encoding", "content-type"];
        let fresh: HeaderMap = names.iter().map(|name| name.parse().unwrap()).zip(values).collect();
        let mut stored = headers(&[("content-encoding", "br"), ("content-type", "text/html"), ("etag", "\"a\"")]);
        let before = stored.clone();
        merge_not_modified(&mut stored, &fresh);
        for (name, value) in &before {
            prop_assert_eq!(stored.get(name), Some(value));
        }
    }
}
