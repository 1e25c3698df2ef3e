use http::Method;
use http::header::HeaderMap;
use proptest::prelude::*;

use super::{Range, range};
use crate::control::tests::{any_value, headers};

type Lines<'a> = &'a [(&'a str, &'a str)];

fn ask(request: Lines<'_>, len: u64) -> Range {
    range(&Method::GET, &headers(request), len, Some(b"\"a\""))
}

#[test]
fn ranges_of_ten_bytes() {
    let part = |first, last| Range::Part { first, last };
    let table = [
        ("§14.1.2 first and last", "bytes=0-1", part(0, 1)),
        ("§14.1.2 one byte", "bytes=9-9", part(9, 9)),
        ("§14.1.2 to the end", "bytes=1-", part(1, 9)),
        ("§14.1.2 all", "bytes=0-", part(0, 9)),
        ("§14.1.2 beyond the end", "bytes=5-99", part(5, 9)),
        ("§14.1.2 beyond 64 bits", "bytes=5-99999999999999999999999", part(5, 9)),
        ("§14.1.2 suffix", "bytes=-1", part(9, 9)),
        ("§14.1.2 suffix longer than all", "bytes=-99", part(0, 9)),
        ("§14.1.2 suffix beyond 64 bits", "bytes=-99999999999999999999999", part(0, 9)),
        ("§14.1.2 behind the end", "bytes=10-", Range::Unsatisfiable),
        ("§14.1.2 far behind the end", "bytes=99999999999999999999999-", Range::Unsatisfiable),
        ("§14.1.2 suffix of none", "bytes=-0", Range::Unsatisfiable),
        ("§14.1 unit without regard to case", "Bytes=0-1", part(0, 1)),
        ("§14.1.1 space around", "bytes= 0-1 ", part(0, 1)),
        ("§14.1.1 backwards", "bytes=5-4", Range::Whole),
        ("§14.2 other unit", "lines=0-1", Range::Whole),
        ("§14.2 several", "bytes=0-1,3-4", Range::Whole),
        ("§14.2 no range", "bytes=", Range::Whole),
        ("§14.2 dash alone", "bytes=-", Range::Whole),
        ("§14.2 no unit", "0-1", Range::Whole),
        ("§14.2 sign", "bytes=+0-1", Range::Whole),
        ("§14.2 two dashes", "bytes=0-1-2", Range::Whole),
        ("§14.2 negative", "bytes=--1", Range::Whole),
        ("§14.2 letters", "bytes=a-b", Range::Whole),
        ("§14.2 space within", "bytes=0 - 1", Range::Whole),
        ("§14.2 empty", "", Range::Whole),
    ];
    for (rule, value, expected) in table {
        assert_eq!(ask(&[("range", value)], 10), expected, "{rule}: {value}");
    }
    assert_eq!(ask(&[], 10), Range::Whole);
    assert_eq!(ask(&[("range", "bytes=0-1"), ("range", "bytes=2-3")], 10), Range::Whole, "§14.2 two lines");
    assert_eq!(
        range(&Method::HEAD, &headers(&[("range", "bytes=0-1")]), 10, None),
        Range::Whole,
        "§14.2 GET only"
    );
}

#[test]
fn ranges_of_nothing() {
    assert_eq!(ask(&[("range", "bytes=0-")], 0), Range::Unsatisfiable);
    assert_eq!(ask(&[("range", "bytes=-5")], 0), Range::Whole);
}

#[test]
fn if_range() {
    let table: &[(&str, Lines<'_>, Option<&str>, bool)] = &[
        ("§13.1.5 same", &[("if-range", "\"a\"")], Some("\"a\""), true),
        ("§13.1.5 other", &[("if-range", "\"b\"")], Some("\"a\""), false),
        ("§13.1.5 none stored", &[("if-range", "\"a\"")], None, false),
        ("§8.8.3.2 weak", &[("if-range", "W/\"a\"")], Some("W/\"a\""), false),
        ("§8.8.3.2 stored weak", &[("if-range", "\"a\"")], Some("W/\"a\""), false),
        (
            "§13.1.5 a date is not strong enough",
            &[("if-range", "Tue, 18 Aug 2026 02:01:18 GMT")],
            Some("\"a\""),
            false,
        ),
        ("§13.1.5 no list", &[("if-range", "\"a\", \"b\"")], Some("\"a\""), false),
        ("§13.1.5 two lines", &[("if-range", "\"a\""), ("if-range", "\"a\"")], Some("\"a\""), false),
    ];
    for (rule, condition, etag, expected) in table {
        let request: Vec<_> = condition.iter().copied().chain([("range", "bytes=0-1")]).collect();
        let etag = etag.map(str::as_bytes);
        let part = range(&Method::GET, &headers(&request), 10, etag) != Range::Whole;
        assert_eq!(part, *expected, "{rule}: {condition:?} {etag:?}");
    }
}

proptest! {
    #[test]
    fn a_part_lies_within(value in any_value(), spec in "bytes=[0-9]{0,3}-[0-9]{0,3}", len in 0_u64..200) {
        for value in [value, spec.parse().unwrap()] {
            let mut map = HeaderMap::new();
            map.insert("range", value);
            if let Range::Part { first, last } = range(&Method::GET, &map, len, None) {
                prop_assert!(first <= last && last < len);
            }
        }
    }

    #[test]
    fn a_range_is_what_the_slice_is(first in 0_usize..40, last in 0_usize..40, len in 0_usize..30) {
        let bytes: Vec<usize> = (0..len).collect();
        let expected: Vec<usize> = bytes.iter().copied().filter(|byte| (first..=last).contains(byte)).collect();
        let got = match ask(&[("range", &format!("bytes={first}-{last}"))], len as u64) {
            Range::Whole => {
                prop_assert!(last < first);
                return Ok(());
            }
            Range::Unsatisfiable => Vec::new(),
            Range::Part { first, last } => (usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()).collect(),
        };
        prop_assert_eq!(got, expected);
    }
}
