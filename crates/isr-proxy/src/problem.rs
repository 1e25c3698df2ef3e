//! Answers of our own: problem details (RFC 9457) with sentences that say what to do.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::body::Body;

/// The short status field.
pub(crate) const X_ISR_CACHE: HeaderName = HeaderName::from_static("x-isr-cache");

/// A phrase as a sentence: a capital, and one full stop, whether or not the phrase brings one. What systems and libraries
/// say of their failures may.
pub(crate) fn sentence(phrase: &str) -> String {
    let mut characters = phrase.trim_end_matches('.').chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

/// An answer that kube-isr gives in its own name.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// What is the matter, the same every time.
    pub(crate) title: &'static str,
    /// What is the matter this time, and what to do.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into() }
    }

    /// As a response that nobody stores.
    pub(crate) fn into_response(self) -> Response<Body> {
        let document = json!({ "title": self.title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = Response::new(Body::whole(Bytes::from(format!("{document:#}\n"))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_ISR_CACHE, HeaderValue::from_static("ERROR"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_sentence_ends_in_one_full_stop() {
        for (phrase, expected) in [
            ("the path holds a backslash: write slashes", "The path holds a backslash: write slashes."),
            ("Service shop/web does not exist.", "Service shop/web does not exist."),
            ("`a` is no host: nobody knows why...", "`a` is no host: nobody knows why."),
            ("écoutez", "écoutez."),
        ] {
            assert_eq!(sentence(phrase), expected);
        }
    }
}
