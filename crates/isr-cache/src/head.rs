//! The head of an answer from the store as HTTP/1.1 writes it.
//!
//! All of it but a line or two is the same for every visitor, so it is written once and kept beside the body.

use http::header::{ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName};
use http::{StatusCode, Version};

use crate::cache_status::push_integer;
use crate::{CacheStatus, Coding, Representation, StoredResponse, XIsrCache};

const X_ISR_CACHE: HeaderName = HeaderName::from_static("x-isr-cache");

impl StoredResponse {
    /// The head that goes before the whole of a representation, as far as it does not depend on the moment: status line and
    /// fields, without the empty line. Written when it is first asked for.
    pub fn head<'r>(&self, representation: &'r Representation) -> &'r [u8] {
        representation.head.get_or_init(|| {
            let mut out = Vec::with_capacity(512);
            let coded = representation.coding != Coding::Identity;
            let ranges = self.status == StatusCode::OK;
            let replaced = |name: &HeaderName| {
                coded && *name == CONTENT_ENCODING
                    || ranges && *name == ACCEPT_RANGES
                    || *name == CONTENT_LENGTH
            };
            status_line(self.status, &mut out);
            self.write_fields(representation, replaced, &mut out);
            if coded {
                line("content-encoding", representation.coding.name().as_bytes(), &mut out);
            }
            if ranges {
                line("accept-ranges", b"bytes", &mut out);
            }
            // A 204 has no content, not even content of length 0 (RFC 9110 §8.6).
            if self.status != StatusCode::NO_CONTENT {
                out.extend_from_slice(b"content-length: ");
                push_integer(i64::try_from(representation.body.len()).unwrap_or(i64::MAX), &mut out);
                out.extend_from_slice(b"\r\n");
            }
            out.into_boxed_slice()
        })
    }

    /// Appends the same part of the head of a 304: without the fields about the content, which say nothing without it
    /// (RFC 9110 §15.4.5).
    pub fn write_not_modified(&self, representation: &Representation, out: &mut Vec<u8>) {
        status_line(StatusCode::NOT_MODIFIED, out);
        self.write_fields(representation, |name| [CONTENT_TYPE, CONTENT_ENCODING].contains(name), out);
    }

    fn write_fields(
        &self,
        representation: &Representation,
        is_left_out: impl Fn(&HeaderName) -> bool,
        out: &mut Vec<u8>,
    ) {
        for (name, value) in &self.fields {
            let is_ours = [AGE, ETAG, X_ISR_CACHE].contains(name);
            if !is_ours && !is_left_out(name) {
                line(name.as_str(), value.as_bytes(), out);
            }
        }
        if let Some(etag) = &representation.etag {
            line("etag", etag.as_bytes(), out);
        }
    }
}

/// Appends the fields that depend on the moment, and the empty line.
pub fn write_moment(age: u64, short: XIsrCache, status: &CacheStatus<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"age: ");
    push_integer(i64::try_from(age).unwrap_or(i64::MAX), out);
    out.extend_from_slice(b"\r\ncache-status: ");
    status.write(out);
    out.extend_from_slice(b"\r\nx-isr-cache: ");
    out.extend_from_slice(short.as_str().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

fn status_line(status: StatusCode, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{:?} {status}\r\n", Version::HTTP_11).as_bytes());
}

fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
