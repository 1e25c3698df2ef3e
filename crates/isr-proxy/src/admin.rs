//! The admin listener: health, configuration, metrics, and what is stored. For operators of the proxy, not for visitors.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use isr_cache::{Policy, Standing, StoredResponse, Why, freshness};
use isr_routes::{Found, Route, Target, describe_key};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::body::Body;
use crate::invalidate::{self, Listener};
use crate::problem::{Problem, sentence};
use crate::state::Proxy;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the admin endpoints until the process ends: health is asked for while it drains.
pub(crate) async fn serve(proxy: Arc<Proxy>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others close some.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let proxy = Arc::clone(&proxy);
                async move { Ok::<_, Infallible>(respond(&proxy, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A monitor that hangs up is no news.
            let _ = connection.await;
        });
    }
}

async fn respond(proxy: &Proxy, request: Request<Incoming>) -> Response<Body> {
    if request.method() == Method::POST && request.uri().path() == invalidate::ADMIN_PATH {
        let (head, body) = request.into_parts();
        let active = proxy.active.load_full();
        let answer = invalidate::respond(proxy, &active, &Listener::Admin, &head.headers, body).await;
        return answer.unwrap_or_else(Problem::into_response);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let detail = "The admin endpoints are read with GET, but for POST /v1/invalidate.";
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", detail).into_response();
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "text/plain", "alive\n".to_owned()),
        "/readyz" => ready(proxy),
        "/configz" => document(&config(proxy)),
        "/metrics" => {
            let (keys, now) = (proxy.entries.len(), proxy.clock.now());
            let metrics = proxy.metrics.encode(&proxy.pages, &proxy.prerendering, keys, now);
            text(StatusCode::OK, OPENMETRICS, metrics)
        }
        "/routes" => document(&routes(proxy)),
        "/cache" => match cached(proxy, request.uri()) {
            Ok(found) => document(&found),
            Err(problem) => problem.into_response(),
        },
        path => {
            let detail =
                format!("{path} is none of /livez /readyz /configz /metrics /routes /cache?url=URL.");
            Problem::new(StatusCode::NOT_FOUND, "Not Found", detail).into_response()
        }
    }
}

fn ready(proxy: &Proxy) -> Response<Body> {
    if proxy.is_ready() {
        return text(StatusCode::OK, "text/plain", "ready\n".to_owned());
    }
    let why = if proxy.active.load().generation == 0 {
        "no route table yet\n"
    } else if !proxy.has_caught_up() {
        "what was invalidated meanwhile is not known yet\n"
    } else {
        "draining\n"
    };
    text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", why.to_owned())
}

fn config(proxy: &Proxy) -> Value {
    let active = proxy.active.load();
    let rejected: Vec<_> = active.problems.iter().filter(|problem| problem.rejected).collect();
    json!({
        "source": active.source,
        "generation": active.generation,
        "digest": active.digest,
        "routes": active.table.routes().count(),
        "rejected": rejected,
        "problems": active.problems,
        "purges": proxy.purges.describe(),
        "prerendering": proxy.prerendering.unfinished(&active.digest),
    })
}

fn routes(proxy: &Proxy) -> Value {
    proxy.active.load().table.routes().map(|route| describe(proxy, route)).collect()
}

fn describe(proxy: &Proxy, route: &Route) -> Value {
    let prerender = proxy.prerendering.progress(&route.id);
    json!({
        "route": &*route.id,
        "hostnames": route.hostnames,
        "path": route.path.to_string(),
        "interval": match &route.policy {
            Policy::Origin => Value::Null,
            Policy::Interval(interval) => interval.every.map_or("Never".into(), |every| format!("{every:?}").into()),
        },
        "staleFor": match &route.policy {
            Policy::Interval(interval) => interval.stale_for.map(|limit| format!("{limit:?}")),
            Policy::Origin => None,
        },
        "backend": route.backend.name,
        "address": route.backend.address.as_ref().ok(),
        "problem": route.backend.address.as_ref().err(),
        "framework": route.preset.name,
        "onDemand": !route.tokens.is_empty(),
        "prerender": prerender.map(|progress| progress.describe(proxy.clock.now())),
    })
}

/// Everything stored for the page of a URL: the page itself, its data companions, its variants.
fn cached(proxy: &Proxy, uri: &Uri) -> Result<Value, Problem> {
    let refuse = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "Bad Request", detail);
    let url = uri
        .query()
        .and_then(url_of)
        .ok_or_else(|| refuse("Name the page: /cache?url=http://shop.example.com/blog-posts/1".to_owned()))?;
    let url: Uri = url.parse().map_err(|error| refuse(sentence(&format!("{url} is not a URL: {error}"))))?;
    let target = Target::parse("", &url).map_err(|refused| refuse(sentence(&refused.to_string())))?;
    let active = proxy.active.load();
    let (route, page) = match active.table.find(&target.host, &target.path) {
        Found::Route { route, page } => (route, page),
        Found::Pass(_) | Found::NoRoute(_) | Found::UnknownHost => {
            return Ok(json!({ "url": url.to_string(), "route": null, "stored": [] }));
        }
    };
    let group = route.group(&target.host, &page);
    let mut stored: Vec<Value> = proxy
        .pages
        .iter()
        .filter(|(_, response)| *response.group.name() == *group)
        .map(|(key, response)| stored(proxy, route, &key, &response))
        .collect();
    stored.sort_by_key(|variant| variant["key"].as_str().map(ToOwned::to_owned));

    let mut key = Vec::new();
    route.write_key(&target, &HeaderMap::new(), &mut key);
    let now = proxy.clock.now();
    let under_way = proxy.entries.peek(&key, |live| {
        json!({
            "rendering": live.entry.flight().is_some(),
            "optedOut": live.entry.passes(now),
            "lastFailure": live.entry.failure().map(|failure| json!({
                "secondsAgo": now.since(failure.at).as_secs(),
                "inARow": failure.count,
                "nextTryInSeconds": failure.retry_at.since(now).as_secs(),
                "why": live.complaint.as_deref(),
            })),
        })
    });
    Ok(json!({
        "url": url.to_string(),
        "route": &*route.id,
        "key": describe_key(&key),
        "group": group,
        "underWay": under_way,
        "stored": stored,
    }))
}

fn stored(proxy: &Proxy, route: &Route, key: &[u8], response: &StoredResponse) -> Value {
    let now = proxy.clock.now();
    let standing = match (&route.policy, response.governed()) {
        (Policy::Interval(policy), None) => {
            interval_standing(proxy.pages.standing(response, route, policy, now))
        }
        (_, Some(governed)) => {
            let age = freshness::current_age(governed.initial_age, response.render.finished.timestamp(), now);
            let fresh = governed.lifetime.fresh_for > age;
            json!({ "state": if fresh { "fresh" } else { "stale" }, "freshForSeconds": governed.lifetime.fresh_for.as_secs() })
        }
        (Policy::Origin, None) => json!({ "state": "unused" }),
    };
    json!({
        "key": describe_key(key),
        "status": response.status().as_u16(),
        "ageSeconds": response.render.age(now).as_secs(),
        "freshness": standing,
        "lastRender": crate::page::http_date(response.render.finished.timestamp()).to_str().unwrap_or_default(),
        "bytes": response.body.len(),
        "codings": response.representations().map(|variant| variant.coding.name()).collect::<Vec<_>>(),
        "etag": response.head.etag().and_then(|etag| std::str::from_utf8(etag).ok()),
        "renderedFor": &**response.head.route(),
    })
}

fn interval_standing(standing: Standing) -> Value {
    let why = |why: Why| match why {
        Why::Age => "age",
        Why::Invalidated => "invalidated",
        Why::BornStale => "the origin sent a stale copy",
        Why::Outdated => "its page is newer",
        Why::Unsure => "no word from the other replicas",
    };
    match standing {
        Standing::Fresh { ttl } => json!({ "state": "fresh", "ttlSeconds": ttl.map(|ttl| ttl.as_secs()) }),
        Standing::Stale { by, why: cause } => {
            json!({ "state": "stale", "bySeconds": by.as_secs(), "why": why(cause) })
        }
        Standing::Expired { why: cause } => json!({ "state": "expired", "why": why(cause) }),
        Standing::Missing => Value::Null,
    }
}

/// The value of `url=` in a query, percent-decoded. It is the last parameter, so that an unencoded URL with a query of
/// its own is read whole.
fn url_of(query: &str) -> Option<String> {
    let value = query.split_once("url=").map(|(_, value)| value)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

fn document(value: &Value) -> Response<Body> {
    text(StatusCode::OK, "application/json", format!("{value:#}\n"))
}

fn text(status: StatusCode, media_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let nosniff = HeaderName::from_static("x-content-type-options");
    response.headers_mut().insert(nosniff, HeaderValue::from_static("nosniff"));
    response
}
