//! A stored response: what was received once and is sent many times.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};

use crate::{Asked, Coding, Group, Head, Lifetime, Render, Routed, Seconds};

/// A response as it is stored, ready to be sent: hop-by-hop and private fields are gone, ours are added.
///
/// A cache of many small pages is mostly this and little content, so what is rare is behind a pointer, and what is the same on
/// many pages is kept once ([`Head`], [`Group`]).
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// Its status and fields, and the route that it was rendered for.
    pub head: Head,
    /// The body as the origin sent it.
    pub body: Bytes,
    /// Which compressed representations have been asked for.
    pub asked: Asked,
    /// When the content last changed, if the origin said so (`Last-Modified`).
    pub modified: Option<Seconds>,
    /// When and in which epoch it was rendered.
    pub render: Render,
    /// Which route answers the host and the path that it is stored under.
    pub routed: Routed,
    /// The group that it belongs to, with its invalidations.
    pub group: Arc<Group>,
    /// What many responses have nothing of, and nothing for those.
    pub extra: Option<Box<Extra>>,
}

/// What many stored responses have nothing of.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// The same content, compressed; made after the response was stored, so that nobody waits for it.
    pub compressed: Box<[Compressed]>,
    /// How long it is fresh, where the origin decides ([`Policy::Origin`](crate::Policy::Origin)).
    pub governed: Option<Box<Governed>>,
    /// The tags that it came with; those of its route are not among them.
    pub tags: Box<[Box<str>]>,
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

/// A compressed representation of the content.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// Its content coding.
    pub coding: Coding,
    /// Its bytes.
    pub body: Bytes,
    /// Its strong entity tag, if it has one.
    pub etag: Option<Box<[u8]>>,
}

/// One representation of the content, wherever it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Representation<'r> {
    /// Its content coding.
    pub coding: Coding,
    /// Its bytes.
    pub body: &'r Bytes,
    /// Its entity tag, if it has one.
    pub etag: Option<&'r [u8]>,
}

/// What a stored response takes in memory beside its key, name, lines, tags and bodies, in bytes (64-bit): the pieces that every
/// page has. `isr-store` measures that it does (`tests/memory.rs`).
const FIXED: usize = counted::<StoredResponse>() + counted::<Group>() + COUNT_OF_BODY + PLACES + ROUNDING;

/// A piece that is held by reference count, with its two counts.
const fn counted<T>() -> usize {
    size_of::<T>() + 16
}

/// What counts who has a body: made by [`Bytes`] when it is first handed on.
const COUNT_OF_BODY: usize = 32;

/// Places in the tables of responses (45 to 90, the key's address and length among them) and of groups (10 to 20), which grow by
/// doubling: as it is on average.
const PLACES: usize = 80;

/// Allocators round lines, name and key up to the next 16 bytes, and have records of their own.
const ROUNDING: usize = 3 * 8 + 20;

/// What a response takes that has anything of this, rounded up as the allocator does.
const EXTRA: usize = size_of::<Extra>() + 8;

/// What each compressed representation takes beside its body: itself, its entity tag, a reference count.
const COMPRESSED: usize = size_of::<Compressed>() + 40 + 24;

impl StoredResponse {
    /// The memory this response takes, in bytes, bodies included.
    pub fn weight(&self) -> usize {
        let named = self.group.name().len() + self.head.own_bytes();
        FIXED + named + self.body.len() + self.extra.as_deref().map_or(0, Extra::weight)
    }

    /// The compressed representations.
    #[inline]
    pub fn compressed(&self) -> &[Compressed] {
        self.extra.as_deref().map_or(&[], |extra| &extra.compressed)
    }

    /// How long it is fresh, where the origin decides.
    #[inline]
    pub fn governed(&self) -> Option<&Governed> {
        self.extra.as_deref()?.governed.as_deref()
    }

    /// The tags that it came with.
    pub fn tags(&self) -> &[Box<str>] {
        self.extra.as_deref().map_or(&[], |extra| &extra.tags)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// Whether the page of its group has got new content since this was rendered. If this is data of the page, it is outdated;
    /// if this is the page, it means nothing.
    #[inline]
    pub fn is_before_its_page(&self) -> bool {
        self.render.began < self.group.led()
    }

    /// The body as the origin sent it, as a representation.
    #[inline]
    pub fn identity(&self) -> Representation<'_> {
        Representation { coding: Coding::Identity, body: &self.body, etag: self.head.etag() }
    }

    /// All representations, the uncompressed one first.
    pub fn representations(&self) -> impl Iterator<Item = Representation<'_>> {
        std::iter::once(self.identity()).chain(self.compressed().iter().map(Compressed::as_representation))
    }

    /// The value of a stored field.
    pub fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.head.field(name)
    }
}

impl Extra {
    /// Behind a pointer, if there is anything of it.
    pub fn if_any(self) -> Option<Box<Self>> {
        let Self { compressed, governed, tags } = &self;
        let is_any = !compressed.is_empty() || governed.is_some() || !tags.is_empty();
        is_any.then(|| Box::new(self))
    }

    fn weight(&self) -> usize {
        let compressed: usize = self.compressed.iter().map(|made| COMPRESSED + made.body.len()).sum();
        let governed = self.governed.as_ref().map_or(0, |_| size_of::<Governed>());
        // Its group has them as well.
        let tags: usize = self.tags.iter().map(|tag| 2 * (size_of::<Box<str>>() + tag.len())).sum();
        EXTRA + compressed + governed + tags
    }
}

impl Compressed {
    /// As one of the representations of the content.
    #[inline]
    pub fn as_representation(&self) -> Representation<'_> {
        Representation { coding: self.coding, body: &self.body, etag: self.etag.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_page_has_stays_small() {
        assert!(counted::<StoredResponse>() <= 128, "{}", counted::<StoredResponse>());
        assert!(counted::<Group>() <= 80, "{}", counted::<Group>());
        assert!(size_of::<Extra>() <= 40, "{}", size_of::<Extra>());
        assert!(size_of::<Compressed>() <= 56, "{}", size_of::<Compressed>());
    }
}
