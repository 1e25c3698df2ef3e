//! Connections that have changed their protocol, WebSockets above all: bytes both ways until either end closes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::activity::Activity;
use crate::state::Draining;

/// Joins the two sides until either closes, both are silent for `idle`, or the process ends.
pub(crate) async fn join(
    visitor: OnUpgrade,
    origin: OnUpgrade,
    idle: Duration,
    mut draining: watch::Receiver<Draining>,
) {
    let (Ok(visitor), Ok(origin)) = tokio::join!(visitor, origin) else { return };
    let heard = Activity::begin();
    let mut visitor = Listened { stream: TokioIo::new(visitor), heard: heard.clone() };
    let mut origin = Listened { stream: TokioIo::new(origin), heard: heard.clone() };
    tokio::select! {
        // How either end closes is its own affair.
        _ = tokio::io::copy_bidirectional(&mut visitor, &mut origin) => {}
        () = heard.silence(idle) => {}
        _ = draining.wait_for(|state| *state == Draining::Over) => {}
    }
}

struct Listened<S> {
    stream: S,
    heard: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.heard.note();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
