//! Freshness and age (RFC 9111 §4.2), and whether a stored response may answer a request (§4, §5.2.1; RFC 5861).

pub(crate) mod date;

use std::time::Duration;

use http::header::{AGE, DATE, EXPIRES, HeaderName, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use crate::control::{CacheControl, Scope, delta_seconds};
use crate::{Mode, RequestFields, Timestamp};

/// The part of the time since the last change that a response without explicit lifetime is fresh: 10 %, the example of
/// RFC 9111 §4.2.2.
const HEURISTIC_PART: u32 = 10;

/// Heuristic freshness ends here, in seconds: nobody who forgot to say should find a page older than a day.
const HEURISTIC_MAX: Duration = Duration::from_hours(24);

/// What a response grants to a shared cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it is fresh, counted in age. Zero when each use needs a validation (`no-cache`).
    pub fresh_for: Duration,
    /// How long after that it is served while it is validated behind the visitor's back (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// How long after that it is served when validation fails (RFC 5861 §4). `None`: nothing was said.
    pub stale_if_error: Option<Duration>,
    /// Beyond these windows it is never served stale, whatever fails and whatever the request allows (§4.2.4).
    pub must_revalidate: bool,
    /// No lifetime was given: `fresh_for` is a guess (§4.2.2), or zero.
    pub heuristic: bool,
}

/// What may be done with a stored response for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Serve it.
    Fresh {
        /// How long it stays fresh.
        ttl: Duration,
    },
    /// Serve it, and validate it behind the visitor's back (RFC 5861 §3).
    StaleWhileRevalidate {
        /// How long it has been stale.
        stale_for: Duration,
    },
    /// Serve it as it is: the request said that this is stale within its `max-stale` (§5.2.1.2).
    Stale {
        /// How long it has been stale.
        stale_for: Duration,
    },
    /// Validate it, or fetch anew, before anything is served.
    MustValidate {
        /// It is fresh: the request demands more than that.
        fresh: bool,
        /// It may be served all the same when the origin does not answer, or answers with a server error.
        stale_if_error: bool,
    },
    /// Fetch anew as if nothing were stored: it was invalidated. Its validators count for nothing either, since a date
    /// in whole seconds cannot tell a page from what it became within the same second.
    Invalid,
    /// Answer 504: the request said `only-if-cached` and may not have this (§5.2.1.7).
    GatewayTimeout,
}

/// How long a response is fresh and may be served stale, for a shared cache (§4.2.1).
pub fn lifetime(response_headers: &HeaderMap, status: StatusCode, received_at: Timestamp) -> Lifetime {
    lifetime_under(&CacheControl::from_response(response_headers), response_headers, status, received_at)
}

/// [`lifetime`], where the directives are known already.
pub fn lifetime_under(
    control: &CacheControl,
    response_headers: &HeaderMap,
    status: StatusCode,
    received_at: Timestamp,
) -> Lifetime {
    let explicit =
        control.s_maxage.or(control.max_age).or_else(|| expires_in(control, response_headers, received_at));
    let guess = || heuristic(control, response_headers, status, received_at);
    let no_cache = control.no_cache == Scope::Everything;
    let forbidden = no_cache || control.must_revalidate || control.proxy_revalidate;
    Lifetime {
        fresh_for: if no_cache { Duration::ZERO } else { explicit.unwrap_or_else(guess) },
        stale_while_revalidate: control.stale_while_revalidate.filter(|_| !forbidden),
        stale_if_error: control.stale_if_error.filter(|_| !forbidden),
        // `s-maxage` implies `proxy-revalidate` (§5.2.2.10), but does not take back a window that is granted beside it:
        // `s-maxage=10, stale-while-revalidate=60` is how applications ask for incremental regeneration.
        must_revalidate: forbidden || control.s_maxage.is_some(),
        heuristic: explicit.is_none(),
    }
}

/// The age of a response as it arrives (§4.2.3): the greater of what its `Date` and what its `Age` tell.
///
/// Of a list in `Age` the first member counts; one that is not a number is ignored (§5.1).
pub fn initial_age(
    response_headers: &HeaderMap,
    requested_at: Timestamp,
    received_at: Timestamp,
) -> Duration {
    // In whole seconds, as dates are: the fraction of a second at which it arrived is not age.
    let apparent =
        date(response_headers, &DATE).map_or(0, |date| received_at.as_secs().saturating_sub(date.as_secs()));
    let told = response_headers.get(AGE).and_then(|age| {
        let first = age.as_bytes().split(|&byte| byte == b',').next()?;
        delta_seconds(first.trim_ascii())
    });
    Duration::from_secs(apparent).max(told.unwrap_or_default() + received_at.since(requested_at))
}

/// The age of a stored response now (§4.2.3).
pub fn current_age(initial_age: Duration, received_at: Timestamp, now: Timestamp) -> Duration {
    initial_age.saturating_add(now.since(received_at))
}

/// Whether a stored response of this age, invalidated so or not at all, may answer a request with these directives (§4,
/// §4.2.4, §4.4, §5.2.1).
pub fn assess(
    age: Duration,
    lifetime: &Lifetime,
    invalidated: Option<Mode>,
    request: &CacheControl,
) -> Reuse {
    // Fresh while the lifetime exceeds the age (§4.2).
    let left = lifetime.fresh_for.saturating_sub(age);
    let ttl = if invalidated.is_none() { left } else { Duration::ZERO };
    let stale_for = age.saturating_sub(lifetime.fresh_for);
    let too_old = request.max_age.is_some_and(|limit| age > limit || limit.is_zero());
    let reuse = if invalidated == Some(Mode::Hard) || too_old || request.no_cache == Scope::Everything {
        None
    } else if ttl.is_zero() {
        stale(stale_for, lifetime, invalidated.is_some(), request)
    } else {
        request.min_fresh.is_none_or(|wanted| ttl >= wanted).then_some(Reuse::Fresh { ttl })
    };
    if let Some(reuse) = reuse {
        reuse
    } else if request.only_if_cached {
        Reuse::GatewayTimeout
    } else if invalidated == Some(Mode::Hard) {
        Reuse::Invalid
    } else {
        // Where nothing is said, a disconnected cache may serve stale (§4.2.4), and a 5xx counts as no answer (§4.3.3).
        let granted = lifetime.stale_if_error.map_or(!lifetime.must_revalidate, |window| stale_for < window);
        Reuse::MustValidate { fresh: !ttl.is_zero(), stale_if_error: !left.is_zero() || granted }
    }
}

/// When a stored response was last changed, for `If-Modified-Since`: `Last-Modified`, else `Date`, else when it arrived
/// (§4.3.2).
pub fn modified_at(response_headers: &HeaderMap, received_at: Timestamp) -> Timestamp {
    date(response_headers, &LAST_MODIFIED).or_else(|| date(response_headers, &DATE)).unwrap_or(received_at)
}

/// Status codes that are cacheable where nothing is said (RFC 9110 §15.1), without 206, which is never stored here.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The date in a field; `None` when it is absent, repeated or not a date.
pub(crate) fn date(headers: &impl RequestFields, name: &HeaderName) -> Option<Timestamp> {
    date::parse(headers.only(name)?.trim_ascii())
}

fn stale(
    stale_for: Duration,
    lifetime: &Lifetime,
    invalidated: bool,
    request: &CacheControl,
) -> Option<Reuse> {
    // What is stale has no freshness left to ask for, and `max-age` alone says no to it (§5.2.1.1).
    if request.min_fresh.is_some() || (request.max_age.is_some() && request.max_stale.is_none()) {
        return None;
    }
    if request.max_stale.is_some_and(|limit| stale_for > limit) {
        return None;
    }
    // Who invalidates softly says that what would be fresh without that may be served once more, unless the origin said
    // that it may not.
    let softly = invalidated && stale_for.is_zero() && !lifetime.must_revalidate;
    if lifetime.stale_while_revalidate.map_or(softly, |window| stale_for < window) {
        return Some(Reuse::StaleWhileRevalidate { stale_for });
    }
    (request.max_stale.is_some() && !lifetime.must_revalidate).then_some(Reuse::Stale { stale_for })
}

fn expires_in(control: &CacheControl, headers: &HeaderMap, received_at: Timestamp) -> Option<Duration> {
    if control.targeted || !headers.contains_key(EXPIRES) {
        return None;
    }
    // What is not one valid date is in the past, "0" above all (§5.3).
    let Some(expires) = date(headers, &EXPIRES) else { return Some(Duration::ZERO) };
    Some(expires.since(date(headers, &DATE).unwrap_or(received_at)))
}

fn heuristic(
    control: &CacheControl,
    headers: &HeaderMap,
    status: StatusCode,
    received_at: Timestamp,
) -> Duration {
    if !control.public && !is_heuristically_cacheable(status) {
        return Duration::ZERO;
    }
    let Some(modified) = date(headers, &LAST_MODIFIED) else { return Duration::ZERO };
    let generated = date(headers, &DATE).unwrap_or(received_at);
    (generated.since(modified) / HEURISTIC_PART).min(HEURISTIC_MAX)
}

#[cfg(test)]
mod tests;
