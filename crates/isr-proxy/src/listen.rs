//! Accepting visitors' connections, and letting them go.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::body::Body;
use crate::config::Scheme;
use crate::connection::{Connection, Noted};
use crate::eager::Eager;
use crate::hit::http2;
use crate::problem::Problem;
use crate::respond::respond;
use crate::state::{Closing, Draining, Proxy, Visitor};
use crate::tls::Current;
use crate::wire::{HEAD_WITHIN, Outlet, Shared, Wire};
use crate::workers::Workers;

/// Connections at a time. Each takes some 20 KiB, and what is held for it while its visitor does not read; more wait in the
/// kernel's queue.
const CONNECTIONS_MOST: u32 = 32_768;

/// The head of a request, and what hyper reads ahead, in bytes. Twice what is passed on, so that the refusal can be a
/// sentence.
const HEAD_MOST: usize = 32 * 1024;

/// Fields of a request. Browsers send twenty.
const FIELDS_MOST: usize = 100;

/// A TLS handshake takes two round trips; a client that needs longer is gone or hostile.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Streams of one HTTP/2 connection at a time; an ingress multiplexes many visitors over one.
const STREAMS_MOST: u32 = 1024;

/// Streams that a client opened and reset before they were served: more is the rapid-reset attack.
const RESETS_MOST: usize = 64;

/// After an error of accept (no file descriptors are left) others may close some.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Accepts connections until the proxy closes, then waits for those that are open.
pub(crate) async fn accept(
    proxy: Arc<Proxy>,
    workers: Arc<Workers>,
    listener: TcpListener,
    tls: Option<Current>,
) {
    // Whatever the last hop is, visitors of a site that is https use https.
    let scheme = if tls.is_some() { Scheme::Https } else { proxy.config.public_scheme };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MOST as usize));
    let mut draining = proxy.draining.subscribe();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|state| *state >= Draining::Closing) => break,
        };
        // Without the ties to this runtime.
        let (stream, peer) = match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (proxy, tls) = (Arc::clone(&proxy), tls.clone());
        workers.serve(async move {
            let _place = place;
            proxy.metrics.connections.inc();
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(&proxy, stream, Visitor { peer, scheme }, tls).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
            proxy.metrics.connections.dec();
        });
    }
    drop(listener);
    tokio::select! {
        // All of them are free when nobody is served any more.
        _ = places.acquire_many(CONNECTIONS_MOST) => {}
        _ = draining.wait_for(|state| *state == Draining::Over) => {}
    }
}

async fn connection(proxy: &Arc<Proxy>, stream: TcpStream, visitor: Visitor, tls: Option<Current>) {
    // Responses are written whole; waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(proxy, stream, visitor).await,
        Some(current) => {
            let acceptor = TlsAcceptor::from(current.load_full());
            match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => serve(proxy, stream, visitor).await,
                Ok(Err(error)) => tracing::debug!(%error, peer = %visitor.peer, "the TLS handshake failed"),
                Err(_) => tracing::debug!(peer = %visitor.peer, "the TLS handshake took too long"),
            }
        }
    }
}

/// Serves a connection: hits alone until something else comes, then hits beside hyper.
async fn serve<S>(proxy: &Arc<Proxy>, stream: S, visitor: Visitor)
where
    S: Outlet,
{
    let connection = Connection::new();
    let mut closing = Closing::of(proxy);
    let mut wire = Wire::new(stream, connection.clone(), Arc::clone(proxy));
    match wire.serve_hits(&mut closing).await {
        // On the heap, so that a connection that only hits does not carry the room for it.
        Ok(true) => Box::pin(serve_all(proxy, wire, connection, visitor, closing)).await,
        Ok(false) => {
            // The visitor may be gone.
            let _ = wire.shutdown().await;
        }
        Err(error) => tracing::debug!(%error, peer = %visitor.peer, "the connection ended early"),
    }
}

async fn serve_all<S>(
    proxy: &Arc<Proxy>,
    wire: Wire<S>,
    connection: Connection,
    visitor: Visitor,
    mut closing: Closing,
) where
    S: Outlet,
{
    let builder = builder(wire.is_last());
    let requests = AtomicU64::new(0);
    let service = service_fn(|mut request: Request<Incoming>| {
        if request.version() == Version::HTTP_2 {
            connection.expect_streams();
            if !proxy.config.access_log
                && let Some(hit) = http2::answer(proxy, &request)
            {
                return Answering::Done(Some(connection.note_end(hit)));
            }
        }
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let ambiguous = connection.framing().is_ambiguous(number);
        request.extensions_mut().insert(connection.clone());
        let (proxy, connection) = (Arc::clone(proxy), connection.clone());
        Answering::Under(Box::pin(async move {
            let response = if ambiguous { refuse() } else { respond(proxy, visitor, request).await };
            connection.note_end(response)
        }))
    });
    let wire = Shared::new(wire);
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(wire.clone()), service));
    let mut is_closing = false;
    let served = poll_fn(|context| {
        // First what has arrived: hyper forgets it when it is told to close before it knows the version.
        let mut result = served.as_mut().poll(context);
        if result.is_pending() && !is_closing && closing.has_begun(context) {
            is_closing = true;
            served.as_mut().graceful_shutdown();
            result = served.as_mut().poll(context);
        }
        if result.is_pending()
            && let Poll::Ready(Err(error)) = wire.get().poll_release(context)
        {
            return Poll::Ready(Err(error.into()));
        }
        result
    });
    if let Err(error) = served.await {
        tracing::debug!(error = %error, peer = %visitor.peer, "the connection ended early");
    }
}

/// An answer, or what will become one.
enum Answering {
    /// Taken when it is asked for.
    Done(Option<Response<Noted>>),
    /// On the heap, so that hyper moves little.
    Under(Pin<Box<dyn Future<Output = Response<Noted>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Noted>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Done(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Under(answer) => answer.as_mut().poll(context).map(Ok),
        }
    }
}

/// How hyper serves. The time within which a head arrives is the wire's to watch, which sees hits as well.
fn builder(is_last: bool) -> Builder<Eager> {
    let mut builder = Builder::new(Eager);
    builder
        .http1()
        .keep_alive(!is_last)
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
