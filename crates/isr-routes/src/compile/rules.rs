//! The rules that a route keeps or breaks by itself, whatever else exists.

pub(super) mod prerender;
mod request;

use std::sync::Arc;

use isr_api::{CacheControl, IsrRoute, IsrRouteSpec, SecretKeyRef};
use isr_cache::{Interval, NoStore, Policy};

use super::duration;
use crate::host;
use crate::path::{PathPattern, Segment};
use crate::preset::Preset;
use crate::report::{Report, Severity};
use crate::route::{Backend, Route};
use crate::token::Tokens;

/// The most hostnames of a route, as in `HTTPRoute`.
const MAX_HOSTNAMES: usize = 16;
/// The most tags of a route, half of what one page may have in all.
const MAX_TAGS: usize = 64;
/// The longest tag in bytes.
const MAX_TAG_BYTES: usize = 256;
/// The longest name of an object, and of a key in a Secret, that Kubernetes takes.
const MAX_NAME_CHARACTERS: usize = 253;
/// The longest name of a language in characters: the longest that RFC 5646 (section 4.4.1) expects.
const MAX_LOCALE_CHARACTERS: usize = 35;

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
    let query = request::query(spec, report);
    let key_headers = request::key_headers(spec, preset, report);
    let tags = tags(spec, report);
    let bypass = request::bypass(spec, report);
    let prerender = prerender::prerender(spec, path.as_ref(), report);
    let default_locale = default_locale(spec, preset, report);
    secrets(spec, report);
    invalidate_on(spec, report);
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
        default_locale,
        tags,
        bypass,
        prerender,
    })
}

fn default_locale(spec: &IsrRouteSpec, preset: &Preset, report: &mut Report) -> Option<String> {
    const FIELD: &str = "spec.defaultLocale";
    let locale = spec.default_locale.as_ref()?;
    let mut parts = locale.split(['-', '_']);
    if !parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        report.invalid(
            FIELD,
            format!("`{locale}` is no language: write one of i18n.locales, such as en or en-US"),
        );
    }
    if locale.len() > MAX_LOCALE_CHARACTERS {
        report
            .invalid(FIELD, format!("is longer than {MAX_LOCALE_CHARACTERS} characters: write en or en-US"));
    }
    if !preset.companions.iter().any(|companion| companion.localised) {
        report.invalid(
            FIELD,
            "says how Next.js names the data of a page: set framework: NextJs too, or remove defaultLocale",
        );
    }
    Some(locale.clone())
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
    object_name(&reference.name, "Service", "spec.backendRef.name", report);
    if !(1..=65535).contains(&reference.port) {
        report.invalid(
            "spec.backendRef.port",
            format!("{} is no port: write a number from 1 to 65535 that the Service lists", reference.port),
        );
    }
    Backend {
        name: format!("{}/{}:{}", report.object.namespace, reference.name, reference.port),
        address: Err("the Service is not resolved".into()),
    }
}

/// Looks at the references themselves; what they lead to is looked at when they are resolved.
fn secrets(spec: &IsrRouteSpec, report: &mut Report) {
    let bypass = spec.bypass_token.as_ref();
    let previous = bypass.and_then(|token| token.previous_secret_key_ref.as_ref());
    let origin = spec.origin_token.as_ref();
    for (field, reference) in [
        ("spec.bypassToken.secretKeyRef", bypass.map(|token| &token.secret_key_ref)),
        ("spec.bypassToken.previousSecretKeyRef", previous),
        ("spec.originToken.secretKeyRef", origin.map(|token| &token.secret_key_ref)),
    ] {
        let Some(SecretKeyRef { name, key }) = reference else { continue };
        object_name(name, "Secret", &format!("{field}.name"), report);
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let field = format!("{field}.key");
        if key.is_empty() {
            report.invalid(field, "is empty: write the key of the Secret that holds the token");
        } else if let Some(wrong) = too_long(key, MAX_NAME_CHARACTERS) {
            report.invalid(field, wrong);
        } else if !key.bytes().all(is_key) {
            report.invalid(
                field,
                format!("`{key}` is not a key of a Secret: write letters, digits, -, _ and ., such as token"),
            );
        }
    }
}

fn invalidate_on(spec: &IsrRouteSpec, report: &mut Report) {
    let Some(on) = &spec.invalidate_on else { return };
    let Some(rollout) = &on.backend_rollout else {
        report.invalid("spec.invalidateOn", "names nothing: write backendRollout: {}, or remove it");
        return;
    };
    if let Err(wrong) = duration::of_rollout(rollout) {
        report.invalid("spec.invalidateOn.backendRollout.over", wrong);
    }
}

/// The name of an object that the route refers to.
fn object_name(name: &str, kind: &str, field: &str, report: &mut Report) {
    if name.is_empty() {
        report.invalid(field, format!("is empty: write the name of a {kind} in this namespace"));
    } else if let Some(wrong) = too_long(name, MAX_NAME_CHARACTERS) {
        report.invalid(field, wrong);
    }
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

pub(super) fn limit<T>(items: &[T], most: usize, field: &str, what: &str, report: &mut Report) {
    if items.len() > most {
        report.invalid(field, format!("lists {} {what}: write {most} at most", items.len()));
    }
}

/// What is wrong with a name that the definition of the resource does not let be this long.
pub(super) fn too_long(name: &str, most: usize) -> Option<String> {
    (name.chars().count() > most).then(|| format!("is longer than {most} characters: write a shorter name"))
}
