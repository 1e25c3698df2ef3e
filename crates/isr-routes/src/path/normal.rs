//! The normal form of a request's path (RFC 3986 §6.2.2).

use std::borrow::Cow;

use crate::bad_target::BadTarget;

/// The normal form of a path; see [`crate::Target::path`].
pub(crate) fn normalise(path: &str) -> Result<Cow<'_, str>, BadTarget> {
    if !path.starts_with('/') {
        return Err(BadTarget::NotAPath);
    }
    let bytes = path.as_bytes();
    if bytes.iter().all(|&byte| STANDS_AS_IT_IS[usize::from(byte)]) {
        return Ok(Cow::Borrowed(path));
    }
    let mut plain = true; // nothing to rewrite
    let mut dots = false; // a dot, in any spelling, that may make a dot segment
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let decoded = hex_pair(bytes, at + 1).ok_or(BadTarget::BadEncoding)?;
                refuse(decoded)?;
                plain &= !is_unreserved(decoded)
                    && bytes[at + 1..at + 3].iter().all(|hex| !hex.is_ascii_lowercase());
                dots |= decoded == b'.';
                at += 2;
            }
            b'.' => dots = true,
            _ if is_pchar(byte) || byte == b'/' => {}
            _ => {
                refuse(byte)?;
                plain = false;
            }
        }
        at += 1;
    }
    let normal = if plain { Cow::Borrowed(path) } else { Cow::Owned(rewrite(bytes)) };
    if dots && has_dot_segment(&normal) {
        return Err(BadTarget::DotSegment);
    }
    Ok(normal)
}

/// By byte, what is normal wherever it stands: slashes and all that may stand for itself, except a dot.
const STANDS_AS_IT_IS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = (is_pchar(byte) || byte == b'/') && byte != b'.';
        byte += 1;
    }
    table
};

/// The loosest spelling of a normal path: without a trailing slash and with every sub-delimiter decoded.
///
/// RFC 3986 keeps `/a%40b` and `/a@b` apart, and so do keys; most applications show the same page for both. A group
/// of variants is named by this spelling, so that renewing one of them renews them all. A normal path is ASCII.
pub(crate) fn loosest(path: &str) -> Cow<'_, str> {
    let path = without_trailing_slash(path);
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match hex_pair(bytes, at + 1) {
            Some(decoded) if byte == b'%' && is_pchar(decoded) => {
                out.push(char::from(decoded));
                at += 3;
            }
            _ => {
                out.push(char::from(byte));
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// `path` without its trailing slash. The root stays `/`, and slashes that follow each other stay as they are: they
/// enclose empty segments.
pub(crate) fn without_trailing_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') => rest,
        _ => path,
    }
}

/// The bytes of `text` with every valid percent-encoding decoded; what does not decode stands for itself.
pub(crate) fn percent_decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        if byte == b'%'
            && let Some(decoded) = hex_pair(bytes, at + 1)
        {
            at += 3;
            return Some(decoded);
        }
        at += 1;
        Some(byte)
    })
}

/// A character that may stand for itself in a segment (RFC 3986 §3.3).
pub(crate) const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b':' | b'@')
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn refuse(byte: u8) -> Result<(), BadTarget> {
    match byte {
        b'\\' => Err(BadTarget::Backslash),
        0..=0x1F | 0x7F => Err(BadTarget::ControlCharacter),
        _ => Ok(()),
    }
}

/// Called on bytes whose percent-encodings are known to be valid.
fn rewrite(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match hex_pair(bytes, at + 1) {
            Some(decoded) if byte == b'%' => {
                if is_unreserved(decoded) {
                    out.push(char::from(decoded));
                } else {
                    encode(decoded, &mut out);
                }
                at += 3;
            }
            _ => {
                if is_pchar(byte) || byte == b'/' {
                    out.push(char::from(byte));
                } else {
                    encode(byte, &mut out);
                }
                at += 1;
            }
        }
    }
    out
}

/// Whether any server could read a `.` or `..` segment out of this normal path: segments end at a slash, and some
/// servers end them at an encoded slash or at a path parameter too.
fn has_dot_segment(path: &str) -> bool {
    path.split('/').flat_map(|segment| segment.split("%2F")).any(|segment| {
        let name = segment.split(';').next().and_then(|segment| segment.split("%3B").next());
        matches!(name, Some("." | ".."))
    })
}

/// Appends `%` and two upper-case hexadecimal digits.
pub(super) fn encode(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]].map(char::from));
}

fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}
