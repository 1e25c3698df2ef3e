use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn head(status: StatusCode, etag: Option<&'static str>, fields: &[(&'static str, &'static str)]) -> Head {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let etag = etag.map(HeaderValue::from_static);
    Head::new(status, &"shop/blog".into(), etag.as_ref(), fields.iter().map(|(name, value)| (name, value)))
}

const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NOW: &str = "Thu, 26 Nov 2026 00:30:00 GMT";

#[test]
fn what_differs_from_page_to_page_does_not_keep_the_rest_from_being_shared() {
    let page = |etag, moment, request| {
        let dates = [("date", moment), ("last-modified", moment)];
        let others = [("content-type", "text/html"), ("x-request-id", request), ("via", "1.1 a")];
        head(StatusCode::OK, Some(etag), &[&dates[..], &others].concat())
    };
    let (one, other) = (page("\"1\"", THEN, "a"), page("\"2\"", NOW, "b"));
    assert!(Arc::ptr_eq(&one.common, &other.common));
    assert_eq!((one.etag(), other.etag()), (Some(&b"\"1\""[..]), Some(&b"\"2\""[..])));
    assert_eq!(other.field(&LAST_MODIFIED), Some(NOW.as_bytes()));
    let gone = head(StatusCode::GONE, None, &[("content-type", "text/html"), ("via", "1.1 a")]);
    assert!(!Arc::ptr_eq(&one.common, &gone.common), "another status is another beginning");
}

#[test]
fn a_date_comes_back_as_it_was_however_it_was_written() {
    for date in [NOW, THEN, "sun, 06 nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "soon", ""] {
        let map = head(StatusCode::OK, None, &[("date", date), ("via", "1.1 a")]).to_map();
        assert_eq!(map.get(DATE).map(HeaderValue::as_bytes), Some(date.as_bytes()));
    }
}

#[test]
fn each_representation_has_a_head_of_its_own() {
    let fields = [("content-type", "text/html"), ("date", NOW), ("age", "7"), ("content-length", "9")];
    let head = head(StatusCode::OK, Some("\"a\""), &fields);
    let body = Bytes::from_static(b"page");
    let written = |coding, etag| {
        let mut out = Vec::new();
        head.write(Representation { coding, body: &body, etag }, &mut out);
        String::from_utf8(out).expect("text")
    };
    let rest = format!("date: {NOW}\r\naccept-ranges: bytes\r\ncontent-length: 4\r\n");
    assert_eq!(
        written(Coding::Identity, head.etag()),
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\netag: \"a\"\r\n{rest}")
    );
    assert_eq!(
        written(Coding::Gzip, Some(b"\"a-gzip\"")),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\netag: \"a-gzip\"\r\ncontent-encoding: gzip\r\n{rest}"
        )
    );
    let mut out = Vec::new();
    let identity = Representation { coding: Coding::Identity, body: &body, etag: head.etag() };
    head.write_not_modified(identity, &mut out);
    let expected = format!("HTTP/1.1 304 Not Modified\r\ndate: {NOW}\r\netag: \"a\"\r\n");
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}

const NAMES: [&str; 8] =
    ["content-type", "content-encoding", "date", "link", "via", "x-twice", "x-powered-by", "location"];

proptest! {
    #[test]
    fn all_fields_are_found_again(
        fields in proptest::collection::vec(
            (proptest::sample::select(&NAMES[..]), "[ -~\\t\u{80}-\u{ff}]{0,20}"),
            0..10,
        ),
        etag in proptest::option::of("\"[!#-~]{0,8}\""),
    ) {
        let fields: Vec<_> = fields
            .into_iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?)))
            .collect();
        let etag = etag.map(|etag| HeaderValue::from_str(&etag).expect("a value"));
        let head = Head::new(
            StatusCode::NOT_FOUND,
            &"shop/blog".into(),
            etag.as_ref(),
            fields.iter().map(|(name, value)| (name, value)),
        );
        prop_assert_eq!(head.etag(), etag.as_ref().map(HeaderValue::as_bytes));
        let map = head.to_map();
        let mut expected = HeaderMap::new();
        for (name, value) in &fields {
            expected.append(name.clone(), value.clone());
        }
        prop_assert_eq!(&map, &expected);
        prop_assert_eq!(head.to_map(), expected, "the copy of a map that was kept");
        prop_assert_eq!(head.fields().count(), fields.len());
    }
}
