//! Choosing a representation by `Accept-Encoding` (RFC 9110 §12.5.3).

use http::header::ACCEPT_ENCODING;

use crate::{Coding, Compressed, Representation, RequestFields, StoredResponse};

/// Members of `Accept-Encoding` that are looked at. Real ones have five; more is somebody's experiment.
const MEMBERS_MOST: usize = 16;

/// What a request gets of a stored response.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'s> {
    /// The representation that suits it best, of those there are.
    pub representation: Representation<'s>,
    /// A coding that would suit it better, and that nobody has asked for before.
    pub missing: Option<Coding>,
}

/// The representation of `stored` that suits the request best: the smallest of those with the greatest weight. A client
/// that forbids everything we have gets the uncompressed one, which every client can read.
pub fn choose<'s>(request: &impl RequestFields, stored: &'s StoredResponse) -> Choice<'s> {
    let is_settled = stored.asked.is_settled();
    // Who says nothing gets it as it is, whatever else there is.
    if stored.compressed().is_empty() && is_settled || request.first(&ACCEPT_ENCODING).is_none() {
        return Choice { representation: stored.identity(), missing: None };
    }
    let accepted = Accepted::read(request);
    let mut best = (stored.identity(), accepted.weight(Coding::Identity));
    for candidate in stored.compressed().iter().map(Compressed::as_representation) {
        let weight = accepted.weight(candidate.coding);
        let smaller = candidate.body.len() < best.0.body.len();
        if weight > 0 && (weight > best.1 || weight == best.1 && smaller) {
            best = (candidate, weight);
        }
    }
    let missing =
        if is_settled { None } else { accepted.best().filter(|best| stored.asked.may_be_asked(*best)) };
    Choice { representation: best.0, missing }
}

/// Weights in thousandths, as far as the request names them.
#[derive(Default)]
struct Accepted {
    identity: Option<u16>,
    gzip: Option<u16>,
    brotli: Option<u16>,
    rest: Option<u16>,
}

impl Accepted {
    fn read(request: &impl RequestFields) -> Self {
        let mut accepted = Self::default();
        let members = request
            .values(&ACCEPT_ENCODING)
            .filter_map(|value| std::str::from_utf8(value).ok().filter(|text| text.is_ascii()))
            .flat_map(|value| value.split(','))
            .take(MEMBERS_MOST);
        for member in members {
            let (coding, parameters) = member.split_once(';').unwrap_or((member, ""));
            let coding = coding.trim();
            let slot = if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                &mut accepted.gzip
            } else if coding.eq_ignore_ascii_case("br") {
                &mut accepted.brotli
            } else if coding.eq_ignore_ascii_case("identity") {
                &mut accepted.identity
            } else if coding == "*" {
                &mut accepted.rest
            } else {
                continue;
            };
            *slot = Some(weight(parameters));
        }
        accepted
    }

    /// What it would get if there were everything.
    fn best(&self) -> Option<Coding> {
        // Of equal ones the last, so the order is turned round: the smaller as a rule is to be it.
        let best = Coding::COMPRESSED.into_iter().rev().max_by_key(|coding| self.weight(*coding))?;
        (self.weight(best) >= self.weight(Coding::Identity).max(1)).then_some(best)
    }

    fn weight(&self, coding: Coding) -> u16 {
        match coding {
            // Acceptable unless forbidden, but anything that is asked for by name goes before it.
            Coding::Identity => self.identity.or(self.rest).unwrap_or(1),
            Coding::Gzip => self.gzip.or(self.rest).unwrap_or(0),
            Coding::Brotli => self.brotli.or(self.rest).unwrap_or(0),
        }
    }
}

/// The `q` of a member in thousandths; 1000 if there is none. What is not a number forbids: a client that cannot say
/// what it means gets what every client can read.
fn weight(parameters: &str) -> u16 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(q) = q else { return 1000 };
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let digits = fraction.bytes().take(3).chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits
        .into_iter()
        .try_fold(0_u16, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0')));
    match (whole, thousandths) {
        ("1", Some(_)) => 1000,
        ("0", Some(thousandths)) => thousandths,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use proptest::prelude::*;

    use super::*;
    use crate::{Asked, Epoch, Extra, Group, Head, Render, Routed, Timestamp};

    fn stored() -> StoredResponse {
        let body = |len| Bytes::from(vec![0; len]);
        let compressed = [(Coding::Gzip, 300), (Coding::Brotli, 250)].map(|(coding, len)| Compressed {
            coding,
            body: body(len),
            etag: None,
        });
        StoredResponse {
            head: Head::new(StatusCode::OK, &"".into(), None, std::iter::empty()),
            body: body(2000),
            asked: Asked::never(),
            modified: None,
            render: Render { finished: Timestamp(0).into(), began: Epoch(0), born_stale: false, spread: 0 },
            routed: Routed::default(),
            group: Arc::new(Group::new("/".into())),
            extra: Extra { compressed: Box::new(compressed), ..Extra::default() }.if_any(),
        }
    }

    fn chosen(accept: &str) -> Coding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        choose(&headers, &stored()).representation.coding
    }

    /// What is asked for of a response that has no representation but its own.
    fn missing(accept: &str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        let html = HeaderValue::from_static("text/html");
        let mut plain = stored();
        plain.extra = None;
        plain.head = Head::new(StatusCode::OK, &"".into(), None, [(&CONTENT_TYPE, &html)].into_iter());
        plain.asked = Asked::not_yet(&plain.head, &plain.body);
        let choice = choose(&headers, &plain);
        assert_eq!(choice.representation.coding, Coding::Identity, "there is nothing else");
        if let Some(coding) = choice.missing {
            plain.asked.ask(coding);
            assert_eq!(choose(&headers, &plain).missing, None, "it is asked for once");
        }
        choice.missing
    }

    #[test]
    fn the_client_gets_the_best_that_it_can_read() {
        use Coding::{Brotli, Gzip, Identity};
        let cases = [
            ("gzip, deflate, br", Brotli),
            ("gzip", Gzip),
            ("GZIP;Q=0.5", Gzip),
            ("br;q=0.1, gzip;q=0.9", Gzip),
            ("br;q=0", Identity),
            ("*", Brotli),
            ("*;q=0.2, br;q=0", Gzip),
            ("identity, gzip;q=0.5", Identity),
            ("zstd", Identity),
            ("identity;q=0", Identity),
            ("*;q=0", Identity),
            ("gzip;q=often", Identity),
            ("", Identity),
        ];
        for (accept, expected) in cases {
            assert_eq!(chosen(accept), expected, "Accept-Encoding: {accept}");
            let expected = (expected != Identity).then_some(expected);
            assert_eq!(missing(accept), expected, "what would have been chosen is made: {accept}");
        }
        let silent = choose(&HeaderMap::new(), &stored()).representation.coding;
        assert_eq!(silent, Identity, "who says nothing gets it plain");
    }

    proptest! {
        #[test]
        fn a_coding_that_was_not_offered_is_never_chosen(accept in "[a-z*;=q,. 0-9]{0,60}") {
            let coding = chosen(&accept);
            prop_assert!(coding == Coding::Identity || accept.contains(coding.name()) || accept.contains('*'));
        }
    }
}
