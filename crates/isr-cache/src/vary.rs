//! Content negotiation (RFC 9111 §4.1): which request header fields select a response, and the key that they make.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, HeaderName, VARY};

use crate::control::list;

/// The most field names that a response may vary by. Each multiplies the variants of a page; real ones use up to four.
pub const VARY_NAMES_MAX: usize = 16;

/// The most members of an `Accept-Language` or `Accept-Encoding` that are put in order; a longer one is taken as it is.
/// Browsers send ten at most.
const PREFERENCES_MAX: usize = 32;

/// What a response varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: one response for all requests.
    None,
    /// `*`: something that is not in the request, so that no other request may have this response.
    Any,
    /// These request header fields, in alphabetical order, each once.
    Names(Vec<HeaderName>),
    /// More than [`VARY_NAMES_MAX`], or not field names: no key can be made, so that no other request may have it.
    Unusable,
}

/// Reads `Vary`. A response in a content coding varies by `Accept-Encoding` whether it says so or not: nginx compresses
/// without a word unless it is told `gzip_vary on`, and who cannot read gzip must not get it.
pub fn vary_names(response_headers: &HeaderMap) -> Vary {
    let mut names = Vec::new();
    let mut usable = true;
    for element in response_headers.get_all(VARY).iter().flat_map(|line| list::elements(line.as_bytes())) {
        if element == b"*" {
            return Vary::Any;
        }
        match HeaderName::from_bytes(element) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) if names.len() < VARY_NAMES_MAX => names.push(name),
            _ => usable = false,
        }
    }
    if response_headers.contains_key(CONTENT_ENCODING) && !names.contains(&ACCEPT_ENCODING) {
        names.push(ACCEPT_ENCODING);
    }
    if !usable {
        return Vary::Unusable;
    }
    if names.is_empty() {
        return Vary::None;
    }
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    Vary::Names(names)
}

/// Appends to `out` the part of the key that these request header fields make.
///
/// Equal bytes mean requests that match (§4.1), and the other way round: every part has its length before it, and an
/// absent field differs from an empty one. Lines of one field are joined, white space around list commas goes, and the
/// order, case and spelling of the weights of `Accept-Language` and `Accept-Encoding` are made one.
pub fn secondary_key(names: &[HeaderName], request_headers: &HeaderMap, out: &mut Vec<u8>) {
    for name in names {
        with_length(out, |out| out.extend_from_slice(name.as_str().as_bytes()));
        out.push(u8::from(request_headers.contains_key(name)));
        with_length(out, |out| {
            let start = out.len();
            for (position, line) in request_headers.get_all(name).iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                push_without_list_space(line.as_bytes(), out);
            }
            if (name == ACCEPT_LANGUAGE || name == ACCEPT_ENCODING)
                && let Some(ordered) = preferences(&out[start..])
            {
                out.truncate(start);
                out.extend_from_slice(&ordered);
            }
        });
    }
}

fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 8]);
    write(out);
    let length = (out.len() - at - 8) as u64;
    out[at..at + 8].copy_from_slice(&length.to_be_bytes());
}

/// Copies a field line without the white space at its ends and around commas that are not in quotes.
fn push_without_list_space(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line.trim_ascii();
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => list::closing_quote(&rest[1..], true).map_or(rest.len(), |length| length + 2),
            b',' => {
                while out.last().is_some_and(|&last| last == b' ' || last == b'\t') {
                    out.pop();
                }
                out.push(b',');
                rest = rest[1..].trim_ascii_start();
                continue;
            }
            _ => 1,
        };
        let (copied, left) = rest.split_at(length);
        out.extend_from_slice(copied);
        rest = left;
    }
}

/// A list of weighted tokens (RFC 9110 §12.4.2) in alphabetical order and lower case, weights in thousandths; `None` when
/// it is something else. The order of members has no meaning, their weight has.
fn preferences(value: &[u8]) -> Option<Vec<u8>> {
    let mut members = Vec::new();
    for element in list::elements(value) {
        if members.len() == PREFERENCES_MAX {
            return None;
        }
        members.push(preference(element)?);
    }
    members.sort_unstable();
    members.dedup();
    let mut ordered = Vec::with_capacity(value.len());
    for (token, weight) in members {
        if !ordered.is_empty() {
            ordered.push(b',');
        }
        ordered.extend_from_slice(&token);
        if weight < 1000 {
            let digits =
                [weight / 100, weight / 10 % 10, weight % 10].map(|digit| b"0123456789"[usize::from(digit)]);
            ordered.extend_from_slice(b";q=0.");
            ordered.extend_from_slice(&digits);
        }
    }
    Some(ordered)
}

fn preference(element: &[u8]) -> Option<(Vec<u8>, u16)> {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let token = parts.next()?;
    if token.is_empty() || !token.iter().all(|&byte| list::is_token(byte)) {
        return None;
    }
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    parts.next().is_none().then(|| (token.to_ascii_lowercase(), weight))
}

fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, fraction) = match weight {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut sum = u16::from(whole - b'0');
    for position in 0..3 {
        let digit = fraction.get(position).copied().unwrap_or(b'0');
        sum = sum * 10 + u16::from(digit.is_ascii_digit().then_some(digit - b'0')?);
    }
    (sum <= 1000).then_some(sum)
}

#[cfg(test)]
mod tests;
