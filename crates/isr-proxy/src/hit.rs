//! Answering a hit from the bytes as they arrive.
//!
//! What a hit needs of HTTP is little: where the head ends, the target, the host, and that nothing in it asks for more
//! than a page. So the most frequent request of all is answered here, without a map of fields on either side, and
//! everything else goes on to hyper untouched. The rule is to say no: only a GET over HTTP/1.1 without a body, whose every
//! part is spelled the plain way, is looked at. The head is parsed by hyper's own parser (httparse), so the two cannot
//! disagree about where it ends; what is decided about it is decided by the same functions of `isr-routes` and `isr-cache`
//! as in [`crate::respond`].

use std::mem::MaybeUninit;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use httparse::Header;
use isr_cache::head::write_moment;
use isr_cache::negotiate::Choice;
use isr_cache::{
    CacheStatus, Handling, Policy, Precondition, Range, Representation, RequestFields, Standing,
    StoredResponse, XIsrCache, conditional, negotiate, range,
};
use isr_routes::{Found, Target};
use memchr::memchr;

use crate::answer::slice;
use crate::encode;
use crate::interval::ttl_of;
use crate::page::belongs;
use crate::state::Proxy;

/// Fields of a request that is answered here, at most. Browsers send twenty, ingresses add ten.
const FIELDS_MOST: usize = 64;

/// A hit, but for its head.
pub(crate) struct Hit {
    /// How many bytes of what was read were the request.
    pub(crate) read: usize,
    /// What follows the head.
    pub(crate) body: Bytes,
    /// Whether that is all of a stored body.
    pub(crate) is_whole: bool,
}

/// Answers the request at the beginning of `input`, if it is all there, plain, and its page is stored and fresh. The head of
/// the answer goes to `head`; `key` is room for the key. `last` tells the visitor that the connection ends.
pub(crate) fn answer(
    proxy: &Arc<Proxy>,
    input: &[u8],
    last: bool,
    key: &mut Vec<u8>,
    head: &mut Vec<u8>,
) -> Option<Hit> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MOST];
    let (read, request) = Request::parse(input, &mut room)?;
    let target = Target::of(request.host, request.path, request.query).ok()?;
    let active = proxy.active.load();
    let Found::Route { route, page } = active.table.find(&target.host, &target.path) else { return None };
    let Policy::Interval(policy) = &route.policy else { return None };
    if route.is_draft(&request) || route.bypasses(&request) {
        return None;
    }
    key.clear();
    route.write_key(&target, &request, key);
    let stored = proxy.pages.get(key).filter(|stored| belongs(stored, route))?;
    let now = proxy.clock.now();
    let Standing::Fresh { ttl } = proxy.pages.standing(&stored, route, policy, now) else { return None };

    // Data whose page is newer waits for a render.
    if stored.is_before_its_page() && route.is_data(&target.path, &page, &request) {
        return None;
    }

    head.clear();
    let Choice { representation, missing } = negotiate::choose(&request, &stored);
    let (body, is_whole) = write_answer(&request, &stored, representation, head)?;
    if last {
        head.extend_from_slice(b"connection: close\r\n");
    }
    let (handling, ttl) = (Handling::Hit, ttl_of(ttl));
    let status = CacheStatus { handling, ttl, stored: false, collapsed: false, detail: None };
    write_moment(stored.render.age(now).as_secs(), XIsrCache::Hit, &status, head);
    active.count(route, XIsrCache::Hit);
    if let Some(coding) = missing {
        encode::make(proxy, key, &stored, coding);
    }
    Some(Hit { read, body, is_whole })
}

/// Appends the head of the answer to a GET, as far as it does not depend on the moment; returns the body, and whether it is all
/// of a stored one. The same answer as [`crate::answer::answer`] gives by way of hyper, or none.
fn write_answer(
    request: &impl RequestFields,
    stored: &StoredResponse,
    representation: Representation<'_>,
    head: &mut Vec<u8>,
) -> Option<(Bytes, bool)> {
    let (etag, modified, status) = (representation.etag, stored.modified, stored.status());
    if conditional::precondition(&Method::GET, request, etag, modified, status) == Precondition::NotModified {
        stored.head.write_not_modified(representation, head);
        return Some((Bytes::new(), false));
    }
    let part = if status == StatusCode::OK {
        range::range(&Method::GET, request, representation.body.len() as u64, etag)
    } else {
        Range::Whole
    };
    match part {
        Range::Whole => {
            stored.head.write(representation, head);
            Some((representation.body.clone(), true))
        }
        Range::Part { first, last } => {
            stored.head.write_part(representation, first, last, head);
            Some((slice(representation.body, first, last), false))
        }
        Range::Unsatisfiable => None,
    }
}

/// A request that may be answered here.
struct Request<'b> {
    host: &'b str,
    path: &'b str,
    query: &'b str,
    fields: &'b [Header<'b>],
    /// The marks of their names: most fields that are looked for are not there, and one bit says so.
    marks: u64,
}

impl<'b> Request<'b> {
    /// The request at the beginning of `input` and its length.
    fn parse(input: &'b [u8], room: &'b mut [MaybeUninit<Header<'b>>]) -> Option<(usize, Self)> {
        if !input.starts_with(b"GET /") {
            return None;
        }
        let mut parsed = httparse::Request::new(&mut []);
        let read = match parsed.parse_with_uninit_headers(input, room) {
            Ok(httparse::Status::Complete(read)) if parsed.version == Some(1) => read,
            _ => return None,
        };
        let (target, fields): (&str, &'b [Header<'b>]) = (parsed.path?, parsed.headers);
        let (mut host, mut marks) = (None, 0);
        for field in fields {
            match field.name.len() {
                4 if is(field, "host") => {
                    if host.is_some() {
                        return None;
                    }
                    host = Some(std::str::from_utf8(field.value).ok()?);
                }
                10 if is(field, "connection") && !field.value.eq_ignore_ascii_case(b"keep-alive") => {
                    return None;
                }
                _ => {}
            }
            marks |= mark(field.name);
        }
        let has = |name: &&str| fields.iter().any(|field| is(field, name));
        let means_more = marks & MARKS_OF_MORE != 0 && MEAN_MORE.iter().any(has);
        if means_more || !target.bytes().all(is_plain) {
            return None;
        }
        let (path, query) = match memchr(b'?', target.as_bytes()) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, ""),
        };
        Some((read, Self { host: host?, path, query, fields, marks }))
    }
}

/// Fields with which a request is more than a GET of a page: it has a body, wants another protocol, or speaks to us.
const MEAN_MORE: [&str; 7] = [
    "content-length",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "trailer",
    "x-prerender-revalidate",
];

const MARKS_OF_MORE: u64 = {
    let (mut marks, mut at) = (0, 0);
    while at < MEAN_MORE.len() {
        marks |= mark(MEAN_MORE[at]);
        at += 1;
    }
    marks
};

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// One of 64 bits that stands for a field's name, whatever its case: of twenty names few have the same.
const fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let first = if bytes.is_empty() { 0 } else { bytes[0] | 0x20 };
    1 << ((first as usize * 5 + bytes.len()) % 64)
}

/// The characters of a path and a query (RFC 3986 §3.3, §3.4), and no others. Much else is accepted from visitors, by hyper
/// and by [`Target`]; who sends it gets there by the longer way.
fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'?' | b'%' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'
                    ..=b',' | b';' | b'=' | b':' | b'@'
            );
        byte += 1;
    }
    table
};

impl RequestFields for Request<'_> {
    fn values<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]> {
        let name = name.as_str();
        let fields = if self.marks & mark(name) == 0 { &self.fields[..0] } else { self.fields };
        fields.iter().filter(|field| is(field, name)).map(|field| field.value)
    }
}

#[cfg(test)]
mod tests;
