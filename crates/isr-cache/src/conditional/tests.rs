use http::header::HeaderMap;
use http::{Method, StatusCode};
use proptest::prelude::*;

use super::{Precondition, precondition};
use crate::Timestamp;
use crate::control::tests::{any_value, headers};

type Lines<'a> = &'a [(&'a str, &'a str)];

/// Tue, 18 Aug 2026 02:01:18 GMT, and some milliseconds.
const MODIFIED: Timestamp = Timestamp(1_787_018_478_321);
const SAME: &str = "Tue, 18 Aug 2026 02:01:18 GMT";
const BEFORE: &str = "Tue, 18 Aug 2026 02:01:17 GMT";
const AFTER: &str = "Tue, 18 Aug 2026 02:01:19 GMT";

fn evaluate(request: Lines<'_>, etag: Option<&str>, modified: Option<Timestamp>) -> bool {
    let modified = modified.map(Timestamp::seconds);
    let etag = etag.map(str::as_bytes);
    let precondition = precondition(&Method::GET, &headers(request), etag, modified, StatusCode::OK);
    precondition == Precondition::NotModified
}

#[test]
fn entity_tags() {
    let table: &[(&str, Lines<'_>, Option<&str>, bool)] = &[
        ("no condition", &[], Some("\"a\""), false),
        ("§13.1.2 same", &[("if-none-match", "\"a\"")], Some("\"a\""), true),
        ("§13.1.2 other", &[("if-none-match", "\"b\"")], Some("\"a\""), false),
        ("§13.1.2 part of it", &[("if-none-match", "\"a\"")], Some("\"ab\""), false),
        ("§13.1.2 none stored", &[("if-none-match", "\"a\"")], None, false),
        ("§13.1.2 any", &[("if-none-match", "*")], Some("\"a\""), true),
        ("§13.1.2 a quoted star is a tag", &[("if-none-match", "\"*\"")], Some("\"a\""), false),
        ("§8.8.3.2 both weak", &[("if-none-match", "W/\"a\"")], Some("W/\"a\""), true),
        ("§8.8.3.2 one weak", &[("if-none-match", "W/\"a\"")], Some("\"a\""), true),
        ("§8.8.3.2 the other weak", &[("if-none-match", "\"a\"")], Some("W/\"a\""), true),
        ("§13.1.2 first", &[("if-none-match", "\"a\", \"b\", \"c\"")], Some("\"a\""), true),
        ("§13.1.2 middle", &[("if-none-match", "\"b\",\"a\",\"c\"")], Some("\"a\""), true),
        ("§13.1.2 last", &[("if-none-match", "\"b\", \"c\", W/\"a\"")], Some("\"a\""), true),
        (
            "§13.1.2 in another line",
            &[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")],
            Some("\"a\""),
            true,
        ),
        ("§8.8.3 comma inside", &[("if-none-match", "\"a,b\"")], Some("\"a,b\""), true),
        ("§8.8.3 no part of it", &[("if-none-match", "\"x,\"a\"\"")], Some("\"a\""), false),
        ("§8.8.3 backslash inside", &[("if-none-match", "\"b\\\", \"a\"")], Some("\"a\""), true),
        ("§8.8.3 obs-text", &[("if-none-match", "\"\u{fc}\"")], Some("\"\u{fc}\""), true),
        ("unquoted, as the origin does", &[("if-none-match", "a")], Some("a"), true),
        ("empty", &[("if-none-match", "")], Some("\"a\""), false),
    ];
    for (rule, request, etag, expected) in table {
        assert_eq!(evaluate(request, *etag, None), *expected, "{rule}: {request:?} {etag:?}");
    }
}

#[test]
fn dates() {
    let since = "if-modified-since";
    let table: &[(&str, Lines<'_>, bool)] = &[
        ("§13.1.3 same second", &[(since, SAME)], true),
        ("§13.1.3 after", &[(since, AFTER)], true),
        ("§13.1.3 before", &[(since, BEFORE)], false),
        ("§5.6.7 another format", &[(since, "Tuesday, 18-Aug-26 02:01:18 GMT")], true),
        ("§13.1.3 no date", &[(since, "today")], false),
        ("§13.1.3 two dates", &[(since, AFTER), (since, AFTER)], false),
        ("§13.2.2 a tag that differs wins", &[(since, AFTER), ("if-none-match", "\"b\"")], false),
        ("§13.2.2 a tag that matches wins", &[(since, BEFORE), ("if-none-match", "\"a\"")], true),
        ("§13.1.1 left to the origin", &[("if-match", "\"b\"")], false),
        ("§13.1.4 left to the origin", &[("if-unmodified-since", BEFORE), (since, SAME)], true),
    ];
    for (rule, request, expected) in table {
        assert_eq!(evaluate(request, Some("\"a\""), Some(MODIFIED)), *expected, "{rule}: {request:?}");
    }
    assert!(!evaluate(&[(since, AFTER)], None, None), "§13.1.3 without a date of change");
}

#[test]
fn conditions_count_for_successes_of_get_and_head() {
    let (request, etag) = (headers(&[("if-none-match", "*")]), b"\"a\"");
    let not_modified = |method: Method, status| {
        precondition(&method, &request, Some(&etag[..]), None, status) == Precondition::NotModified
    };
    for (method, expected) in
        [(Method::GET, true), (Method::HEAD, true), (Method::POST, false), (Method::PUT, false)]
    {
        assert_eq!(not_modified(method.clone(), StatusCode::OK), expected, "§13.1.2: {method}");
    }
    for status in [301, 404, 410, 500] {
        assert!(!not_modified(Method::GET, StatusCode::from_u16(status).unwrap()), "§13.2.1: {status}");
    }
}

proptest! {
    #[test]
    fn any_condition_is_evaluated(tags in any_value(), since in any_value(), etag in any_value()) {
        let map: HeaderMap =
            [("if-none-match", tags), ("if-modified-since", since)].map(|(name, value)| (name.parse().unwrap(), value)).into_iter().collect();
        precondition(&Method::GET, &map, Some(etag.as_bytes()), Some(MODIFIED.seconds()), StatusCode::OK);
    }

    #[test]
    fn a_tag_in_the_list_is_always_found(tags in proptest::collection::vec("(W/)?\"[!#-~]{0,4}\"", 1..6), index in 0_usize..6) {
        let chosen = &tags[index % tags.len()];
        prop_assert!(evaluate(&[("if-none-match", &tags.join(" ,"))], Some(chosen), None));
        prop_assert!(!evaluate(&[("if-none-match", &tags.join(","))], Some("\"not there\""), None));
    }
}
