//! A raw HTTP/1.1 client: keep-alive, pipelining, and byte-exact sends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::HOST;
use super::message::{Fields, latin1, read_body, read_head, write_head};
use super::wait::within_patience;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target as it goes on the wire.
    pub target: String,
    /// The `Host` field.
    pub host: String,
    /// The other header fields.
    pub headers: Vec<(String, String)>,
    /// The body; sent with a `Content-Length` unless the fields frame it otherwise.
    pub body: Vec<u8>,
}

/// A GET.
pub fn get(target: &str) -> Request {
    Request::new("GET", target)
}

/// A HEAD.
pub fn head(target: &str) -> Request {
    Request::new("HEAD", target)
}

/// A POST with a body.
pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    Request { body: body.into(), ..Request::new("POST", target) }
}

impl Request {
    /// A request to the usual host.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: HOST.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it to another host.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Presents `token` as the revalidation header does.
    pub fn revalidate(self, token: &str) -> Self {
        self.header("x-prerender-revalidate", token)
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut fields = vec![("Host".to_owned(), self.host.clone())];
        fields.extend(self.headers.iter().cloned());
        let framed = fields.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        let without_body = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        if !framed && !without_body {
            fields.push(("Content-Length".to_owned(), self.body.len().to_string()));
        }
        let mut bytes =
            write_head(&format!("{} {} HTTP/1.1", self.method, self.target), &fields).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A response as the client saw it.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Fields,
    /// The whole body.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Fields,
    /// The interim responses before it.
    pub interim: Vec<(u16, Fields)>,
    /// From the first byte sent to the last byte received.
    pub took: Duration,
}

impl Response {
    /// The body as text, each byte one character.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }

    /// The first value of a header field, or nothing at all.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_default()
    }

    /// The short status header: `HIT`, `STALE`, `MISS`, `REVALIDATED`, `BYPASS`, `ERROR`, or empty.
    pub fn cache(&self) -> &str {
        self.header("x-isr-cache")
    }

    /// Asserts status, cache status and body at once, and says why they are promised.
    #[track_caller]
    pub fn is(&self, status: u16, cache: &str, body: &str, why: &str) -> &Self {
        let text = self.text();
        let shown: String = text.chars().take(300).collect();
        let got = (self.status, self.cache(), shown.as_str());
        assert!(
            self.status == status && self.cache() == cache && text == body,
            "{why}: expected {:?}, got {got:?} with {:?}",
            (status, cache, body),
            self.headers
        );
        self
    }

    /// Asserts that this answers a revalidation on demand. All three headers say so, because the client code of each
    /// framework looks for its own.
    #[track_caller]
    pub fn is_revalidated(&self, status: u16, why: &str) {
        assert_eq!(self.status, status, "{why}: {:?}", self.text());
        for name in ["x-isr-cache", "x-vercel-cache", "x-nextjs-cache"] {
            assert_eq!(self.header(name), "REVALIDATED", "{why}: {name}");
        }
    }

    /// Asserts that this is a problem answer (RFC 9457) and returns what it says.
    #[track_caller]
    pub fn problem(&self, status: u16, why: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{why}: {:?} {:?}", self.headers, self.text());
        let kind = self.header("content-type");
        assert!(
            kind.starts_with("application/problem+json"),
            "{why}: a problem answer says so, not {kind:?}"
        );
        let problem: serde_json::Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{why}: {error} in {:?}", self.text()));
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(is_sentences(detail), "{why}: sentences end in one full stop: {detail}");
        problem
    }
}

/// Whether a text ends in one full stop, and no sentence stands in another. Two full stops are a segment of a path where
/// nothing goes before them.
fn is_sentences(text: &str) -> bool {
    let mut doubled = text.match_indices("..").filter(|(at, _)| {
        let is_end = text[at + 2..].is_empty() || text[at + 2..].starts_with(' ');
        is_end && !text[..*at].ends_with(' ')
    });
    text.ends_with('.') && doubled.next().is_none()
}

/// Anything that carries bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One connection.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

impl Client {
    /// Connects over TCP.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream =
            within_patience("a connection", TcpStream::connect(address)).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self::over(Box::new(stream))
    }

    /// Speaks over an established stream.
    pub fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a GET and reads its answer.
    pub async fn get(&mut self, target: &str) -> Response {
        self.send(&get(target)).await
    }

    /// Sends a request and reads its answer.
    pub async fn send(&mut self, request: &Request) -> Response {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer to {request:?}: {error}"))
    }

    /// Sends a request and reads its answer; an error when the connection breaks before the answer is complete.
    pub async fn try_send(&mut self, request: &Request) -> std::io::Result<Response> {
        let begun = Instant::now();
        let what = format!("{} {}{}", request.method, request.host, request.target);
        let answer = async {
            // A peer may answer and close before it has read everything: the answer counts, not the write.
            let written = self.stream.get_mut().write_all(&request.bytes()).await;
            match self.read_response(request.method == "HEAD").await {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    Err(written.err().unwrap_or(error))
                }
                other => other,
            }
        };
        let response = within_patience(&what, answer).await?;
        Ok(Response { took: begun.elapsed(), ..response })
    }

    /// Sends exactly these bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        within_patience("a write", self.stream.get_mut().write_all(bytes))
            .await
            .expect("the peer takes the bytes");
    }

    /// Sends exactly these bytes, whether or not the peer still listens.
    pub async fn write_if_open(&mut self, bytes: &[u8]) {
        let _ = within_patience("a write", self.stream.get_mut().write_all(bytes)).await;
    }

    /// Reads the next response to a request other than HEAD.
    pub async fn read(&mut self) -> Response {
        self.try_read().await.expect("a whole response")
    }

    /// Reads the next response, or the error that a broken one is.
    pub async fn try_read(&mut self) -> std::io::Result<Response> {
        within_patience("a response", self.read_response(false)).await
    }

    /// Reads the head of the next response; the body stays on the wire.
    pub async fn read_head(&mut self) -> (u16, Fields) {
        let head = within_patience("a response head", read_head(&mut self.stream)).await;
        let head = head.expect("a readable head").expect("a response, not the end of the connection");
        (status_of(&head.start), head.fields)
    }

    /// Reads exactly `length` bytes.
    pub async fn read_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within_patience("bytes", self.stream.read_exact(&mut bytes)).await.expect("as many bytes as that");
        bytes
    }

    /// Reads until `text` has been seen, and returns all of it.
    pub async fn read_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !latin1(&seen).contains(text) {
            let byte =
                within_patience(&format!("{text:?} after {:?}", latin1(&seen)), self.stream.read_u8()).await;
            seen.push(byte.unwrap_or_else(|error| panic!("{error} before {text:?} in {:?}", latin1(&seen))));
        }
        latin1(&seen)
    }

    /// Reads everything until the peer closes or resets.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = within_patience("the end of the connection", self.stream.read_to_end(&mut bytes)).await;
        bytes
    }

    async fn read_response(&mut self, bodiless: bool) -> std::io::Result<Response> {
        let begun = Instant::now();
        let mut interim = Vec::new();
        loop {
            let head = read_head(&mut self.stream).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            let status = status_of(&head.start);
            if (100..200).contains(&status) && status != 101 {
                interim.push((status, head.fields));
                continue;
            }
            let mut body = Vec::new();
            let mut trailers = Fields::default();
            if !bodiless && !matches!(status, 101 | 204 | 304) {
                trailers =
                    read_body(&mut self.stream, &head.fields, true, |piece| body.extend_from_slice(piece))
                        .await?;
            }
            return Ok(Response {
                status,
                headers: head.fields,
                body,
                trailers,
                interim,
                took: begun.elapsed(),
            });
        }
    }
}

fn status_of(line: &str) -> u16 {
    line.split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("a status line, not {line:?}"))
}
