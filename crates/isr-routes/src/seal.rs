//! Query parameters that a framework demands because it does not trust caches to heed `Vary`.

use http::{HeaderMap, HeaderValue};

/// A parameter whose value must be a digest of certain request headers; the framework redirects any other value to
/// the right one. What visitors send there is dropped, and the right value is put into what the origin is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Seal {
    /// The parameter.
    pub parameter: &'static str,
    /// The header and its value that call for the parameter.
    pub when: (&'static str, &'static str),
    /// The headers that are digested, and the values that count; with no values, all count.
    pub over: &'static [(&'static str, &'static [&'static str])],
}

impl Seal {
    /// The pair for a request with these headers, if one is called for.
    ///
    /// The digest is the short one that Next.js has taken from clients since it demands any: five base-36 digits of
    /// djb2 over the values joined by commas, 0 for a header that is absent. Without any header there is no value.
    pub(crate) fn pair(&self, sent: &HeaderMap) -> Option<String> {
        let (when, value) = self.when;
        if sent.get(when).is_none_or(|sent| sent != value) {
            return None;
        }
        let mut pair = self.parameter.to_owned();
        let values: Vec<Option<Vec<u8>>> =
            self.over.iter().map(|(name, counting)| value_of(sent, name, counting)).collect();
        if values.iter().any(Option::is_some) {
            let values: Vec<Vec<u8>> =
                values.into_iter().map(|value| value.unwrap_or(b"0".to_vec())).collect();
            pair.push('=');
            pair.push_str(&base_36(djb2(&values.join(&b","[..])), 5));
        }
        Some(pair)
    }
}

fn value_of(sent: &HeaderMap, name: &str, counting: &[&str]) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = sent.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let value = values.join(&b", "[..]);
    let counts = counting.is_empty() || counting.iter().any(|known| known.as_bytes() == value);
    (!values.is_empty() && counts).then_some(value)
}

/// Bernstein's hash.
fn djb2(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

/// The first digits of a number.
fn base_36(number: u32, most: usize) -> String {
    let mut digits = Vec::new();
    let mut rest = number;
    while rest > 0 || digits.is_empty() {
        digits.extend(char::from_digit(rest % 36, 36));
        rest /= 36;
    }
    digits.iter().rev().take(most).collect()
}

#[cfg(test)]
mod tests {
    use crate::preset::Preset;
    use crate::testing::headers;

    /// The values are those that Next.js 16.4.6 answers without a redirect.
    #[test]
    fn next_js_gets_what_it_demands() {
        let next = Preset::of(Some(isr_api::Framework::NextJs));
        let seal = next.seal.as_ref().expect("a seal");
        let (rsc, prefetch, segment) =
            (("rsc", "1"), ("next-router-prefetch", "1"), "next-router-segment-prefetch");
        let table = [
            (vec![], None),
            (vec![("rsc", "0")], None),
            (vec![(segment, "/_tree")], None),
            (vec![rsc], Some("_rsc")),
            (vec![rsc, ("next-router-prefetch", "9")], Some("_rsc")),
            (vec![rsc, prefetch], Some("_rsc=bl95g")),
            (vec![rsc, prefetch, (segment, "/_tree")], Some("_rsc=1r34m")),
            (vec![rsc, prefetch, (segment, "/blog-posts/__PAGE__")], Some("_rsc=vqimm")),
        ];
        for (fields, expected) in table {
            assert_eq!(seal.pair(&headers(&fields)).as_deref(), expected, "{fields:?}");
        }
    }
}
