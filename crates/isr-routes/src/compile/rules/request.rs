//! The rules about what of a request counts: the query and headers that tell pages apart, and what keeps it from the cache.

use http::HeaderName;
use isr_api::IsrRouteSpec;

use super::{limit, too_long};
use crate::key_header::{KeyHeader, may_tell_pages_apart};
use crate::preset::Preset;
use crate::report::Report;
use crate::route::{BypassRule, QueryRule};

/// The most query parameters that a route may allow: each multiplies its pages.
const MAX_QUERY_NAMES: usize = 32;
/// The most headers in `varyBy`: each multiplies its pages.
const MAX_VARY_HEADERS: usize = 8;
/// The most bypass rules: each is looked for on every request.
const MAX_BYPASS_RULES: usize = 16;
/// The longest name of a query parameter: it is part of every key that has it.
const MAX_QUERY_NAME_CHARACTERS: usize = 128;
/// The longest name of a header, beyond any that is in use.
const MAX_HEADER_NAME_CHARACTERS: usize = 64;
/// The longest name of a cookie, beyond those that frameworks choose.
const MAX_COOKIE_NAME_CHARACTERS: usize = 128;

pub(super) fn query(spec: &IsrRouteSpec, report: &mut Report) -> QueryRule {
    let allow = spec.query.as_ref().map_or(&[][..], |query| &query.allow);
    limit(allow, MAX_QUERY_NAMES, "spec.query.allow", "parameters", report);
    if allow == ["*"] {
        return QueryRule::All;
    }
    for (place, name) in allow.iter().enumerate() {
        let field = format!("spec.query.allow[{place}]");
        if name.is_empty() {
            report.invalid(field, "is empty: write the name of a query parameter, such as page");
        } else if name == "*" {
            let message =
                "* already allows every parameter: write [\"*\"] alone, or name the parameters without *";
            report.invalid(field, message);
        } else if allow[..place].contains(name) {
            report.invalid(field, format!("names `{name}` a second time: remove it"));
        } else if name.contains(['&', '=', '?']) {
            report.invalid(field, format!("`{name}` is not a name: write the name alone, such as page"));
        } else if let Some(wrong) = too_long(name, MAX_QUERY_NAME_CHARACTERS) {
            report.invalid(field, wrong);
        }
    }
    QueryRule::Names(allow.to_vec())
}

pub(super) fn key_headers(spec: &IsrRouteSpec, preset: &Preset, report: &mut Report) -> Vec<KeyHeader> {
    let named = spec.vary_by.as_ref().map_or(&[][..], |vary_by| &vary_by.headers);
    limit(named, MAX_VARY_HEADERS, "spec.varyBy.headers", "headers", report);
    let mut vary_by: Vec<HeaderName> = Vec::with_capacity(named.len());
    for (place, text) in named.iter().enumerate() {
        let field = format!("spec.varyBy.headers[{place}]");
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            report.invalid(
                field,
                format!("`{text}` is not a header name: write a name such as Accept-Language"),
            );
            continue;
        };
        if let Some(wrong) = too_long(text, MAX_HEADER_NAME_CHARACTERS) {
            report.invalid(field, wrong);
            continue;
        }
        if !may_tell_pages_apart(name.as_str()) {
            let message = match name.as_str() {
                "cookie" | "authorization" | "proxy-authorization" => format!(
                    "{text} tells visitors apart, and a page of this route is the same for all: name the cookie or header in spec.bypass, or leave such pages to a path without a route"
                ),
                _ => format!("{text} is handled by kube-isr itself: remove it"),
            };
            report.invalid(field, message);
        } else if named[..place].contains(text) {
            report.invalid(field, format!("names `{text}` a second time: remove it"));
        } else if vary_by.contains(&name) || preset.key_headers.iter().any(|known| name == known.name) {
            report.warn(field, format!("{text} is keyed already: remove it"));
        } else {
            vary_by.push(name);
        }
    }
    preset.key_headers_and(vary_by)
}

pub(super) fn bypass(spec: &IsrRouteSpec, report: &mut Report) -> Vec<BypassRule> {
    limit(&spec.bypass, MAX_BYPASS_RULES, "spec.bypass", "rules", report);
    let mut rules = Vec::with_capacity(spec.bypass.len());
    for (place, rule) in spec.bypass.iter().enumerate() {
        let field = format!("spec.bypass[{place}]");
        let read = match (&rule.cookie, &rule.header) {
            (Some(cookie), None) => cookie_rule(cookie).map_err(|wrong| (format!("{field}.cookie"), wrong)),
            (None, Some(header)) => header_rule(header).map_err(|wrong| (format!("{field}.header"), wrong)),
            (None, None) | (Some(_), Some(_)) => {
                let wrong =
                    "must name either a cookie or a header: write cookie: session, or header: X-Preview";
                Err((field, wrong.to_owned()))
            }
        };
        match read {
            Ok(rule) => rules.push(rule),
            Err((field, wrong)) => report.invalid(field, wrong),
        }
    }
    rules
}

fn cookie_rule(cookie: &str) -> Result<BypassRule, String> {
    // A cookie's name is a token, as a header's is (RFC 6265 §4.1.1).
    if HeaderName::from_bytes(cookie.as_bytes()).is_err() {
        return Err(format!("`{cookie}` is not a cookie name: write a name such as session"));
    }
    match too_long(cookie, MAX_COOKIE_NAME_CHARACTERS) {
        Some(wrong) => Err(wrong),
        None => Ok(BypassRule::Cookie(cookie.to_owned())),
    }
}

fn header_rule(header: &str) -> Result<BypassRule, String> {
    let Ok(name) = HeaderName::from_bytes(header.as_bytes()) else {
        return Err(format!("`{header}` is not a header name: write a name such as X-Preview"));
    };
    match too_long(header, MAX_HEADER_NAME_CHARACTERS) {
        Some(wrong) => Err(wrong),
        None => Ok(BypassRule::Header(name)),
    }
}
