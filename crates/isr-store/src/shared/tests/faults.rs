//! Between the adapter and the server stands one that breaks a promise at the n-th message, for every n.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::contract::{self, stale};

/// What becomes of a message. All else passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The connection ends before the server gets the request.
    RequestLost,
    /// The server does it, and the connection ends before anybody learns.
    AnswerLost,
    /// Half of the answer comes, and the end of the connection.
    Torn,
    /// The answer comes after all deadlines for visitors.
    Late,
    /// Some bytes of the answer are others.
    Lie,
    /// The server refuses, as one without memory does.
    Full,
}

const FAULTS: [Fault; 6] =
    [Fault::RequestLost, Fault::AnswerLost, Fault::Torn, Fault::Late, Fault::Lie, Fault::Full];

const FULL: &[u8] = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// A way to the server on which the n-th piece of traffic, of either direction, meets a fault.
struct Way {
    port: u16,
    countdown: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Way {
    async fn to(server: u16, fault: Fault, after: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let countdown = Arc::new(AtomicU64::new(after));
        let counting = Arc::clone(&countdown);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
                let counted = Arc::clone(&counting);
                let answers = tokio::spawn(answers(from_server, Arc::clone(&to_client), counted, fault));
                tokio::spawn(requests(
                    from_client,
                    to_server,
                    to_client,
                    Arc::clone(&counting),
                    fault,
                    answers,
                ));
            }
        });
        Self { port, countdown, accepting }
    }

    fn has_met(&self) -> bool {
        self.countdown.load(Relaxed) == 0
    }

    fn shared(&self, installation: &str) -> Shared {
        adapter(self.port, installation)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whether this is the one.
fn is_due(countdown: &AtomicU64) -> bool {
    countdown.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1)
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    back: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    countdown: Arc<AtomicU64>,
    fault: Fault,
    answers: tokio::task::JoinHandle<()>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if matches!(fault, Fault::RequestLost | Fault::Full) && is_due(&countdown) {
            if fault == Fault::RequestLost {
                break;
            }
            // As many refusals as there are requests in one piece: a request begins with the number of its parts.
            let requests = buffer[..length]
                .windows(2)
                .filter(|pair| pair[0] == b'*' && pair[1].is_ascii_digit())
                .count();
            let refusals = FULL.repeat(requests);
            if back.lock().await.write_all(&refusals).await.is_err() {
                break;
            }
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    answers.abort();
    let _ = back.lock().await.shutdown().await;
}

async fn answers(
    mut from: OwnedReadHalf,
    to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    countdown: Arc<AtomicU64>,
    fault: Fault,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let mut piece = buffer[..length].to_vec();
        if !matches!(fault, Fault::RequestLost | Fault::Full) && is_due(&countdown) {
            match fault {
                Fault::AnswerLost => break,
                Fault::Torn => {
                    let _ = to.lock().await.write_all(&piece[..length / 2]).await;
                    break;
                }
                Fault::Late => tokio::time::sleep(2 * FETCH_WITHIN).await,
                // Of a record, the middle; of a short answer, its last byte of content.
                _ => {
                    let at = if length > 200 { length / 2 } else { length.saturating_sub(3) };
                    piece[at] ^= 0x11;
                }
            }
        }
        if to.lock().await.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = to.lock().await.shutdown().await;
}

/// What a tier has acknowledged so far of a page.
#[derive(Default)]
struct Told {
    /// Bodies that were put, with the epochs of their renders.
    put: Vec<(String, u64)>,
    /// A hard and a soft invalidation that were certain.
    hard: u64,
    soft: u64,
}

/// Some pages, invalidations and locks.
async fn use_it(shared: &Shared) -> Told {
    let blog = group("a/blog");
    let mut told = Told::default();
    for epoch in [1, 3, 5, 7] {
        let body = format!("{epoch} {}", "text ".repeat(60));
        shared.put(b"page", &page(&blog, &body, epoch));
        told.put.push((body, epoch));
        let mode = if epoch == 3 { Mode::Hard } else { Mode::Soft };
        if epoch < 7 && shared.invalidate(invalidation(&blog, mode, epoch + 1)).await.is_ok() {
            match mode {
                Mode::Hard => told.hard = epoch + 1,
                Mode::Soft => told.soft = epoch + 1,
            }
        }
        let claimed = shared
            .claim(b"page", &blog, Terms { fence: Epoch(epoch), known: None, steal: true }, WITHIN)
            .await;
        let _ = shared.renew(b"page", &blog, Epoch(epoch)).await;
        shared.release(b"page", &blog, Epoch(epoch));
        if let Ok(Some(found)) = claimed.map(|claim| claim.found) {
            let body = crate::testing::body(&found);
            assert!(told.put.iter().any(|(put, _)| *put == body), "what was never put: {body}");
        }
        obeys(shared, &told).await;
    }
    told
}

/// Whatever is found was put, and is as old as it may be.
async fn obeys(shared: &Shared, told: &Told) {
    let Some((body, is_stale)) = found(shared, "a/blog", b"page").await else { return };
    let began = told.put.iter().find(|(put, _)| *put == body).map(|(_, epoch)| *epoch);
    let Some(began) = began else { unreachable!("what was never put: {body}") };
    assert!(began >= told.hard, "{began} is older than the invalidation of {}", told.hard);
    assert!(is_stale || began >= told.soft, "{began} is stale since {}", told.soft);
}

/// Messages of one run of [`use_it`], and more.
const MESSAGES: u64 = 48;

/// One run in which the n-th message meets the fault; whether there was one.
async fn meets(server: Arc<Server>, fault: Fault, after: u64) -> bool {
    let installation = format!("{fault:?}-{after}");
    let sound = server.shared(&installation);
    sound.join(Epoch(0), 1, None).await.expect("joined");
    let way = Way::to(server.port, fault, after).await;
    let shared = way.shared(&installation);
    let told = use_it(&shared).await;
    // The server itself is sound: who asks it by another way finds nothing that may not be.
    obeys(&sound, &told).await;
    // And this one recovers by itself.
    let back = async {
        while shared.invalidate(invalidation(&group("a/other"), Mode::Soft, 9)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), back).await.expect("it is used again");
    way.has_met()
}

#[tokio::test]
async fn shared_a_server_that_fails_at_any_message_lies_to_nobody() {
    let server = Arc::new(Server::new().await);
    for fault in FAULTS {
        let runs = (1..=MESSAGES).map(|after| meets(Arc::clone(&server), fault, after));
        let mut met = 0;
        for run in runs.collect::<tokio::task::JoinSet<_>>().join_all().await {
            met += u32::from(run);
        }
        assert!(met > 15, "{fault:?} was met at {met} messages");
    }
}

#[tokio::test]
async fn shared_over_a_sound_way_the_contract_holds() {
    let server = Server::new().await;
    let way = Way::to(server.port, Fault::Torn, u64::MAX).await;
    contract::keeps(way.shared("a"), async |_| way.shared("a")).await;
    let blog = group("a/blog");
    let shared = way.shared("a");
    shared.put(b"page", &page(&blog, "a page", 20));
    shared.invalidate(invalidation(&blog, Mode::Soft, 21)).await.expect("it works");
    assert_eq!(found(&shared, "a/blog", b"page").await, stale("a page"));
}
