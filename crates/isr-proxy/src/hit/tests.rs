use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use httparse::EMPTY_HEADER;
use isr_cache::head::write_hit;
use isr_cache::{
    Asked, Coding, Compressed, Epoch, Extra, Group, Head, Render, Routed, StoredResponse, Timestamp,
};
use proptest::prelude::*;
use std::sync::Arc;

use super::http1::{FIELDS_MOST, parse, write};
use super::*;
use crate::answer::{Label, answer, answer_with};

fn parsed(input: &[u8]) -> Option<usize> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MOST];
    parse(input, &mut room).filter(|(_, plain)| plain.target().is_some()).map(|(read, _)| read)
}

fn head(line: &str, fields: &str) -> Vec<u8> {
    format!("{line}\r\nHost: a.example\r\n{fields}\r\n").into_bytes()
}

#[test]
fn plain_requests_are_answered_here() {
    let plain = [
        ("GET / HTTP/1.1", ""),
        ("GET /blog/1?page=2&x=%20 HTTP/1.1", "Accept-Encoding: gzip, br\r\nCookie: a=b; c=d\r\n"),
        ("GET /%C3%BC HTTP/1.1", "Connection: keep-alive\r\nIf-None-Match: \"a\"\r\n"),
        ("GET /a HTTP/1.1", "Range: bytes=0-1\r\n"),
        ("GET /a HTTP/1.1", "X-Forwarded-For: ::1\r\nUser-Agent: \u{fc}\r\n"),
    ];
    for (line, fields) in plain {
        let request = head(line, fields);
        assert_eq!(parsed(&request), Some(request.len()), "{line} {fields}");
        let followed = [request.clone(), b"POST / HTTP/1.1".to_vec()].concat();
        assert_eq!(parsed(&followed), Some(request.len()), "what follows is not read: {line} {fields}");
    }
}

#[test]
fn whatever_may_mean_more_is_left_to_hyper() {
    let lines = [
        "HEAD / HTTP/1.1",
        "get / HTTP/1.1",
        " GET / HTTP/1.1",
        "\r\nGET / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET / HTTP/1.7",
        "GET  / HTTP/1.1",
        "GET http://a.example/ HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET /\u{fc} HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /\"a\" HTTP/1.1",
        "GET /?<a> HTTP/1.1",
        "PRI * HTTP/2.0",
    ];
    for line in lines {
        assert_eq!(parsed(&head(line, "")), None, "{line:?}");
    }
    let fields = [
        "Host: a.example\r\n",
        "host: b.example\r\n",
        "Content-Length: 0\r\n",
        "CONTENT-LENGTH: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "X-A: 1\r\n Transfer-Encoding: chunked\r\n",
        "X-A: 1\rTransfer-Encoding: chunked\r\n",
        "X-A: \0\r\n",
        ": 1\r\n",
        "garbage\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive, upgrade\r\n",
        "Upgrade: h2c\r\n",
        "Expect: 100-continue\r\n",
        "Trailer: x\r\n",
        "x-prerender-revalidate: token\r\n",
    ];
    for field in fields {
        assert_eq!(parsed(&head("GET / HTTP/1.1", field)), None, "{field:?}");
    }
    assert_eq!(parsed(b"GET / HTTP/1.1\r\n\r\n"), None, "no host");
    let many = "X-Many: 1\r\n".repeat(FIELDS_MOST);
    assert_eq!(parsed(&head("GET / HTTP/1.1", &many)), None, "more fields than are looked at");
    let whole = head("GET /a HTTP/1.1", "Accept: */*\r\n");
    for end in 0..whole.len() {
        assert_eq!(parsed(&whole[..end]), None, "{end} bytes of a head are none");
    }
}

const NAMES: [&str; 9] = [
    "accept-ranges",
    "cache-control",
    "content-encoding",
    "content-type",
    "date",
    "link",
    "vary",
    "x-twice",
    "x-isr-cache",
];

fn stored() -> impl Strategy<Value = StoredResponse> {
    let fields = prop::collection::vec((prop::sample::select(&NAMES[..]), "[a-z/=;, ]{1,20}"), 0..12);
    let status = prop::sample::select(vec![200_u16, 301, 308, 404, 410]);
    let etag = prop::option::of("\"[a-f0-9]{4}\"");
    (fields, status, etag, 0_usize..3000, any::<bool>()).prop_map(
        |(fields, status, etag, length, compressed)| {
            let value = |text: String| http::HeaderValue::from_str(&text).expect("a value");
            let body = |length: usize| (0..length).map(|at| at.to_le_bytes()[0]).collect::<Bytes>();
            let etag = etag.map(value);
            let gzip = Compressed {
                coding: Coding::Gzip,
                body: body(length / 2),
                etag: etag.as_ref().map(|etag| etag.as_bytes().into()),
            };
            // What comes in a coding is not compressed again.
            let is_compressed = compressed && fields.iter().all(|(name, _)| *name != "content-encoding");
            let compressed = is_compressed.then_some(gzip).into_iter().collect();
            let status = http::StatusCode::from_u16(status).expect("a status");
            let fields: Vec<_> =
                fields.into_iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
            let fields = fields.iter().map(|(name, value)| (name, value));
            StoredResponse {
                head: Head::new(status, &"shop/route".into(), etag.as_ref(), fields),
                body: body(length),
                asked: Asked::never(),
                modified: Some(Timestamp(1_787_018_478_321).seconds()),
                render: Render {
                    finished: Timestamp(0).into(),
                    began: Epoch(0),
                    born_stale: false,
                    spread: 0,
                },
                routed: Routed::default(),
                group: Arc::new(Group::new("a.example/".into())),
                extra: Extra { compressed, ..Extra::default() }.if_any(),
            }
        },
    )
}

const REQUESTS: [&[(&str, &str)]; 13] = [
    &[],
    &[("accept-encoding", "gzip")],
    &[("if-none-match", "*")],
    &[("if-none-match", "\"0000\""), ("accept-encoding", "gzip, br")],
    &[("if-modified-since", "Tue, 18 Aug 2026 02:01:19 GMT")],
    &[("if-modified-since", "Tue, 18 Aug 2026 02:01:17 GMT")],
    &[("if-none-match", "*"), ("accept-encoding", "gzip;q=1")],
    &[("range", "bytes=0-0")],
    &[("range", "bytes=10-"), ("accept-encoding", "gzip")],
    &[("range", "bytes=-7")],
    &[("range", "bytes=0-1,4-5")],
    &[("range", "bytes=2-5"), ("if-range", "\"0000\"")],
    &[("range", "bytes=2999-"), ("if-none-match", "\"0000\"")],
];

proptest! {
    /// The head that is written for HTTP/1.1 has the status and the fields that hyper would be given, and so has the answer
    /// over HTTP/2.
    #[test]
    fn all_ways_give_the_same_answer(
        stored in stored(),
        request in prop::sample::select(&REQUESTS[..]),
        age in 0_u64..1 << 40,
        ttl in prop::option::of(0_i64..1 << 40),
    ) {
        let status = CacheStatus { handling: Handling::Hit, ttl, stored: false, collapsed: false, detail: None };
        let headers: HeaderMap = request
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect();
        let label = Label { short: XIsrCache::Hit, status };
        let by_hyper = answer(&Method::GET, &headers, &stored, age, &label);

        let mut http2 = http::Request::get("http://a.example/").version(http::Version::HTTP_2);
        for (name, value) in request {
            http2 = http2.header(*name, *value);
        }
        let http2 = http2.body(http_body_util::Empty::<Bytes>::new()).expect("a request");
        let fields = super::http2::plain(&http2).expect("a plain one").fields;
        let representation = negotiate::choose(&fields, &stored).representation;
        let over_http2 = answer_with(&Method::GET, &fields, &stored, representation, age, &label);
        prop_assert_eq!(over_http2.status(), by_hyper.status());
        prop_assert_eq!(over_http2.headers(), by_hyper.headers());
        let whole = |body: &crate::body::Body| match body {
            crate::body::Body::Whole(Some(bytes)) => bytes.clone(),
            _ => Bytes::new(),
        };
        prop_assert_eq!(whole(over_http2.body()), whole(by_hyper.body()));

        let mut head = Vec::new();
        let representation = negotiate::choose(&headers, &stored).representation;
        let Some((body, part)) = write(&headers, &stored, representation, &mut head) else {
            prop_assert_eq!(by_hyper.status(), http::StatusCode::RANGE_NOT_SATISFIABLE);
            return Ok(());
        };
        write_hit(age, &status, &mut head);
        let mut room = [EMPTY_HEADER; 64];
        let mut here = httparse::Response::new(&mut room);
        prop_assert_eq!(here.parse(&head), Ok(httparse::Status::Complete(head.len())));
        prop_assert_eq!(here.code, Some(by_hyper.status().as_u16()));
        let mut ours: Vec<(String, Vec<u8>)> =
            here.headers.iter().map(|field| (field.name.to_owned(), field.value.trim_ascii().to_vec())).collect();
        // White space around a value is not part of it (RFC 9110 §5.5).
        let trimmed = |value: &http::HeaderValue| value.as_bytes().trim_ascii().to_vec();
        let mut theirs: Vec<(String, Vec<u8>)> =
            by_hyper.headers().iter().map(|(name, value)| (name.to_string(), trimmed(value))).collect();
        ours.sort();
        theirs.sort();
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(body.slice(part), whole(by_hyper.body()));
    }
}
