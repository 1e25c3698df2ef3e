//! A way to the server that is slow, or holds back one message until it is told to let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A relay between replicas and the server.
pub struct Relay {
    port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    /// Milliseconds that each answer is late.
    late: AtomicU64,
    /// Answers until the one that is held back; negative afterwards.
    countdown: AtomicI64,
    is_held: watch::Sender<bool>,
}

impl Relay {
    /// A way to the server on this port.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State {
            late: AtomicU64::new(0),
            countdown: AtomicI64::new(-1),
            is_held: watch::Sender::new(false),
        });
        let relaying = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                tokio::spawn(relay(client, server, Arc::clone(&relaying)));
            }
        });
        Self { port, state, accepting }
    }

    /// Where it is, as a shared tier.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Has every answer come so late from now on.
    pub fn slow(&self, late: Duration) {
        self.state.late.store(u64::try_from(late.as_millis()).expect("small"), Ordering::Relaxed);
    }

    /// Holds back the answer that comes after so many others.
    pub fn hold_after(&self, answers: i64) {
        self.state.countdown.store(answers, Ordering::Relaxed);
    }

    /// Ends when an answer is held back.
    pub async fn held(&self) {
        let _ = self.state.is_held.subscribe().wait_for(|held| *held).await;
    }

    /// Lets it go, and holds no other.
    pub fn let_go(&self) {
        self.state.countdown.store(-1, Ordering::Relaxed);
        self.state.is_held.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
        let late = state.late.load(Ordering::Relaxed);
        if late > 0 {
            tokio::time::sleep(Duration::from_millis(late)).await;
        }
        if state.countdown.fetch_sub(1, Ordering::Relaxed) == 0 {
            state.is_held.send_replace(true);
            let _ = state.is_held.subscribe().wait_for(|held| !held).await;
        }
        if to_client.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    requests.abort();
}
