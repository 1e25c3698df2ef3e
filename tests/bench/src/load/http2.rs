//! HTTP/2 as a load needs it (RFC 9113): request heads made once, and of answers the status, the length and the end.
//!
//! Heads are written without the dynamic table (RFC 7541), so each is the same bytes at any time; of the heads that
//! come only the status is read, which stands first.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use super::connection::Encoded;
use super::{Ask, HOST};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;

// Types of frames (§6) and their flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The greatest window (§6.9.1): the load never slows a server down.
const WINDOW: u32 = (1 << 31) - 1;

/// When so much of the connection's window is used up, it is opened again.
const REFILL: u32 = 1 << 30;

pub(super) struct Http2 {
    /// The header block of each request.
    requests: Encoded,
    streams: usize,
    next: u32,
    under_way: Vec<Stream>,
    /// What has come of a frame that is not complete.
    rest: Vec<u8>,
    /// Bytes of bodies since the window was last opened.
    received: u32,
}

struct Stream {
    id: u32,
    ask: usize,
    at: Instant,
    status: u16,
    length: u64,
}

impl Http2 {
    pub(super) fn open(requests: Encoded, streams: usize, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(PREFACE);
        // SETTINGS_ENABLE_PUSH = 0, SETTINGS_INITIAL_WINDOW_SIZE = the greatest.
        let mut settings = vec![0, 2, 0, 0, 0, 0, 0, 4];
        settings.extend_from_slice(&WINDOW.to_be_bytes());
        frame(out, SETTINGS, 0, 0, &settings);
        // The connection's window begins at 65,535 bytes whatever the settings say.
        frame(out, WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        Self {
            requests,
            streams,
            next: 1,
            under_way: Vec::with_capacity(streams),
            rest: Vec::new(),
            received: 0,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.streams
    }

    pub(super) fn send(&mut self, ask: usize, at: Instant, out: &mut Vec<u8>) {
        frame(out, HEADERS, END_STREAM | END_HEADERS, self.next, &self.requests[ask]);
        self.under_way.push(Stream { id: self.next, ask, at, status: 0, length: 0 });
        self.next += 2;
    }

    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        asks: &[Ask],
        out: &mut Vec<u8>,
        answered: &mut dyn FnMut(Instant),
    ) -> Result<()> {
        let joined;
        let mut bytes = if self.rest.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.rest).as_slice(), bytes].concat();
            &joined
        };
        while let Some(head) = bytes.first_chunk::<FRAME_HEAD>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & WINDOW;
            let Some(payload) = bytes.get(FRAME_HEAD..FRAME_HEAD + length) else { break };
            self.frame(kind, flags, id, payload, asks, out, answered)?;
            bytes = &bytes[FRAME_HEAD + length..];
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "a frame has so many parts")]
    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        id: u32,
        payload: &[u8],
        asks: &[Ask],
        out: &mut Vec<u8>,
        answered: &mut dyn FnMut(Instant),
    ) -> Result<()> {
        let stream = self.under_way.iter().position(|stream| stream.id == id);
        match (kind, stream) {
            (DATA, Some(at)) => {
                ensure!(flags & PADDED == 0, "a padded frame came");
                self.under_way[at].length += payload.len() as u64;
                self.received += u32::try_from(payload.len())?;
                if self.received > REFILL {
                    frame(out, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
                    self.received = 0;
                }
            }
            (HEADERS, Some(at)) => {
                ensure!(flags & (PADDED | PRIORITY) == 0, "a padded or prioritised head came");
                self.under_way[at].status = status(payload)?;
            }
            (SETTINGS, _) if flags & ACK == 0 => frame(out, SETTINGS, ACK, 0, &[]),
            (PING, _) if flags & ACK == 0 => frame(out, PING, ACK, 0, payload),
            (RST_STREAM | GOAWAY, _) => bail!("the server ended an HTTP/2 stream or connection: {payload:?}"),
            _ => {}
        }
        if let (DATA | HEADERS, Some(at)) = (kind, stream)
            && flags & END_STREAM != 0
        {
            let Stream { ask, at, status, length, .. } = self.under_way.swap_remove(at);
            asks[ask].check(status, length)?;
            answered(at);
        }
        Ok(())
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A request's head (RFC 7541): what the static table has by its number there, all else as it is.
pub(super) fn block(ask: &Ask, scheme: &str) -> Vec<u8> {
    const METHOD_GET: u8 = 0x80 | 2;
    const SCHEME_HTTP: u8 = 0x80 | 6;
    const SCHEME_HTTPS: u8 = 0x80 | 7;
    // Names by number, values as they are, not indexed (§6.2.2).
    const AUTHORITY: u8 = 1;
    const PATH: u8 = 4;
    const NEW_NAME: u8 = 0;

    let mut block = vec![METHOD_GET, if scheme == "https" { SCHEME_HTTPS } else { SCHEME_HTTP }];
    for (name, value) in [(AUTHORITY, HOST), (PATH, ask.path.as_str())] {
        block.push(name);
        text(&mut block, value);
    }
    for (name, value) in ask.fields() {
        block.push(NEW_NAME);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// A text without Huffman coding (RFC 7541 §5.2), whose length is a prefix of 7 bits and more.
fn text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 127;
    let length = text.len();
    if length < PREFIX {
        block.push(u8::try_from(length).unwrap_or_default());
    } else {
        block.push(127);
        let mut rest = length - PREFIX;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap_or_default() | 0x80);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap_or_default());
    }
    block.extend_from_slice(text.as_bytes());
}

/// The status of a header block: its first field (RFC 9113 §8.3), after changes of the table's size, if any.
fn status(block: &[u8]) -> Result<u16> {
    // A change of the table's size (RFC 7541 §6.3): one byte, or some more if the size is 31 or greater.
    let mut at = 0;
    while let Some(first) = block.get(at).filter(|first| **first & 0xe0 == 0x20) {
        at += 1;
        if first & 0x1f == 0x1f {
            at += block[at..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        }
    }
    match *block.get(at).context("an empty head came")? {
        // In the static table: 200, 204, 206, 304, 400, 404, 500.
        number @ 0x88..=0x8e => Ok([200, 204, 206, 304, 400, 404, 500][usize::from(number - 0x88)]),
        other => bail!("the status is written as {other:#x}, which this client does not read"),
    }
}
