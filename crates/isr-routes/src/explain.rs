//! Why a URL is answered the way it is.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use isr_api::IsrRoute;
use isr_cache::{NoStore, Policy};
use thiserror::Error;

use crate::bad_target::BadTarget;
use crate::compile::Compiled;
use crate::host;
use crate::key::{RenderTarget, describe_key};
use crate::path::PathPattern;
use crate::report::{ObjectRef, Report, Severity};
use crate::route::{Backend, Route};
use crate::table::{Found, HostRoutes};
use crate::target::Target;

/// What happens to a request, and what else might have been meant to happen.
#[derive(Debug)]
pub struct Explanation {
    /// The host in normal form.
    pub host: String,
    /// The path in normal form.
    pub path: String,
    /// What happens.
    pub answer: Answer,
    /// Routes that name the host and match the path, but do not answer.
    pub others: Vec<Other>,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Answer {
    /// A route answers from the cache.
    Page(Box<Page>),
    /// The request is passed through to a backend, uncached.
    Pass {
        /// The backend.
        backend: Arc<Backend>,
        /// Why it is passed through: a phrase.
        why: String,
    },
    /// 404: no route matches, and the host has several backends.
    NoRoute {
        /// The hostname whose routes were asked.
        hostname: String,
        /// The paths that it has routes for.
        paths: Vec<String>,
    },
    /// 421: no route names the host.
    UnknownHost {
        /// The hostnames that routes name, sorted.
        hostnames: Vec<String>,
    },
}

/// A page of a route.
#[derive(Debug)]
pub struct Page {
    /// The route that answers.
    pub route: Arc<Route>,
    /// The path of the page; differs from the request's path for a data companion.
    pub path: String,
    /// The key in words.
    pub key: String,
    /// The group that the page is renewed with.
    pub group: String,
    /// What the origin is asked.
    pub render: RenderTarget,
    /// Why this request goes past the cache all the same: a phrase, if it does.
    pub bypass: Option<String>,
}

/// A route that might have answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Other {
    /// The route.
    pub object: ObjectRef,
    /// Its path, as written.
    pub path: String,
    /// Why it does not answer: a phrase.
    pub why: String,
}

/// Why there is nothing to explain.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// The text is no URL.
    #[error("`{0}` is not a URL: write one such as http://shop.example.com/blog-posts/1")]
    Url(String),
    /// A line is no header field.
    #[error("`{0}` is not a header: write its name, a colon and its value, such as 'RSC: 1'")]
    Header(String),
    /// The proxy answers such a request with 400.
    #[error("the proxy answers this with 400: {0}")]
    Target(#[from] BadTarget),
}

/// Explains a GET of a URL (with or without `http://`) that carries these header lines (`Name: value`). `routes` are
/// those that `compiled` was made of.
pub fn explain(
    routes: &[IsrRoute],
    compiled: &Compiled,
    url: &str,
    header_lines: &[String],
) -> Result<Explanation, BadRequest> {
    let uri = read_url(url).ok_or_else(|| BadRequest::Url(url.to_owned()))?;
    let headers = &read_headers(header_lines)?;
    let target = Target::parse("", &uri)?;
    let table = &compiled.table;
    let answer = match table.find(&target.host, &target.path) {
        Found::Route { route, page } => {
            let mut key = Vec::new();
            route.write_key(&target, headers, &mut key);
            Answer::Page(Box::new(Page {
                key: describe_key(&key),
                group: route.group(&target.host, &page),
                render: route.render_target(&target, headers),
                bypass: why_bypassed(route, headers),
                path: page.into_owned(),
                route: route.clone(),
            }))
        }
        Found::Pass(backend) => Answer::Pass { why: why_passed(compiled, &target), backend: backend.clone() },
        Found::NoRoute(host) => Answer::NoRoute {
            hostname: host.hostname().to_owned(),
            paths: host.routes().map(|route| route.path.to_string()).collect(),
        },
        Found::UnknownHost => {
            let mut hostnames: Vec<String> =
                table.routes().flat_map(|route| route.hostnames.iter().cloned()).collect();
            hostnames.sort();
            hostnames.dedup();
            Answer::UnknownHost { hostnames }
        }
    };
    let others = others(routes, &compiled.reports, &answer, &target);
    Ok(Explanation { host: target.host.into_owned(), path: target.path.into_owned(), answer, others })
}

/// A policy in words.
pub fn describe_policy(policy: &Policy) -> String {
    let Policy::Interval(interval) = policy else {
        return "the origin's Cache-Control decides".into();
    };
    let mut words = match interval.every {
        Some(every) => format!("rendered again when older than {}", describe_duration(every)),
        None => "kept until it is renewed on demand".into(),
    };
    match interval.stale_for {
        Some(limit) => words.extend([", served stale for at most ", &describe_duration(limit)]),
        None => words.push_str(", served stale for as long as it takes"),
    }
    words.push_str(match interval.no_store {
        NoStore::Honor => "; no-store opts a page out",
        NoStore::Override => "; stored even if the origin says no-store",
    });
    words
}

fn describe_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let parts = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")].map(|(unit, name)| {
        let count = rest / unit;
        rest %= unit;
        if count > 0 { format!("{count}{name}") } else { String::new() }
    });
    parts.concat()
}

fn read_url(url: &str) -> Option<Uri> {
    let absolute = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    absolute.parse().ok()
}

fn read_headers(lines: &[String]) -> Result<HeaderMap, BadRequest> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let bad = || BadRequest::Header(line.clone());
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| bad())?);
    }
    Ok(headers)
}

fn why_bypassed(route: &Route, headers: &HeaderMap) -> Option<String> {
    if route.is_draft(headers) {
        return Some("its draft cookie equals a token of the route".into());
    }
    route.bypasses(headers).then(|| "it carries a cookie or header that spec.bypass names".into())
}

fn why_passed(compiled: &Compiled, target: &Target<'_>) -> String {
    let routes = || compiled.table.hosts_for(&target.host).flat_map(HostRoutes::routes);
    match routes().find(|route| route.preset.is_untouched(&target.path)) {
        Some(route) => format!("{} answers such paths with caching rules of its own", route.preset.name),
        None => "no route matches the path, and all routes of the host name this backend".into(),
    }
}

fn others(routes: &[IsrRoute], reports: &[Report], answer: &Answer, target: &Target<'_>) -> Vec<Other> {
    let (winner, page) = match answer {
        Answer::Page(page) => (Some(&page.route), page.path.as_str()),
        _ => (None, &*target.path),
    };
    let mut others = Vec::new();
    for (resource, report) in routes.iter().zip(reports) {
        let id = format!("{}/{}", report.object.namespace, report.object.name);
        let covering = resource.spec.hostnames.iter().position(|name| host::covers(name, &target.host));
        let (Some(place), Ok(pattern)) = (covering, PathPattern::parse(&resource.spec.path)) else {
            continue;
        };
        let is_winner = winner.is_some_and(|winner| *winner.id == *id);
        if is_winner || !(pattern.matches(page) || pattern.matches(&target.path)) {
            continue;
        }
        let hostname = &resource.spec.hostnames[place];
        let field = format!("spec.hostnames[{place}]");
        let lost = report.problems.iter().find(|problem| problem.field == field);
        let error = report.problems.iter().find(|problem| problem.severity == Severity::Error);
        let rejected = lost.or_else(|| error.filter(|_| !report.accepted));
        let why = match (rejected, winner) {
            (Some(problem), _) => format!("not in force: {}: {}", problem.field, problem.message),
            (None, Some(winner)) => why_lost(hostname, &pattern, winner, target),
            (None, None) => format!("{hostname} and {} belong to different namespaces", target.host),
        };
        others.push(Other { object: report.object.clone(), path: pattern.to_string(), why });
    }
    others
}

/// Why a route in force that matches as well does not answer.
fn why_lost(hostname: &str, pattern: &PathPattern, winner: &Route, target: &Target<'_>) -> String {
    let winning =
        winner.hostnames.iter().filter(|name| host::covers(name, &target.host)).max_by_key(|name| name.len());
    match winning {
        Some(winning) if hostname.starts_with('*') && winning != hostname => {
            format!("its hostname {hostname} is wider than {winning}")
        }
        _ if pattern.rank() > winner.path.rank() => {
            format!("its path is less specific than {}: literal before [param] before catch-all", winner.path)
        }
        _ => format!("{} answers the data requests of its own pages", winner.preset.name),
    }
}

#[cfg(test)]
mod tests;
