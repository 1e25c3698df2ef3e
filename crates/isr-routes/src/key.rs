//! The identity of a stored page.
//!
//! A key is host, path, allowed query and normalised key headers, each with its length before it, so that two
//! different identities never share bytes. What the origin is asked is a function of the same parts and of nothing
//! else: whatever could make the answer differ is in the key, and whatever is not in the key does not reach the origin.

use std::borrow::Cow;

use http::header::{ACCEPT_ENCODING, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use isr_cache::RequestFields;
use isr_cache::short::append;

use crate::key_header::KeyHeader;
use crate::path::{loosest, percent_decoded};
use crate::route::{QueryRule, Route};
use crate::target::Target;

/// What the origin is asked for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderTarget {
    /// Path and, if any parameter is left, `?` and the allowed query.
    pub path_and_query: String,
    /// The key headers that the request had, normalised, and what goes with them; nothing else.
    pub headers: HeaderMap,
}

/// The path by which a group is named: the loosest spelling of a page's path.
pub(crate) fn group_path(page: &str) -> Cow<'_, str> {
    loosest(page)
}

/// Appends the key of the page that a request means with no parameter and no header that is part of a key, for a host and a path in
/// their normal form. The key of any others is that of no page.
pub fn write_bare_key(host: &[u8], path: &[u8], key: &mut Vec<u8>) {
    write_text(host, key);
    write_text(path, key);
    write_text(b"", key);
}

impl Route {
    /// Whether no query parameter is part of any key.
    pub fn ignores_query(&self) -> bool {
        matches!(&self.query, QueryRule::Names(names) if names.is_empty())
    }

    /// Whether a request has any of the key headers, so that its key is not the bare one.
    pub fn has_key_header(&self, request: &impl RequestFields) -> bool {
        self.key_headers.iter().any(|header| header.write(request, &mut Vec::new()))
    }

    /// Appends the key of the page that a request means. Allocates nothing beyond the buffer's growth.
    pub fn write_key(&self, target: &Target<'_>, request: &impl RequestFields, key: &mut Vec<u8>) {
        write_text(target.host.as_bytes(), key);
        write_text(target.path.as_bytes(), key);
        write_field(key, |key| self.write_query(target.query, key));
        for header in &self.key_headers {
            let before = key.len();
            write_text(header.name.as_str().as_bytes(), key);
            let mut present = false;
            write_field(key, |key| present = header.write(request, key));
            if !present {
                key.truncate(before);
            }
        }
    }

    /// What the origin is asked for the page that a request means: a pure function of its key.
    pub fn render_target(&self, target: &Target<'_>, headers: &HeaderMap) -> RenderTarget {
        let mut sent = HeaderMap::new();
        for header in &self.key_headers {
            let mut value = Vec::new();
            if header.write(headers, &mut value)
                && let Ok(value) = HeaderValue::from_bytes(&header.normalise.as_sent(value))
            {
                sent.insert(header.name.clone(), value);
                for (name, value) in header.sent_with {
                    sent.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
            }
        }
        RenderTarget { path_and_query: self.path_and_query(target, &sent), headers: sent }
    }

    /// Whether a request with these headers, or a render that carries them, means data of the page at `page`. Allocates nothing
    /// for a page.
    pub fn is_data(&self, path: &str, page: &str, headers: &impl RequestFields) -> bool {
        let marks = |header: &&KeyHeader| {
            let of_preset = || self.preset.key_headers.iter().any(|known| header.name.as_str() == known.name);
            header.only_with.is_none() && of_preset()
        };
        path != page
            || self.key_headers.iter().filter(marks).any(|header| header.write(headers, &mut Vec::new()))
    }

    /// Path and query that the origin is asked, for a request that is sent with these headers: the allowed parameters,
    /// and what the framework demands beside such headers.
    pub fn path_and_query(&self, target: &Target<'_>, sent: &HeaderMap) -> String {
        let mut query = Vec::new();
        self.write_query(target.query, &mut query);
        // Whole pairs of a `str`, joined by `&`: still UTF-8.
        let allowed = String::from_utf8_lossy(&query);
        let demanded = self.preset.seal.as_ref().and_then(|seal| seal.pair(sent));
        let mut path_and_query = target.path.clone().into_owned();
        let pairs = [Some(&*allowed).filter(|pairs| !pairs.is_empty()), demanded.as_deref()];
        for (pair, mark) in pairs.into_iter().flatten().zip(['?', '&']) {
            path_and_query.push(mark);
            path_and_query.push_str(pair);
        }
        path_and_query
    }

    /// The group of the page with this path: its HTML, data companions and query variants share it. Spellings of one
    /// path that most applications take for the same (a trailing slash, `%40` for `@`) share it too.
    pub fn group(&self, host: &str, page: &str) -> String {
        format!("{host}{}", group_path(page))
    }

    /// The first member of the response's `Vary` that the key does not cover, in lower case. Such a response must not
    /// be stored: the next visitor's might differ. `*` is never covered; `Accept-Encoding` always is.
    pub fn vary_beyond_key(&self, response: &HeaderMap) -> Option<String> {
        let members =
            response.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        members
            .map(|member| String::from_utf8_lossy(member.trim_ascii()).to_ascii_lowercase())
            .find(|member| !member.is_empty() && !self.key_covers(member))
    }

    fn key_covers(&self, header: &str) -> bool {
        header == ACCEPT_ENCODING.as_str()
            || self.preset.ignorable_vary.contains(&header)
            || self.key_headers.iter().any(|key| key.name.as_str() == header)
    }

    /// The allowed pairs of a query, in their order and with their repetitions, joined by `&`. Empty pairs say nothing
    /// and are left out, so the joined text tells all the pairs.
    fn write_query(&self, query: &str, out: &mut Vec<u8>) {
        if self.ignores_query() {
            return;
        }
        let start = out.len();
        for pair in query.split('&').filter(|pair| !pair.is_empty() && self.allows(pair)) {
            if out.len() > start {
                out.push(b'&');
            }
            out.extend_from_slice(pair.as_bytes());
        }
    }

    fn allows(&self, pair: &str) -> bool {
        let name = pair.split('=').next().unwrap_or_default();
        let is = |known: &str| percent_decoded(name).eq(known.bytes());
        let allowed = match &self.query {
            QueryRule::All => true,
            QueryRule::Names(names) => names.iter().any(|known| is(known)),
        };
        allowed && !self.preset.dropped_query.iter().any(|known| is(known))
    }
}

/// A key in words, for people: `shop.example.com/search?page=2 [rsc: 1]`.
pub fn describe_key(key: &[u8]) -> String {
    let Some(fields) = fields(key) else { return "not a key".into() };
    let [host, path, query, headers @ ..] = fields.as_slice() else { return "not a key".into() };
    let mut words = format!("{host}{path}");
    if !query.is_empty() {
        words.push('?');
        words.push_str(query);
    }
    for header in headers.chunks(2) {
        words.extend([" [", &header.join(": "), "]"]);
    }
    words
}

fn fields(mut key: &[u8]) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    while let Some((&length, rest)) = key.split_first() {
        let (length, rest) = match (length, rest.split_first_chunk::<4>()) {
            (LONG, long) => long.map(|(length, rest)| (u32::from_be_bytes(*length), rest))?,
            (short, _) => (u32::from(short), rest),
        };
        let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        fields.push(String::from_utf8_lossy(field));
        key = rest;
    }
    key.is_empty().then_some(fields)
}

/// In the place of a length: it is in the next four bytes. Nearly every field is shorter than this, and every stored page has
/// three of them in memory.
const LONG: u8 = u8::MAX;

/// Appends a text, with its length before it: one byte, or [`LONG`] and four bytes (big-endian).
fn write_text(text: &[u8], key: &mut Vec<u8>) {
    if let Some(length) = short(text.len()) {
        key.push(length);
    } else {
        key.push(LONG);
        key.extend_from_slice(&long(text.len()));
    }
    append(text, key);
}

/// Appends what `write` appends, with its length before it.
fn write_field(key: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = key.len();
    key.push(LONG);
    let field = key.len();
    write(key);
    let length = key.len() - field;
    match short(length) {
        Some(short) => key[start] = short,
        None => drop(key.splice(field..field, long(length))),
    }
}

fn short(length: usize) -> Option<u8> {
    u8::try_from(length).ok().filter(|short| *short != LONG)
}

fn long(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests;
