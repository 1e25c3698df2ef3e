//! Comma-separated lists of field values (RFC 9110 §5.6.1) and quoted strings (§5.6.4), in one pass over the bytes.

use std::borrow::Cow;

/// The elements of a list: trimmed, without the empty ones, commas in quoted strings kept.
pub(crate) fn elements(line: &[u8]) -> Elements<'_> {
    Elements { rest: line, escapes: true, quoting: true }
}

/// The elements of a list of entity tags, in whose quotes a backslash is a character like any other (RFC 9110 §8.8.3).
pub(crate) fn entity_tags(line: &[u8]) -> Elements<'_> {
    Elements { rest: line, escapes: false, quoting: true }
}

/// The content of a quoted string that is all of `value`.
pub(crate) fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = value.strip_prefix(b"\"")?;
    let content = &inner[..closing_quote(inner, true)?];
    if content.len() + 1 != inner.len() {
        return None;
    }
    if !content.contains(&b'\\') {
        return Some(Cow::Borrowed(content));
    }
    let mut escaped = false;
    let plain = content.iter().copied().filter(|&byte| {
        escaped = byte == b'\\' && !escaped;
        !escaped
    });
    Some(Cow::Owned(plain.collect()))
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Where the quote that opened just before `text` closes.
pub(crate) fn closing_quote(text: &[u8], escapes: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' if escapes => at += 2,
            _ => at += 1,
        }
    }
}

/// An iterator over list elements.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
    escapes: bool,
    quoting: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (element, rest) = self.rest.split_at(self.comma());
            self.rest = rest.get(1..).unwrap_or_default();
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

impl Elements<'_> {
    fn comma(&mut self) -> usize {
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            match byte {
                b',' => return at,
                b'"' if self.quoting => match closing_quote(&self.rest[at + 1..], self.escapes) {
                    Some(length) => at += length + 2,
                    // Never closed: from here on quotes are plain characters, which also keeps the work linear.
                    None => self.quoting = false,
                },
                _ => at += 1,
            }
        }
        at
    }
}
