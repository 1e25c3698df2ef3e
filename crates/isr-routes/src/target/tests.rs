use std::borrow::Cow;

use http::Uri;
use proptest::prelude::*;

use super::{BadTarget, Target};

fn parse<'r>(authority: &'r str, uri: &'r Uri) -> Result<(String, String, String), BadTarget> {
    let target = Target::parse(authority, uri)?;
    Ok((target.host.into_owned(), target.path.into_owned(), target.query.to_owned()))
}

fn path(text: &str) -> Result<String, BadTarget> {
    let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    parse("h", &uri).map(|(_, path, _)| path)
}

#[test]
fn hosts_have_one_spelling() {
    let root = Uri::from_static("/");
    let table = [
        ("shop.example.com", Ok("shop.example.com")),
        ("SHOP.Example.COM", Ok("shop.example.com")),
        ("shop.example.com.", Ok("shop.example.com")),
        ("shop.example.com:80", Ok("shop.example.com")),
        ("shop.example.com:65535", Ok("shop.example.com")),
        ("shop.example.com:", Ok("shop.example.com")),
        ("Shop.example.com.:8080", Ok("shop.example.com")),
        ("localhost", Ok("localhost")),
        ("my_service", Ok("my_service")),
        ("127.0.0.1:3000", Ok("127.0.0.1")),
        ("[::1]:3000", Ok("[::1]")),
        ("[0:0:0:0:0:0:0:1]", Ok("[::1]")),
        ("[2001:DB8::A]", Ok("[2001:db8::a]")),
        ("", Err(BadTarget::NoHost)),
        (":80", Err(BadTarget::NoHost)),
        (".", Err(BadTarget::BadHost)),
        ("..", Err(BadTarget::BadHost)),
        ("shop..example.com", Err(BadTarget::BadHost)),
        ("shop.example.com..", Err(BadTarget::BadHost)),
        (".example.com", Err(BadTarget::BadHost)),
        ("user@shop.example.com", Err(BadTarget::Userinfo)),
        ("shop.example.com:80:80", Err(BadTarget::BadPort)),
        ("shop.example.com:http", Err(BadTarget::BadPort)),
        ("shop.example.com:65536", Err(BadTarget::BadPort)),
        ("shop.example.com:+80", Err(BadTarget::BadPort)),
        ("shop example.com", Err(BadTarget::BadHost)),
        ("shop/example.com", Err(BadTarget::BadHost)),
        ("sh%6Fp.example.com", Err(BadTarget::BadHost)),
        ("*.example.com", Err(BadTarget::BadHost)),
        ("bücher.example", Err(BadTarget::BadHost)),
        ("[::1", Err(BadTarget::BadHost)),
        ("[::1]80", Err(BadTarget::BadHost)),
        ("[fe80::1%25eth0]", Err(BadTarget::BadHost)),
        ("::1", Err(BadTarget::BadPort)),
    ];
    for (authority, expected) in table {
        let got = parse(authority, &root).map(|(host, _, _)| host);
        assert_eq!(got, expected.map(ToOwned::to_owned), "{authority:?}");
    }
    assert_eq!(
        parse(&format!("{}.example", "a".repeat(64)), &root),
        Err(BadTarget::BadHost),
        "label of 64 bytes"
    );
    let long = ["a".repeat(60).as_str(); 5].join(".");
    assert_eq!(parse(&long, &root), Err(BadTarget::BadHost), "name of {} bytes", long.len());
}

#[test]
fn the_authority_of_an_absolute_form_wins() {
    let uri = Uri::from_static("http://Shop.Example.com:80/a?b=1");
    let got = parse("other.example.com", &uri).expect("a good target");
    assert_eq!(got, ("shop.example.com".into(), "/a".into(), "b=1".into()));
    let root = Uri::from_static("http://shop.example.com");
    assert_eq!(parse("", &root).expect("a good target").1, "/", "an absolute form without path is the root");
}

#[test]
fn paths_have_one_spelling() {
    let table = [
        // RFC 3986 §6.2.2.1: hexadecimal digits are upper case.
        ("/caf%c3%a9", Ok("/caf%C3%A9")),
        ("/a%2fb", Ok("/a%2Fb")),
        // §6.2.2.2: unreserved characters stand for themselves.
        ("/%61%2D%5f%7E%39", Ok("/a-_~9")),
        ("/a%2eb", Ok("/a.b")),
        // Reserved characters keep the spelling that they came in.
        ("/a%40b", Ok("/a%40b")),
        ("/a@b", Ok("/a@b")),
        ("/a;v=1", Ok("/a;v=1")),
        ("/a%3Bv=1", Ok("/a%3Bv=1")),
        ("//a//b/", Ok("//a//b/")),
        ("/a%252e", Ok("/a%252e")),
        ("/a...", Ok("/a...")),
        ("/.well-known", Ok("/.well-known")),
        ("/..a/a..", Ok("/..a/a..")),
        // What a path may not hold (§3.3) is encoded, as browsers do.
        ("/\"{}|^`<>[]", Ok("/%22%7B%7D%7C%5E%60%3C%3E%5B%5D")),
        ("/café", Ok("/caf%C3%A9")),
        // §6.2.2.3: dot segments, however they are spelled.
        ("/a/../b", Err(BadTarget::DotSegment)),
        ("/./a", Err(BadTarget::DotSegment)),
        ("/a/..", Err(BadTarget::DotSegment)),
        ("/a/%2e%2E/b", Err(BadTarget::DotSegment)),
        ("/a/.%2e", Err(BadTarget::DotSegment)),
        ("/a/..;x=1/b", Err(BadTarget::DotSegment)),
        ("/a/..%3bx;y/b", Err(BadTarget::DotSegment)),
        ("/a/..%2fb", Err(BadTarget::DotSegment)),
        ("/a%2f%2e%2e", Err(BadTarget::DotSegment)),
        // What servers read in ways of their own.
        ("/a\\b", Err(BadTarget::Backslash)),
        ("/a%5cb", Err(BadTarget::Backslash)),
        ("/a%00", Err(BadTarget::ControlCharacter)),
        ("/a%0d%0Ab", Err(BadTarget::ControlCharacter)),
        ("/a%7f", Err(BadTarget::ControlCharacter)),
        ("/100%", Err(BadTarget::BadEncoding)),
        ("/a%4", Err(BadTarget::BadEncoding)),
        ("/a%zz", Err(BadTarget::BadEncoding)),
        ("*", Err(BadTarget::NotAPath)),
    ];
    for (text, expected) in table {
        // http::Uri refuses some of these by itself; the rule must not depend on it.
        let got = super::path::normalise(text).map(Cow::into_owned);
        assert_eq!(got, expected.map(ToOwned::to_owned), "{text}");
    }
    assert_eq!(path("/a?b=%zz&c#d"), Ok("/a".into()), "the query is not the path");
}

#[test]
fn normal_targets_are_borrowed() {
    let uri = Uri::from_static("/blog-posts/1;v=2//%C3%A9?x=1");
    let target = Target::parse("shop.example.com:8080", &uri).expect("a good target");
    assert!(matches!((target.host, target.path), (Cow::Borrowed(_), Cow::Borrowed(_))));
}

/// Text that is dense in the characters that matter.
fn any_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9._~/;@:%é\\\\{}-]{0,4}",
        Just("%2e".to_owned()),
        Just("%2F".to_owned()),
        Just("/../".to_owned()),
        "%[0-9a-fA-F]{2}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// What a lenient server makes of a path: everything decoded, dot segments resolved.
fn lenient(path: &str) -> Vec<u8> {
    super::path::percent_decoded(path).collect()
}

proptest! {
    #[test]
    fn normalising_is_idempotent_and_keeps_the_meaning(text in any_path()) {
        if let Ok(normal) = super::path::normalise(&text) {
            prop_assert_eq!(super::path::normalise(&normal), Ok(normal.clone()));
            prop_assert_eq!(lenient(&text), lenient(&normal));
            prop_assert!(normal.bytes().all(|byte| byte.is_ascii_graphic()));
            let resolved = lenient(&normal);
            prop_assert!(!resolved.split(|&byte| byte == b'/').any(|segment| segment == b"." || segment == b".."));
        }
    }

    #[test]
    fn spelling_an_unreserved_character_out_changes_nothing(text in any_path(), at in any::<prop::sample::Index>()) {
        let places: Vec<usize> = text
            .bytes()
            .enumerate()
            // Not the digits of an encoding.
            .filter(|&(place, byte)| {
                byte.is_ascii_alphanumeric() && !text.as_bytes()[place.saturating_sub(2)..place].contains(&b'%')
            })
            .map(|(place, _)| place)
            .collect();
        if !places.is_empty() {
            let place = places[at.index(places.len())];
            let spelled = format!("{}%{:02x}{}", &text[..place], text.as_bytes()[place], &text[place + 1..]);
            prop_assert_eq!(super::path::normalise(&spelled), super::path::normalise(&text));
        }
    }

    #[test]
    fn hosts_are_idempotent_and_never_panic(text in "[a-zA-Z0-9.:\\[\\]@*_ é-]{0,20}") {
        if let Ok(host) = super::host::normalise(&text) {
            prop_assert_eq!(super::host::normalise(&host), Ok(host.clone()));
        }
    }
}
