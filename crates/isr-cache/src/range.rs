//! Range requests answered from a stored response (RFC 9110 §14): one range of bytes.

use http::Method;
use http::header::{IF_RANGE, RANGE};

use crate::RequestFields;

/// Which part of a representation a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 200 with all of it: no range, or one that is ignored.
    Whole,
    /// 206 with these bytes, both ends included; `first <= last < len`.
    Part {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte.
        last: u64,
    },
    /// 416: the range lies behind the end.
    Unsatisfiable,
}

/// The part of a representation of `len` bytes that a request asks for.
///
/// A server may ignore any `Range` (§14.2), which is what happens to several ranges (their multipart answer costs more
/// than the whole and is a known attack), to unknown units, and to an `If-Range` that is not the strong entity tag of
/// what is stored: a date cannot tell two versions of one second apart, and must not mend bytes of both into one body.
pub fn range(method: &Method, request: &impl RequestFields, len: u64, etag: Option<&[u8]>) -> Range {
    let Some(line) = request.only(&RANGE) else { return Range::Whole };
    if method != Method::GET || !if_range_holds(request, etag) {
        return Range::Whole;
    }
    byte_range(line, len).unwrap_or(Range::Whole)
}

fn if_range_holds(request: &impl RequestFields, etag: Option<&[u8]>) -> bool {
    let mut lines = request.values(&IF_RANGE);
    match (lines.next(), lines.next()) {
        (None, _) => true,
        // Strong comparison (§8.8.3.2): a weak tag does not begin with its quote.
        (Some(line), None) => {
            let wanted = line.trim_ascii();
            wanted.starts_with(b"\"") && etag == Some(wanted)
        }
        _ => false,
    }
}

fn byte_range(line: &[u8], len: u64) -> Option<Range> {
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let (unit, ranges) = (&line[..equals], line[equals + 1..].trim_ascii());
    if !unit.trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let dash = ranges.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&ranges[..dash], &ranges[dash + 1..]);
    if first.is_empty() {
        let suffix = position(last)?;
        return match (suffix, len) {
            (0, _) => Some(Range::Unsatisfiable),
            // Satisfiable, but `Content-Range` cannot say "none of nothing".
            (_, 0) => None,
            _ => Some(Range::Part { first: len.saturating_sub(suffix), last: len - 1 }),
        };
    }
    let first = position(first)?;
    let last = if last.is_empty() { u64::MAX } else { position(last)? };
    if last < first {
        return None;
    }
    Some(if first < len { Range::Part { first, last: last.min(len - 1) } } else { Range::Unsatisfiable })
}

/// A byte position or length: digits only, saturating.
fn position(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

#[cfg(test)]
mod tests;
