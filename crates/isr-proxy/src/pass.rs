//! Passing a request through to its backend: as it is, streaming, with nothing stored.

use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use isr_routes::{Backend, Target};

use crate::body::{Body, IdleLimit};
use crate::connection::Connection;
use crate::fields::{add_via, is_loop, is_upgrade, strip_hop_by_hop};
use crate::forwarded;
use crate::origin::{REVALIDATE, SINCE};
use crate::problem::{Problem, sentence};
use crate::state::{Proxy, Visitor};
use crate::tunnel;
use crate::upstream::{Interim, OriginError};

/// Header fields of a request that goes on, in bytes, at most. Node.js accepts 16 KiB; what passes here and fails there
/// is an error page that a cache beyond us may store.
const FIELDS_MOST: usize = 16 * 1024;

/// Sends `request` to `backend` and streams what comes back.
pub(crate) async fn pass(
    proxy: &Arc<Proxy>,
    visitor: &Visitor,
    backend: &Backend,
    target: &Target<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let address = backend.address.as_ref().map_err(|why| problem(&OriginError::NoAddress(why.clone())))?;
    let (mut head, body) = request.into_parts();
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields > FIELDS_MOST {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request Header Fields Too Large",
            format!(
                "The header fields take {fields} bytes; at most {FIELDS_MOST} are passed to the application."
            ),
        ));
    }
    if is_loop(&head.headers) {
        return Err(Problem::new(
            StatusCode::LOOP_DETECTED,
            "Loop Detected",
            format!(
                "The backend {} leads back to this proxy. Point the route at the application itself.",
                backend.name
            ),
        ));
    }

    let received = head.version;
    let upgrade = is_upgrade(&head.headers).then(|| head.headers.get(UPGRADE).cloned()).flatten();
    let visitor_side =
        upgrade.is_some().then(|| head.extensions.remove::<hyper::upgrade::OnUpgrade>()).flatten();
    let connection = head.extensions.remove::<Connection>().filter(|_| received == Version::HTTP_11);
    head.extensions.clear();
    // A body whose length is not known is sent in chunks; hyper sends none with a GET unless it is told to.
    let chunked = !body.is_end_stream() && !head.headers.contains_key(CONTENT_LENGTH);
    strip_hop_by_hop(&mut head.headers);
    if chunked {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    join_cookies(&mut head.headers);
    // A token is a message to us. The expectation is ours to meet as well: the body is asked for when it is wanted.
    head.headers.remove(REVALIDATE);
    // What is passed is no render, and an application that keeps pages must not take it for one.
    head.headers.remove(SINCE);
    head.headers.remove(EXPECT);
    let trusted = proxy.config.trusts(visitor.peer.ip());
    forwarded::write(&mut head.headers, visitor.peer.ip(), trusted, visitor.scheme, &target.host);
    add_via(&mut head.headers, received);
    if let Some(authority) = head.uri.authority() {
        // HTTP/2, or an absolute target: it is the host (RFC 9112 §3.2.2).
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            head.headers.insert(HOST, host);
        }
    }
    if let Some(protocol) = &upgrade {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, protocol.clone());
    }
    head.version = Version::HTTP_11;
    let path = if target.query.is_empty() {
        target.path.to_string()
    } else {
        format!("{}?{}", target.path, target.query)
    };
    head.uri = path.parse().map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "Bad Request",
            "The request target is not a valid path and query.",
        )
    })?;

    if let Some(connection) = connection.clone() {
        connection.expect_interim();
        head.extensions.insert(Interim(connection));
    }
    let mut response = proxy.upstream.send(address, head, body).await.map_err(|error| problem(&error))?;

    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match visitor_side {
            Some(visitor_side) => {
                if let Some(connection) = connection {
                    connection.framing().end();
                }
                Ok(switch(proxy, visitor_side, response))
            }
            None => Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "Bad Gateway",
                format!("{} changed the protocol of a connection without being asked to.", backend.name),
            )),
        };
    }
    note_framing(&mut response);
    strip_hop_by_hop(response.headers_mut());
    let received = response.version();
    add_via(response.headers_mut(), received);
    let limit = proxy.config.limits.stream_idle;
    Ok(response.map(|body| Body::stream(IdleLimit::new(body, limit))))
}

/// Marks a response whose body ends with its connection. Nobody can tell such an end from a crash (RFC 9112 §8).
#[derive(Clone, Copy)]
pub(crate) struct EndsWithConnection;

/// Notes how the body of a response from the origin is framed, while its fields still tell.
fn note_framing<B: HttpBody>(response: &mut Response<B>) {
    let framed = response.headers().contains_key(TRANSFER_ENCODING)
        || response.body().size_hint().exact().is_some()
        || response.body().is_end_stream();
    if !framed {
        response.extensions_mut().insert(EndsWithConnection);
    }
}

/// Joins the two sides of an upgraded connection until either ends.
fn switch(
    proxy: &Arc<Proxy>,
    visitor_side: hyper::upgrade::OnUpgrade,
    mut response: Response<Incoming>,
) -> Response<Body> {
    let origin_side = hyper::upgrade::on(&mut response);
    let idle = proxy.config.limits.stream_idle;
    tokio::spawn(tunnel::join(visitor_side, origin_side, idle, proxy.draining.subscribe()));
    let protocol = response.headers().get(UPGRADE).cloned();
    strip_hop_by_hop(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    response.map(|_| Body::Empty)
}

/// HTTP/2 may send cookies one by one; HTTP/1.1 has one field for them (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

/// What a visitor is told when the backend gives no response.
pub(crate) fn problem(error: &OriginError) -> Problem {
    let title = match error.status() {
        StatusCode::GATEWAY_TIMEOUT => "Gateway Timeout",
        StatusCode::SERVICE_UNAVAILABLE => "Service Unavailable",
        _ => "Bad Gateway",
    };
    Problem::new(error.status(), title, sentence(&format!("the application gave no response: {error}")))
}
