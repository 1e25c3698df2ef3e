//! Fields as lines of HTTP/1.1.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::short::append;

/// Appends a line.
pub(super) fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    append(name.as_bytes(), out);
    out.extend_from_slice(b": ");
    append(value, out);
    out.extend_from_slice(b"\r\n");
}

/// Names and values of lines that [`line()`] wrote. A name holds no colon, and a value no end of a line.
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    std::iter::from_fn(move || {
        let colon = text.iter().position(|&byte| byte == b':')?;
        let name = std::str::from_utf8(&text[..colon]).ok()?;
        let rest = text[colon..].strip_prefix(b": ")?;
        let end = rest.iter().position(|&byte| byte == b'\r')?;
        text = &rest[end + b"\r\n".len()..];
        Some((name, &rest[..end]))
    })
}

/// Appends lines to a map. Their values are parts of one piece of memory.
pub(super) fn append_to(map: &mut HeaderMap, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    let copy = Bytes::copy_from_slice(text);
    for (name, value) in lines(&copy) {
        let value = HeaderValue::from_maybe_shared(copy.slice_ref(value));
        // What a name and a value were written of makes them again.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            map.append(name, value);
        }
    }
}
