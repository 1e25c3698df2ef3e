//! What may be stored: for origin-governed routes RFC 9111 §3 as a shared cache, for ISR routes the list of renders.

use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use crate::Timestamp;
use crate::connection::{HOP_BY_HOP, connection_fields};
use crate::control::{CacheControl, Scope};
use crate::freshness::{is_heuristically_cacheable, lifetime_under};
use crate::validation::has_validator;
use crate::vary::{Vary, vary_names};

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// The request was no GET.
    Method,
    /// The request said `no-store` (RFC 9111 §5.2.1.5).
    RequestNoStore,
    /// The response is a part (206) or says that there is none (416).
    Partial,
    /// The status code answers this one request, or must not be stored by its definition (RFC 6585).
    Status,
    /// `must-understand`, and the status code is unknown (RFC 9111 §5.2.2.3).
    NotUnderstood,
    /// The response says `no-store` (§5.2.2.5).
    NoStore,
    /// The response says `private` (§5.2.2.7).
    Private,
    /// The response sets a cookie. Never stored, though RFC 9111 §7.3 would allow it: a cookie is for one visitor.
    SetCookie,
    /// The request was authorized, and the response does not say that it is for all (§3.5).
    Authorization,
    /// The request had a cookie, and the response says nothing about caching. Not so in RFC 9111, but an application
    /// that greets its visitors by name and never thought of caches must not greet them by each other's.
    Cookie,
    /// `Vary: *` (§4.1).
    VaryStar,
    /// The response varies by `Cookie`: each visitor has another.
    VaryCookie,
    /// The response varies by `Authorization`: the key would hold credentials.
    VaryAuthorization,
    /// `Vary` names more than the key may hold, or is not a list of field names.
    VaryUnusable,
    /// The end of the connection is the end of the body, so that nobody can tell whether all of it came (RFC 9112 §8).
    Unframed,
    /// A 304 confirmed it and named another validator (§4.3.4).
    OtherValidator,
    /// Its body is longer than may be stored.
    TooLong,
    /// It could never be used: neither fresh, nor allowed stale, nor with a validator.
    NoFreshness,
}

impl NotStored {
    /// The reason as a `detail` of `Cache-Status` (RFC 9211 §2.7).
    pub fn detail(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::Partial => "partial",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::SetCookie => "set-cookie",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::VaryStar => "vary-star",
            Self::VaryCookie => "vary-cookie",
            Self::VaryAuthorization => "vary-authorization",
            Self::VaryUnusable => "vary-unusable",
            Self::Unframed => "no-length",
            Self::OtherValidator => "other-validator",
            Self::TooLong => "too-long",
            Self::NoFreshness => "no-freshness",
        }
    }
}

/// How the render of a page on an ISR route ended, by its status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderOutcome {
    /// The response becomes the stored page.
    Success,
    /// The last good page stays.
    Failure,
}

/// Whether a shared cache may store this response to this request (RFC 9111 §3, §3.5).
pub fn may_store(
    request_method: &Method,
    request_headers: &HeaderMap,
    status: StatusCode,
    response_headers: &HeaderMap,
    received_at: Timestamp,
) -> Result<(), NotStored> {
    if request_method != Method::GET {
        return Err(NotStored::Method);
    }
    if CacheControl::from_request(request_headers).no_store {
        return Err(NotStored::RequestNoStore);
    }
    let control = CacheControl::from_response(response_headers);
    storable_status(status)?;
    if control.must_understand && !is_understood(status) {
        return Err(NotStored::NotUnderstood);
    }
    if control.no_store && !control.must_understand {
        return Err(NotStored::NoStore);
    }
    if control.private == Scope::Everything {
        return Err(NotStored::Private);
    }
    if response_headers.contains_key(SET_COOKIE) {
        return Err(NotStored::SetCookie);
    }
    let for_all = control.public || control.s_maxage.is_some() || control.must_revalidate;
    if request_headers.contains_key(AUTHORIZATION) && !for_all {
        return Err(NotStored::Authorization);
    }
    storable_vary(response_headers)?;
    let lifetime = lifetime_under(&control, response_headers, status, received_at);
    let windows = [lifetime.stale_while_revalidate, lifetime.stale_if_error];
    let served = !lifetime.fresh_for.is_zero() || windows.iter().flatten().any(|window| !window.is_zero());
    let shared = control.public || (!lifetime.heuristic && served);
    if request_headers.contains_key(COOKIE) && !shared {
        return Err(NotStored::Cookie);
    }
    // §3 asks for a word about caching, or for a status that needs none.
    let allowed = control.public || !lifetime.heuristic || is_heuristically_cacheable(status);
    if allowed && (served || has_validator(response_headers)) { Ok(()) } else { Err(NotStored::NoFreshness) }
}

/// Removes the header fields that must not be stored with a response (RFC 9111 §3.1): those of the connection, and those
/// named by a qualified `private` or `no-cache`.
pub fn strip_unstorable(headers: &mut HeaderMap) {
    let control = CacheControl::from_response(headers);
    let named = connection_fields(headers);
    let scoped = control.private.fields().iter().chain(control.no_cache.fields());
    for name in named.iter().chain(scoped).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// How a render with this status code ended: the statuses that replace a page are 200, 301, 302, 307, 308, 404 and 410.
pub fn render_outcome(status: StatusCode) -> RenderOutcome {
    match status.as_u16() {
        200 | 301 | 302 | 307 | 308 | 404 | 410 => RenderOutcome::Success,
        _ => RenderOutcome::Failure,
    }
}

fn storable_status(status: StatusCode) -> Result<(), NotStored> {
    match status.as_u16() {
        206 | 416 => Err(NotStored::Partial),
        // Interim, or an answer to the conditions of one request (304, 412), or forbidden by RFC 6585.
        100..=199 | 304 | 412 | 428 | 429 | 431 | 511 => Err(NotStored::Status),
        _ => Ok(()),
    }
}

/// The final status codes of RFC 9110 §15, whose caching requirements hold here.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=411 | 413..=415 | 417 | 421 | 422 | 426 | 500..=505)
}

fn storable_vary(response_headers: &HeaderMap) -> Result<(), NotStored> {
    match vary_names(response_headers) {
        Vary::Any => Err(NotStored::VaryStar),
        Vary::Unusable => Err(NotStored::VaryUnusable),
        Vary::Names(names) if names.contains(&COOKIE) => Err(NotStored::VaryCookie),
        Vary::Names(names) if names.contains(&AUTHORIZATION) => Err(NotStored::VaryAuthorization),
        Vary::None | Vary::Names(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
