//! What the answer to a render means for its page.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use http::{Method, StatusCode, Uri};
use isr_cache::storing::{may_store, render_outcome};
use isr_cache::{CacheControl, Interval, NoStore, Outcome, Policy, RenderOutcome, Timestamp, Trigger};
use isr_routes::Route;

/// The meaning of an answer, and why, in a word for `Cache-Status`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) detail: Option<Cow<'static, str>>,
}

impl Judged {
    fn because(outcome: Outcome, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome, detail: Some(detail.into()) }
    }

    /// Whether the application says itself that its answer is older than the question.
    pub(crate) fn is_origin_stale(&self) -> bool {
        self.detail.as_deref() == Some(ORIGIN_STALE)
    }
}

/// Why an answer that the application calls stale is stale.
const ORIGIN_STALE: &str = "origin-stale";

/// A whole answer to a render.
pub(crate) struct Answered<'a> {
    /// The path that was asked for.
    pub(crate) path: &'a str,
    /// The path of the page that it belongs to.
    pub(crate) page: &'a str,
    /// Why it was asked for.
    pub(crate) trigger: Trigger,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The end of the body was told by its framing.
    pub(crate) framed: bool,
    pub(crate) at: Timestamp,
}

/// Judges a whole answer.
pub(crate) fn judge(route: &Route, policy: &Interval, answered: &Answered<'_>) -> Judged {
    let Answered { path, page, trigger, status, headers, body, framed, at } = *answered;
    let is_data = path != page;
    let of_page = if is_data { route.preset.data_status.of_page(status, body) } else { status };
    if render_outcome(of_page) == RenderOutcome::Failure {
        return Judged::because(Outcome::Failed, format!("status-{}", of_page.as_u16()));
    }
    let no_store = CacheControl::from_response(headers).no_store;
    let companion = is_data && route.preset.companions_always_no_store;
    if no_store && policy.no_store == NoStore::Honor && !companion {
        return Judged::because(Outcome::OptedOut, "no-store");
    }
    if route.policy == Policy::Origin
        && let Err(why) = may_store(&Method::GET, &HeaderMap::new(), status, headers, at)
    {
        return Judged::because(Outcome::Unstorable, why.detail());
    }
    if !framed {
        return Judged::because(Outcome::Unstorable, "no-length");
    }
    // A server of another build does not know this one's data, and says so with a page of its own or, behind its middleware,
    // with an empty object. That a page is not there is said otherwise.
    let is_of_no_page = || has_media_type(headers, "text/html") || body.trim_ascii() == b"{}";
    if is_data && status == StatusCode::NOT_FOUND && route.preset.is_of_a_build(path) && is_of_no_page() {
        return Judged::because(Outcome::Unstorable, "other-build");
    }
    if let Some(field) = route.vary_beyond_key(headers) {
        return Judged::because(Outcome::Unstorable, format!("vary-{}", field.to_ascii_lowercase()));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Judged::because(Outcome::Unstorable, "content-encoding");
    }
    if status.is_redirection() && leads_back(headers, path) {
        return Judged::because(Outcome::Unstorable, "redirect-to-itself");
    }
    if let Some(cache) = &route.preset.own_cache {
        let says = |value: &str| {
            headers
                .get(cache.header)
                .is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
        };
        if says(cache.stale) {
            return Judged::because(Outcome::AlreadyStale, ORIGIN_STALE);
        }
        // Who asks for a render now is not told that a copy is one.
        if trigger == Trigger::OnDemand && says(cache.hit) {
            return Judged::because(Outcome::AlreadyStale, "origin-copy");
        }
    }
    Judged { outcome: Outcome::Rendered, detail: None }
}

fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(media_type))
}

/// Whether a redirect leads to the path it answers. Origins send such redirects by what the key does not hold (the
/// scheme, a cache-busting parameter); stored, they would send every visitor in circles.
fn leads_back(headers: &HeaderMap, path: &str) -> bool {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    location.and_then(|location| location.parse::<Uri>().ok()).is_some_and(|location| location.path() == path)
}

#[cfg(test)]
mod tests;
