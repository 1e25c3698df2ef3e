//! A visitor's connection as hyper sees it, with four things added that hyper has no way to do: following the framing of
//! what comes in ([`crate::framing`]), sending interim responses before the final one, answering hits before hyper is
//! asked ([`hits`]), and writing the answers of several streams together ([`held`]).

mod held;
mod hits;
mod outlet;
mod patience;
mod shared;

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Connection;
use crate::framing::Scanner;
use crate::state::Proxy;
use held::Held;
use hits::Hits;
use patience::Patience;

pub(crate) use outlet::Outlet;
pub(crate) use patience::HEAD_WITHIN;
pub(crate) use shared::Shared;

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
    held: Held,
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
            held: Held::default(),
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
        self.connection.framing().speaks_http1()
            && self.scanner.is_between_messages()
            && self.flushed
            && self.writing.is_empty()
            && self.connection.answered() == self.scanner.heads()
    }
}

impl<S: Outlet> Wire<S> {
    /// Holds what hyper writes.
    fn poll_hold(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        if self.held.is_full() {
            ready!(self.poll_release(context))?;
        }
        Poll::Ready(Ok(self.held.take(slices)))
    }

    /// Writes what hyper has written since the last time, at the end of a turn; pending when there is no more room, and then hyper
    /// is to go on when there is.
    pub(crate) fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.held.poll_write(&mut self.stream, context)
    }

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
        if this.scanner.awaits_head() && this.connection.framing().speaks_http1() {
            this.patience.check(context)?;
        } else {
            this.patience.renew();
        }
        let before = buffer.filled().len();
        if !this.hits.take_unread(buffer) {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        }
        this.connection.framing().note(&mut this.scanner, &buffer.filled()[before..]);
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
        if this.connection.has_streams() {
            return this.poll_hold(context, &[IoSlice::new(bytes)]);
        }
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
        if this.connection.has_streams() {
            return this.poll_hold(context, slices);
        }
        ready!(this.poll_begin(context))?;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.held.is_any() {
            // At the end of the turn.
            return Poll::Ready(Ok(()));
        }
        // hyper flushes when it has nothing left to write, also while it waits for a response.
        this.flushed = true;
        ready!(this.poll_interim(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(context))?;
        ready!(this.poll_release(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
