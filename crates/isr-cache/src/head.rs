//! What stands before the body of a stored response, as HTTP/1.1 writes it.
//!
//! It is kept in the form in which nearly every visitor gets it: a hit copies it and adds the lines that depend on the
//! moment. Most of it is the same on all pages of a route (the kind of content, what other caches may do with it, the
//! application's name), so these lines are kept once for everybody who has them; a page has its entity tag, its dates and its
//! links for itself.

mod common;
mod lines;

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, DATE, ETAG,
    HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LINK, LOCATION,
};

use crate::cache_status::push_integer;
use crate::freshness::date;
use crate::short::append;
use crate::{CacheStatus, Coding, Representation, Seconds, Timestamp};
use common::Common;
use lines::{append_to, line, lines};

/// Written for each answer, or never.
const LEFT_OUT: [HeaderName; 4] = [AGE, CONTENT_LENGTH, ETAG, HeaderName::from_static("x-isr-cache")];

/// Fields that say nothing without the content (RFC 9110 §15.4.5).
const ABOUT_CONTENT: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// Fields that differ from page to page, or from render to render. Any other that does costs its page a copy of the lines that
/// could have been shared, and nothing else.
const OF_ITS_OWN: [HeaderName; 9] = [
    CONTENT_LOCATION,
    DATE,
    LAST_MODIFIED,
    LINK,
    LOCATION,
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-runtime"),
    HeaderName::from_static("x-trace-id"),
];

const ETAG_LINE: &[u8] = b"etag: ";

/// Status and fields of a stored response, and the route that it was rendered for.
#[derive(Clone, Debug)]
pub struct Head {
    common: Arc<Common>,
    /// Lines of this response alone. The entity tag's is the first.
    own: Box<[u8]>,
    /// Bytes of that line, none if there is none. No line has as many as this could count.
    etag_line: u32,
    /// `Date`, where it is written as dates are to be. A line of it would be a tenth of what a small page takes beside its body.
    date: Option<Seconds>,
}

impl Head {
    /// The head of a response with this status and these fields, which was rendered for a route, `namespace/name`. `etag` is
    /// the entity tag of its identity representation. Fields that are written for each answer are left out.
    pub fn new<'f>(
        status: StatusCode,
        route: &Arc<str>,
        etag: Option<&HeaderValue>,
        fields: impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
    ) -> Self {
        let (mut content, mut shared, mut own) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(etag) = etag {
            line("etag", etag.as_bytes(), &mut own);
        }
        let etag_line = u32::try_from(own.len()).unwrap_or_default();
        let mut date = None;
        for (name, value) in fields {
            if *name == DATE && date.is_none() {
                date = moment(value.as_bytes());
                if date.is_some() {
                    continue;
                }
            }
            if LEFT_OUT.contains(name) || status == StatusCode::OK && *name == ACCEPT_RANGES {
                continue;
            }
            let lines = if OF_ITS_OWN.contains(name) {
                &mut own
            } else if ABOUT_CONTENT.contains(name) {
                &mut content
            } else {
                &mut shared
            };
            line(name.as_str(), value.as_bytes(), lines);
        }
        Self { common: Common::of(status, route, &content, &shared), own: own.into(), etag_line, date }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.common.status
    }

    /// The route, as `namespace/name`.
    pub fn route(&self) -> &Arc<str> {
        &self.common.route
    }

    /// The strong or weak entity tag of the identity representation.
    #[inline]
    pub fn etag(&self) -> Option<&[u8]> {
        self.own.get(ETAG_LINE.len()..(self.etag_line as usize).checked_sub(b"\r\n".len())?)
    }

    /// Names and values of the fields that are sent with every representation. Those that depend on the moment (`Age`,
    /// `Cache-Status`) or on the representation (`ETag`, `Content-Encoding` of ours) are not among them.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Cow<'_, [u8]>)> {
        let lines = self.lines().map(|(name, value)| (name, Cow::Borrowed(value)));
        lines.chain(self.date.map(|date| ("date", Cow::Owned(date.http_date().into()))))
    }

    /// The value of a field other than `Date`.
    pub fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.lines().find(|(known, _)| *known == name.as_str()).map(|(_, value)| value)
    }

    /// The fields as a map, with room for those that are written for each answer.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = self.common.map();
        append_to(&mut map, self.own_fields());
        if let Some(Ok(date)) = self.date.map(|date| HeaderValue::from_bytes(&date.http_date())) {
            map.append(DATE, date);
        }
        map
    }

    /// Appends the head that goes before the whole of a representation, as far as it does not depend on the moment: status
    /// line and fields, without the empty line.
    #[inline]
    pub fn write(&self, representation: Representation<'_>, out: &mut Vec<u8>) {
        append(self.common.whole(), out);
        self.write_own(representation, out);
        match self.common.status {
            StatusCode::OK => out.extend_from_slice(b"accept-ranges: bytes\r\ncontent-length: "),
            // Which has no content, not even content of length 0 (RFC 9110 §8.6).
            StatusCode::NO_CONTENT => return,
            _ => out.extend_from_slice(b"content-length: "),
        }
        push_count(representation.body.len() as u64, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the same part of the head of a 206 with the bytes from `first` to `last` of a representation of a 200.
    pub fn write_part(&self, representation: Representation<'_>, first: u64, last: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 206 Partial Content\r\n");
        out.extend_from_slice(self.common.fields());
        self.write_own(representation, out);
        out.extend_from_slice(b"accept-ranges: bytes\r\ncontent-range: bytes ");
        push_count(first, out);
        out.push(b'-');
        push_count(last, out);
        out.push(b'/');
        push_count(representation.body.len() as u64, out);
        out.extend_from_slice(b"\r\ncontent-length: ");
        push_count(last - first + 1, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends what the response has for itself.
    #[inline]
    fn write_own(&self, representation: Representation<'_>, out: &mut Vec<u8>) {
        match representation.coding {
            Coding::Identity => append(&self.own, out),
            coding => {
                append(self.own_fields(), out);
                if let Some(etag) = representation.etag {
                    line("etag", etag, out);
                }
                line("content-encoding", coding.name().as_bytes(), out);
            }
        }
        self.write_date(out);
    }

    /// Appends the same part of the head of a 304.
    #[inline]
    pub fn write_not_modified(&self, representation: Representation<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n");
        append(self.common.beside_content(), out);
        append(self.own_fields(), out);
        self.write_date(out);
        if let Some(etag) = representation.etag {
            line("etag", etag, out);
        }
    }

    fn write_date(&self, out: &mut Vec<u8>) {
        if let Some(date) = self.date {
            let mut line = *b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
            line[6..35].copy_from_slice(&date.http_date());
            out.extend_from_slice(&line);
        }
    }

    /// Bytes that it takes for itself, beside what it shares.
    pub(crate) fn own_bytes(&self) -> usize {
        self.own.len()
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(self.common.fields()).chain(lines(self.own_fields()))
    }

    fn own_fields(&self) -> &[u8] {
        &self.own[self.etag_line as usize..]
    }
}

/// The moment that a date names, if it is the one way to write it.
fn moment(text: &[u8]) -> Option<Seconds> {
    date::parse(text).map(Timestamp::seconds).filter(|moment| moment.http_date() == *text)
}

/// Appends the fields of a hit that depend on the moment, and the empty line.
#[inline]
pub fn write_hit(age: u64, status: &CacheStatus<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"age: ");
    push_count(age, out);
    out.extend_from_slice(b"\r\ncache-status: ");
    status.write(out);
    out.extend_from_slice(b"\r\nx-isr-cache: HIT\r\n\r\n");
}

fn push_count(value: u64, out: &mut Vec<u8>) {
    push_integer(i64::try_from(value).unwrap_or(i64::MAX), out);
}

#[cfg(test)]
mod tests;
