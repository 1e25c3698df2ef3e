//! A visitor's connection as hyper sees it, with two things added that hyper has no way to do: following the framing of
//! what comes in ([`crate::framing`]), and sending interim responses before the final one.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::fields::strip_hop_by_hop;
use crate::framing::{Framing, Scanner};

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
        }))
    }

    pub(crate) fn framing(&self) -> &Framing {
        &self.0.framing
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
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, connection: Connection) -> Self {
        Self { stream, scanner: Scanner::default(), connection, writing: Bytes::new(), flushed: true }
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

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.connection.0.framing.note(&mut this.scanner, &buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_begin(context))?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
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
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
