//! The path patterns of routes.

use std::fmt;

use super::normal::{encode, is_pchar, normalise, without_trailing_slash};

/// The path of a route: literal segments, `[name]` for any one segment, and possibly a catch-all at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// As it was written.
    text: String,
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: Tail,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// These bytes, in the normal form of a request's path.
    Literal(Box<str>),
    /// Any one segment that is not empty. The name is for people; it decides nothing.
    Param,
}

/// What may follow the segments of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    End,
    /// One or more segments: `**` or `[...rest]`.
    OneOrMore,
    /// Any number of segments: `[[...rest]]`.
    NoneOrMore,
}

impl PathPattern {
    /// Parses the `path` of a route. The error says what is wrong and what to write instead, without naming the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        read(text).map_err(|wrong| match meant(text) {
            Some(fix) => format!("`{text}` {wrong}: write {fix}"),
            None => format!("`{text}` {wrong}: write a path such as /blog/[slug] or /docs/[[...rest]]"),
        })
    }

    /// Whether the pattern matches a normal path. A trailing slash does not count; an empty segment matches nothing.
    pub fn matches(&self, path: &str) -> bool {
        let mut rest = segments_of(path);
        for segment in &self.segments {
            let Some((first, after)) = rest.map(split_first) else { return false };
            let matched = match segment {
                Segment::Literal(literal) => **literal == *first,
                Segment::Param => !first.is_empty(),
            };
            if !matched {
                return false;
            }
            rest = after;
        }
        match (self.tail, rest) {
            (Tail::End | Tail::NoneOrMore, None) => true,
            (Tail::End, Some(_)) | (Tail::OneOrMore, None) => false,
            (Tail::OneOrMore | Tail::NoneOrMore, Some(rest)) => is_full(rest),
        }
    }

    /// Of two patterns that match one path, the one with the smaller rank goes first: literal before parameter before
    /// catch-all, from left to right.
    pub(crate) fn rank(&self) -> Vec<u8> {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Param => 1,
        });
        let tail = match self.tail {
            Tail::End => 0,
            Tail::OneOrMore => 2,
            Tail::NoneOrMore => 3,
        };
        segments.chain([tail]).collect()
    }

    /// Two patterns of the same shape match the same paths: the shape has no parameter names.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.text.len());
        for segment in &self.segments {
            shape.push('/');
            shape.push_str(match segment {
                Segment::Literal(literal) => literal,
                Segment::Param => "[]",
            });
        }
        shape.push_str(match self.tail {
            Tail::End => "/",
            Tail::OneOrMore => "/[...]",
            Tail::NoneOrMore => "/[[...]]",
        });
        shape
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What follows the first slash of a normal path; `None` for the root, which has no segments.
pub(crate) fn segments_of(path: &str) -> Option<&str> {
    (path != "/").then(|| without_trailing_slash(path).strip_prefix('/').unwrap_or_default())
}

/// The first segment, and what follows it if anything does.
pub(crate) fn split_first(segments: &str) -> (&str, Option<&str>) {
    // A loop over the few bytes of a segment takes less than a search that is made for long texts.
    match segments.bytes().position(|byte| byte == b'/') {
        Some(slash) => (&segments[..slash], Some(&segments[slash + 1..])),
        None => (segments, None),
    }
}

/// Whether none of the segments is empty.
pub(crate) fn is_full(segments: &str) -> bool {
    let mut before = b'/';
    for byte in segments.bytes() {
        if byte == b'/' && before == b'/' {
            return false;
        }
        before = byte;
    }
    before != b'/'
}

/// The pattern, or what is wrong with it: a phrase whose subject is the text.
fn read(text: &str) -> Result<PathPattern, String> {
    /// The limit of `HTTPRoute`.
    const MAX_BYTES: usize = 1024;
    if text.len() > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes"));
    }
    let Some(inner) = without_trailing_slash(text).strip_prefix('/') else {
        return Err("does not start with a slash".into());
    };
    if let Some(mark) = text.find(['?', '#']) {
        return Err(format!("holds a {} (query parameters are named in query.allow)", &text[mark..=mark]));
    }
    let mut pattern = PathPattern { text: text.to_owned(), segments: Vec::new(), tail: Tail::End };
    if inner.is_empty() {
        return Ok(pattern);
    }
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        match read_segment(segment)? {
            Piece::Segment(segment) => pattern.segments.push(segment),
            Piece::Tail(tail) if segments.peek().is_none() => pattern.tail = tail,
            Piece::Tail(_) => {
                return Err(format!("goes on after the catch-all {segment}, which must be last"));
            }
        }
    }
    Ok(pattern)
}

enum Piece {
    Segment(Segment),
    Tail(Tail),
}

fn read_segment(segment: &str) -> Result<Piece, String> {
    let bracketed = |open: &str, close: &str| {
        segment.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).filter(|name| is_name(name))
    };
    if segment == "**" || bracketed("[...", "]").is_some() {
        return Ok(Piece::Tail(Tail::OneOrMore));
    }
    if bracketed("[[...", "]]").is_some() {
        return Ok(Piece::Tail(Tail::NoneOrMore));
    }
    if bracketed("[", "]").is_some() {
        return Ok(Piece::Segment(Segment::Param));
    }
    if segment.is_empty() {
        return Err("holds an empty segment".into());
    }
    if segment.contains(['[', ']']) {
        let opened = segment.matches('[').count();
        return Err(match opened.cmp(&segment.matches(']').count()) {
            std::cmp::Ordering::Greater => format!("holds a bracket that is not closed, in `{segment}`"),
            std::cmp::Ordering::Less => format!("closes a bracket that is not open, in `{segment}`"),
            std::cmp::Ordering::Equal if segment.starts_with('[') && segment.ends_with(']') => {
                format!(
                    "holds `{segment}`, whose name is not made of letters, digits, hyphens and underscores"
                )
            }
            std::cmp::Ordering::Equal => format!("holds `{segment}`, but brackets stand for a whole segment"),
        });
    }
    if segment.contains('*') {
        return Err(format!("holds `{segment}`, but only ** as the last segment is a wildcard"));
    }
    read_literal(segment).map(|literal| Piece::Segment(Segment::Literal(literal.into())))
}

fn read_literal(segment: &str) -> Result<String, String> {
    let upper = segment.to_ascii_uppercase();
    for (code, name) in [("%2F", "slash"), ("%5C", "backslash"), ("%2E", "dot")] {
        if upper.contains(code) {
            return Err(format!("holds the encoded {name} {code}, which no pattern matches"));
        }
    }
    if let Some(odd) = segment.chars().find(|&char| char != '%' && !u8::try_from(char).is_ok_and(is_pchar)) {
        return Err(format!("holds the character `{odd}`, which must be percent-encoded in a path"));
    }
    match normalise(&format!("/{segment}")) {
        Ok(normal) => Ok(normal[1..].to_owned()),
        Err(crate::BadTarget::DotSegment) => Err(format!("holds the segment `{segment}`")),
        Err(crate::BadTarget::BadEncoding) => {
            Err("holds a percent sign without two hexadecimal digits after it".into())
        }
        Err(_) => Err("holds a control character".into()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// What the author of an unreadable pattern most likely meant, if that can be read.
fn meant(text: &str) -> Option<String> {
    let path = text.split(['?', '#']).next().unwrap_or_default().trim();
    let segments: Vec<String> =
        path.split('/').filter(|segment| !matches!(*segment, "" | "." | "..")).map(meant_segment).collect();
    let fix = format!("/{}", segments.join("/"));
    (fix != text && read(&fix).is_ok()).then_some(fix)
}

fn meant_segment(segment: &str) -> String {
    let stripped = segment.trim_matches(['[', ']', '{', '}', '*', '.']);
    if segment == "*" {
        return "**".into();
    }
    if segment.starts_with("[[...") && is_name(stripped) {
        return format!("[[...{stripped}]]");
    }
    if segment.starts_with("[...") && is_name(stripped) {
        return format!("[...{stripped}]");
    }
    if segment.starts_with(['[', '{']) && is_name(stripped) {
        return format!("[{stripped}]");
    }
    // Whatever no path may hold is percent-encoded; brackets stay, to be complained about.
    let mut out = String::with_capacity(segment.len());
    for char in segment.chars() {
        if matches!(char, '%' | '[' | ']') || u8::try_from(char).is_ok_and(is_pchar) {
            out.push(char);
        } else {
            let mut utf8 = [0; 4];
            for byte in char.encode_utf8(&mut utf8).bytes() {
                encode(byte, &mut out);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
