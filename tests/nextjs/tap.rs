//! A wire with a listener: what the proxy sends to Next.js passes unchanged and is remembered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::message::latin1;

/// The bytes of each connection, in the direction of the application.
type Sent = Arc<Mutex<Vec<Vec<u8>>>>;

/// A relay on a loopback port. Stops when dropped.
pub struct Tap {
    address: SocketAddr,
    sent: Sent,
    accepting: JoinHandle<()>,
}

impl Tap {
    /// Relays to `application`.
    pub async fn before(application: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port for the tap");
        let address = listener.local_addr().expect("the tap's address");
        let sent = Sent::default();
        let accepting = tokio::spawn(accept(listener, application, sent.clone()));
        Self { address, sent, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all requests so far. None of them has a body: what passes here are renders, and visits without one.
    pub fn heads(&self) -> Vec<String> {
        let sent = self.sent.lock().expect("the record");
        let heads = sent.iter().flat_map(|bytes| {
            let text = latin1(bytes);
            text.split("\r\n\r\n").map(str::to_owned).collect::<Vec<_>>()
        });
        heads.filter(|head| !head.is_empty()).collect()
    }

    /// How often `path` was asked for so far, with any query.
    pub fn count_of(&self, path: &str) -> usize {
        let asks = |head: &String| {
            let target = head.split(' ').nth(1).unwrap_or_default();
            target.split('?').next() == Some(path)
        };
        self.heads().iter().filter(|head| asks(head)).count()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, application: SocketAddr, sent: Sent) {
    let mut connections = JoinSet::new();
    while let Ok((visitor, _)) = listener.accept().await {
        let Ok(application) = TcpStream::connect(application).await else { continue };
        let (from_visitor, mut to_visitor) = visitor.into_split();
        let (mut from_application, to_application) = application.into_split();
        connections.spawn(record(from_visitor, to_application, sent.clone()));
        connections.spawn(async move {
            let _ = copy(&mut from_application, &mut to_visitor).await;
        });
    }
}

async fn record(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, sent: Sent) {
    let connection = {
        let mut sent = sent.lock().expect("the record");
        sent.push(Vec::new());
        sent.len() - 1
    };
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // Remembered before it is passed on, so that no answer is seen before its request.
        sent.lock().expect("the record")[connection].extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
