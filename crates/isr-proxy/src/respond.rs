//! The life of a request, from top to bottom.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use isr_cache::{CacheStatus, Forward, Handling, Policy, XIsrCache};
use isr_routes::{Backend, Found, HostRoutes, Route, Target};

use crate::answer::{Label, Past};
use crate::body::{Body, BoxError};
use crate::fields::is_upgrade;
use crate::origin::REVALIDATE;
use crate::problem::{Problem, sentence};
use crate::state::{Proxy, Visitor};
use crate::{interval, invalidate, log, on_demand, origin_governed, pass};

/// Routes named in a 404, at most: an explanation, not a catalogue.
const ROUTES_NAMED: usize = 10;

/// Answers a request.
pub(crate) async fn respond<B>(proxy: Arc<Proxy>, visitor: Visitor, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let access = proxy.config.access_log.then(|| log::Access::begin(&visitor, &request));
    let response = match route(&proxy, &visitor, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    if let Some(access) = access {
        access.end(&response);
    }
    response
}

/// Finds the route and leaves the rest to what kind of answer it is.
///
/// Whatever is not a hit is boxed: the future of a request is moved several times on its way through hyper, and a hit
/// should not carry the room that passing a request through would take.
async fn route<B>(
    proxy: &Arc<Proxy>,
    visitor: &Visitor,
    request: Request<B>,
) -> Result<Response<Body>, Problem>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    // One reference for the whole request: a reload changes nothing for who is already here.
    let active = proxy.active.load_full();
    let (head, body) = request.map(Body::stream).into_parts();
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "Not Implemented",
            format!("{} is not passed to applications.", head.method),
        ));
    }
    // By reference count: the target outlives the head, which is passed on.
    let (host, uri) = (host(&head)?, head.uri.clone());
    let authority = match (uri.authority(), host.as_ref()) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => {
            host.to_str().map_err(|_| bad("The Host field holds bytes that no hostname has."))?
        }
        (None, None) => {
            return Err(bad("The request has no Host field. Send one: it says which route answers."));
        }
    };
    let target = Target::parse(authority, &uri).map_err(|refused| bad(&sentence(&refused.to_string())))?;

    if head.method == Method::POST && target.path == invalidate::PUBLIC_PATH {
        let listener = invalidate::Listener::Public(&target.host);
        return Box::pin(invalidate::respond(proxy, &active, &listener, &head.headers, body)).await;
    }

    let (route, page) = match active.table.find(&target.host, &target.path) {
        Found::Route { route, page } => (route, page),
        Found::Pass(backend) => {
            active.count_unrouted(XIsrCache::Bypass);
            if head.headers.contains_key(&REVALIDATE) {
                return Err(on_demand::unauthorized(
                    "No IsrRoute answers this path, so nothing of it is cached.",
                ));
            }
            let request = Request::from_parts(head, body);
            return Box::pin(unmatched(proxy, visitor, backend, &target, request)).await;
        }
        Found::NoRoute(host) => {
            active.count_unrouted(XIsrCache::Error);
            return Err(no_route(host, &target));
        }
        Found::UnknownHost => {
            active.count_unrouted(XIsrCache::Error);
            return Err(unknown_host(&target));
        }
    };

    let readable = matches!(head.method, Method::GET | Method::HEAD);
    if readable && head.headers.contains_key(&REVALIDATE) {
        let response = Box::pin(on_demand::revalidate(proxy, route, &target, &page, &head)).await;
        active.count(route, if response.is_ok() { XIsrCache::Revalidated } else { XIsrCache::Error });
        return response;
    }
    if let Some((reason, detail)) = bypass(route, &head, readable, body.is_end_stream()) {
        active.count(route, XIsrCache::Bypass);
        let past = Past { reason, detail };
        let request = Request::from_parts(head, body);
        return Box::pin(pass_by(proxy, visitor, route, &target, request, &past)).await;
    }
    match &route.policy {
        Policy::Interval(policy) => {
            let request = interval::Request { route, policy, target: &target, page: &page, head: &head };
            match interval::respond(proxy, &request).await {
                interval::Response::Answer(response, cache) => {
                    active.count(route, cache);
                    Ok(response)
                }
                interval::Response::Problem(problem) => {
                    active.count(route, XIsrCache::Error);
                    Err(problem)
                }
                interval::Response::Pass(past) => {
                    active.count(route, XIsrCache::Bypass);
                    let request = Request::from_parts(head, body);
                    Box::pin(pass_by(proxy, visitor, route, &target, request, &past)).await
                }
            }
        }
        Policy::Origin => {
            let context = origin_governed::Context { proxy, visitor, route, target: &target };
            let request = Request::from_parts(head, body);
            let (response, cache) = Box::pin(origin_governed::respond(context, request)).await;
            active.count(route, cache);
            response
        }
    }
}

fn no_route(host: &HostRoutes, target: &Target<'_>) -> Problem {
    let known: Vec<String> = host
        .routes()
        .take(ROUTES_NAMED)
        .map(|route| format!("{} ({}, to {})", route.path, route.id, route.backend.name))
        .collect();
    let detail = format!(
        "No IsrRoute answers {} on {}, whose routes name several backends: {}. Add an IsrRoute for this path.",
        target.path,
        target.host,
        known.join(", ")
    );
    Problem::new(StatusCode::NOT_FOUND, "No Route", detail)
}

fn unknown_host(target: &Target<'_>) -> Problem {
    let detail = format!("No IsrRoute has the hostname {}. Add it to spec.hostnames of one.", target.host);
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "Unknown Host", detail)
}

fn bypass(
    route: &Route,
    head: &Parts,
    readable: bool,
    without_body: bool,
) -> Option<(Forward, Cow<'static, str>)> {
    let headers = &head.headers;
    if !readable {
        // On routes that the origin governs these may invalidate what is stored.
        return match route.policy {
            Policy::Interval(_) => Some((Forward::Method, "method".into())),
            Policy::Origin => None,
        };
    }
    // A GET with a body means what its origin likes it to mean; nothing about it can be shared.
    if !without_body {
        return Some((Forward::Bypass, "request-body".into()));
    }
    if is_upgrade(headers) {
        return Some((Forward::Bypass, "upgrade".into()));
    }
    if route.is_draft(headers) {
        return Some((Forward::Bypass, "draft".into()));
    }
    route.bypasses(headers).then(|| (Forward::Bypass, "bypass-rule".into()))
}

/// Passes a request of a route through, past the cache.
pub(crate) async fn pass_by(
    proxy: &Arc<Proxy>,
    visitor: &Visitor,
    route: &Route,
    target: &Target<'_>,
    request: Request<Body>,
    past: &Past,
) -> Result<Response<Body>, Problem> {
    let mut response = pass::pass(proxy, visitor, &route.backend, target, request).await?;
    label(&mut response, past);
    Ok(response)
}

async fn unmatched(
    proxy: &Arc<Proxy>,
    visitor: &Visitor,
    backend: &Backend,
    target: &Target<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let mut response = pass::pass(proxy, visitor, backend, target, request).await?;
    label(&mut response, &Past { reason: Forward::Bypass, detail: "no-route".into() });
    Ok(response)
}

fn label(response: &mut Response<Body>, past: &Past) {
    let status = CacheStatus {
        handling: Handling::Forward { reason: past.reason, status: Some(response.status()) },
        ttl: None,
        stored: false,
        collapsed: false,
        detail: Some(&past.detail),
    };
    Label { short: XIsrCache::Bypass, status }.write(response.headers_mut());
}

/// The one `Host` field of a request.
fn host(head: &Parts) -> Result<Option<HeaderValue>, Problem> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (host, None) => Ok(host.cloned()),
        (_, Some(_)) => Err(bad("The request has several Host fields. Send one.")),
    }
}

fn bad(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Bad Request", detail)
}
