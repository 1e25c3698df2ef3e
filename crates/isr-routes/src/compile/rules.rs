//! The rules that a route keeps or breaks by itself, whatever else exists.

use std::sync::Arc;

use http::HeaderName;
use isr_api::{CacheControl, IsrRoute, IsrRouteSpec};
use isr_cache::{Interval, NoStore, Policy};

use super::duration;
use crate::host;
use crate::key::{KeyHeader, QueryRule, may_tell_pages_apart};
use crate::path::{PathPattern, Segment};
use crate::preset::Preset;
use crate::report::{Report, Severity};
use crate::route::{Backend, BypassRule, Route};
use crate::token::Tokens;

/// The most hostnames of a route, as in `HTTPRoute`.
pub(super) const MAX_HOSTNAMES: usize = 16;
/// The most query parameters that a route may allow: each multiplies its pages.
pub(super) const MAX_QUERY_NAMES: usize = 32;
/// The most headers in `varyBy`: each multiplies its pages.
pub(super) const MAX_VARY_HEADERS: usize = 8;
/// The most bypass rules: each is looked for on every request.
pub(super) const MAX_BYPASS_RULES: usize = 16;
/// The most tags of a route, half of what one page may have in all.
pub(super) const MAX_TAGS: usize = 64;
/// The longest tag in bytes.
const MAX_TAG_BYTES: usize = 256;

/// The route that the fields describe, not yet resolved; `None` when the report says why there is none.
///
/// Every field is read even after a bad one, so that one report says everything.
pub(super) fn route(resource: &IsrRoute, report: &mut Report) -> Option<Route> {
    let spec = &resource.spec;
    let preset = Preset::of(spec.framework);
    let hostnames = hostnames(spec, report);
    let path = path(spec, report);
    let policy = policy(spec, report);
    let backend = backend(spec, report);
    let query = query(spec, report);
    let key_headers = key_headers(spec, preset, report);
    let tags = tags(spec, report);
    let bypass = bypass(spec, report);
    if preset.own_cache.is_some() && spec.bypass_token.is_some() && spec.origin_token.is_none() {
        report.warn(
            "spec.originToken",
            format!(
                "is absent, so that {} answers a revalidation on demand from a cache of its own and it fails: give the Secret with its previewModeId",
                preset.name
            ),
        );
    }
    if report.problems.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    Some(Route {
        id: format!("{}/{}", report.object.namespace, report.object.name).into(),
        hostnames,
        path: path?,
        policy: policy?,
        backend: Arc::new(backend),
        tokens: Tokens::default(),
        origin_token: None,
        query,
        key_headers,
        preset,
        tags,
        bypass,
    })
}

fn hostnames(spec: &IsrRouteSpec, report: &mut Report) -> Vec<String> {
    if spec.hostnames.is_empty() {
        report.invalid("spec.hostnames", "names no host: write hostnames: [shop.example.com]");
    }
    limit(&spec.hostnames, MAX_HOSTNAMES, "spec.hostnames", "hostnames", report);
    let mut hostnames: Vec<String> = Vec::with_capacity(spec.hostnames.len());
    for (place, hostname) in spec.hostnames.iter().enumerate() {
        let field = format!("spec.hostnames[{place}]");
        if let Err(wrong) = host::check_hostname(hostname) {
            report.invalid(field, wrong);
        } else if hostnames.contains(hostname) {
            report.invalid(field, format!("names `{hostname}` a second time: remove it"));
        } else {
            hostnames.push(hostname.clone());
        }
    }
    hostnames
}

fn path(spec: &IsrRouteSpec, report: &mut Report) -> Option<PathPattern> {
    let path = match PathPattern::parse(&spec.path) {
        Ok(path) => path,
        Err(wrong) => {
            report.invalid("spec.path", wrong);
            return None;
        }
    };
    for segment in &path.segments {
        if let Segment::Literal(literal) = segment
            && let Some(name) = literal.strip_prefix(':')
        {
            let message =
                format!("matches the text `:{name}` literally: write [{name}] if any segment is meant");
            report.warn("spec.path", message);
        }
    }
    Some(path)
}

fn policy(spec: &IsrRouteSpec, report: &mut Report) -> Option<Policy> {
    let stale_for = spec.stale_for.as_ref().map(|text| duration::parse(&text.0));
    if let Some(Err(wrong)) = &stale_for {
        report.invalid("spec.staleFor", wrong.as_str());
    }
    let Some(interval) = &spec.interval else {
        if spec.stale_for.is_some() {
            report.invalid(
                "spec.staleFor",
                "limits the stale pages of an interval, but there is none: write an interval such as 10s, or remove staleFor",
            );
        }
        if spec.cache_control.is_some() {
            report.invalid(
                "spec.cacheControl",
                "says what no-store means on a route with an interval, but there is none: write an interval such as 10s, or remove cacheControl",
            );
        }
        return Some(Policy::Origin);
    };
    let every = match interval.0.as_str() {
        "Never" => None,
        text if text.eq_ignore_ascii_case("never") => {
            report.invalid("spec.interval", format!("`{text}` is not a duration: write Never"));
            return None;
        }
        text => match duration::parse(text) {
            Ok(every) => Some(every),
            Err(wrong) => {
                report.invalid("spec.interval", format!("{wrong}, or Never"));
                return None;
            }
        },
    };
    let no_store = match spec.cache_control {
        None | Some(CacheControl::HonorNoStore) => NoStore::Honor,
        Some(CacheControl::Override) => NoStore::Override,
    };
    Some(Policy::Interval(Interval { every, stale_for: stale_for.and_then(Result::ok), no_store }))
}

fn backend(spec: &IsrRouteSpec, report: &mut Report) -> Backend {
    let reference = &spec.backend_ref;
    if reference.name.is_empty() {
        report.invalid("spec.backendRef.name", "is empty: write the name of a Service in this namespace");
    }
    if !(1..=65535).contains(&reference.port) {
        report.invalid(
            "spec.backendRef.port",
            format!("{} is no port: write a number from 1 to 65535 that the Service lists", reference.port),
        );
    }
    Backend {
        name: format!("{}/{}:{}", report.object.namespace, reference.name, reference.port),
        address: Err("The Service is not resolved.".into()),
    }
}

fn query(spec: &IsrRouteSpec, report: &mut Report) -> QueryRule {
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
        }
    }
    QueryRule::Names(allow.to_vec())
}

fn key_headers(spec: &IsrRouteSpec, preset: &Preset, report: &mut Report) -> Vec<KeyHeader> {
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
        if !may_tell_pages_apart(name.as_str()) {
            let message = match name.as_str() {
                "cookie" | "authorization" | "proxy-authorization" => format!(
                    "{text} tells visitors apart, and a page of this route is the same for all: name the cookie or header in spec.bypass, or leave such pages to a path without a route"
                ),
                _ => format!("{text} is handled by kube-isr itself: remove it"),
            };
            report.invalid(field, message);
        } else if vary_by.contains(&name) || preset.key_headers.iter().any(|known| name == known.name) {
            report.warn(field, format!("{text} is keyed already: remove it"));
        } else {
            vary_by.push(name);
        }
    }
    KeyHeader::of_route(preset, vary_by)
}

fn tags(spec: &IsrRouteSpec, report: &mut Report) -> Vec<String> {
    limit(&spec.tags, MAX_TAGS, "spec.tags", "tags", report);
    for (place, tag) in spec.tags.iter().enumerate() {
        if spec.tags[..place].contains(tag) {
            report.invalid(format!("spec.tags[{place}]"), format!("names `{tag}` a second time: remove it"));
        }
        let is_tag = (1..=MAX_TAG_BYTES).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if !is_tag {
            report.invalid(
                format!("spec.tags[{place}]"),
                format!("`{tag}` is not a tag: write 1 to {MAX_TAG_BYTES} printable ASCII characters without spaces and commas, such as blog"),
            );
        }
    }
    spec.tags.clone()
}

fn bypass(spec: &IsrRouteSpec, report: &mut Report) -> Vec<BypassRule> {
    limit(&spec.bypass, MAX_BYPASS_RULES, "spec.bypass", "rules", report);
    let mut rules = Vec::with_capacity(spec.bypass.len());
    for (place, rule) in spec.bypass.iter().enumerate() {
        let field = format!("spec.bypass[{place}]");
        // A cookie's name is a token, as a header's is (RFC 6265 §4.1.1).
        let is_token = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
        match (&rule.cookie, &rule.header) {
            (Some(cookie), None) if is_token(cookie) => rules.push(BypassRule::Cookie(cookie.clone())),
            (Some(cookie), None) => report.invalid(
                format!("{field}.cookie"),
                format!("`{cookie}` is not a cookie name: write a name such as session"),
            ),
            (None, Some(header)) => match HeaderName::from_bytes(header.as_bytes()) {
                Ok(name) => rules.push(BypassRule::Header(name)),
                Err(_) => report.invalid(
                    format!("{field}.header"),
                    format!("`{header}` is not a header name: write a name such as X-Preview"),
                ),
            },
            (None, None) | (Some(_), Some(_)) => report.invalid(
                field,
                "must name either a cookie or a header: write cookie: session, or header: X-Preview",
            ),
        }
    }
    rules
}

fn limit<T>(items: &[T], most: usize, field: &str, what: &str, report: &mut Report) {
    if items.len() > most {
        report.invalid(field, format!("lists {} {what}: write {most} at most", items.len()));
    }
}
