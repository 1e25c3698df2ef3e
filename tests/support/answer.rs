//! What an origin says, and when: an answer is a list of steps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::message::write_head;

/// A door that a test opens: whoever waits at it goes on then. Clones are the same door.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed door.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets all who wait, and all who come, pass.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the door is open.
    pub async fn pass(&self) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// One thing that an origin does on the connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Waits for the door.
    Pass(Gate),
    /// Lets time pass.
    Wait(Duration),
    /// Sends back whatever arrives, until the peer closes (an upgraded connection).
    Echo,
    /// Ends the connection in good order.
    Close,
    /// Ends the connection with a TCP reset.
    Reset,
}

/// How the body's end is told (RFC 9112 §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    Close,
    /// A `Content-Length` that is not the body's.
    Claimed(usize),
}

/// A scripted answer. Built from a status and a body, or from raw steps.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    framing: Framing,
    before: Vec<Step>,
    after: Vec<Step>,
    raw: bool,
}

impl Answer {
    /// 200 with an HTML body.
    pub fn page(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).header("content-type", "text/html; charset=utf-8").body(body)
    }

    /// An answer with this status and no body yet.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            framing: Framing::Length,
            before: Vec::new(),
            after: Vec::new(),
            raw: false,
        }
    }

    /// Exactly these steps and nothing else.
    pub fn raw(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { raw: true, after: steps.into_iter().collect(), ..Self::status(0) }
    }

    /// Exactly these bytes, then the connection ends.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::raw([Step::Write(bytes.into()), Step::Close])
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in chunks, followed by these trailers.
    pub fn chunked(mut self, trailers: &[(&str, &str)]) -> Self {
        self.framing = Framing::Chunked;
        self.trailers = trailers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self
    }

    /// Ends the body by closing the connection (HTTP/1.0 fashion).
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// Announces `length` bytes whatever the body is, then closes.
    pub fn claiming(mut self, length: usize) -> Self {
        self.framing = Framing::Claimed(length);
        self
    }

    /// Sends an interim response before this one (RFC 9110 §15.2).
    pub fn interim(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let head = write_head(&format!("HTTP/1.1 {status} Interim"), &headers);
        self.before.push(Step::Write(head.into_bytes()));
        self
    }

    /// Says nothing more until the door opens.
    pub fn when(mut self, gate: &Gate) -> Self {
        self.before.push(Step::Pass(gate.clone()));
        self
    }

    /// Says nothing more until this much time has passed.
    pub fn after(mut self, time: Duration) -> Self {
        self.before.push(Step::Wait(time));
        self
    }

    /// The steps that answer a request with this method. Whether a body is allowed follows RFC 9110 §6.4.1.
    pub fn steps(self, method: &str) -> Vec<Step> {
        if self.raw {
            return self.after;
        }
        let Self { status, mut headers, body, trailers, framing, before, mut after, .. } = self;
        let bodiless = status < 200 || status == 204 || status == 304;
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) && status >= 200 {
            headers.push(("date".to_owned(), httpdate::fmt_http_date(std::time::SystemTime::now())));
        }
        let mut tail = Vec::new();
        match framing {
            _ if bodiless => {}
            Framing::Length => headers.push(("content-length".to_owned(), body.len().to_string())),
            Framing::Claimed(length) => headers.push(("content-length".to_owned(), length.to_string())),
            Framing::Chunked => {
                headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
                headers.extend(trailers.iter().map(|(name, _)| ("trailer".to_owned(), name.clone())));
                tail = write_head("0", &trailers).into_bytes();
            }
            Framing::Close => headers.push(("connection".to_owned(), "close".to_owned())),
        }
        let mut out = write_head(&format!("HTTP/1.1 {status} Scripted"), &headers).into_bytes();
        if !bodiless && method != "HEAD" {
            if framing == Framing::Chunked && !body.is_empty() {
                out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                out.extend_from_slice(&body);
                out.extend_from_slice(b"\r\n");
            } else {
                out.extend_from_slice(&body);
            }
            out.extend_from_slice(&tail);
        }
        let mut steps = before;
        steps.push(Step::Write(out));
        if matches!(framing, Framing::Close | Framing::Claimed(_)) {
            after.push(Step::Close);
        }
        steps.append(&mut after);
        steps
    }
}
