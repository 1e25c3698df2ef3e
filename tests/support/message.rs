//! HTTP/1.1 messages as bytes (RFC 9112), read leniently: the tests judge, the reader only reports.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// A head longer than this is a defect of whoever sent it; no test needs more (bytes).
const HEAD_LIMIT: usize = 1 << 20;

/// Header or trailer fields as received: names in lower case, order and repeats kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of `name`, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of `name` as one list (RFC 9110 §5.3); empty when there is none.
    pub fn list(&self, name: &str) -> String {
        self.all(name).collect::<Vec<_>>().join(", ")
    }

    /// Whether the list of `name` has this member, in any letter case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|m| m.trim().eq_ignore_ascii_case(member))
    }

    /// Whether any name or value contains `text`.
    pub fn mention(&self, text: &str) -> bool {
        self.0.iter().any(|(name, value)| name.contains(text) || value.contains(text))
    }
}

/// The start line and the fields of one message.
#[derive(Clone, Debug)]
pub struct Head {
    /// Request line or status line, without its line end.
    pub start: String,
    /// The header fields.
    pub fields: Fields,
}

/// Reads one head; `None` when the peer closes before its first byte.
pub async fn read_head(reader: &mut BufReader<impl AsyncRead + Unpin>) -> Result<Option<Head>> {
    let mut total = 0;
    let Some(start) = read_line(reader, &mut total).await? else { return Ok(None) };
    let fields = read_fields(reader, &mut total).await?;
    Ok(Some(Head { start, fields }))
}

/// Reads a body as its fields frame it (RFC 9112 §6.3) and gives each piece to `sink` as it arrives. Returns the
/// trailers. A body cut short is `UnexpectedEof`; without any framing it ends with the connection if `until_close`.
pub async fn read_body(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    fields: &Fields,
    until_close: bool,
    mut sink: impl FnMut(&[u8]),
) -> Result<Fields> {
    if fields.lists("transfer-encoding", "chunked") {
        return read_chunks(reader, &mut sink).await;
    }
    if let Some(length) = fields.get("content-length") {
        let length =
            length.trim().parse().map_err(|_| Error::new(ErrorKind::InvalidData, "content-length"))?;
        read_exactly(reader, length, &mut sink).await?;
    } else if until_close {
        loop {
            let piece = reader.fill_buf().await?;
            if piece.is_empty() {
                break;
            }
            sink(piece);
            let length = piece.len();
            reader.consume(length);
        }
    }
    Ok(Fields::default())
}

/// Bytes as text, each byte one character, so that nothing received is lost or changed.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A head as bytes.
pub fn write_head(start: &str, fields: &[(String, String)]) -> String {
    let mut head = format!("{start}\r\n");
    for (name, value) in fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    head
}

async fn read_chunks(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    sink: &mut impl FnMut(&[u8]),
) -> Result<Fields> {
    let mut total = 0;
    loop {
        let line = read_line(reader, &mut total).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| Error::new(ErrorKind::InvalidData, line.clone()))?;
        if size == 0 {
            return read_fields(reader, &mut total).await;
        }
        read_exactly(reader, size, sink).await?;
        read_line(reader, &mut total).await?.ok_or(ErrorKind::UnexpectedEof)?;
        total = 0;
    }
}

async fn read_exactly(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    mut length: usize,
    sink: &mut impl FnMut(&[u8]),
) -> Result<()> {
    while length > 0 {
        let piece = reader.fill_buf().await?;
        if piece.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let taken = piece.len().min(length);
        sink(&piece[..taken]);
        reader.consume(taken);
        length -= taken;
    }
    Ok(())
}

async fn read_fields(reader: &mut BufReader<impl AsyncRead + Unpin>, total: &mut usize) -> Result<Fields> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader, total).await?.ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Fields(fields));
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| Error::new(ErrorKind::InvalidData, line.clone()))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// One line without its end; `None` at the end of the stream.
async fn read_line(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    total: &mut usize,
) -> Result<Option<String>> {
    let mut line = Vec::new();
    (&mut *reader).take((HEAD_LIMIT - *total) as u64).read_until(b'\n', &mut line).await?;
    *total += line.len();
    if line.pop_if(|last| *last == b'\n').is_none() {
        return if line.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
    }
    line.pop_if(|last| *last == b'\r');
    Ok(Some(latin1(&line)))
}
