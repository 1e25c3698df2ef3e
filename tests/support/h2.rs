//! An HTTP/2 client, by prior knowledge over TCP or over an established TLS stream.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::client::{Request, Response, Stream};
use super::message::{Fields, latin1};
use super::wait::within_patience;

/// One HTTP/2 connection. Clones share it.
#[derive(Clone)]
pub struct H2 {
    sender: SendRequest<Full<Bytes>>,
}

impl H2 {
    /// Connects in the clear (RFC 9113 §3.3).
    pub async fn connect(address: SocketAddr) -> Self {
        let stream =
            within_patience("a connection", TcpStream::connect(address)).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self::over(Box::new(stream)).await
    }

    /// Speaks HTTP/2 over an established stream.
    pub async fn over(stream: Box<dyn Stream>) -> Self {
        let (sender, connection) =
            within_patience("the HTTP/2 preface", handshake(TokioExecutor::new(), TokioIo::new(stream)))
                .await
                .expect("the peer speaks HTTP/2");
        // The connection ends with its last sender; how it ended shows in the requests.
        tokio::spawn(async move { drop(connection.await) });
        Self { sender }
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: &Request) -> Response {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer to {request:?}: {error}"))
    }

    /// Sends a request and reads its answer, or the error it ended in.
    pub async fn try_send(&self, request: &Request) -> Result<Response, hyper::Error> {
        let begun = Instant::now();
        let mut builder = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://{}{}", request.host, request.target));
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let message = builder.body(Full::new(Bytes::from(request.body.clone()))).expect("a request");
        let mut sender = self.sender.clone();
        let exchange = async {
            sender.ready().await?;
            let (head, body) = sender.send_request(message).await?.into_parts();
            let collected = body.collect().await?;
            let trailers = collected.trailers().map(fields).unwrap_or_default();
            Ok(Response {
                status: head.status.as_u16(),
                headers: fields(&head.headers),
                body: collected.to_bytes().to_vec(),
                trailers,
                interim: Vec::new(),
                took: begun.elapsed(),
            })
        };
        within_patience("an HTTP/2 response", exchange).await
    }
}

fn fields(map: &http::HeaderMap) -> Fields {
    Fields(map.iter().map(|(name, value)| (name.as_str().to_owned(), latin1(value.as_bytes()))).collect())
}
