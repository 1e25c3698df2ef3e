//! The request headers that are part of a key, and the normal forms of their values.
//!
//! A header that is keyed multiplies the stored pages by the number of its values, and visitors choose its values.
//! Every normal form is therefore bounded, and a value outside of its bounds counts as absent.

use http::HeaderName;
use isr_cache::RequestFields;

/// A request header whose normalised value is part of a page's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    /// The header.
    pub name: HeaderName,
    /// How its value is normalised.
    pub normalise: Normalise,
    /// The header and value without which this one counts as absent.
    pub only_with: Option<(&'static str, &'static str)>,
    /// Headers and values that a render carries beside this one.
    pub sent_with: &'static [(&'static str, &'static str)],
}

/// How a header's value is brought into the form that is keyed and passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// This very value; everything else is as if the header were absent.
    Flag(&'static str),
    /// One word of visible ASCII of at most this many bytes.
    Token {
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// `Accept-Language` (RFC 9110 §12.5.4): language ranges in lower case, best first, without their weights.
    Languages,
    /// Any text of at most [`MAX_TEXT_BYTES`], without the white space around it. Case is kept, because nothing says
    /// that the application ignores it.
    Text,
}

/// The longest value of a header named in `varyBy` that is keyed: long enough for a feature or market name, too short
/// to fill the store with.
pub(crate) const MAX_TEXT_BYTES: usize = 256;
/// Language ranges beyond this many never decide what a page looks like.
const MAX_LANGUAGES: usize = 8;
/// The longest language tag that RFC 5646 §4.4.1 asks implementations to store.
const MAX_LANGUAGE_BYTES: usize = 35;

/// Headers that must not tell shared pages apart, in lower case: those that name the visitor, those that kube-isr
/// answers for itself, and those that belong to one connection (RFC 9110 §7.6.1).
pub(crate) const NOT_FOR_KEYS: [&str; 24] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "accept-encoding",
    "host",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "content-length",
    "expect",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "forwarded",
    "x-forwarded-for",
    "via",
    "x-prerender-revalidate",
];

/// Whether a header named in `varyBy` may tell pages apart. `name` is in lower case.
pub(crate) fn may_tell_pages_apart(name: &str) -> bool {
    !NOT_FOR_KEYS.contains(&name)
}

impl KeyHeader {
    /// A header that stands for itself.
    pub fn new(name: HeaderName, normalise: Normalise) -> Self {
        Self { name, normalise, only_with: None, sent_with: &[] }
    }

    /// Appends the normal form of the header and says whether there is any.
    pub(crate) fn write(&self, request: &impl RequestFields, out: &mut Vec<u8>) -> bool {
        let counts = self.only_with.is_none_or(|(name, value)| {
            request.first(&HeaderName::from_static(name)).is_some_and(|sent| sent == value.as_bytes())
        });
        counts && self.normalise.write(request.values(&self.name), out)
    }
}

impl Normalise {
    /// Appends the normal form of a header's values and says whether there is any.
    pub(crate) fn write<'v>(self, values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Flag(flag) => {
                let is_set = only(values).is_some_and(|value| value == flag.as_bytes());
                if is_set {
                    out.extend_from_slice(flag.as_bytes());
                }
                is_set
            }
            Self::Token { max_bytes } => match only(values) {
                Some(value) if value.len() <= max_bytes && value.iter().all(u8::is_ascii_graphic) => {
                    out.extend_from_slice(value);
                    !value.is_empty()
                }
                _ => false,
            },
            Self::Languages => write_languages(values, out),
            Self::Text => write_text(values, out),
        }
    }

    /// What is sent to the origin for a normal form. Language ranges get descending weights, because ranges of equal
    /// weight have no order (RFC 9110 §12.4.2).
    pub(crate) fn as_sent(self, normal: Vec<u8>) -> Vec<u8> {
        if self != Self::Languages {
            return normal;
        }
        let mut sent = Vec::with_capacity(normal.len() + MAX_LANGUAGES * ", ;q=0.9".len());
        for (place, range) in normal.split(|&byte| byte == b',').enumerate() {
            if place > 0 {
                sent.extend_from_slice(b", ");
            }
            sent.extend_from_slice(range);
            if place > 0 {
                sent.extend_from_slice(format!(";q=0.{}", 10_usize.saturating_sub(place)).as_bytes());
            }
        }
        sent
    }
}

/// The one value of a header. Several make it unclear which one the origin would take.
fn only<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    let value = values.next()?;
    values.next().is_none().then(|| value.trim_ascii())
}

fn write_text<'v>(values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for value in values {
        if out.len() > start {
            // Several fields are one list (RFC 9110 §5.3).
            out.extend_from_slice(b", ");
        }
        let value = value.trim_ascii();
        let fits = out.len() - start + value.len() <= MAX_TEXT_BYTES;
        if !fits || !value.iter().all(|&byte| byte == b' ' || byte.is_ascii_graphic()) {
            out.truncate(start);
            return false;
        }
        out.extend_from_slice(value);
    }
    out.len() > start
}

fn write_languages<'v>(values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) -> bool {
    let mut ranges: [(&[u8], u16); MAX_LANGUAGES] = [(&[], 0); MAX_LANGUAGES];
    let mut count = 0;
    let members = values.flat_map(|value| value.split(|&byte| byte == b','));
    for (range, weight) in members.filter_map(language) {
        if ranges[..count].iter().any(|(known, _)| known.eq_ignore_ascii_case(range)) {
            continue;
        }
        // Insertion behind all ranges of the same or a higher weight keeps the visitor's order among equals.
        let place = ranges[..count].iter().position(|&(_, known)| known < weight).unwrap_or(count);
        if place < MAX_LANGUAGES {
            count = (count + 1).min(MAX_LANGUAGES);
            ranges[place..count].rotate_right(1);
            ranges[place] = (range, weight);
        }
    }
    for (place, (range, _)) in ranges[..count].iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend(range.iter().map(u8::to_ascii_lowercase));
    }
    count > 0
}

/// One member of `Accept-Language`: a range and its weight in thousandths. What is refused (`q=0`) or malformed is no
/// member.
fn language(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = member.split(|&byte| byte == b';');
    let range = parts.next()?.trim_ascii();
    let is_range = (1..=MAX_LANGUAGE_BYTES).contains(&range.len())
        && range.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*'));
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => weight(parameter.trim_ascii())?,
    };
    (is_range && weight > 0).then_some((range, weight))
}

/// `q=0.8` in thousandths (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(parameter).ok()?;
    let (name, value) = text.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().map(|digit| u16::from(digit - b'0'));
    let thousandths: u16 = digits.zip([100, 10, 1]).map(|(digit, value)| digit * value).sum();
    match whole {
        "0" => Some(thousandths),
        "1" => (thousandths == 0).then_some(1000),
        _ => None,
    }
}
