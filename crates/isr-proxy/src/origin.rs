//! Asking the origin for a page, as nobody in particular.

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::request::Parts;
use http::{Method, Request, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use isr_cache::BoxFuture;
use isr_routes::{RenderTarget, Route};

use crate::body::{IdleLimit, Resumed};
use crate::config::{Limits, Scheme};
use crate::fields::add_via;
use crate::page::compact_body;
use crate::upstream::{OriginError, Upstream, innermost};

/// Asked for in every render: servers that negotiate give the page, and nobody's preference is anybody's page.
const PAGE: HeaderValue = HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8");

/// Pages are stored uncompressed; the variants are made here.
const UNCOMPRESSED: HeaderValue = HeaderValue::from_static("identity");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("kube-isr/", env!("CARGO_PKG_VERSION")));

/// The header that makes an origin with its own page cache render anew.
pub(crate) const REVALIDATE: HeaderName = HeaderName::from_static("x-prerender-revalidate");

/// The last invalidation that may concern what a page is made of, as `PROXY.NUMBER`: greater numbers of one proxy are later. An
/// application that keeps data need not use what it had before it first heard of the number.
pub(crate) const SINCE: HeaderName = HeaderName::from_static("x-isr-since");

/// Trace context (W3C), carried from the visitor whose request began the render. It cannot change a page.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What the origin answered.
pub(crate) enum Answer {
    /// A whole response.
    Whole {
        status: StatusCode,
        headers: HeaderMap,
        version: Version,
        body: Bytes,
        /// The end of the body was told by its framing. Otherwise it ended with the connection, and so does a body
        /// whose sender is killed in the middle of it (RFC 9112 §8).
        framed: bool,
    },
    /// A response whose body is longer than may be stored: what was read of it, and the rest.
    TooLong { status: StatusCode, headers: HeaderMap, body: Resumed<IdleLimit<Incoming>> },
}

/// The request for a page: a function of its key and of what was invalidated, whoever asked.
pub(crate) fn request(
    route: &Route,
    host: &str,
    target: &RenderTarget,
    scheme: Scheme,
    since: &str,
    trace: Option<&HeaderValue>,
) -> Option<Parts> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target.path_and_query.parse().ok()?;
    let host = HeaderValue::from_str(host).ok()?;
    let headers = request.headers_mut();
    headers.extend(target.headers.clone());
    headers.insert(ACCEPT, PAGE);
    headers.insert(ACCEPT_ENCODING, UNCOMPRESSED);
    headers.insert(USER_AGENT, AGENT);
    headers.insert("x-forwarded-host", host.clone());
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme.as_str()));
    headers.insert(HOST, host);
    headers.insert(SINCE, HeaderValue::from_str(since).ok()?);
    add_via(headers, Version::HTTP_11);
    if let Some(trace) = trace {
        headers.insert(TRACEPARENT, trace.clone());
    }
    if let Some(token) = &route.origin_token {
        let mut token = HeaderValue::from_str(token.expose()).ok()?;
        token.set_sensitive(true);
        headers.insert(REVALIDATE, token);
    }
    Some(request.into_parts().0)
}

/// Who renders pages: the applications behind [`Upstream`], and one of the imagination in the model of replicas.
pub(crate) trait Renderer: Send + Sync {
    /// Sends the request and reads the answer, as far as it may be stored.
    fn ask<'a>(
        &'a self,
        address: &'a str,
        request: Parts,
        limits: &'a Limits,
    ) -> BoxFuture<'a, Result<Answer, OriginError>>;
}

impl Renderer for Upstream {
    fn ask<'a>(
        &'a self,
        address: &'a str,
        request: Parts,
        limits: &'a Limits,
    ) -> BoxFuture<'a, Result<Answer, OriginError>> {
        Box::pin(ask(self, address, request, limits))
    }
}

async fn ask(
    upstream: &Upstream,
    address: &str,
    request: Parts,
    limits: &Limits,
) -> Result<Answer, OriginError> {
    let broken = |cause: String| OriginError::Broken { address: address.to_owned(), cause };
    let response = upstream.fetch(address, request).await?;
    let (head, body) = response.into_parts();
    let framed = body.is_end_stream()
        || head.headers.contains_key(CONTENT_LENGTH)
        || head.headers.contains_key(TRANSFER_ENCODING);
    // Told its length, a body is read into as much as it takes and stays there.
    let told = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut read = BytesMut::with_capacity(told.min(limits.page_bytes));
    let mut rest = IdleLimit::new(body, limits.idle);
    while let Some(frame) = rest.frame().await {
        // A body that breaks off here is no page: nobody has seen a byte of it.
        let frame = frame.map_err(|error| broken(innermost(error.as_ref())))?;
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(&data);
        if read.len() > limits.page_bytes {
            let body = Resumed { read: Some(read.freeze()), rest };
            return Ok(Answer::TooLong { status: head.status, headers: head.headers, body });
        }
    }
    let body = compact_body(read);
    Ok(Answer::Whole { status: head.status, headers: head.headers, version: head.version, body, framed })
}

/// A valid `traceparent` of `headers`: fixed in form, so that it carries nothing but identifiers.
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(TRACEPARENT)?;
    let bytes = value.as_bytes();
    // version "-" trace-id "-" parent-id "-" flags
    let dashes = [2, 35, 52];
    let valid = bytes.len() == 55
        && bytes.iter().enumerate().all(|(at, byte)| {
            let hexadecimal = byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            if dashes.contains(&at) { *byte == b'-' } else { hexadecimal }
        });
    valid.then(|| value.clone())
}
