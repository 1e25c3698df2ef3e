use http::header::{COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use proptest::prelude::*;

use super::{KeyHeader, QueryRule, describe_key};
use crate::Normalise;
use crate::preset::Preset;
use crate::route::{BypassRule, Route};
use crate::target::Target;
use crate::testing::{headers, route_with};
use crate::token::{OriginToken, Tokens, digest};

const HOST: &str = "shop.example.com";

fn key(route: &Route, uri: &str, headers: &HeaderMap) -> Vec<u8> {
    let uri: Uri = uri.parse().expect(uri);
    let target = Target::parse(HOST, &uri).expect("a good target");
    let mut key = b"before".to_vec();
    route.write_key(&target, headers, &mut key);
    assert_eq!(&key[..6], b"before", "the key is appended");
    key.split_off(6)
}

fn sent(route: &Route, uri: &str, headers: &HeaderMap) -> (String, Vec<(String, String)>) {
    let uri: Uri = uri.parse().expect(uri);
    let target = Target::parse(HOST, &uri).expect("a good target");
    let render = route.render_target(&target, headers);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = render.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    (render.path_and_query, fields)
}

fn next_js() -> &'static Preset {
    Preset::of(Some(isr_api::Framework::NextJs))
}

fn framework(preset: &'static Preset) -> Route {
    let key_headers = preset.key_headers.iter().map(KeyHeader::from).collect();
    Route { key_headers, preset, ..route_with("/[[...path]]") }
}

fn varying(name: &'static str, normalise: Normalise) -> Route {
    let key_headers = vec![KeyHeader::new(HeaderName::from_static(name), normalise)];
    Route { key_headers, ..route_with("/[[...path]]") }
}

#[test]
fn queries_are_filtered_by_name() {
    let names = |names: &[&str]| QueryRule::Names(names.iter().map(ToString::to_string).collect());
    let table = [
        (names(&[]), "/s?page=2&utm=x", "/s"),
        (names(&["page"]), "/s?utm=x&page=2", "/s?page=2"),
        (names(&["page"]), "/s?page=2&page=1", "/s?page=2&page=1"),
        (names(&["page", "q"]), "/s?q=a&page=2", "/s?q=a&page=2"),
        (names(&["page", "q"]), "/s?page=2&q=a", "/s?page=2&q=a"),
        (names(&["page"]), "/s?%70age=2", "/s?%70age=2"),
        (names(&["page"]), "/s?page", "/s?page"),
        (names(&["page"]), "/s?page=", "/s?page="),
        (names(&["page"]), "/s?pages=2&Page=2&page;x=1", "/s"),
        (names(&["a b"]), "/s?a%20b=1", "/s?a%20b=1"),
        (names(&["page"]), "/s?utm=x;page=2", "/s"),
        (names(&["page"]), "/s?&&page=2&", "/s?page=2"),
        (names(&["page"]), "/s?", "/s"),
        (QueryRule::All, "/s?b=1&a=2&b=3", "/s?b=1&a=2&b=3"),
        (QueryRule::All, "/s?=x&&", "/s?=x"),
    ];
    for (query, uri, expected) in table {
        let route = Route { query: query.clone(), ..route_with("/s") };
        assert_eq!(sent(&route, uri, &HeaderMap::new()).0, expected, "{query:?} {uri}");
        assert_eq!(
            key(&route, uri, &HeaderMap::new()),
            key(&route, expected, &HeaderMap::new()),
            "{query:?} {uri}: the key is of what is forwarded"
        );
    }
}

#[test]
fn presets_drop_their_parameters_even_where_all_are_allowed() {
    for (framework_name, uri) in [
        (isr_api::Framework::NextJs, "/a?x=1&_rsc=abc"),
        (isr_api::Framework::NextJs, "/a?x=1&%5Frsc=abc"),
        (
            isr_api::Framework::SvelteKit,
            "/a/__data.json?x-sveltekit-invalidated=01&x=1&x-sveltekit-trailing-slash=1",
        ),
        (isr_api::Framework::Nuxt, "/a/_payload.json?_b=build&x=1"),
    ] {
        let route = Route { query: QueryRule::All, ..framework(Preset::of(Some(framework_name))) };
        assert!(sent(&route, uri, &HeaderMap::new()).0.ends_with("?x=1"), "{uri}");
    }
}

#[test]
fn html_and_data_have_different_keys() {
    let route = framework(next_js());
    let plain = HeaderMap::new();
    let rsc = headers(&[("rsc", "1")]);
    let segment = headers(&[("rsc", "1"), ("next-router-segment-prefetch", "/_tree")]);
    let keys = [key(&route, "/a", &plain), key(&route, "/a", &rsc), key(&route, "/a", &segment)];
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    for odd in ["0", "true", "1, 1", ""] {
        assert_eq!(key(&route, "/a", &headers(&[("rsc", odd)])), keys[0], "RSC: {odd}");
    }
    assert_eq!(
        key(&route, "/a", &headers(&[("rsc", "1"), ("rsc", "1")])),
        keys[0],
        "several values are unclear"
    );
    let ignored =
        headers(&[("rsc", "1"), ("next-router-state-tree", "x"), ("next-url", "/b"), ("cookie", "a=b")]);
    assert_eq!(key(&route, "/a?_rsc=1", &ignored), keys[1], "the router's other headers change nothing");
    assert_eq!(sent(&route, "/a?_rsc=1", &ignored), ("/a?_rsc".into(), vec![("rsc".into(), "1".into())]));
    let (asked, mut fields) = sent(&route, "/a?_rsc=1", &segment);
    fields.sort();
    let expected = [("next-router-prefetch", "1"), ("next-router-segment-prefetch", "/_tree"), ("rsc", "1")];
    assert_eq!(asked, "/a?_rsc=1r34m");
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let alone = headers(&[("next-router-segment-prefetch", "/_tree")]);
    assert_eq!(key(&route, "/a", &alone), keys[0], "without RSC the segment is not looked at");
    let all = Route { query: QueryRule::All, ..route };
    assert_eq!(sent(&all, "/a?_rsc=1&b=2", &rsc).0, "/a?b=2&_rsc");
}

#[test]
fn header_values_are_bounded() {
    let token = varying("x-token", Normalise::Token { max_bytes: 4 });
    let text = varying("x-text", Normalise::Text);
    let long = "a".repeat(257);
    let absent: [(&Route, &[(&str, &str)]); 8] = [
        (&token, &[("x-token", "abcde")]),
        (&token, &[("x-token", "a b")]),
        (&token, &[("x-token", "")]),
        (&token, &[("x-token", "é")]),
        (&text, &[("x-text", " ")]),
        (&text, &[("x-text", &long)]),
        (&text, &[("x-text", &long[..200]), ("x-text", &long[..200])]),
        (&text, &[("x-text", "é")]),
    ];
    for (route, fields) in absent {
        assert_eq!(key(route, "/", &headers(fields)), key(route, "/", &HeaderMap::new()), "{fields:?}");
        assert!(sent(route, "/", &headers(fields)).1.is_empty(), "{fields:?}");
    }
    for (route, fields, value) in [
        (&token, vec![("x-token", " abcd ")], "abcd"),
        (&text, vec![("x-text", "  Green shop ")], "Green shop"),
        (&text, vec![("x-text", "a"), ("x-text", "b")], "a, b"),
    ] {
        assert_eq!(sent(route, "/", &headers(&fields)).1[0].1, value, "{fields:?}");
    }
}

#[test]
fn languages_are_ordered_by_weight() {
    let route = varying("accept-language", Normalise::Languages);
    let table = [
        ("de", "de"),
        ("de-CH, de;q=0.9,en;q=0.8", "de-ch, de;q=0.9, en;q=0.8"),
        ("en;q=0.8 , de-CH , de;q=0.9", "de-ch, de;q=0.9, en;q=0.8"),
        ("en; q=0.1, fr;q=0.100, de;Q=1.0", "de, en;q=0.9, fr;q=0.8"),
        ("de,DE,de;q=0.1", "de"),
        ("de, en;q=0, fr;q=0.0", "de"),
        ("de, en;q=2, fr;q=x, it;level=1, ;q=1, a_b", "de"),
        ("*, a;q=0.001", "*, a;q=0.9"),
        ("a;q=0.1,b,c,d,e,f,g,h,i", "b, c;q=0.9, d;q=0.8, e;q=0.7, f;q=0.6, g;q=0.5, h;q=0.4, i;q=0.3"),
    ];
    for (value, expected) in table {
        assert_eq!(sent(&route, "/", &headers(&[("accept-language", value)])).1[0].1, expected, "{value}");
    }
    let split = headers(&[("accept-language", "de"), ("accept-language", "en;q=0.5")]);
    assert_eq!(key(&route, "/", &split), key(&route, "/", &headers(&[("accept-language", "de,en;q=0.7")])));
    for nothing in ["", ",", "en;q=0", "!"] {
        assert!(sent(&route, "/", &headers(&[("accept-language", nothing)])).1.is_empty(), "{nothing:?}");
    }
}

#[test]
fn groups_join_the_spellings_of_one_page() {
    let route = route_with("/[[...path]]");
    assert_eq!(route.group(HOST, "/blog/1"), "shop.example.com/blog/1");
    for (one, other) in [("/blog", "/blog/"), ("/a@b", "/a%40b"), ("/a%3Bb", "/a;b")] {
        assert_eq!(route.group(HOST, one), route.group(HOST, other), "{one} and {other}");
    }
    for (one, other) in
        [("/a/b", "/a%2Fb"), ("/", "//"), ("/a", "/A"), ("/a%2540", "/a%40"), ("/%C3", "/%C3%A9")]
    {
        assert_ne!(route.group(HOST, one), route.group(HOST, other), "{one} and {other}");
    }
}

#[test]
fn vary_is_covered_by_the_key_or_named() {
    let plain = route_with("/");
    let next = framework(next_js());
    let language = varying("accept-language", Normalise::Languages);
    let table: [(&Route, &[&str], Option<&str>); 10] = [
        (&plain, &[], None),
        (&plain, &["Accept-Encoding", " accept-encoding , "], None),
        (&plain, &["Accept-Encoding, Cookie"], Some("cookie")),
        (&plain, &["*"], Some("*")),
        (&plain, &["rsc"], Some("rsc")),
        (&next, &["rsc, next-router-state-tree, next-router-prefetch, next-router-segment-prefetch"], None),
        // What a page that may be intercepted says.
        (&next, &["rsc, next-url"], Some("next-url")),
        (&next, &["RSC", "Accept-Language"], Some("accept-language")),
        (&language, &["Accept-Language, Accept-Encoding"], None),
        (&language, &["Accept-Language", "*"], Some("*")),
    ];
    for (route, values, expected) in table {
        let fields: Vec<(&str, &str)> = values.iter().map(|value| (VARY.as_str(), *value)).collect();
        assert_eq!(route.vary_beyond_key(&headers(&fields)).as_deref(), expected, "{values:?}");
    }
}

#[test]
fn bypass_and_draft() {
    let token = "0123456789abcdef0123456789abcdef";
    let route = Route {
        bypass: vec![
            BypassRule::Cookie("session".into()),
            BypassRule::Header(HeaderName::from_static("x-preview")),
        ],
        tokens: Tokens::from_digests(vec![digest(token.as_bytes()), digest(b"previous")]),
        origin_token: OriginToken::new("origin".into()),
        ..route_with("/")
    };
    let bypasses: [(&[(&str, &str)], bool); 7] = [
        (&[], false),
        (&[("cookie", "a=b; session=")], true),
        (&[("cookie", "a=b"), ("cookie", " session=1")], true),
        (&[("cookie", "sessions=1; xsession=2; a=session=1")], false),
        (&[("cookie", "session")], false),
        (&[("x-preview", "")], true),
        (&[("x-other", "session=1")], false),
    ];
    for (fields, expected) in bypasses {
        assert_eq!(route.bypasses(&headers(fields)), expected, "{fields:?}");
    }
    let cookie = |value: &str| headers(&[(COOKIE.as_str(), &format!("a=b; __prerender_bypass={value}"))]);
    for (value, expected) in
        [(token, true), ("previous", true), ("origin", true), ("", false), ("0123", false), ("1", false)]
    {
        assert_eq!(route.is_draft(&cookie(value)), expected, "{value}");
    }
    assert!(!route_with("/").is_draft(&cookie("")), "without tokens nothing is a draft");
    assert_eq!(
        format!("{:?} {:?}", route.tokens, route.origin_token),
        "Tokens(2 redacted) Some(OriginToken(redacted))"
    );
}

#[test]
fn keys_are_described() {
    let route = Route { query: QueryRule::All, ..framework(next_js()) };
    let key = key(&route, "/a?b=1", &headers(&[("rsc", "1")]));
    assert_eq!(describe_key(&key), "shop.example.com/a?b=1 [rsc: 1]");
    for junk in [&b""[..], b"abc", b"\0\0\0\x01", &key[1..], &key[..key.len() - 1]] {
        assert_eq!(describe_key(junk), "not a key");
    }
}

#[test]
fn a_field_is_told_whole_however_long_it_is() {
    let route = Route { query: QueryRule::All, ..route_with("/[[...path]]") };
    for length in [0, 1, 253, 254, 255, 256, 257, 2000] {
        let uri = format!("/{}?{}", "a".repeat(length), "b".repeat(length + 1));
        let key = key(&route, &uri, &HeaderMap::new());
        assert_eq!(describe_key(&key), format!("{HOST}{uri}"));
    }
}

type Request = (String, Vec<(&'static str, String)>);

/// Requests that differ in small ways.
fn request() -> impl Strategy<Value = Request> {
    let uri = ("/[ab/;%]{0,3}", "[ab=&]{0,6}").prop_map(|(path, query)| format!("{path}?{query}"));
    let name = prop::sample::select(vec!["rsc", "accept-language", "x-text", "cookie"]);
    (uri, prop::collection::vec((name, "[1abq=;., ]{0,5}"), 0..4))
}

proptest! {
    /// What the origin is asked is a function of the key, and different questions have different keys.
    #[test]
    fn the_key_is_what_is_asked(one in request(), other in request()) {
        let key_headers = vec![
            KeyHeader::new(HeaderName::from_static("accept-language"), Normalise::Languages),
            KeyHeader::new(HeaderName::from_static("rsc"), Normalise::Flag("1")),
            KeyHeader::new(HeaderName::from_static("x-text"), Normalise::Text),
        ];
        let route = Route { query: QueryRule::All, key_headers, ..route_with("/[[...path]]") };
        let read = |(uri, fields): &Request| {
            let uri: Uri = uri.parse().ok()?;
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (target, headers) = (Target::parse(HOST, &uri).ok()?, headers(&fields));
            let mut key = Vec::new();
            route.write_key(&target, &headers, &mut key);
            Some((key, route.render_target(&target, &headers)))
        };
        if let (Some((key, asked)), Some((other_key, other_asked))) = (read(&one), read(&other)) {
            prop_assert_eq!(key == other_key, asked == other_asked);
        }
    }

    #[test]
    fn describing_never_panics(key in prop::collection::vec(any::<u8>(), 0..40)) {
        describe_key(&key);
    }
}
