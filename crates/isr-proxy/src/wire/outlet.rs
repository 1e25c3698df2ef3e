//! Where answers go: a socket, to which the kernel can send a file without copying it, or TLS, which has to see every byte.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use isr_store::BodyFile;
use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A visitor's connection, encrypted or not.
pub(crate) trait Outlet: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket, if what is written goes to it as it is.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Outlet for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Outlet for TlsStream<TcpStream> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// An answer that is being written, or the rest of one.
pub(super) struct Answer<H> {
    pub(super) head: H,
    pub(super) body: Bytes,
    /// A file that ends with `body`.
    pub(super) file: Option<Arc<BodyFile>>,
}

impl<H: Buf> Answer<H> {
    /// Writes all of it; pending with the rest when there is no more room.
    pub(super) fn poll_write<S: Outlet>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        while self.head.has_remaining() || self.body.has_remaining() {
            let written = ready!(self.poll_write_some(stream, context))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(self.head.remaining());
            self.head.advance(of_head);
            self.body.advance(written - of_head);
        }
        // TLS keeps what the socket had no room for.
        Pin::new(stream).poll_flush(context)
    }

    fn poll_write_some<S: Outlet>(&self, stream: &mut S, context: &mut Context<'_>) -> Poll<Result<usize>> {
        let (head, body) = (self.head.chunk(), &*self.body);
        let pieces = [IoSlice::new(head), IoSlice::new(body)];
        let Some(socket) = stream.socket() else {
            let stream = Pin::new(stream);
            return if body.is_empty() {
                stream.poll_write(context, head)
            } else {
                stream.poll_write_vectored(context, &pieces)
            };
        };
        // Nearly always there is room, and nobody needs to be woken when there is.
        loop {
            let sent = match &self.file {
                Some(file) => try_send(socket, head, file, body.len()),
                None if body.is_empty() => socket.try_write(head),
                None => socket.try_write_vectored(&pieces),
            };
            match sent {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(socket.poll_write_ready(context))?;
                }
                sent => return Poll::Ready(sent),
            }
        }
    }
}

/// Sends a head that a body follows, or when there is none left the last `length` bytes of a file.
fn try_send(socket: &TcpStream, head: &[u8], file: &BodyFile, length: usize) -> Result<usize> {
    socket.try_io(Interest::WRITABLE, || {
        if !head.is_empty() {
            return Ok(send(socket, head, SendFlags::MORE | SendFlags::NOSIGNAL)?);
        }
        let mut from = (file.len() - length) as u64;
        Ok(sendfile(socket, file.file(), Some(&mut from), length)?)
    })
}
