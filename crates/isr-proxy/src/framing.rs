//! Seeing what hyper does not show: a request with both `Content-Length` and `Transfer-Encoding`.
//!
//! Two proxies that choose differently between the two see different requests in the same bytes; that is how requests
//! are smuggled. RFC 9112 §6.1 lets a server refuse such a request, and we do. hyper drops the length and goes on, so
//! this scanner reads along: it follows the framing of HTTP/1 messages without keeping their bodies, and notes the
//! number of the first request that says both. It never changes a byte. hyper remains the parser; should the scanner
//! ever lose step, it can only miss such a request (which hyper then still reads safely and ends the connection after)
//! or refuse one too many.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memchr::memchr;

/// A head longer than hyper accepts is not followed further.
const HEAD_MOST: usize = 128 * 1024;

/// What the connection's service is told by the scanner, and the other way round.
#[derive(Debug)]
pub(crate) struct Framing {
    /// The number of the request that is ambiguous; `u64::MAX` while there is none.
    ambiguous: AtomicU64,
    /// The connection no longer speaks HTTP/1.
    blind: AtomicBool,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self { ambiguous: AtomicU64::new(u64::MAX), blind: AtomicBool::new(false) }
    }

    /// Takes note of bytes that the client sent.
    pub(crate) fn note(&self, scanner: &mut Scanner, bytes: &[u8]) {
        if !self.speaks_http1() {
            return;
        }
        match scanner.read(bytes) {
            Seen::Nothing => {}
            Seen::Ambiguous(number) => {
                self.ambiguous.store(number, Ordering::Release);
                self.end();
            }
            Seen::Other => self.end(),
        }
    }

    /// Whether the connection is followed: it speaks HTTP/1 and nothing else yet.
    pub(crate) fn speaks_http1(&self) -> bool {
        !self.blind.load(Ordering::Acquire)
    }

    /// Whether request number `number` of the connection, the first being 0, has to be refused.
    pub(crate) fn is_ambiguous(&self, number: u64) -> bool {
        number >= self.ambiguous.load(Ordering::Acquire)
    }

    /// From here on the connection speaks something else.
    pub(crate) fn end(&self) {
        self.blind.store(true, Ordering::Release);
    }
}

/// Reads along with what a client sends.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    state: State,
    /// Bytes of a head, or of a chunk's size line, that arrived so far.
    held: Vec<u8>,
    /// How many heads were read.
    heads: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body, or of a chunk with its line end.
    Skip {
        left: u64,
        chunked: bool,
    },
    ChunkSize,
    Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// The head with this number says both.
    Ambiguous(u64),
    /// These are not HTTP/1 messages that can be followed.
    Other,
}

impl Scanner {
    /// How many heads have passed.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether a head comes next, or more of one.
    pub(crate) fn awaits_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether everything so far was whole messages.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.awaits_head() && self.held.is_empty()
    }

    fn read(&mut self, mut bytes: &[u8]) -> Seen {
        while !bytes.is_empty() {
            match self.state {
                State::Skip { left, chunked } => {
                    let skipped = left.min(bytes.len() as u64);
                    bytes = &bytes[usize::try_from(skipped).unwrap_or(bytes.len())..];
                    self.state = match (left - skipped, chunked) {
                        (0, true) => State::ChunkSize,
                        (0, false) => State::Head,
                        (left, chunked) => State::Skip { left, chunked },
                    };
                }
                State::Head | State::ChunkSize | State::Trailers => {
                    // A line at a time; a head ends with an empty one.
                    let end = memchr(b'\n', bytes);
                    let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                    bytes = rest;
                    self.held.extend_from_slice(line);
                    if self.held.len() > HEAD_MOST {
                        return Seen::Other;
                    }
                    if end.is_some() {
                        match self.line() {
                            Seen::Nothing => {}
                            seen => return seen,
                        }
                    }
                }
            }
        }
        Seen::Nothing
    }

    /// A line is complete at the end of what is held.
    fn line(&mut self) -> Seen {
        match self.state {
            State::Head => {
                if !(self.held.ends_with(b"\n\r\n") || self.held.ends_with(b"\n\n")) {
                    // Empty lines before a request line are ignored (RFC 9112 §2.2).
                    if matches!(&*self.held, b"\r\n" | b"\n") {
                        self.held.clear();
                    }
                    return Seen::Nothing;
                }
                let number = self.heads;
                self.heads += 1;
                let framing = body_framing(&self.held);
                self.held.clear();
                self.state = match framing {
                    BodyFraming::Both => return Seen::Ambiguous(number),
                    BodyFraming::Unknown => return Seen::Other,
                    BodyFraming::Chunked => State::ChunkSize,
                    BodyFraming::Length(0) | BodyFraming::None => State::Head,
                    BodyFraming::Length(left) => State::Skip { left, chunked: false },
                };
            }
            State::ChunkSize => {
                let digits: Vec<u8> = self.held.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
                let size =
                    std::str::from_utf8(&digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
                self.held.clear();
                self.state = match size {
                    None => return Seen::Other,
                    Some(0) => State::Trailers,
                    // The chunk's data ends with CR LF.
                    Some(size) => State::Skip { left: size.saturating_add(2), chunked: true },
                };
            }
            State::Trailers => {
                if matches!(&*self.held, b"\r\n" | b"\n") {
                    self.state = State::Head;
                }
                self.held.clear();
            }
            State::Skip { .. } => {}
        }
        Seen::Nothing
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    None,
    Length(u64),
    Chunked,
    Both,
    Unknown,
}

fn body_framing(head: &[u8]) -> BodyFraming {
    // The preface of HTTP/2 looks like a head (RFC 9113 §3.4).
    if head.starts_with(b"PRI * ") {
        return BodyFraming::Unknown;
    }
    let mut length = None;
    let mut coded = false;
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        rest = &rest[end + 1..];
        // Each request passes here: most fields are told apart by their first letter.
        if !matches!(rest.trim_ascii_start().first(), Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
        let Some(colon) = memchr(b':', line) else { continue };
        // White space before the colon is refused by hyper; seeing through it here costs nothing.
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            coded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()));
        }
    }
    match (length, coded) {
        (Some(_), true) => BodyFraming::Both,
        (Some(Some(length)), false) => BodyFraming::Length(length),
        (Some(None), false) => BodyFraming::Unknown,
        (None, true) => BodyFraming::Chunked,
        (None, false) => BodyFraming::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of `bytes`, in whatever pieces they arrive.
    fn seen(bytes: &[u8]) -> Seen {
        let whole = Scanner::default().read(bytes);
        for size in 1..bytes.len().min(40) {
            let mut scanner = Scanner::default();
            let pieces =
                bytes.chunks(size).map(|piece| scanner.read(piece)).find(|seen| *seen != Seen::Nothing);
            assert_eq!(pieces.unwrap_or(Seen::Nothing), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn both_framings_are_seen_wherever_they_stand() {
        let both = "POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 3\r\nTransfer-encoding: chunked\r\n\r\n";
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe\n\nl";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n";
        assert_eq!(seen(both.as_bytes()), Seen::Ambiguous(0));
        assert_eq!(seen(format!("{get}{get}{both}").as_bytes()), Seen::Ambiguous(2));
        assert_eq!(seen(format!("{post}{chunked}\r\n{both}").as_bytes()), Seen::Ambiguous(2));
        assert_eq!(seen(format!("{get}{post}{chunked}{get}").as_bytes()), Seen::Nothing);
        let bare = "POST / HTTP/1.1\nContent-Length: 3\nTransfer-Encoding: identity\n\n";
        assert_eq!(seen(bare.as_bytes()), Seen::Ambiguous(0), "also with bare line feeds");
    }

    #[test]
    fn a_body_that_looks_like_a_head_is_no_head() {
        let inner = "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let outer = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
        assert_eq!(seen(outer.as_bytes()), Seen::Nothing);
    }

    #[test]
    fn what_is_not_http_1_is_left_alone() {
        assert_eq!(seen(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Seen::Other);
        assert_eq!(seen(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), Seen::Other);
    }
}
