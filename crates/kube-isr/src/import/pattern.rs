//! Paths of frameworks as `spec.path` writes them.

use std::fmt::Write as _;

/// A segment of literal text: what may not stand in a path is percent-encoded, and what is so already is kept.
pub(super) fn literal(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut out = String::with_capacity(segment.len());
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'%' if is_hex(at + 1) && is_hex(at + 2) => out.push('%'),
            b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'..=b')'
            | b'+'
            | b','
            | b';'
            | b'='
            | b':'
            | b'@' => {
                out.push(char::from(byte));
            }
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A path whose segments are literal text.
pub(super) fn literal_path(path: &str) -> String {
    let path: Vec<String> = path.split('/').map(literal).collect();
    path.join("/")
}

/// The name of a parameter, of the characters that it may have.
pub(super) fn name(text: &str) -> String {
    let of_name = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = text.chars().map(of_name).collect();
    if name.is_empty() { "param".to_owned() } else { name }
}

/// The path made of these segments.
pub(super) fn join(segments: &[String]) -> String {
    format!("/{}", segments.join("/"))
}

/// A path below another.
pub(super) fn below(base: &str, path: &str) -> String {
    match (base.trim_end_matches('/'), path) {
        ("", path) => path.to_owned(),
        (base, "/") => base.to_owned(),
        (base, path) => format!("{base}{path}"),
    }
}

/// How two paths of routes stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// No page matches both, or the first one goes after the second.
    No,
    /// Some pages match both, and the first one goes before the second.
    Before,
    /// They match the same pages.
    Same,
}

/// A segment by which of two routes goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'p> {
    Literal(&'p str),
    /// `[name]`
    One,
    /// The end; what follows goes after it.
    OneOrMore,
    NoneOrMore,
}

/// How a path stands to another. Literal text goes before `[name]`, that before a catch-all, from left to right.
pub(super) fn overlap(one: &str, other: &str) -> Overlap {
    let (one, other) = (segments(one), segments(other));
    let (mut first, mut second) = (one.iter(), other.iter());
    loop {
        let (left, right) = (first.next(), second.next());
        let is_tail =
            |segment: Option<&Segment<'_>>| matches!(segment, Some(Segment::OneOrMore | Segment::NoneOrMore));
        match (left, right) {
            (None, None) => return Overlap::Same,
            (None, Some(Segment::NoneOrMore)) => return Overlap::Before,
            (left, right) if is_tail(left) && left == right => return Overlap::Same,
            (Some(_), right) if is_tail(right) => {
                return if left < right { Overlap::Before } else { Overlap::No };
            }
            (None, _) | (_, None) => return Overlap::No,
            (left, _) if is_tail(left) => return Overlap::No,
            (Some(Segment::Literal(left)), Some(Segment::Literal(right))) if left != right => {
                return Overlap::No;
            }
            (Some(left), Some(right)) if left == right => {}
            (Some(Segment::Literal(_)), Some(_)) => return before(first.as_slice(), second.as_slice()),
            _ => return Overlap::No,
        }
    }
}

/// The first is before the second already; whether any page matches both.
fn before(first: &[Segment<'_>], second: &[Segment<'_>]) -> Overlap {
    let ends = |rest: &[Segment<'_>]| matches!(rest, [] | [Segment::NoneOrMore]);
    match (first, second) {
        ([], rest) | (rest, []) if ends(rest) => Overlap::Before,
        ([Segment::OneOrMore | Segment::NoneOrMore], [_, ..])
        | ([_, ..], [Segment::OneOrMore | Segment::NoneOrMore]) => Overlap::Before,
        ([Segment::Literal(left), ..], [Segment::Literal(right), ..]) if left != right => Overlap::No,
        ([_, first @ ..], [_, second @ ..]) => before(first, second),
        _ => Overlap::No,
    }
}

fn segments(path: &str) -> Vec<Segment<'_>> {
    path.split('/').filter(|text| !text.is_empty()).map(Segment::of).collect()
}

impl<'p> Segment<'p> {
    fn of(text: &'p str) -> Self {
        match text {
            "**" => Self::OneOrMore,
            _ if text.starts_with("[[...") => Self::NoneOrMore,
            _ if text.starts_with("[...") => Self::OneOrMore,
            _ if text.starts_with('[') => Self::One,
            _ => Self::Literal(text),
        }
    }
}
