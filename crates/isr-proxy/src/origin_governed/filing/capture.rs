//! Reading along while a body passes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::{Body, BoxError};
use crate::page::compact_body;
use crate::room::STEP;
use crate::state::Proxy;

/// The part of a body that has been read.
pub(super) struct Reading {
    read: BytesMut,
    limit: usize,
    room: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Reading {
    pub(super) fn begin(proxy: &Proxy) -> Self {
        let room = Arc::clone(&proxy.reading);
        Self { read: BytesMut::new(), limit: proxy.config.limits.page_bytes, room, held: None }
    }

    /// Adds what came next. `false` when the whole will not be stored: it is too long, or there is no room for it now.
    pub(super) fn add(&mut self, data: &[u8]) -> bool {
        self.read.extend_from_slice(data);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = self.read.len().div_ceil(STEP).saturating_sub(held);
        if missing > 0 {
            let Ok(steps) = u32::try_from(missing) else { return false };
            let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(steps) else { return false };
            match &mut self.held {
                Some(held) => held.merge(permit),
                None => self.held = Some(permit),
            }
        }
        self.read.len() <= self.limit
    }

    pub(super) fn into_bytes(self) -> Bytes {
        compact_body(self.read)
    }
}

/// A body that is handed over once all of it has passed. Nothing about that can break the passing.
pub(super) struct Capture<F> {
    body: Body,
    keep: Option<(Reading, F)>,
}

impl<F: FnOnce(Bytes) + Unpin> Capture<F> {
    pub(super) fn new(body: Body, reading: Reading, whole: F) -> Self {
        let mut capture = Self { body, keep: Some((reading, whole)) };
        if capture.body.is_end_stream() {
            capture.finish();
        }
        capture
    }

    fn finish(&mut self) {
        if let Some((reading, whole)) = self.keep.take() {
            whole(reading.into_bytes());
        }
    }
}

impl<F: FnOnce(Bytes) + Unpin> HttpBody for Capture<F> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            None => this.finish(),
            Some(Err(_)) => this.keep = None,
            Some(Ok(frame)) => {
                if let (Some(data), Some((reading, _))) = (frame.data_ref(), &mut this.keep)
                    && !reading.add(data)
                {
                    this.keep = None;
                }
                // A body of known length is not asked again after its last byte.
                if this.body.is_end_stream() {
                    this.finish();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
