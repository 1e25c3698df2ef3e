//! The admin listener: health and metrics.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::Context;
use crate::world::World;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long to wait when no connection can be accepted: out of file descriptors, most likely, and others close some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the admin endpoints for ever.
pub(crate) async fn serve(context: Context, world: Arc<World>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (context, world) = (context.clone(), Arc::clone(&world));
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = respond(&context, &world, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A monitor that hangs up is no news.
            let _ = connection.await;
        });
    }
}

fn respond(context: &Context, world: &World, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "the admin endpoints are read with GET\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" => ready(&world.unlisted()),
        "/metrics" => {
            let mut response = text(StatusCode::OK, context.metrics.encode());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
            response
        }
        path => text(StatusCode::NOT_FOUND, format!("{path} is none of /livez /readyz /metrics\n")),
    }
}

/// A standby is ready too: it knows everything and may take over at once. Which watches are missing stays true when it
/// is not, so that a role that lacks a rule is found here as well as in the log.
fn ready(unlisted: &BTreeSet<String>) -> Response<Full<Bytes>> {
    if unlisted.is_empty() {
        return text(StatusCode::OK, "ready\n");
    }
    let missing: Vec<&str> = unlisted.iter().map(String::as_str).collect();
    text(StatusCode::SERVICE_UNAVAILABLE, format!("not listed yet: {}\n", missing.join(", ")))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
