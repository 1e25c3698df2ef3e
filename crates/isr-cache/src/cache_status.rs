//! How a response was made, told to whoever asks: `Cache-Status` (RFC 9211) and the short `X-Isr-Cache`.

use http::StatusCode;

use crate::short::append_first;

/// The largest integer of a structured field (RFC 9651 §3.3.1): 15 digits.
const INTEGER_MAX: i64 = 999_999_999_999_999;

/// This cache's member of the `Cache-Status` list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// Whether the request was answered here or went forward.
    pub handling: Handling,
    /// Seconds of freshness left; negative when stale (§2.4).
    pub ttl: Option<i64>,
    /// The forwarded response was stored (§2.5).
    pub stored: bool,
    /// The request shared the forwarding of another one (§2.6).
    pub collapsed: bool,
    /// Why, for people (§2.8). Characters that a string cannot hold become `?`.
    pub detail: Option<&'a str>,
}

/// Where the response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// `hit`: it was stored here (§2.1).
    Hit,
    /// `fwd`: the request went towards the origin (§2.2).
    Forward {
        /// Why it went forward.
        reason: Forward,
        /// The status code that came back, where one did (§2.3).
        status: Option<StatusCode>,
    },
}

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// The cache is configured not to handle it.
    Bypass,
    /// Its method needs the origin.
    Method,
    /// Nothing is stored for its URI.
    UriMiss,
    /// Something is stored for its URI, but not for its header fields.
    VaryMiss,
    /// Nothing suitable is stored, and it is not known which of the two misses it was.
    Miss,
    /// What is stored is fresh, but the request demanded more.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored is a part.
    Partial,
}

/// The value of `X-Isr-Cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XIsrCache {
    /// A fresh page from the cache.
    Hit,
    /// A stale page from the cache.
    Stale,
    /// The response was rendered for this request.
    Miss,
    /// The request carried the token: the page was rendered now and is in force everywhere.
    Revalidated,
    /// The cache did not touch this request.
    Bypass,
    /// No page could be had.
    Error,
}

impl CacheStatus<'_> {
    /// Appends the member to `out`, and allocates nothing else.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.handling {
            Handling::Hit => out.extend_from_slice(b"kube-isr; hit"),
            Handling::Forward { reason, status } => {
                out.extend_from_slice(b"kube-isr; fwd=");
                out.extend_from_slice(reason.as_str().as_bytes());
                if let Some(status) = status {
                    out.extend_from_slice(b"; fwd-status=");
                    out.extend_from_slice(status.as_str().as_bytes());
                }
            }
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            push_integer(ttl, out);
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            push_string(detail, out);
        }
    }
}

impl Forward {
    /// The token of RFC 9211 §2.2.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl XIsrCache {
    /// The header value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Stale => "STALE",
            Self::Miss => "MISS",
            Self::Revalidated => "REVALIDATED",
            Self::Bypass => "BYPASS",
            Self::Error => "ERROR",
        }
    }
}

/// Appends an integer in decimal digits.
#[inline]
pub(crate) fn push_integer(value: i64, out: &mut Vec<u8>) {
    let value = value.clamp(-INTEGER_MAX, INTEGER_MAX);
    if value < 0 {
        out.push(b'-');
    }
    // From the last digit on, each moves those behind it on by a byte: in the end the first digit is the first byte.
    let (mut digits, mut length) = (0_u128, 0);
    let mut rest = value.unsigned_abs();
    loop {
        digits = digits >> 8 | u128::from(u64::from(b'0') + rest % 10) << 120;
        length += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    append_first(&digits.to_be_bytes(), length, out);
}

fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => out.push(character as u8),
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
