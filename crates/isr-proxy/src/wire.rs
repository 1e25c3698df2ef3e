//! A visitor's connection as hyper sees it, with three things added that hyper has no way to do: following the framing of
//! what comes in ([`crate::framing`]), sending interim responses before the final one, and answering hits before hyper is
//! asked ([`hits`]).

mod hits;
mod outlet;
mod patience;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::{Body, BoxError};
use crate::fields::strip_hop_by_hop;
use crate::framing::{Framing, Scanner};
use crate::state::Proxy;
use hits::Hits;
use patience::Patience;

pub(crate) use outlet::Outlet;
pub(crate) use patience::HEAD_WITHIN;

/// Interim responses that wait to be written, at most; an origin that sends more of them for one request loses them.
const INTERIM_MOST: usize = 16;

/// What the requests of a connection share with its wire.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Shared>);

struct Shared {
    framing: Framing,
    /// Some request of this connection was sent on to an origin, so there may be interim responses. Hits leave it.
    expecting: AtomicBool,
    interim: Mutex<Interim>,
    /// Requests that hyper was given and has answered to the end.
    answered: AtomicU64,
}

#[derive(Default)]
struct Interim {
    waiting: VecDeque<Bytes>,
    /// Wakes the task that writes.
    writer: Option<Waker>,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            framing: Framing::new(),
            expecting: AtomicBool::new(false),
            interim: Mutex::default(),
            answered: AtomicU64::new(0),
        }))
    }

    pub(crate) fn framing(&self) -> &Framing {
        &self.0.framing
    }

    /// Has the end of this response noted, when hyper lets go of its body.
    pub(crate) fn note_end(&self, response: http::Response<Body>) -> http::Response<Noted> {
        let connection = self.clone();
        response.map(|body| Noted { body, connection })
    }

    /// From here on the wire looks for interim responses.
    pub(crate) fn expect_interim(&self) {
        self.0.expecting.store(true, Ordering::Release);
    }

    /// Sends an interim response (RFC 9110 §15.2) before the response of the request that is being answered.
    pub(crate) fn send_interim(&self, status: StatusCode, headers: &HeaderMap) {
        let mut headers = headers.clone();
        strip_hop_by_hop(&mut headers);
        let reason = status.canonical_reason().unwrap_or("Interim");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
        for (name, value) in &headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut interim = self.0.interim.lock().unwrap_or_else(PoisonError::into_inner);
        if interim.waiting.len() < INTERIM_MOST {
            interim.waiting.push_back(Bytes::from(head));
        }
        if let Some(writer) = interim.writer.take() {
            writer.wake();
        }
    }

    fn next_interim(&self, context: &Context<'_>) -> Option<Bytes> {
        let mut interim = self.0.interim.lock().unwrap_or_else(PoisonError::into_inner);
        let next = interim.waiting.pop_front();
        if next.is_none() {
            interim.writer = Some(context.waker().clone());
        }
        next
    }

    /// What waits cannot be placed between two messages any more.
    fn drop_interim(&self) {
        self.0.interim.lock().unwrap_or_else(PoisonError::into_inner).waiting.clear();
    }

    fn is_expecting(&self) -> bool {
        self.0.expecting.load(Ordering::Acquire) && self.0.framing.speaks_http1()
    }
}

/// A body whose end is noted.
pub(crate) struct Noted {
    body: Body,
    connection: Connection,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.connection.0.answered.fetch_add(1, Ordering::AcqRel);
    }
}

impl http_body::Body for Noted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The stream under hyper.
pub(crate) struct Wire<S> {
    stream: S,
    scanner: Scanner,
    connection: Connection,
    /// An interim response that is partly written.
    writing: Bytes,
    /// hyper had nothing left to write when it last flushed. It writes the responses of a connection one after the
    /// other, and an interim response comes before the response of its request has begun: so whatever waits now belongs
    /// before the next byte that hyper writes.
    flushed: bool,
    hits: Hits,
    patience: Patience,
}

impl<S> Wire<S> {
    /// A connection whose hits are answered from the pages of `proxy`.
    pub(crate) fn new(stream: S, connection: Connection, proxy: Arc<Proxy>) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
            connection,
            writing: Bytes::new(),
            flushed: true,
            hits: Hits::new(proxy),
            patience: Patience::new(),
        }
    }

    /// Whether the answer to the next request is to be the last one.
    pub(crate) fn is_last(&self) -> bool {
        self.hits.is_last
    }

    /// Whether the next byte begins a request of HTTP/1 to which no answer is due before another one: hyper has answered
    /// what it was given, and the answers are written.
    fn is_between_requests(&self) -> bool {
        let shared = &self.connection.0;
        shared.framing.speaks_http1()
            && self.scanner.is_between_messages()
            && self.flushed
            && self.writing.is_empty()
            && shared.answered.load(Ordering::Acquire) == self.scanner.heads()
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes the interim responses that wait.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            while !self.writing.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.writing))?;
                if written == 0 {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                self.writing.advance(written);
            }
            let next =
                if self.connection.is_expecting() { self.connection.next_interim(context) } else { None };
            match next {
                Some(interim) => self.writing = interim,
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// hyper is about to write.
    fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.flushed {
            ready!(self.poll_interim(context))?;
            self.flushed = false;
        } else if self.connection.is_expecting() {
            // The end of one response and the beginning of the next may be in one piece: there is no place between.
            self.connection.drop_interim();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Outlet> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.is_between_requests() {
            ready!(this.poll_hits(context))?;
        }
        if this.scanner.awaits_head() && this.connection.0.framing.speaks_http1() {
            this.patience.check(context)?;
        } else {
            this.patience.renew();
        }
        let before = buffer.filled().len();
        if !this.hits.take_unread(buffer) {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        }
        this.connection.0.framing.note(&mut this.scanner, &buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: Outlet> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        this.patience.renew();
        ready!(this.poll_begin(context))?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        this.patience.renew();
        ready!(this.poll_begin(context))?;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes when it has nothing left to write, also while it waits for a response.
        this.flushed = true;
        ready!(this.poll_interim(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
