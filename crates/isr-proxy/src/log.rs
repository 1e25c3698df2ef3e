//! Log lines: one per render, per reload, per invalidation, and if asked for one per request. No line holds a header's
//! value, a body or a query, so none holds a secret.

use std::time::Duration;

use http::{Request, Response};
use isr_cache::{Flight, Outcome};
use tokio::time::Instant;

use crate::body::Body;
use crate::job::Job;
use crate::judge::Judged;
use crate::landing::Rendered;
use crate::metrics::{outcome_name, trigger_name};
use crate::problem::X_ISR_CACHE;
use crate::state::Visitor;

/// A render has ended.
pub(crate) fn render(job: &Job, flight: Flight, judged: &Judged, result: &Rendered, took: Duration) {
    let trigger = trigger_name(flight.trigger);
    let outcome = outcome_name(judged.outcome);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let trace = job.trace.as_ref().and_then(|trace| trace.to_str().ok()).map(|trace| &trace[3..35]);
    let (route, host, path) = (&*job.route.id, job.host.as_str(), job.path.as_str());
    match result {
        Rendered::Response { response, .. } => {
            let (status, bytes) = (response.status().as_u16(), response.body.len());
            let why = judged.detail.as_deref();
            if judged.outcome == Outcome::Rendered {
                tracing::info!(
                    route, host, path, trigger, outcome, status, bytes, took_ms, trace, "rendered"
                );
            } else {
                tracing::warn!(
                    route,
                    host,
                    path,
                    trigger,
                    outcome,
                    status,
                    why,
                    took_ms,
                    trace,
                    "not stored"
                );
            }
        }
        Rendered::TooLong => {
            tracing::warn!(
                route,
                host,
                path,
                trigger,
                outcome,
                took_ms,
                trace,
                "the page is too long to store"
            );
        }
        Rendered::Failed(error) => {
            tracing::warn!(route, host, path, trigger, outcome, took_ms, trace, %error, "the render failed");
        }
    }
}

/// A request under way, for the access log.
pub(crate) struct Access {
    began: Instant,
    peer: std::net::IpAddr,
    method: http::Method,
    host: String,
    path: String,
}

impl Access {
    pub(crate) fn begin<B>(visitor: &Visitor, request: &Request<B>) -> Self {
        let uri = request.uri();
        let of_field = || request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        Self {
            began: Instant::now(),
            peer: visitor.peer.ip().to_canonical(),
            method: request.method().clone(),
            host: uri
                .authority()
                .map(http::uri::Authority::as_str)
                .or_else(of_field)
                .unwrap_or_default()
                .to_owned(),
            // Without the query: it may hold what its sender thinks is private.
            path: uri.path().to_owned(),
        }
    }

    pub(crate) fn end(self, response: &Response<Body>) {
        let Self { began, peer, method, host, path } = self;
        let status = response.status().as_u16();
        let cache = response.headers().get(X_ISR_CACHE).and_then(|value| value.to_str().ok());
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(target: "access", %peer, %method, host, path, status, cache, took_us, "request");
    }
}
