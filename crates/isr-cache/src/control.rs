//! Cache directives: `Cache-Control` (RFC 9111 §5.2), `Pragma` (§5.4) and targeted fields (RFC 9213).
//!
//! Reading is lenient and total. Where a directive is repeated or malformed the stricter reading wins: RFC 9111 §4.2.1
//! encourages caches to take such responses for stale, and a page rendered once too often is better than a wrong one.

pub(crate) mod list;
mod targeted;

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, PRAGMA};

/// The targeted fields that this cache obeys, most specific first (RFC 9213 §2.2).
pub const TARGET_LIST: [HeaderName; 2] =
    [HeaderName::from_static("kube-isr-cdn-cache-control"), HeaderName::from_static("cdn-cache-control")];

/// The largest delta-seconds that is told apart; anything longer means this (RFC 9111 §1.2.2), about 68 years.
pub const DELTA_SECONDS_MAX: Duration = Duration::from_secs(1 << 31);

/// Field names remembered from one `private="…"` or `no-cache="…"`. A longer list covers the whole response instead:
/// real ones name one or two fields, and each is a lookup at every store.
const SCOPE_FIELDS_MAX: usize = 16;

/// What a message says about caching it: the directives of a response or of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a directive of its own, freely combined on the wire"
)]
pub struct CacheControl {
    /// `max-age`: response §5.2.2.1, request §5.2.1.1. Zero when malformed.
    pub max_age: Option<Duration>,
    /// `s-maxage`, §5.2.2.10: `max_age` for shared caches. Zero when malformed.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate`, RFC 5861 §3.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error`, RFC 5861 §4.
    pub stale_if_error: Option<Duration>,
    /// Request `max-stale`, §5.2.1.2. Without an argument: [`DELTA_SECONDS_MAX`].
    pub max_stale: Option<Duration>,
    /// Request `min-fresh`, §5.2.1.3.
    pub min_fresh: Option<Duration>,
    /// `no-cache`: response §5.2.2.4, request §5.2.1.4.
    pub no_cache: Scope,
    /// `private`, §5.2.2.7.
    pub private: Scope,
    /// `no-store`: response §5.2.2.5, request §5.2.1.5.
    pub no_store: bool,
    /// `must-revalidate`, §5.2.2.2.
    pub must_revalidate: bool,
    /// `proxy-revalidate`, §5.2.2.8: `must_revalidate` for shared caches.
    pub proxy_revalidate: bool,
    /// `must-understand`, §5.2.2.3: `no-store` holds only for status codes the cache does not know.
    pub must_understand: bool,
    /// `public`, §5.2.2.9.
    pub public: bool,
    /// `immutable`, RFC 8246: the body does not change while fresh.
    pub immutable: bool,
    /// `no-transform`: response §5.2.2.6, request §5.2.1.6.
    pub no_transform: bool,
    /// Request `only-if-cached`, §5.2.1.7.
    pub only_if_cached: bool,
    /// These directives come from a targeted field, which also replaces `Expires` (RFC 9213 §2.2).
    pub targeted: bool,
}

/// How much of a response a directive that may name header fields covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The directive is absent.
    #[default]
    Nothing,
    /// Only these header fields.
    Fields(Vec<HeaderName>),
    /// The whole response.
    Everything,
}

impl Scope {
    /// The header fields that are covered by name.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(fields) => fields,
            Self::Nothing | Self::Everything => &[],
        }
    }
}

impl CacheControl {
    /// The directives of a response: those of the first valid targeted field, else those of `Cache-Control`.
    pub fn from_response(headers: &HeaderMap) -> Self {
        TARGET_LIST
            .iter()
            .find_map(|name| Self::from_targeted(headers, name))
            .unwrap_or_else(|| Self::untargeted(headers))
    }

    /// The directives of a request. `Pragma: no-cache` counts where there is no `Cache-Control` (§5.4).
    pub fn from_request(headers: &HeaderMap) -> Self {
        let mut control = Self::untargeted(headers);
        if !headers.contains_key(CACHE_CONTROL) {
            let mut pragma = headers.get_all(PRAGMA).iter().flat_map(|line| list::elements(line.as_bytes()));
            if pragma.any(|element| element.eq_ignore_ascii_case(b"no-cache")) {
                control.no_cache = Scope::Everything;
            }
        }
        control
    }

    fn untargeted(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        // Line by line: a quote left open in one must not swallow a `no-store` in the next.
        for line in headers.get_all(CACHE_CONTROL) {
            for element in list::elements(line.as_bytes()) {
                let (name, argument) = directive(element);
                control.apply(name, &argument);
            }
        }
        control
    }

    fn from_targeted(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut lines = headers.get_all(name).iter();
        let mut field = Cow::Borrowed(lines.next()?.as_bytes());
        for line in lines {
            field.to_mut().extend_from_slice(b", ");
            field.to_mut().extend_from_slice(line.as_bytes());
        }
        let directives = targeted::dictionary(&field)?;
        let mut control = Self { targeted: true, ..Self::default() };
        for (name, argument) in &directives {
            control.apply(name, argument);
        }
        Some(control)
    }

    fn apply(&mut self, name: &[u8], argument: &Argument<'_>) {
        if matches!(argument, Argument::False) {
            return;
        }
        let mut lower = [0; b"stale-while-revalidate".len()];
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        // A grant that cannot be read grants nothing: zero seconds.
        let seconds = argument.seconds();
        let granted = seconds.unwrap_or_default();
        let tolerated = if argument.is_absent() { DELTA_SECONDS_MAX } else { granted };
        match &*lower {
            b"max-age" => least(&mut self.max_age, granted),
            b"s-maxage" => least(&mut self.s_maxage, granted),
            b"stale-while-revalidate" => least(&mut self.stale_while_revalidate, granted),
            b"stale-if-error" => least(&mut self.stale_if_error, granted),
            b"max-stale" => least(&mut self.max_stale, tolerated),
            b"min-fresh" => self.min_fresh = self.min_fresh.max(seconds),
            b"no-cache" => self.no_cache.widen(argument),
            b"private" => self.private.widen(argument),
            b"no-store" => self.no_store = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"public" => self.public = true,
            b"immutable" => self.immutable = true,
            b"no-transform" => self.no_transform = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// Reads delta-seconds (RFC 9111 §1.2.2): digits only, saturating at [`DELTA_SECONDS_MAX`].
pub(crate) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds =
        text.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_secs(seconds).min(DELTA_SECONDS_MAX))
}

/// What stands behind the `=` of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument<'a> {
    /// There is none.
    Absent,
    /// A token, or the content of a quoted string.
    Text(Cow<'a, [u8]>),
    /// Something that the grammar does not allow there.
    Malformed,
    /// The directive is switched off; only targeted fields can say so (`no-store=?0`).
    False,
}

impl Argument<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn seconds(&self) -> Option<Duration> {
        match self {
            Self::Text(text) => delta_seconds(text),
            Self::Absent | Self::Malformed | Self::False => None,
        }
    }
}

impl Scope {
    fn widen(&mut self, argument: &Argument<'_>) {
        let named = match argument {
            Argument::Text(text) => field_names(text),
            Argument::Absent | Argument::Malformed | Argument::False => None,
        };
        *self = match (std::mem::take(self), named) {
            (Self::Nothing, Some(fields)) => Self::Fields(fields),
            (Self::Fields(mut fields), Some(more)) if fields.len() + more.len() <= SCOPE_FIELDS_MAX => {
                fields.extend(more);
                Self::Fields(fields)
            }
            _ => Self::Everything,
        };
    }
}

fn field_names(text: &[u8]) -> Option<Vec<HeaderName>> {
    let names: Option<Vec<_>> = list::elements(text)
        .take(SCOPE_FIELDS_MAX + 1)
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    names.filter(|names| (1..=SCOPE_FIELDS_MAX).contains(&names.len()))
}

fn directive(element: &[u8]) -> (&[u8], Argument<'_>) {
    let Some(equals) = element.iter().position(|&byte| byte == b'=') else {
        return (element, Argument::Absent);
    };
    let (name, value) = (&element[..equals], &element[equals + 1..]);
    // The grammar has no space around `=`: the name is still read, so that its restriction is not lost, but not its value.
    let spaced = name.ends_with(b" ") || name.ends_with(b"\t");
    let argument = match value {
        _ if spaced => Argument::Malformed,
        [b'"', ..] => list::unquote(value).map_or(Argument::Malformed, Argument::Text),
        token if !token.is_empty() && token.iter().all(|&byte| list::is_token(byte)) => {
            Argument::Text(Cow::Borrowed(token))
        }
        _ => Argument::Malformed,
    };
    (name.trim_ascii_end(), argument)
}

fn least(slot: &mut Option<Duration>, value: Duration) {
    *slot = Some(slot.map_or(value, |known| known.min(value)));
}

#[cfg(test)]
pub(crate) mod tests;
