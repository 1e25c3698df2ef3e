//! HTTP/1.1 as a load needs it: requests made once, and of answers the status, the length and the end.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::connection::Encoded;
use super::{Ask, HOST};

pub(super) struct Http1 {
    requests: Encoded,
    /// The request under way and when it came.
    under_way: Option<(usize, Instant)>,
    /// The beginning of a head whose end has not come.
    head: Vec<u8>,
    /// Status, length of the body and what of it has not come, once the head has.
    body: Option<(u16, u64, u64)>,
}

impl Http1 {
    pub(super) fn new(requests: Encoded) -> Self {
        Self { requests, under_way: None, head: Vec::new(), body: None }
    }

    pub(super) fn send(&mut self, ask: usize, at: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.requests[ask]);
        self.under_way = Some((ask, at));
    }

    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        asks: &[Ask],
        answered: &mut dyn FnMut(Instant),
    ) -> Result<()> {
        while !bytes.is_empty() {
            let (status, length, rest) = if let Some(body) = self.body {
                body
            } else {
                let before = self.head.len();
                self.head.extend_from_slice(bytes);
                let from = before.saturating_sub(3);
                let Some(end) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n") else {
                    return Ok(());
                };
                let end = from + end + 4;
                let (status, length) = parse(&self.head[..end])?;
                bytes = &bytes[end - before..];
                self.head.clear();
                (status, length, length)
            };
            let taken = rest.min(bytes.len() as u64);
            bytes = &bytes[usize::try_from(taken)?..];
            if taken < rest {
                self.body = Some((status, length, rest - taken));
                return Ok(());
            }
            self.body = None;
            let (ask, at) = self.under_way.take().context("an answer to nothing came")?;
            asks[ask].check(status, length)?;
            answered(at);
        }
        Ok(())
    }
}

/// The bytes of a request.
pub(crate) fn request(ask: &Ask) -> Vec<u8> {
    let mut text = format!("GET {} HTTP/1.1\r\nHost: {HOST}\r\n", ask.path);
    for (name, value) in ask.fields() {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The status of a head and the length of its body.
pub(super) fn parse(head: &[u8]) -> Result<(u16, u64)> {
    let text = std::str::from_utf8(head).context("a head that is not text")?;
    let mut lines = text.split("\r\n");
    let status: u16 = lines.next().and_then(|line| line.get(9..12)).unwrap_or_default().parse()?;
    let mut length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse()?);
        }
    }
    match (status, length) {
        // Neither has a body, whatever its fields say (RFC 9112 §6.3).
        (204 | 304, _) => Ok((status, 0)),
        (_, Some(length)) => Ok((status, length)),
        _ => bail!("an answer without Content-Length: {text}"),
    }
}
