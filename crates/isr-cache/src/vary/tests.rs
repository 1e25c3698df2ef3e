use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{PREFERENCES_MAX, VARY_NAMES_MAX, Vary, secondary_key, vary_names};
use crate::control::tests::{any_value, headers};

type Lines<'a> = &'a [(&'a str, &'a str)];

fn key(names: &[&'static str], request: &HeaderMap) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| HeaderName::from_static(name)).collect();
    let mut out = Vec::new();
    secondary_key(&names, request, &mut out);
    out
}

#[test]
fn names_of_vary() {
    let names = |names: &[&'static str]| {
        Vary::Names(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    let most: Vec<_> = (0..VARY_NAMES_MAX).map(|n| format!("h{n}")).collect();
    let (most, more) = (most.join(","), format!("{},one-more", most.join(",")));
    let table: &[(&str, Lines<'_>, Vary)] = &[
        ("absent", &[], Vary::None),
        ("empty", &[("vary", "")], Vary::None),
        ("one", &[("vary", "Foo")], names(&["foo"])),
        ("sorted, once each", &[("vary", "Foo, bar,, BAR"), ("vary", "baz")], names(&["bar", "baz", "foo"])),
        ("star", &[("vary", "*")], Vary::Any),
        ("star star", &[("vary", "*, *")], Vary::Any),
        ("empty star", &[("vary", ", *")], Vary::Any),
        ("star in lines", &[("vary", ""), ("vary", "*")], Vary::Any),
        ("star foo", &[("vary", "*, Foo")], Vary::Any),
        ("foo star", &[("vary", "Foo, *")], Vary::Any),
        ("star behind junk", &[("vary", "a b, *")], Vary::Any),
        ("coded without a word", &[("content-encoding", "gzip")], names(&["accept-encoding"])),
        (
            "coded, with another word",
            &[("content-encoding", "br"), ("vary", "Foo")],
            names(&["accept-encoding", "foo"]),
        ),
        (
            "coded, and says so",
            &[("content-encoding", "br"), ("vary", "Accept-Encoding")],
            names(&["accept-encoding"]),
        ),
        ("no name", &[("vary", "a b")], Vary::Unusable),
        ("too many", &[("vary", &more)], Vary::Unusable),
        ("too many, with a star", &[("vary", &more), ("vary", "*")], Vary::Any),
    ];
    for (rule, lines, expected) in table {
        assert_eq!(vary_names(&headers(lines)), *expected, "RFC 9110 §12.5.5 {rule}");
    }
    assert!(
        matches!(vary_names(&headers(&[("vary", &most)])), Vary::Names(names) if names.len() == VARY_NAMES_MAX)
    );
}

#[test]
fn requests_that_match() {
    let table: &[(&str, Lines<'_>, Lines<'_>)] = &[
        ("§4.1 same", &[("foo", "1")], &[("foo", "1")]),
        ("§4.1 both absent", &[], &[]),
        ("§4.1 other fields", &[("foo", "1"), ("other", "2")], &[("foo", "1"), ("other", "3")]),
        ("§4.1 lines joined", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]),
        ("§4.1 white space", &[("foo", "1,2")], &[("foo", " 1, 2 ")]),
        ("§4.1 white space before a comma", &[("foo", "1,2")], &[("foo", "1\t ,2")]),
        ("RFC 9110 §12.5.4 order", &[("accept-language", "en, de")], &[("accept-language", "de, en")]),
        ("RFC 9110 §12.5.4 case", &[("accept-language", "en, de")], &[("accept-language", "eN, De")]),
        ("RFC 9110 §12.5.4 space", &[("accept-language", "en, de")], &[("accept-language", " en ,   de")]),
        (
            "RFC 9110 §12.4.2 weights",
            &[("accept-language", "en;q=0.5, de")],
            &[("accept-language", "de;q=1.0,en ; q=0.500")],
        ),
        (
            "RFC 9110 §12.5.3 order",
            &[("accept-encoding", "gzip, br")],
            &[("accept-encoding", "br,GZIP,gzip")],
        ),
    ];
    for (rule, one, other) in table {
        let names = ["foo", "accept-language", "accept-encoding"];
        assert_eq!(key(&names, &headers(one)), key(&names, &headers(other)), "{rule}: {one:?} {other:?}");
    }
}

#[test]
fn requests_that_do_not() {
    let mut tags: Vec<_> = (0..=PREFERENCES_MAX).map(|n| format!("x{n}")).collect();
    let long = tags.join(",");
    tags.reverse();
    let turned = tags.join(",");
    let table: &[(&str, Lines<'_>, Lines<'_>)] = &[
        ("§4.1 other value", &[("foo", "1")], &[("foo", "2")]),
        ("§4.1 absent", &[("foo", "1")], &[]),
        ("§4.1 empty is not absent", &[("foo", "")], &[]),
        ("§4.1 order of an unknown list", &[("foo", "1, 2")], &[("foo", "2, 1")]),
        ("§4.1 case of an unknown field", &[("foo", "a")], &[("foo", "A")]),
        ("§4.1 space within", &[("foo", "a b")], &[("foo", "ab")]),
        ("§4.1 space in quotes", &[("foo", "\"a, b\"")], &[("foo", "\"a,b\"")]),
        ("§4.1 value in another field", &[("foo", "1")], &[("bar", "1")]),
        ("§4.1 one more line", &[("foo", "1")], &[("foo", "1"), ("foo", "")]),
        (
            "RFC 9110 §12.4.2 weights",
            &[("accept-language", "en, de")],
            &[("accept-language", "en, de;q=0.9")],
        ),
        ("RFC 9110 §12.4.2 refused", &[("accept-encoding", "gzip")], &[("accept-encoding", "gzip;q=0")]),
        ("RFC 9110 §12.5.4 fewer", &[("accept-language", "en, de")], &[("accept-language", "en")]),
        (
            "RFC 9110 §12.4.2 above one",
            &[("accept-language", "en;q=1.5, de")],
            &[("accept-language", "de, en;q=1.5")],
        ),
        ("our bound: a long list stays", &[("accept-language", &long)], &[("accept-language", &turned)]),
        (
            "RFC 9110 §12.5.4 malformed stays",
            &[("accept-language", "en;q=x, de")],
            &[("accept-language", "de, en;q=x")],
        ),
    ];
    for (rule, one, other) in table {
        let names = ["accept-encoding", "accept-language", "bar", "foo"];
        assert_ne!(key(&names, &headers(one)), key(&names, &headers(other)), "{rule}: {one:?} {other:?}");
    }
}

fn request(foo: Option<&HeaderValue>, bar: Option<&HeaderValue>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in [("foo", foo), ("bar", bar)] {
        if let Some(value) = value {
            map.insert(name, value.clone());
        }
    }
    map
}

proptest! {
    /// Values without commas and outer white space are their own normal form, so that keys tell them all apart.
    #[test]
    fn keys_are_injective(values in proptest::collection::vec(proptest::option::of("[a-c\"\\\\;\u{1}-]{0,3}"), 4)) {
        let values: Vec<_> = values.iter().map(|value| value.as_ref().and_then(|value| HeaderValue::from_str(value).ok())).collect();
        let one = request(values[0].as_ref(), values[1].as_ref());
        let other = request(values[2].as_ref(), values[3].as_ref());
        prop_assert_eq!(one == other, key(&["bar", "foo"], &one) == key(&["bar", "foo"], &other));
        // A key of fewer names is not the beginning of another request's key of more.
        prop_assert_ne!(key(&["bar"], &one), key(&["bar", "foo"], &one));
    }

    /// What the key holds is a value that has the same key: nothing else can collide with it.
    #[test]
    fn normal_forms_are_fixed(value in any_value(), name in proptest::sample::select(&["accept-language", "accept-encoding", "foo"][..])) {
        let mut map = HeaderMap::new();
        map.insert(name, value);
        let first = key(&[name], &map);
        // Two lengths of eight bytes, the name, and one byte for presence stand before the value.
        let normal = &first[17 + name.len()..];
        map.insert(name, HeaderValue::from_bytes(normal).unwrap());
        prop_assert_eq!(key(&[name], &map), first);
    }

    #[test]
    fn any_weighted_list_has_one_key_in_every_order(
        members in proptest::collection::vec(("[a-z]{1,3}(-[A-Z]{2})?", 0_u16..=1000), 1..6), turn in 0_usize..6,
    ) {
        let print = |members: &[(String, u16)]| {
            let members: Vec<_> = members.iter().map(|(tag, weight)| format!("{tag};q={}.{:03}", weight / 1000, weight % 1000)).collect();
            headers(&[("accept-language", &members.join(", "))])
        };
        let mut turned = members.clone();
        turned.rotate_left(turn % members.len());
        prop_assert_eq!(key(&["accept-language"], &print(&members)), key(&["accept-language"], &print(&turned)));
        let mut heavier = members.clone();
        heavier[0].1 = if heavier[0].1 == 1000 { 999 } else { heavier[0].1 + 1 };
        heavier.retain(|member| !members.contains(member) || *member != members[0]);
        if !heavier.contains(&members[0]) && !members.contains(&heavier[0]) {
            prop_assert_ne!(key(&["accept-language"], &print(&members)), key(&["accept-language"], &print(&heavier)));
        }
    }

    #[test]
    fn any_vary_is_read(lines in proptest::collection::vec(any_value(), 0..3)) {
        let mut map = HeaderMap::new();
        for line in &lines {
            map.append("vary", line.clone());
        }
        if let Vary::Names(names) = vary_names(&map) {
            prop_assert!((1..=VARY_NAMES_MAX).contains(&names.len()));
            prop_assert!(names.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
        }
    }
}
