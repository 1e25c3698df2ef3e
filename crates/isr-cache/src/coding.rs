//! Content codings: which ones this cache makes, and of which responses visitors have asked for one.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::Head;

/// A content coding (RFC 9110 §8.4.1) that this cache makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it is.
    Identity,
    /// `gzip`
    Gzip,
    /// `br`
    Brotli,
}

impl Coding {
    /// Those that compress, the one that is smaller as a rule first.
    pub const COMPRESSED: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// The name in `Content-Encoding` and `Accept-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Identity => 0,
            Self::Gzip => 1,
            Self::Brotli => 2,
        }
    }
}

/// Below this many bytes a page fits into one packet as it is.
const WORTH_IT: usize = 1024;

/// Media types that compress. Images, fonts, video and archives are compressed already.
const COMPRESSIBLE: [&str; 9] = [
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "application/manifest+json",
    "application/ld+json",
    "application/xhtml+xml",
    "image/svg+xml",
];

/// The codings that visitors have asked for in vain so far, or have been given: each is made once, when the first one asks. A page that
/// nobody reads is not compressed at all.
#[derive(Debug)]
pub struct Asked(AtomicU8);

impl Asked {
    /// All codings, and that none of them is to be made.
    const NEVER: u8 = 0b1000_0000;

    /// For a response that is sent as it is, whoever asks.
    pub fn never() -> Self {
        Self(AtomicU8::new(Self::NEVER))
    }

    /// For a response that nobody has asked for yet: by its length and its media type it may be worth compressing.
    pub fn not_yet(head: &Head, body: &Bytes) -> Self {
        let media_type = head.field(&CONTENT_TYPE).and_then(|value| std::str::from_utf8(value).ok());
        let media_type = media_type.unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim_end();
        let compresses = COMPRESSIBLE.iter().any(|known| media_type.starts_with(known))
            || essence.ends_with("+json")
            || essence.ends_with("+xml");
        // What has come in a coding is in its smallest form.
        let is_plain = head.field(&CONTENT_ENCODING).is_none();
        if compresses && is_plain && body.len() >= WORTH_IT { Self(AtomicU8::new(0)) } else { Self::never() }
    }

    /// Notes that `coding` is asked for. Whether this is the first time, so that it is to be made.
    pub fn ask(&self, coding: Coding) -> bool {
        self.may_be_asked(coding) && self.0.fetch_or(coding.bit(), Relaxed) & coding.bit() == 0
    }

    /// Whether nobody has asked for it yet.
    pub fn may_be_asked(&self, coding: Coding) -> bool {
        let asked = self.0.load(Relaxed);
        asked & Self::NEVER == 0 && asked & coding.bit() == 0
    }

    /// Whether there is nothing left to ask for.
    #[inline]
    pub fn is_settled(&self) -> bool {
        const ALL: u8 = Coding::Brotli.bit() | Coding::Gzip.bit();
        let asked = self.0.load(Relaxed);
        asked & Self::NEVER != 0 || asked & ALL == ALL
    }

    /// What has been asked for.
    pub fn codings(&self) -> impl Iterator<Item = Coding> {
        let asked = self.0.load(Relaxed);
        Coding::COMPRESSED.into_iter().filter(move |coding| asked & coding.bit() != 0)
    }
}

impl Clone for Asked {
    fn clone(&self) -> Self {
        Self(AtomicU8::new(self.0.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn not_yet(media_type: &'static str, length: usize) -> Asked {
        let media_type = HeaderValue::from_static(media_type);
        let head = Head::new(StatusCode::OK, &"".into(), None, [(&CONTENT_TYPE, &media_type)].into_iter());
        Asked::not_yet(&head, &Bytes::from(vec![b'x'; length]))
    }

    #[test]
    fn each_coding_is_made_once() {
        let asked = not_yet("text/html; charset=utf-8", WORTH_IT);
        assert!(asked.ask(Coding::Brotli), "the first one has it made");
        assert!(!asked.ask(Coding::Brotli), "the next one does not");
        assert!(!asked.is_settled());
        assert_eq!(asked.codings().collect::<Vec<_>>(), [Coding::Brotli]);
        assert!(asked.clone().ask(Coding::Gzip));
        assert!(asked.ask(Coding::Gzip), "a copy is one for itself");
        assert!(asked.is_settled());
    }

    #[test]
    fn what_gains_nothing_is_never_compressed() {
        for (media_type, length) in [("image/png", WORTH_IT), ("", WORTH_IT), ("text/html", WORTH_IT - 1)] {
            let asked = not_yet(media_type, length);
            assert!(asked.is_settled() && !asked.ask(Coding::Gzip), "{media_type:?} of {length} bytes");
            assert_eq!(asked.codings().count(), 0);
        }
        for media_type in ["application/problem+json; charset=utf-8", "image/svg+xml", "application/rss+xml"]
        {
            assert!(!not_yet(media_type, WORTH_IT).is_settled(), "{media_type:?}");
        }
    }
}
