//! Hits over HTTP/1.1, from the bytes as they arrive: without a map of fields on either side. The head is parsed by hyper's own
//! parser (httparse), so the two cannot disagree about where it ends.

use std::mem::MaybeUninit;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use httparse::Header;
use isr_cache::head::write_hit;
use isr_cache::{Precondition, Range, Representation, RequestFields, StoredResponse, conditional, range};

use super::{MEAN_MORE, Marks, Plain, fresh};
use crate::answer::part;
use crate::state::Proxy;

/// Fields of a request that is answered here, at most. Browsers send twenty, ingresses add ten.
pub(super) const FIELDS_MOST: usize = 64;

/// A body up to this size, in bytes, is copied behind its head, which costs less than a second piece does in the kernel.
pub(crate) const COPIED_MOST: usize = 4 * 1024;

/// A hit, but for its head.
pub(crate) struct Hit {
    /// How many bytes of what was read were the request.
    pub(crate) read: usize,
    /// What follows the head and is not behind it already.
    pub(crate) rest: Bytes,
    /// Whether that is all of a stored body.
    pub(crate) is_whole: bool,
}

/// Answers the request at the beginning of `input`, if it is all there, plain, and its page is stored and fresh. The head of
/// the answer goes to `head`. `last` tells the visitor that the connection ends.
pub(crate) fn answer(proxy: &Arc<Proxy>, input: &[u8], last: bool, head: &mut Vec<u8>) -> Option<Hit> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MOST];
    let (read, request) = parse(input, &mut room)?;
    fresh(proxy, &request, |page| {
        head.clear();
        let (body, part) = write(&request.fields, page.stored, page.representation, head)?;
        if last {
            head.extend_from_slice(b"connection: close\r\n");
        }
        write_hit(page.age, &page.status, head);
        let is_whole = part.len() == body.len();
        let rest = if part.len() > COPIED_MOST {
            body.slice(part)
        } else {
            head.extend_from_slice(&body[part]);
            Bytes::new()
        };
        Some(Hit { read, rest, is_whole })
    })
}

/// Appends the head of the answer to a GET, as far as it does not depend on the moment; returns a stored body and which part of it
/// follows. The same answer as [`crate::answer::answer`] gives by way of hyper, or none.
pub(super) fn write<'s>(
    request: &impl RequestFields,
    stored: &StoredResponse,
    representation: Representation<'s>,
    head: &mut Vec<u8>,
) -> Option<(&'s Bytes, std::ops::Range<usize>)> {
    let (etag, modified, status) = (representation.etag, stored.modified, stored.status());
    let body = representation.body;
    if conditional::precondition(&Method::GET, request, etag, modified, status) == Precondition::NotModified {
        stored.head.write_not_modified(representation, head);
        return Some((body, 0..0));
    }
    let range = if status == StatusCode::OK {
        range::range(&Method::GET, request, body.len() as u64, etag)
    } else {
        Range::Whole
    };
    match range {
        Range::Whole => {
            stored.head.write(representation, head);
            Some((body, 0..body.len()))
        }
        Range::Part { first, last } => {
            stored.head.write_part(representation, first, last, head);
            Some((body, part(body, first, last)))
        }
        Range::Unsatisfiable => None,
    }
}

/// The request at the beginning of `input` and its length, if it may be answered here.
pub(super) fn parse<'b>(
    input: &'b [u8],
    room: &'b mut [MaybeUninit<Header<'b>>],
) -> Option<(usize, Plain<'b, Fields<'b>>)> {
    if !input.starts_with(b"GET /") {
        return None;
    }
    let mut parsed = httparse::Request::new(&mut []);
    let read = match parsed.parse_with_uninit_headers(input, room) {
        Ok(httparse::Status::Complete(read)) if parsed.version == Some(1) => read,
        _ => return None,
    };
    let (target, fields): (&str, &'b [Header<'b>]) = (parsed.path?, parsed.headers);
    let (mut host, mut marks) = (None, Marks::default());
    for field in fields {
        match field.name.len() {
            4 if is(field, "host") => {
                if host.is_some() {
                    return None;
                }
                host = Some(field.value);
            }
            10 if is(field, "connection") && !field.value.eq_ignore_ascii_case(b"keep-alive") => {
                return None;
            }
            _ => {}
        }
        marks = marks.with(field.name);
    }
    let has = |name: &&str| fields.iter().any(|field| is(field, name));
    if marks.may_mean_more() && MEAN_MORE.iter().any(has) {
        return None;
    }
    Some((read, Plain { host: host?, target, fields: Fields { fields, marks } }))
}

/// The fields of a request.
pub(super) struct Fields<'b> {
    fields: &'b [Header<'b>],
    marks: Marks,
}

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

impl RequestFields for Fields<'_> {
    fn values<'f>(&'f self, name: &'f HeaderName) -> impl Iterator<Item = &'f [u8]> {
        let name = name.as_str();
        let fields = if self.marks.may_have(name) { self.fields } else { &self.fields[..0] };
        fields.iter().filter(|field| is(field, name)).map(|field| field.value)
    }
}
