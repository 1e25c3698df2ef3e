//! Connections to backends: a keep-alive pool, time limits, and one safe second attempt.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{
    self, CaptureConnection, Connected, HttpConnector, capture_connection,
};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::activity::Activity;
use crate::body::{Body, BoxError};
use crate::config::Limits;
use crate::connection::Connection;

/// A connection idle for longer is not used again. Node.js closes idle connections after 5 s: a request sent at that
/// moment would be lost.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Idle connections kept per backend. A burst beyond it opens connections anew and closes them afterwards.
const POOL_PER_BACKEND: usize = 64;

/// The size of a response head that we read from a backend, in bytes, and of the buffer for its body.
const HEAD_MOST: usize = 64 * 1024;

/// The client side of the proxy.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<Connector, Body>,
    first_byte: Duration,
    /// Where connections are driven. A connection is used by all, so it must not stand still with one visitor's thread.
    background: Handle,
}

/// In the extensions of a request: where interim responses to it go.
#[derive(Clone)]
pub(crate) struct Interim(pub(crate) Connection);

/// Why a backend gave no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginError {
    /// The route's backend has no address.
    #[error("{0}")]
    NoAddress(String),
    /// No connection came about.
    #[error("{address} cannot be reached: {cause}")]
    Unreachable { address: String, cause: String },
    /// No response began in time.
    #[error("no response from {address} within {limit:?}")]
    Slow { address: String, limit: Duration },
    /// The connection ended, or what came was not HTTP.
    #[error("{address} broke off: {cause}")]
    Broken { address: String, cause: String },
    /// Renders of this backend are waiting in line for too long.
    #[error("too many pages of {0} are being rendered")]
    Busy(String),
}

impl OriginError {
    /// The status that tells it to a visitor.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoAddress(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable { .. } | Self::Broken { .. } => StatusCode::BAD_GATEWAY,
            Self::Slow { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The same as a bounded label for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NoAddress(_) => "no_address",
            Self::Unreachable { .. } => "unreachable",
            Self::Slow { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::Busy(_) => "busy",
        }
    }
}

impl Upstream {
    /// To be called within the runtime that is to drive the connections.
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(limits.connect));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_PER_BACKEND)
            .http1_max_buf_size(HEAD_MOST)
            .set_host(false)
            .build(Connector(http));
        Self { client, first_byte: limits.first_byte, background: Handle::current() }
    }

    /// Sends a visitor's request to `address` (`host:port`). `head`'s URI is path and query.
    ///
    /// A request without a body whose method is idempotent is sent once more if the connection, used before, was closed
    /// by the backend before any response came: it was idle, and the backend's closing crossed our request.
    pub(crate) async fn send(
        &self,
        address: &str,
        head: Parts,
        body: Body,
    ) -> Result<Response<Incoming>, OriginError> {
        let (this, to) = (self.clone(), address.to_owned());
        self.apart(address, async move {
            let again = (head.method.is_idempotent() && body.is_end_stream()).then(|| head.clone());
            match (this.attempt(&to, head, body).await, again) {
                (Err(Failed { reused: true, error: OriginError::Broken { .. }, .. }), Some(head)) => {
                    this.attempt(&to, head, Body::Empty).await
                }
                (result, _) => result,
            }
        })
        .await
    }

    /// Sends a render's GET to `address`. To be called in the background, where renders are.
    ///
    /// It is no visitor's request, so it may be made twice: it is sent once more if no connection came about, or if it
    /// ended before any response. A replica that is going has such ends, and another answers the second time.
    pub(crate) async fn fetch(&self, address: &str, head: Parts) -> Result<Response<Incoming>, OriginError> {
        let fetched = match self.attempt(address, head.clone(), Body::Empty).await {
            Err(Failed { silent: true, .. }) => self.attempt(address, head, Body::Empty).await,
            result => result,
        };
        fetched.map_err(|failed| failed.error)
    }

    /// Sends in the background, as long as somebody waits for it.
    async fn apart(
        &self,
        address: &str,
        send: impl Future<Output = Result<Response<Incoming>, Failed>> + Send + 'static,
    ) -> Result<Response<Incoming>, OriginError> {
        let mut sending = JoinSet::new();
        sending.spawn_on(send, &self.background);
        match sending.join_next().await {
            Some(Ok(result)) => result.map_err(|failed| failed.error),
            _ => Err(OriginError::Broken {
                address: address.to_owned(),
                cause: "the request was given up".to_owned(),
            }),
        }
    }

    async fn attempt(
        &self,
        address: &str,
        mut head: Parts,
        body: Body,
    ) -> Result<Response<Incoming>, Failed> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = Uri::builder().scheme("http").authority(address).path_and_query(path).build().map_err(
            |error| Failed::new(OriginError::NoAddress(format!("{address} is no address: {error}"))),
        )?;
        let activity = Activity::begin();
        let body = match body {
            Body::Stream(body) => Body::stream(Watched { body, activity: activity.clone() }),
            body => body,
        };
        let mut request = Request::from_parts(head, body);
        if let Some(Interim(visitor)) = request.extensions_mut().remove() {
            hyper::ext::on_informational(&mut request, move |interim| {
                // What only speaks to this hop (100) or changes it (101) is ours.
                if interim.status() != StatusCode::CONTINUE
                    && interim.status() != StatusCode::SWITCHING_PROTOCOLS
                {
                    visitor.send_interim(interim.status(), interim.headers());
                }
            });
        }
        let connection = capture_connection(&mut request);
        tokio::select! {
            result = self.client.request(request) => result
                .inspect(|_| count_use(&connection))
                .map_err(|error| Failed::from(&error, address, uses(&connection) > 0)),
            () = activity.silence(self.first_byte) => {
                let (address, limit) = (address.to_owned(), self.first_byte);
                Err(Failed::new(OriginError::Slow { address, limit }))
            }
        }
    }
}

struct Failed {
    /// Whether the connection had carried a request before.
    reused: bool,
    /// Whether the backend said nothing at all: it was not reached, or hung up.
    silent: bool,
    error: OriginError,
}

impl Failed {
    fn new(error: OriginError) -> Self {
        Self { reused: false, silent: false, error }
    }

    fn from(error: &ClientError, address: &str, reused: bool) -> Self {
        let address = address.to_owned();
        let said = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<hyper::Error>());
        let silent = !said.is_some_and(hyper::Error::is_parse);
        let cause = innermost(error);
        let error = if error.is_connect() {
            OriginError::Unreachable { address, cause }
        } else {
            OriginError::Broken { address, cause }
        };
        Self { reused, silent, error }
    }
}

/// The innermost cause says what happened; the outer ones say where in the library.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// How many requests a connection has carried; known to the connection and to who captured it.
#[derive(Clone, Debug, Default)]
struct Uses(Arc<AtomicU32>);

fn captured(connection: &CaptureConnection) -> Option<Uses> {
    let metadata = connection.connection_metadata();
    let mut extensions = http::Extensions::new();
    metadata.as_ref()?.get_extras(&mut extensions);
    extensions.remove()
}

fn uses(connection: &CaptureConnection) -> u32 {
    captured(connection).map_or(0, |uses| uses.0.load(Ordering::Relaxed))
}

fn count_use(connection: &CaptureConnection) {
    if let Some(uses) = captured(connection) {
        uses.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An upload that goes on is not a backend that hangs.
struct Watched<B> {
    body: B,
    activity: Activity,
}

impl<B> HttpBody for Watched<B>
where
    B: HttpBody<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.activity.note();
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Opens TCP connections that count their uses.
#[derive(Clone)]
struct Connector(HttpConnector);

type Connecting = Pin<Box<dyn Future<Output = Result<Counted, BoxError>> + Send>>;

impl tower_service::Service<Uri> for Connector {
    type Response = Counted;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, address: Uri) -> Connecting {
        let connecting = self.0.call(address);
        Box::pin(async move { Ok(Counted { io: connecting.await?, uses: Uses::default() }) })
    }
}

struct Counted {
    io: TokioIo<TcpStream>,
    uses: Uses,
}

impl connect::Connection for Counted {
    fn connected(&self) -> Connected {
        self.io.connected().extra(self.uses.clone())
    }
}

impl Read for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl Write for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, buffers)
    }
}
