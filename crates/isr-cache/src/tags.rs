//! Tags of responses: the names by which applications group pages for invalidation.
//!
//! There is no standard field but one (RFC 9875), and a handful of customs. What an application already sends to another
//! cache counts here.

use http::header::{HeaderMap, HeaderName};

/// Tags of a response that count, at most; Cloudflare and Vercel take as many or fewer.
pub const TAGS_OF_RESPONSE: usize = 128;

/// Bytes of a tag, at most: Next.js and Vercel allow 256 characters. A longer one names nothing.
pub const TAG_LENGTH: usize = 256;

/// Fields whose tags are parted by commas: Akamai's and Cloudflare's, Vercel's, Netlify's, Next.js's.
const BY_COMMA: [HeaderName; 4] = [
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("vercel-cache-tag"),
    HeaderName::from_static("netlify-cache-tag"),
    HeaderName::from_static("x-next-cache-tags"),
];

/// Fields whose tags are parted by spaces: Fastly's and Varnish's.
const BY_SPACE: [HeaderName; 2] = [HeaderName::from_static("surrogate-key"), HeaderName::from_static("xkey")];

/// A list of strings (RFC 9875 §2).
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// All fields that carry tags. They speak to caches like this one and are not sent to visitors.
pub const FIELDS: [HeaderName; 7] = [
    HeaderName::from_static("cache-groups"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("netlify-cache-tag"),
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("vercel-cache-tag"),
    HeaderName::from_static("x-next-cache-tags"),
    HeaderName::from_static("xkey"),
];

/// The tags that a response carries, each once, in the order of the fields; those beyond the bounds are left out.
pub fn of(headers: &HeaderMap) -> Vec<Box<str>> {
    let mut tags: Vec<Box<str>> = Vec::new();
    let mut add = |tag: &str| {
        let is_new = is_tag(tag) && !tags.iter().any(|known| **known == *tag);
        if is_new && tags.len() < TAGS_OF_RESPONSE {
            tags.push(tag.into());
        }
    };
    for name in BY_COMMA {
        texts(headers, &name).flat_map(|text| text.split(',')).map(str::trim).for_each(&mut add);
    }
    for name in BY_SPACE {
        texts(headers, &name).flat_map(str::split_ascii_whitespace).for_each(&mut add);
    }
    for text in texts(headers, &CACHE_GROUPS) {
        if let Some(groups) = strings(text) {
            for group in &groups {
                add(group);
            }
        }
    }
    tags
}

/// Whether something can be a tag.
pub fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.len() <= TAG_LENGTH && !text.contains(|byte: char| byte.is_control())
}

fn texts<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// A structured list of strings (RFC 9651 §3.1), whose parameters say nothing here; `None` if it is none, which counts
/// as no list at all.
fn strings(text: &str) -> Option<Vec<String>> {
    let mut strings = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = rest.strip_prefix('"')?;
        let mut string = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (end, '"') => break end,
                (_, '\\') => string.push(characters.next().map(|(_, escaped)| escaped)?),
                (_, character) => string.push(character),
            }
        };
        strings.push(string);
        rest = rest[end + 1..].trim_start();
        // Parameters, up to the next member.
        let comma = rest.find(',').unwrap_or(rest.len());
        if !rest[..comma].is_empty() && !rest.starts_with(';') {
            return None;
        }
        let Some(next) = rest[comma..].strip_prefix(',') else { break };
        rest = next.trim_start();
        if rest.is_empty() {
            return None;
        }
    }
    Some(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(fields: &[(&'static str, &'static str)]) -> Vec<Box<str>> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a value"));
        }
        of(&headers)
    }

    #[test]
    fn every_custom_is_understood() {
        assert_eq!(
            tags(&[("cache-tag", "a, b ,c"), ("cache-tag", "d")]),
            ["a", "b", "c", "d"].map(Box::from)
        );
        assert_eq!(tags(&[("surrogate-key", "a b"), ("xkey", " b  c ")]), ["a", "b", "c"].map(Box::from));
        assert_eq!(tags(&[("vercel-cache-tag", "a"), ("netlify-cache-tag", "b")]), ["a", "b"].map(Box::from));
        assert_eq!(tags(&[("x-next-cache-tags", "_N_T_/layout,_N_T_/blog")]).len(), 2);
        assert_eq!(
            tags(&[("cache-groups", r#""one", "two";x=1,"th\"ree""#)]),
            ["one", "two", "th\"ree"].map(Box::from)
        );
    }

    #[test]
    fn what_is_no_list_of_strings_names_nothing() {
        for bad in ["one, two", "\"one", "\"one\" \"two\"", "\"one\",", "(\"one\")"] {
            assert_eq!(tags(&[("cache-groups", bad)]), Vec::<Box<str>>::new(), "{bad}");
        }
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        let long: &'static str = "x".repeat(TAG_LENGTH + 1).leak();
        assert_eq!(tags(&[("cache-tag", long), ("xkey", "a")]), ["a"].map(Box::from));
        let many: Vec<String> = (0..1000).map(|tag| tag.to_string()).collect();
        let many: &'static str = many.join(",").leak();
        assert_eq!(tags(&[("cache-tag", many)]).len(), TAGS_OF_RESPONSE);
    }

    #[test]
    fn all_fields_with_tags_are_named_once() {
        let named: Vec<_> = BY_COMMA.into_iter().chain(BY_SPACE).chain([CACHE_GROUPS]).collect();
        assert!(named.iter().all(|name| FIELDS.contains(name)) && named.len() == FIELDS.len());
    }
}
