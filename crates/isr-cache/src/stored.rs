//! A stored response: what was received once and is sent many times.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::{Asked, Coding, Group, Lifetime, Render, Timestamp};

/// A response as it is stored, ready to be sent: hop-by-hop and private fields are gone, ours are added.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// The status of the response.
    pub status: StatusCode,
    /// The fields sent with every representation, in order. Fields that depend on the moment (`Age`, `Cache-Status`) or
    /// on the representation (`ETag`, `Content-Encoding`) are not among them.
    pub fields: Box<[(HeaderName, HeaderValue)]>,
    /// The body as the origin sent it.
    pub identity: Representation,
    /// The same content, compressed; made after the response was stored, so that nobody waits for it.
    pub compressed: Box<[Representation]>,
    /// Which of these have been asked for.
    pub asked: Asked,
    /// When the content last changed, if the origin said so (`Last-Modified`).
    pub modified: Option<Timestamp>,
    /// When and in which epoch it was rendered.
    pub render: Render,
    /// How long it is fresh, where the origin decides ([`Policy::Origin`](crate::Policy::Origin)).
    pub governed: Option<Governed>,
    /// The group that it belongs to, with its invalidations.
    pub group: Arc<Group>,
    /// The tags that it came with; those of its route are not among them.
    pub tags: Box<[Box<str>]>,
    /// The route that it was rendered for, as `namespace/name`.
    pub route: Arc<str>,
}

/// Freshness by the origin's own word.
#[derive(Clone, Debug)]
pub struct Governed {
    /// The freshness lifetime and stale windows.
    pub lifetime: Lifetime,
    /// How old the response was when it arrived (RFC 9111 §4.2.3).
    pub initial_age: Duration,
    /// If not empty, this is no response but the note that responses under this key vary by these request fields; each
    /// is stored under the key made longer by their values ([`vary::secondary_key`](crate::vary::secondary_key)).
    pub vary: Box<[HeaderName]>,
}

/// One representation of the content.
#[derive(Debug)]
pub struct Representation {
    /// Its content coding.
    pub coding: Coding,
    /// Its bytes.
    pub body: Bytes,
    /// Its strong entity tag, if it has one.
    pub etag: Option<HeaderValue>,
    /// See [`StoredResponse::head`].
    pub(crate) head: OnceLock<Box<[u8]>>,
}

impl Representation {
    /// A representation that was not sent yet.
    pub fn new(coding: Coding, body: Bytes, etag: Option<HeaderValue>) -> Self {
        Self { coding, body, etag, head: OnceLock::new() }
    }
}

impl Clone for Representation {
    /// Without the head: who copies a response is about to change something of it.
    fn clone(&self) -> Self {
        Self::new(self.coding, self.body.clone(), self.etag.clone())
    }
}

/// What a stored response takes in memory beside its bytes and field values: itself, the reference counts, the hash
/// table's slot and bookkeeping (64-bit; measured by `size_of` in a test of this module).
const OVERHEAD: usize = 400;

/// What a head takes beside the fields of the response: status line, entity tag, length, coding.
const HEAD: usize = 120;

impl StoredResponse {
    /// The memory this response takes, in bytes, bodies included.
    pub fn weight(&self) -> usize {
        let fields: usize = self
            .fields
            .iter()
            .map(|(name, value)| size_of::<(HeaderName, HeaderValue)>() + name.as_str().len() + value.len())
            .sum();
        // Each representation that is sent has a head with all the fields.
        let lines: usize =
            self.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let sent: usize =
            self.representations().map(|representation| representation.body.len() + HEAD + lines).sum();
        let tags: usize = self.tags.iter().map(|tag| size_of::<Box<str>>() + tag.len()).sum();
        OVERHEAD + fields + tags + self.compressed.len() * size_of::<Representation>() + sent
    }

    /// Whether the page of its group has got new content since this was rendered. If this is data of the page, it is outdated;
    /// if this is the page, it means nothing.
    #[inline]
    pub fn is_before_its_page(&self) -> bool {
        self.render.began < self.group.led()
    }

    /// All representations, the uncompressed one first.
    pub fn representations(&self) -> impl Iterator<Item = &Representation> {
        std::iter::once(&self.identity).chain(self.compressed.iter())
    }

    /// The value of a stored field.
    pub fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.fields.iter().find(|(stored, _)| stored == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overhead_counts_what_the_struct_really_takes() {
        // Two reference counts before the value in its Arc; key, pointer and state in the table.
        let arc = size_of::<StoredResponse>() + 2 * size_of::<usize>();
        let table = (size_of::<Box<[u8]>>() + size_of::<Arc<StoredResponse>>() + 21) * 3 / 2;
        assert!(arc + table <= OVERHEAD, "{arc} + {table} > {OVERHEAD}");
        assert!(OVERHEAD < (arc + table) * 3 / 2, "{arc} + {table}: far from {OVERHEAD}");
    }
}
