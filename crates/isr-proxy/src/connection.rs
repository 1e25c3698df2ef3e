//! What the requests of a visitor's connection share with what reads and writes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::body::{Body, BoxError};
use crate::fields::strip_hop_by_hop;
use crate::framing::Framing;

/// Interim responses that wait to be written, at most; an origin that sends more of them for one request loses them.
const INTERIM_MOST: usize = 16;

/// What the requests of a connection share with its wire.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Shared>);

struct Shared {
    framing: Framing,
    /// Some request of this connection was sent on to an origin, so there may be interim responses. Hits leave it.
    expecting: AtomicBool,
    /// Requests are streams of HTTP/2, and what is written waits for the end of a turn.
    has_streams: AtomicBool,
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
            has_streams: AtomicBool::new(false),
            interim: Mutex::default(),
            answered: AtomicU64::new(0),
        }))
    }

    pub(crate) fn framing(&self) -> &Framing {
        &self.0.framing
    }

    /// How many requests hyper was given and has answered to the end.
    pub(crate) fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::Acquire)
    }

    /// Has the end of this response noted, when hyper lets go of its body.
    pub(crate) fn note_end(&self, response: http::Response<Body>) -> http::Response<Noted> {
        let connection = self.clone();
        response.map(|body| Noted { body, connection })
    }

    /// From here on the wire writes together what several streams have to say. It cannot become another protocol any more.
    pub(crate) fn expect_streams(&self) {
        self.0.has_streams.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_streams(&self) -> bool {
        self.0.has_streams.load(Ordering::Relaxed)
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

    /// The next one to be written; without any, the task is woken when there is one.
    pub(crate) fn next_interim(&self, context: &Context<'_>) -> Option<Bytes> {
        let mut interim = self.0.interim.lock().unwrap_or_else(PoisonError::into_inner);
        let next = interim.waiting.pop_front();
        if next.is_none() {
            interim.writer = Some(context.waker().clone());
        }
        next
    }

    /// What waits cannot be placed between two messages any more.
    pub(crate) fn drop_interim(&self) {
        self.0.interim.lock().unwrap_or_else(PoisonError::into_inner).waiting.clear();
    }

    /// Whether the wire has to look for interim responses.
    pub(crate) fn is_expecting(&self) -> bool {
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
