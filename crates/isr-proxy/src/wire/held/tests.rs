use std::task::Waker;

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::*;

/// A socket that takes some bytes now and then.
struct Narrow {
    at_once: usize,
    sent: Vec<u8>,
    is_full: bool,
}

impl AsyncRead for Narrow {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.is_full = !self.is_full;
        if self.is_full {
            return Poll::Pending;
        }
        let written = bytes.len().min(self.at_once);
        self.sent.extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Outlet for Narrow {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

proptest! {
    /// Whatever is written in whatever pieces, and however little the socket takes: all of it arrives, in order.
    #[test]
    fn what_is_held_arrives_whole_and_in_order(
        pieces in prop::collection::vec(0_usize..40_000, 1..20),
        at_once in 1_000_usize..100_000,
        releases in prop::collection::vec(any::<bool>(), 20),
    ) {
        let mut context = Context::from_waker(Waker::noop());
        let mut stream = Narrow { at_once, sent: Vec::new(), is_full: false };
        let (mut held, mut written) = (Held::default(), Vec::new());
        for (number, length) in pieces.into_iter().enumerate() {
            let piece: Vec<u8> = (0..length).map(|at| (at + number).to_le_bytes()[0]).collect();
            let mut rest = &piece[..];
            while !rest.is_empty() {
                if held.is_full() {
                    while held.poll_write(&mut stream, &mut context)?.is_pending() {}
                }
                let (one, other) = rest.split_at(rest.len() / 3);
                let taken = held.take(&[IoSlice::new(one), IoSlice::new(other)]);
                prop_assert!(taken > 0 && held.0.len() <= HELD_MOST);
                rest = &rest[taken..];
            }
            written.extend(piece);
            if releases[number] {
                let _ = held.poll_write(&mut stream, &mut context)?;
            }
        }
        while held.poll_write(&mut stream, &mut context)?.is_pending() {}
        prop_assert!(!held.is_any());
        prop_assert_eq!(stream.sent, written);
    }
}
