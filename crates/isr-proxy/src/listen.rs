//! Accepting visitors' connections, and letting them go.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::body::Body;
use crate::config::Scheme;
use crate::problem::Problem;
use crate::respond::respond;
use crate::state::{Draining, Proxy, Visitor};
use crate::tls::Current;
use crate::wire::{Connection, Wire};

/// Connections at a time. Each takes some 20 KiB; more wait in the kernel's queue.
const CONNECTIONS_MOST: usize = 32_768;

/// The head of a request, and what hyper reads ahead, in bytes. Twice what is passed on, so that the refusal can be a
/// sentence.
const HEAD_MOST: usize = 32 * 1024;

/// Fields of a request. Browsers send twenty.
const FIELDS_MOST: usize = 100;

/// An idle connection is kept longer than ingresses keep theirs (nginx 60 s, Traefik 90 s), so that it is they who close
/// it: a request that meets our closing would be lost. A head that takes longer to arrive is an attack.
const HEAD_WITHIN: Duration = Duration::from_mins(2);

/// A TLS handshake takes two round trips; a client that needs longer is gone or hostile.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Streams of one HTTP/2 connection at a time; an ingress multiplexes many visitors over one.
const STREAMS_MOST: u32 = 1024;

/// Streams that a client opened and reset before they were served: more is the rapid-reset attack.
const RESETS_MOST: usize = 64;

/// After an error of accept (no file descriptors are left) others may close some.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Accepts connections until the proxy closes, then waits for those that are open.
pub(crate) async fn accept(proxy: Arc<Proxy>, listener: TcpListener, tls: Option<Current>) {
    // Whatever the last hop is, visitors of a site that is https use https.
    let scheme = if tls.is_some() { Scheme::Https } else { proxy.config.public_scheme };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MOST));
    let graceful = GracefulShutdown::new();
    let mut draining = proxy.draining.subscribe();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|state| *state >= Draining::Closing) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (proxy, tls, watcher) = (Arc::clone(&proxy), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            proxy.metrics.connections.inc();
            let visitor = Visitor { peer, scheme };
            connection(&proxy, stream, visitor, tls, watcher).await;
            proxy.metrics.connections.dec();
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        _ = draining.wait_for(|state| *state == Draining::Over) => {}
    }
}

async fn connection(
    proxy: &Arc<Proxy>,
    stream: TcpStream,
    visitor: Visitor,
    tls: Option<Current>,
    watcher: Watcher,
) {
    // Responses are written whole; waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(proxy, stream, visitor, watcher).await,
        Some(current) => {
            let acceptor = TlsAcceptor::from(current.load_full());
            match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => serve(proxy, stream, visitor, watcher).await,
                Ok(Err(error)) => tracing::debug!(%error, peer = %visitor.peer, "the TLS handshake failed"),
                Err(_) => tracing::debug!(peer = %visitor.peer, "the TLS handshake took too long"),
            }
        }
    }
}

async fn serve<S>(proxy: &Arc<Proxy>, stream: S, visitor: Visitor, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Connection::new();
    let io = TokioIo::new(Wire::new(stream, connection.clone()));
    let requests = AtomicU64::new(0);
    let service = service_fn(|mut request: Request<Incoming>| {
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let ambiguous = connection.framing().is_ambiguous(number);
        request.extensions_mut().insert(connection.clone());
        let proxy = Arc::clone(proxy);
        async move {
            Ok::<_, Infallible>(if ambiguous { refuse() } else { respond(proxy, visitor, request).await })
        }
    });
    let builder = builder();
    let served = builder.serve_connection_with_upgrades(io, service);
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(error = %error, peer = %visitor.peer, "the connection ended early");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(FIELDS_MOST)
        .max_buf_size(HEAD_MOST)
        // A client that has sent all it will send may still read: `curl` with a closed stdin does so.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MOST)
        .max_pending_accept_reset_streams(RESETS_MOST)
        .max_header_list_size(u32::try_from(HEAD_MOST).unwrap_or(u32::MAX))
        .keep_alive_interval(HEAD_WITHIN);
    builder
}

fn refuse() -> Response<Body> {
    let mut response = Problem::new(
        StatusCode::BAD_REQUEST,
        "Bad Request",
        "The request has both Content-Length and Transfer-Encoding, so its end is ambiguous. Send one of them.",
    )
    .into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Binds a listener, telling which address it was if that fails.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, crate::ServeError> {
    TcpListener::bind(address).await.map_err(|cause| crate::ServeError::Bind { address, cause })
}
