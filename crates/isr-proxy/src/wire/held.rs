//! Writing together what HTTP/2 streams have to say at the same time.
//!
//! hyper writes each frame of content by itself: a page for each of eight streams takes eight system calls, and the kernel
//! sends each page by itself. A copy of 16 KiB costs less than one of those. So what hyper writes in one turn of the
//! connection's task is held here, and goes out at the end of the turn.

use std::cell::Cell;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::outlet::Outlet;

/// Bytes that are held at most, for each connection: what a socket takes at once as a rule, and what the second cache of a
/// processor has room for.
const HELD_MOST: usize = 64 * 1024;

thread_local! {
    /// Room that is held in by one connection after the other.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What waits for the end of a turn, or for a socket that is full.
#[derive(Default)]
pub(super) struct Held(Vec<u8>);

impl Held {
    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= HELD_MOST
    }

    /// Takes as much as there is room for, and says how much that was.
    pub(super) fn take(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if self.0.capacity() == 0 {
            self.0 = ROOM.take();
            self.0.reserve_exact(HELD_MOST);
        }
        let before = self.0.len();
        for slice in slices {
            let room = HELD_MOST - self.0.len();
            self.0.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        self.0.len() - before
    }

    /// Writes all of it.
    pub(super) fn poll_write<S: Outlet>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        if self.0.capacity() == 0 {
            return Poll::Ready(Ok(()));
        }
        while self.is_any() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, &self.0))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            if written == self.0.len() {
                self.0.clear();
            } else {
                self.0.drain(..written);
            }
        }
        ROOM.set(std::mem::take(&mut self.0));
        // TLS keeps what the socket had no room for.
        Pin::new(stream).poll_flush(context)
    }
}

#[cfg(test)]
mod tests;
