//! The body type of everything the proxy sends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep};

/// The error of a body that breaks off: whatever the connection says.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body to send. The stored page, by far the most frequent one, costs no allocation.
#[derive(Default)]
pub(crate) enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// All bytes at hand; `None` once they are sent.
    Whole(Option<Bytes>),
    /// Bytes that arrive while they are sent, with their trailers.
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// A body of bytes at hand.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Whole(Some(bytes)) }
    }

    /// A body that streams from `body`.
    pub(crate) fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() { Self::Empty } else { Self::Stream(Box::pin(body.map_err(Into::into))) }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(None) => true,
            Self::Whole(Some(_)) => false,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Whole(None) => SizeHint::with_exact(0),
            Self::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// A body that fails when its sender is silent for too long, so that a hanging origin holds no connection for ever.
pub(crate) struct IdleLimit<B> {
    body: B,
    limit: Duration,
    silence: Pin<Box<Sleep>>,
}

impl<B> IdleLimit<B> {
    /// Fails `body` after `limit` without a frame.
    pub(crate) fn new(body: B, limit: Duration) -> Self {
        Self { body, limit, silence: Box::pin(tokio::time::sleep(limit)) }
    }
}

/// The origin was silent for too long in the middle of a body.
#[derive(Debug, thiserror::Error)]
#[error("no byte of the body for {0:?}")]
pub(crate) struct Silent(pub(crate) Duration);

impl<B> HttpBody for IdleLimit<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.silence.as_mut().reset(Instant::now() + this.limit);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.silence.as_mut().poll(context));
        Poll::Ready(Some(Err(Silent(this.limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that first gives bytes already read from `rest`, then `rest`.
pub(crate) struct Resumed<B> {
    pub(crate) read: Option<Bytes>,
    pub(crate) rest: B,
}

impl<B> HttpBody for Resumed<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        match this.read.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Pin::new(&mut this.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_none() && self.rest.is_end_stream()
    }
}
