//! Hits, answered between two requests that are for hyper.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::ReadBuf;

use super::Wire;
use super::outlet::{Answer, Outlet};
use crate::hit::http1;
use crate::state::{Closing, Proxy};

/// Read at a time: a head of ordinary size, or several small ones that a client sends at once.
const READ_MOST: usize = 16 * 1024;

/// Hits of one connection in a row. A client that sends without waiting for answers does not hold up the others.
const IN_A_ROW: usize = 32;

/// What a connection keeps for its hits.
pub(super) struct Hits {
    proxy: Arc<Proxy>,
    /// What was read and is for hyper.
    unread: Vec<u8>,
    /// What the socket had no room for.
    unsent: Option<Answer<Bytes>>,
    /// The next answer is the last of the connection.
    pub(super) is_last: bool,
    /// The visitor was told so.
    is_over: bool,
}

/// Room that the connections of a thread share: an idle one needs none.
struct Room {
    input: Box<[u8]>,
    head: Vec<u8>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(Room {
        input: vec![0; READ_MOST].into(),
        head: Vec::with_capacity(1024 + http1::COPIED_MOST),
    });
}

impl Hits {
    pub(super) fn new(proxy: Arc<Proxy>) -> Self {
        Self { proxy, unread: Vec::new(), unsent: None, is_last: false, is_over: false }
    }

    /// Moves what was read ahead to `buffer`; `false` if there is nothing.
    pub(super) fn take_unread(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        let taken = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..taken]);
        self.unread.drain(..taken);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        true
    }
}

impl<S: Outlet> Wire<S> {
    /// Answers hits until something else comes, which is left unread (`true`), or the connection is over. When the proxy
    /// closes, a request that has arrived already still gets its answer.
    pub(crate) async fn serve_hits(&mut self, closing: &mut Closing) -> Result<bool> {
        poll_fn(|context| {
            if let Poll::Ready(result) = self.poll_hits(context) {
                return Poll::Ready(result);
            }
            if closing.has_begun(context) && !self.hits.is_last {
                self.hits.is_last = true;
                if let Poll::Ready(result) = self.poll_hits(context) {
                    return Poll::Ready(result);
                }
            }
            if self.hits.is_last && self.hits.unsent.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await?;
        Ok(!self.hits.is_over && !self.hits.unread.is_empty())
    }

    /// Answers hits until something else comes: then there is something unread, or the visitor has sent all.
    pub(super) fn poll_hits(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        ROOM.with_borrow_mut(|room| {
            for _ in 0..IN_A_ROW {
                ready!(self.poll_unsent(context))?;
                if self.hits.is_over {
                    return Poll::Ready(Ok(()));
                }
                // From a request that came with an earlier one, or else from the socket.
                let ahead = std::mem::take(&mut self.hits.unread);
                let input = if ahead.is_empty() {
                    let mut buffer = ReadBuf::new(&mut room.input);
                    match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                        Poll::Ready(read) => read?,
                        Poll::Pending => {
                            self.patience.check(context)?;
                            return Poll::Pending;
                        }
                    }
                    let length = buffer.filled().len();
                    &room.input[..length]
                } else {
                    &ahead
                };
                if !self.hits.proxy.config.access_log
                    && let Some(hit) =
                        http1::answer(&self.hits.proxy, input, self.hits.is_last, &mut room.head)
                {
                    self.hits.unread = input[hit.read..].to_vec();
                    self.hits.is_over = self.hits.is_last;
                    self.patience.renew();
                    self.send(context, &room.head, hit.rest, hit.is_whole)?;
                } else {
                    self.hits.unread = if ahead.is_empty() { input.to_vec() } else { ahead };
                    return Poll::Ready(Ok(()));
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Writes an answer, or as much of it as the connection takes now.
    fn send(&mut self, context: &mut Context<'_>, head: &[u8], body: Bytes, is_whole: bool) -> Result<()> {
        // Of parts there may be more than files.
        let may_be_sent = is_whole && !body.is_empty() && self.stream.socket().is_some();
        let file = if may_be_sent { self.hits.proxy.pages.file(&body) } else { None };
        let mut answer = Answer { head, body, file };
        if answer.poll_write(&mut self.stream, context)?.is_pending() {
            let Answer { head, body, file } = answer;
            self.hits.unsent = Some(Answer { head: Bytes::copy_from_slice(head), body, file });
        }
        Ok(())
    }

    /// Writes the rest of an answer.
    pub(super) fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(answer) = &mut self.hits.unsent {
            ready!(answer.poll_write(&mut self.stream, context))?;
            self.hits.unsent = None;
        }
        Poll::Ready(Ok(()))
    }
}
