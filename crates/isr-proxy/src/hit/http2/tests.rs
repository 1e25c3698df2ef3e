use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::{Empty, Full};
use isr_routes::Target;
use proptest::prelude::*;

use super::*;

fn request(method: &str, uri: &str, fields: &[(&'static str, &'static str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).expect("a request")
}

#[test]
fn plain_requests_are_answered_here() {
    let plain_ones: [(&str, &[_]); 4] = [
        ("http://a.example/", &[]),
        ("https://a.example/blog/1?page=2&x=%20", &[("accept-encoding", "gzip, br"), ("cookie", "a=b; c=d")]),
        ("http://a.example:8080/%C3%BC", &[("if-none-match", "\"a\""), ("te", "trailers")]),
        ("http://a.example/a", &[("range", "bytes=0-1"), ("cookie", "a=b"), ("cookie", "c=d")]),
    ];
    for (uri, fields) in plain_ones {
        let request = request("GET", uri, fields);
        let plain = plain(&request).unwrap_or_else(|| panic!("{uri} is plain"));
        let authority = request.uri().authority().expect("an authority").as_str();
        assert_eq!(plain.target(), Target::parse(authority, request.uri()).ok(), "{uri}");
        assert_eq!(plain.host, authority.as_bytes());
    }
}

#[test]
fn whatever_may_mean_more_goes_the_long_way() {
    let others = [
        ("HEAD", "http://a.example/"),
        ("POST", "http://a.example/"),
        ("OPTIONS", "*"),
        ("CONNECT", "a.example:80"),
        ("GET", "/no-authority"),
        ("GET", "http://a.example/\u{fc}"),
        ("GET", "http://a.example/a|b"),
        ("GET", "http://a.example/?{a}"),
    ];
    for (method, uri) in others {
        let request = request(method, uri, &[]);
        assert_eq!(plain(&request).and_then(|plain| plain.target()), None, "{method} {uri}");
    }
    let fields = [
        ("host", "a.example"),
        ("host", "b.example"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("trailer", "x"),
        ("x-prerender-revalidate", "token"),
    ];
    for field in fields {
        assert!(plain(&request("GET", "http://a.example/", &[field])).is_none(), "{field:?}");
    }
    let plain_one = request("GET", "http://a.example/", &[]);
    assert!(plain(&plain_one).is_some());
    let with_body = plain_one.map(|_| Full::new(Bytes::from_static(b"a")));
    assert!(plain(&with_body).is_none(), "a GET with a body means what its origin likes it to mean");
    let mut http1 = request("GET", "http://a.example/", &[]);
    *http1.version_mut() = Version::HTTP_11;
    assert!(plain(&http1).is_none(), "whose end is for the framing to say");
}

const NAMES: [&str; 8] =
    ["accept", "accept-encoding", "accept-language", "cookie", "if-none-match", "range", "x-a", "x-b"];

proptest! {
    #[test]
    fn fields_are_found_as_in_the_map(
        fields in prop::collection::vec((prop::sample::select(&NAMES[..]), "[a-z]{0,3}"), 0..12),
        asked in prop::sample::select(&NAMES[..]),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let name = HeaderName::from_static(asked);
        let marks = headers.keys().fold(Marks::default(), |marks, name| marks.with(name.as_str()));
        let marked = Fields { headers: &headers, marks };
        let found: Vec<_> = marked.values(&name).collect();
        let expected: Vec<_> = RequestFields::values(&headers, &name).collect();
        prop_assert_eq!(found, expected);
    }
}
