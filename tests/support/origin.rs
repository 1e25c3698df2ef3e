//! An application in the test's own process: it answers by a script and remembers every byte that reached it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::answer::{Answer, Step};
use super::message::{Fields, read_body, read_head};
use super::wait::{PATIENCE, eventually};

/// One request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The connection it came on, counted from 1.
    pub connection: usize,
    /// The how-manieth request for this target it is, counted from 1.
    pub nth: usize,
    /// The method.
    pub method: String,
    /// The request target, each byte one character.
    pub target: String,
    /// The header fields.
    pub headers: Fields,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailer fields, once the body has ended.
    pub trailers: Fields,
    /// Whether the whole body has arrived.
    pub complete: bool,
}

impl Received {
    /// `host` and `target` as they arrived, joined: what a page says of itself so that a wrong page is recognised.
    pub fn url(&self) -> String {
        format!("{}{}", self.headers.get("host").unwrap_or("no-host"), self.target)
    }
}

type Script = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
}

/// A scriptable HTTP/1.1 origin on a loopback port. Stops when dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Origin {
    /// Starts an origin that answers by `script`.
    pub async fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port for the origin");
        let address = listener.local_addr().expect("the origin's address");
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            received: Mutex::new(Vec::new()),
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, accepting }
    }

    /// An origin whose pages count their own renders: `v1`, `v2`, …
    pub async fn counting() -> Self {
        Self::start(|request| Answer::page(format!("v{}", request.nth))).await
    }

    /// Answers by another script from now on.
    pub fn answer(&self, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().expect("the script") = Arc::new(script);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.received.lock().expect("the record").clone()
    }

    /// How many requests so far.
    pub fn count(&self) -> usize {
        self.shared.received.lock().expect("the record").len()
    }

    /// How many requests so far for exactly this target.
    pub fn count_of(&self, target: &str) -> usize {
        self.shared.received.lock().expect("the record").iter().filter(|r| r.target == target).count()
    }

    /// The latest request; panics when there is none.
    pub fn last(&self) -> Received {
        self.requests().pop().expect("the origin has received a request")
    }

    /// The greatest number of requests that were being answered at one time.
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have arrived in all.
    pub async fn received(&self, count: usize) {
        let what = format!("request number {count} at the origin");
        eventually(&what, PATIENCE, async || (self.count() >= count).then_some(())).await;
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the origin, as those of a killed application do: the set aborts its tasks when dropped.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        connections.spawn(serve(stream, shared.clone(), number));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, connection: usize) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok(Some(head)) = read_head(&mut stream).await {
        let mut words = head.start.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let continues = head.fields.lists("expect", "100-continue");
        let index = {
            let mut received = shared.received.lock().expect("the record");
            let nth = received.iter().filter(|r| r.target == target).count() + 1;
            received.push(Received {
                connection,
                nth,
                method: method.clone(),
                target,
                headers: head.fields.clone(),
                body: Vec::new(),
                trailers: Fields::default(),
                complete: false,
            });
            received.len() - 1
        };
        if continues && stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return;
        }
        let sink = |piece: &[u8]| {
            shared.received.lock().expect("the record")[index].body.extend_from_slice(piece);
        };
        let Ok(trailers) = read_body(&mut stream, &head.fields, false, sink).await else { return };
        let request = {
            let mut received = shared.received.lock().expect("the record");
            received[index].trailers = trailers;
            received[index].complete = true;
            received[index].clone()
        };
        let script = shared.script.lock().expect("the script").clone();
        let now = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(now, Ordering::SeqCst);
        let open = perform(&mut stream, script(&request).steps(&method)).await;
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !open {
            return;
        }
    }
}

/// Does the steps; whether the connection is still open afterwards.
async fn perform(stream: &mut BufReader<TcpStream>, steps: Vec<Step>) -> bool {
    for step in steps {
        match step {
            Step::Write(bytes) => {
                if stream.get_mut().write_all(&bytes).await.is_err() {
                    return false;
                }
            }
            Step::Pass(gate) => gate.pass().await,
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Echo => {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    if stream.get_mut().write_all(&buffer[..length]).await.is_err() {
                        break;
                    }
                }
                return false;
            }
            Step::Close => {
                let _ = stream.get_mut().shutdown().await;
                return false;
            }
            Step::Reset => {
                let _ = stream.get_ref().set_zero_linger();
                return false;
            }
        }
    }
    true
}
