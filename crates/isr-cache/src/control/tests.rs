use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{CacheControl, DELTA_SECONDS_MAX, Scope, list};

/// A header map of these lines, in this order.
pub(crate) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

/// Any header value, with a liking for the characters that mean something in one.
pub(crate) fn any_value() -> impl Strategy<Value = HeaderValue> {
    let syntax = proptest::sample::select(&b",;=\"\\ \t-*?:()@%&W/0193azAZqgmt.'"[..]);
    let byte = prop_oneof![4 => syntax, 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..48)
        .prop_filter_map("not a header value", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

#[allow(clippy::unnecessary_wraps, reason = "what is compared is an optional directive")]
fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn delta_seconds_of_a_response() {
    let table: &[(&str, &str, Option<Duration>)] = &[
        ("§5.2.2.1", "max-age=3600", seconds(3600)),
        ("§5.2 names without regard to case", "MaX-aGe=3600", seconds(3600)),
        ("§5.2 both forms of an argument", "max-age=\"3600\"", seconds(3600)),
        ("§5.2 an escape in quotes", "max-age=\"3\\600\"", seconds(3600)),
        ("§1.2.2 leading zeros", "max-age=003600", seconds(3600)),
        ("§1.2.2 largest", "max-age=2147483648", Some(DELTA_SECONDS_MAX)),
        ("§1.2.2 overflow", "max-age=99999999999", Some(DELTA_SECONDS_MAX)),
        ("§1.2.2 overflow of 64 bits", "max-age=99999999999999999999999999", Some(DELTA_SECONDS_MAX)),
        ("§4.2.1 negative", "max-age=-3600", seconds(0)),
        ("§4.2.1 fraction", "max-age=3600.0", seconds(0)),
        ("§4.2.1 letter behind", "max-age=3600a", seconds(0)),
        ("§4.2.1 letter before", "max-age=a3600", seconds(0)),
        ("§4.2.1 single quotes", "max-age='3600'", seconds(0)),
        ("§4.2.1 no value", "max-age", seconds(0)),
        ("§4.2.1 empty value", "max-age=", seconds(0)),
        ("§4.2.1 empty quotes", "max-age=\"\"", seconds(0)),
        ("§4.2.1 text behind quotes", "max-age=\"3600\"0", seconds(0)),
        ("§5.2 space before =", "max-age =3600", seconds(0)),
        ("§5.2 space after =", "max-age= 3600", seconds(0)),
        ("§4.2.1 twice, the least", "max-age=3600, max-age=1800", seconds(1800)),
        ("§4.2.1 twice, the other order", "max-age=1800, max-age=3600", seconds(1800)),
        ("§5.2.3 extension", "foobar, max-age=3600", seconds(3600)),
        ("§5.2 quoted before", "extension=\"max-age=3600\", max-age=1", seconds(1)),
        ("§5.2 quoted after", "max-age=1, extension=\"max-age=3600\"", seconds(1)),
        ("§5.2 only quoted", "extension=\"a, max-age=3600\"", None),
        ("§5.2 escaped quote", "extension=\"\\\", max-age=1\", max-age=2", seconds(2)),
        ("RFC 9110 §5.6.1 empty elements", ",, max-age=3600 ,", seconds(3600)),
        ("absent", "public", None),
        ("not a prefix", "max-age-x=5, xmax-age=6", None),
    ];
    for (rule, value, expected) in table {
        let control = CacheControl::from_response(&headers(&[("cache-control", value)]));
        assert_eq!(control.max_age, *expected, "{rule}: {value}");
    }
}

#[test]
fn lines_of_a_response_count_together() {
    let map = headers(&[("cache-control", "max-age=3600"), ("cache-control", "max-age=1, s-maxage=5")]);
    let control = CacheControl::from_response(&map);
    assert_eq!((control.max_age, control.s_maxage), (seconds(1), seconds(5)));
    // A quote that is never closed hides nothing, neither in its own line nor in the next.
    for lines in [&["ext=\"abc", "no-store"][..], &["ext=\"abc, no-store"]] {
        let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
        assert!(CacheControl::from_response(&headers(&lines)).no_store, "{lines:?}");
    }
}

#[test]
fn flags_of_a_response() {
    type Flag = fn(&CacheControl) -> bool;
    let table: &[(&str, &str, Flag)] = &[
        ("§5.2.2.2", "must-revalidate", |control| control.must_revalidate),
        ("§5.2.2.3", "must-understand", |control| control.must_understand),
        ("§5.2.2.4", "no-cache", |control| control.no_cache == Scope::Everything),
        ("§5.2.2.5", "no-store", |control| control.no_store),
        ("§5.2.2.5 case", "No-StOrE", |control| control.no_store),
        ("§5.2.2.5 with an argument", "no-store=1", |control| control.no_store),
        ("§5.2.2.5 with a space", "no-store =1", |control| control.no_store),
        ("§5.2.2.6", "no-transform", |control| control.no_transform),
        ("§5.2.2.7", "private", |control| control.private == Scope::Everything),
        ("§5.2.2.8", "proxy-revalidate", |control| control.proxy_revalidate),
        ("§5.2.2.9", "public", |control| control.public),
        ("RFC 8246", "immutable", |control| control.immutable),
        ("RFC 5861 §3", "stale-while-revalidate=7", |control| control.stale_while_revalidate == seconds(7)),
        ("RFC 5861 §4", "stale-if-error=8", |control| control.stale_if_error == seconds(8)),
        ("RFC 5861 §4 malformed", "stale-if-error=x", |control| control.stale_if_error == seconds(0)),
    ];
    for (rule, value, holds) in table {
        let response = headers(&[("cache-control", value)]);
        assert!(holds(&CacheControl::from_response(&response)), "{rule}: {value}");
        assert!(
            !holds(&CacheControl::from_response(&headers(&[("cache-control", "foo")]))),
            "{rule} out of nothing"
        );
        let padded = format!("\t foo , {value}\t,bar=\"x\"");
        assert!(
            holds(&CacheControl::from_response(&headers(&[("cache-control", &padded)]))),
            "{rule}: {padded}"
        );
    }
}

#[test]
fn qualified_directives_name_fields() {
    let fields = |names: &[&'static str]| {
        Scope::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    let many = format!("private=\"{}\"", (0..17).map(|n| format!("h{n}")).collect::<Vec<_>>().join(","));
    let table = [
        ("private=\"a\"", fields(&["a"])),
        ("private=\"A, b\"", fields(&["a", "b"])),
        ("private=a", fields(&["a"])),
        ("private=\"a\", private=\"b\"", fields(&["a", "b"])),
        ("private=\"a\", private", Scope::Everything),
        ("private, private=\"a\"", Scope::Everything),
        ("private=\"\"", Scope::Everything),
        ("private=\"a b\"", Scope::Everything),
        ("private=", Scope::Everything),
        (&many, Scope::Everything),
        ("public", Scope::Nothing),
    ];
    for (value, expected) in table {
        assert_eq!(
            CacheControl::from_response(&headers(&[("cache-control", value)])).private,
            expected,
            "§5.2.2.7: {value}"
        );
        let no_cache = value.replace("private", "no-cache");
        assert_eq!(
            CacheControl::from_response(&headers(&[("cache-control", &no_cache)])).no_cache,
            expected,
            "§5.2.2.4: {no_cache}"
        );
    }
}

#[test]
fn directives_of_a_request() {
    let from = |lines: &[(&str, &str)]| CacheControl::from_request(&headers(lines));
    let any = |value| from(&[("cache-control", value)]);
    assert_eq!(any("max-age=0").max_age, seconds(0), "§5.2.1.1");
    assert_eq!(any("max-stale").max_stale, Some(DELTA_SECONDS_MAX), "§5.2.1.2 without an argument");
    assert_eq!(any("max-stale=60").max_stale, seconds(60), "§5.2.1.2");
    assert_eq!(any("max-stale=x").max_stale, seconds(0), "§5.2.1.2 malformed");
    assert_eq!(any("min-fresh=5, min-fresh=9").min_fresh, seconds(9), "§5.2.1.3 the most demanding");
    assert_eq!(any("min-fresh=9, min-fresh=5").min_fresh, seconds(9), "§5.2.1.3 in the other order");
    assert_eq!(any("min-fresh=x").min_fresh, None, "§5.2.1.3 malformed");
    assert_eq!(any("no-cache").no_cache, Scope::Everything, "§5.2.1.4");
    assert!(any("no-store").no_store, "§5.2.1.5");
    assert!(any("only-if-cached").only_if_cached, "§5.2.1.7");
    let targeted = from(&[("cdn-cache-control", "no-store")]);
    assert!(!targeted.no_store && !targeted.targeted, "RFC 9213 §1: targeted fields are for responses");
    let pragma = [("pragma", "foo, No-Cache")];
    assert_eq!(from(&pragma).no_cache, Scope::Everything, "§5.4");
    assert_eq!(from(&[("pragma", "foo")]).no_cache, Scope::Nothing, "§5.4");
    assert_eq!(
        from(&[pragma[0], ("cache-control", "x")]).no_cache,
        Scope::Nothing,
        "§5.4 beside Cache-Control"
    );
}

#[test]
fn targeted_fields_of_a_response() {
    let max_age =
        |value: u64| CacheControl { max_age: seconds(value), targeted: true, ..CacheControl::default() };
    let table: &[(&str, &str, Option<CacheControl>)] = &[
        ("integer", "max-age=10", Some(max_age(10))),
        ("beyond 31 bits", "max-age=99999999999", Some(max_age(1 << 31))),
        ("extension", "foobar, max-age=10", Some(max_age(10))),
        ("parameters are ignored", "max-age=10;a;b=\"x\"; c=1.5", Some(max_age(10))),
        ("last value of a key", "max-age=10, max-age=20", Some(max_age(20))),
        ("spaces around", "  max-age=10 \t,\tfoo  ", Some(max_age(10))),
        ("inner list", "foo=(a \"b\" 1;x);y, max-age=10", Some(max_age(10))),
        ("empty inner list", "foo=( ), max-age=10", Some(max_age(10))),
        ("all types", "a=?1, b=:aGk=:, d=1.25, e=*tok/en:x, g=\"\\\"\\\\\", max-age=1", Some(max_age(1))),
        ("unknown word alone", "none", Some(CacheControl { targeted: true, ..CacheControl::default() })),
        ("switched off", "no-store=?0, max-age=10", Some(max_age(10))),
        ("wrong type grants nothing", "max-age=\"10\"", Some(max_age(0))),
        ("fraction grants nothing", "max-age=10.0", Some(max_age(0))),
        ("negative grants nothing", "max-age=-10", Some(max_age(0))),
        ("empty", "", None),
        ("space only", "  ", None),
        ("unknown type", "max-age=10, &&&&&", None),
        ("upper case key", "MaX-aGe=10", None),
        ("space before =", "max-age =10", None),
        ("space after =", "max-age= 10", None),
        ("trailing comma", "max-age=10,", None),
        ("empty member", "max-age=10,,foo", None),
        ("no comma", "max-age=10 foo", None),
        ("16 digits", "max-age=1000000000000000", None),
        ("13 digits before a point", "a=1000000000000.1", None),
        ("4 digits behind a point", "a=1.0001", None),
        ("point without digits", "a=1.", None),
        ("minus alone", "a=-", None),
        ("open string", "a=\"b", None),
        ("bad escape", "a=\"\\b\"", None),
        ("character beyond ASCII", "a=\"\u{e9}\"", None),
        ("open byte sequence", "a=:aGk", None),
        ("open inner list", "a=(b", None),
        ("inner list without spaces", "a=(\"b\"\"c\")", None),
        ("boolean 2", "a=?2", None),
        ("a type of RFC 9651", "a=@1", None),
        ("dangling parameter", "a;", None),
    ];
    for (rule, value, expected) in table {
        let fallback = CacheControl { no_store: true, ..CacheControl::default() };
        let map = headers(&[("cache-control", "no-store"), ("cdn-cache-control", value)]);
        assert_eq!(
            &CacheControl::from_response(&map),
            expected.as_ref().unwrap_or(&fallback),
            "{rule}: {value}"
        );
    }
}

#[test]
fn the_first_valid_targeted_field_is_obeyed() {
    let ours = ("kube-isr-cdn-cache-control", "max-age=1");
    let cdn = ("cdn-cache-control", "max-age=2, private, no-cache");
    let plain = ("cache-control", "max-age=3");
    let from = |lines: &[(&str, &str)]| CacheControl::from_response(&headers(lines));
    let all = from(&[plain, cdn, ours]);
    assert_eq!(
        (all.max_age, &all.private, all.targeted),
        (seconds(1), &Scope::Nothing, true),
        "RFC 9213 §2.2: ours first"
    );
    let two = from(&[plain, cdn]);
    assert_eq!(
        (two.max_age, &two.private, &two.no_cache),
        (seconds(2), &Scope::Everything, &Scope::Everything)
    );
    let broken = from(&[plain, cdn, ("kube-isr-cdn-cache-control", "max-age=1,")]);
    assert_eq!(broken.max_age, seconds(2), "RFC 9213 §2.2: an invalid field is as if absent");
    let lines = from(&[("cdn-cache-control", "max-age=2"), ("cdn-cache-control", "no-store")]);
    assert!(lines.no_store && lines.max_age == seconds(2), "RFC 9110 §5.3: lines of one field are one list");
}

#[test]
fn hostile_lists_cost_linear_work() {
    // Each of these is quadratic for a reader that searches the end of every quote anew.
    for part in ["\"\\", "\"a,\\\"", ",\"\\\"", "a=\"\\"] {
        let value = part.repeat(200_000);
        assert!(list::elements(value.as_bytes()).count() <= value.len());
        assert!(list::entity_tags(value.as_bytes()).count() <= value.len());
    }
}

fn print(control: &CacheControl) -> String {
    let scope = |name: &str, scope: &Scope| match scope {
        Scope::Nothing => None,
        Scope::Everything => Some(name.to_owned()),
        Scope::Fields(fields) => {
            let names: Vec<_> = fields.iter().map(HeaderName::as_str).collect();
            Some(format!("{name}=\"{}\"", names.join(" , ")))
        }
    };
    let delta =
        |name: &str, value: Option<Duration>| value.map(|value| format!("{name}={}", value.as_secs()));
    let flag = |name: &str, value: bool| value.then(|| name.to_owned());
    let directives = [
        delta("max-age", control.max_age),
        delta("s-maxage", control.s_maxage),
        delta("stale-while-revalidate", control.stale_while_revalidate),
        delta("stale-if-error", control.stale_if_error),
        delta("max-stale", control.max_stale),
        delta("min-fresh", control.min_fresh),
        scope("no-cache", &control.no_cache),
        scope("private", &control.private),
        flag("no-store", control.no_store),
        flag("must-revalidate", control.must_revalidate),
        flag("proxy-revalidate", control.proxy_revalidate),
        flag("must-understand", control.must_understand),
        flag("public", control.public),
        flag("immutable", control.immutable),
        flag("no-transform", control.no_transform),
        flag("only-if-cached", control.only_if_cached),
    ];
    directives.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn any_control() -> impl Strategy<Value = CacheControl> {
    let delta = || proptest::option::of((0..=1_u64 << 31).prop_map(Duration::from_secs));
    let name = proptest::sample::select(&["set-cookie", "a", "x-user"][..]).prop_map(HeaderName::from_static);
    let fields = proptest::collection::vec(name, 1..5).prop_map(Scope::Fields);
    let scope = || prop_oneof![Just(Scope::Nothing), Just(Scope::Everything), fields.clone()].boxed();
    let deltas = (delta(), delta(), delta(), delta(), delta(), delta());
    (deltas, scope(), scope(), any::<[bool; 8]>()).prop_map(|(deltas, no_cache, private, flags)| {
        CacheControl {
            max_age: deltas.0,
            s_maxage: deltas.1,
            stale_while_revalidate: deltas.2,
            stale_if_error: deltas.3,
            max_stale: deltas.4,
            min_fresh: deltas.5,
            no_cache,
            private,
            no_store: flags[0],
            must_revalidate: flags[1],
            proxy_revalidate: flags[2],
            must_understand: flags[3],
            public: flags[4],
            immutable: flags[5],
            no_transform: flags[6],
            only_if_cached: flags[7],
            targeted: false,
        }
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(control in any_control()) {
        let map = headers(&[("cache-control", &print(&control))]);
        prop_assert_eq!(&CacheControl::from_response(&map), &control);
        prop_assert_eq!(&CacheControl::from_request(&map), &control);
    }

    #[test]
    fn targeted_fields_say_the_same_as_plain_ones(control in any_control()) {
        // Lists of field names are no structured value of these directives; the whole response is meant then.
        let whole = |scope: Scope| if scope.fields().is_empty() { scope } else { Scope::Everything };
        let text = print(&control).replace(" , ", ",");
        prop_assume!(!text.is_empty());
        let expected = CacheControl {
            no_cache: whole(control.no_cache), private: whole(control.private), targeted: true, ..control
        };
        prop_assert_eq!(CacheControl::from_response(&headers(&[("cdn-cache-control", &text)])), expected);
    }

    #[test]
    fn any_value_is_read(lines in proptest::collection::vec(any_value(), 0..3)) {
        let mut map = HeaderMap::new();
        for line in lines {
            map.append("cache-control", line.clone());
            map.append("cdn-cache-control", line.clone());
            map.append("pragma", line);
        }
        let response = CacheControl::from_response(&map);
        let request = CacheControl::from_request(&map);
        for delta in [response.max_age, response.s_maxage, request.max_stale, request.min_fresh].into_iter().flatten() {
            prop_assert!(delta <= DELTA_SECONDS_MAX);
        }
    }

    #[test]
    fn a_restriction_is_never_lost_behind_junk(junk in any_value()) {
        let mut map = headers(&[("cache-control", "no-store")]);
        map.append("cache-control", junk);
        prop_assert!(CacheControl::from_response(&map).no_store);
    }
}
