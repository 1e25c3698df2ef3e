//! What the answer to a render means for its page.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, HeaderMap, LOCATION};
use http::{Method, StatusCode, Uri};
use isr_cache::storing::{may_store, render_outcome};
use isr_cache::{CacheControl, Interval, NoStore, Outcome, Policy, RenderOutcome, Timestamp};
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
}

/// Judges an answer with a whole body. `path` is what was asked for, `page` the page it belongs to.
pub(crate) fn judge(
    route: &Route,
    policy: &Interval,
    path: &str,
    page: &str,
    status: StatusCode,
    headers: &HeaderMap,
    now: Timestamp,
) -> Judged {
    if render_outcome(status) == RenderOutcome::Failure {
        return Judged::because(Outcome::Failed, format!("status-{}", status.as_u16()));
    }
    let no_store = CacheControl::from_response(headers).no_store;
    let companion = path != page && route.preset.companions_always_no_store;
    if no_store && policy.no_store == NoStore::Honor && !companion {
        return Judged::because(Outcome::OptedOut, "no-store");
    }
    if route.policy == Policy::Origin
        && let Err(why) = may_store(&Method::GET, &HeaderMap::new(), status, headers, now)
    {
        return Judged::because(Outcome::Unstorable, why.detail());
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
    if let Some((name, value)) = route.preset.stale_marker
        && headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    {
        return Judged::because(Outcome::AlreadyStale, "origin-stale");
    }
    Judged { outcome: Outcome::Rendered, detail: None }
}

/// Whether a redirect leads to the path it answers. Origins send such redirects by what the key does not hold (the
/// scheme, a cache-busting parameter); stored, they would send every visitor in circles.
fn leads_back(headers: &HeaderMap, path: &str) -> bool {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    location.and_then(|location| location.parse::<Uri>().ok()).is_some_and(|location| location.path() == path)
}

#[cfg(test)]
mod tests;
