//! The shared tier: one copy of each page for all replicas, and the log of invalidations that makes them agree.
//!
//! The server is Redis 7 or Valkey. A group of pages is one hash, with its marks beside its records, so that storing and
//! invalidating are one step each. The log is a stream; the position of an entry is an epoch, the next number of one counter,
//! so that what one replica rendered and another invalidated have an order.
//!
//! A visitor waits for it a few tens of milliseconds at most, and after a failure not at all for a second. Only who
//! invalidates waits longer, and is told when it could not be done.

mod address;
mod connection;
mod entry;
mod lock;
mod log;
mod port;
mod scripts;
mod server;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use isr_cache::{BoxFuture, Epoch, Group, Invalidation, StoredResponse, Tier, TierError, Watermark};
use redis::{AsyncCommands as _, RedisError};
use tokio::sync::{Semaphore, mpsc};

use crate::record;
use server::Server;
use write::Change;

/// The version of keys and values. Replicas of another one share nothing with these.
const FORMAT: u8 = 2;

/// How long a visitor waits for a page to be found. A render takes longer, and a local server answers in under one.
const FETCH_WITHIN: Duration = Duration::from_millis(50);

/// How long anything else may take.
const WITHIN: Duration = Duration::from_secs(2);

/// Bytes of records that wait to be written, at most; what comes beyond is not stored.
const QUEUE_BYTES: usize = 64 << 20;

/// Changes that wait to be written, at most.
const QUEUE_LENGTH: usize = 10_000;

/// A record that nobody has written anew for so long goes, however much room there is.
const TIME_TO_LIVE: Duration = Duration::from_hours(30 * 24);

/// Where the server is, and whose data these are.
#[derive(Clone)]
pub struct SharedOptions {
    /// `redis://[USER@]HOST[:PORT][/DATABASE]`, `redis+cluster://[USER@]HOST[:PORT],…`, or
    /// `redis+sentinel://[USER@]HOST[:PORT],…/NAME[/DATABASE]`; `rediss` instead of `redis` for TLS.
    pub url: String,
    /// The password, if it is not in the URL.
    pub password: Option<String>,
    /// Certificates (PEM) of who is trusted to sign the server's; the system's if there are none.
    pub trusted: Option<Vec<u8>>,
    /// The installation, whose data these are.
    pub installation: String,
}

impl std::fmt::Debug for SharedOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password as well.
        formatter
            .debug_struct("SharedOptions")
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

/// Why there is no shared tier.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}. Write redis://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT/NAME; rediss instead of redis for TLS"
)]
pub struct SharedError(String);

/// The shared tier.
pub struct Shared {
    server: Arc<Server>,
    queue: mpsc::Sender<Change>,
    room: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// What the server gives of a page: the marks of its group, and its record.
type Stored = (Option<String>, Option<String>, Option<Bytes>);

#[derive(Default)]
struct Counts {
    damaged: AtomicU64,
    dropped: AtomicU64,
}

impl Shared {
    /// The tier on this server, which need not be there yet. To be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the URL makes no sense.
    pub fn new(options: &SharedOptions) -> Result<Self, SharedError> {
        let bad = |error: RedisError| SharedError(error.to_string());
        let address = options.url.parse().map_err(SharedError)?;
        let server = Arc::new(Server::new(options, &address).map_err(bad)?);
        let counts = Arc::<Counts>::default();
        let (queue, changes) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(write::run(Arc::clone(&server), Arc::clone(&counts), changes));
        Ok(Self { server, queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), counts })
    }

    /// The response in a record, unless it is damaged, and what the group's marks say.
    fn unpack(
        &self,
        key: &[u8],
        group: &Arc<Group>,
        (hard, soft, record): Stored,
    ) -> Option<Arc<StoredResponse>> {
        let epoch_of = |kind, stored: Option<String>| server::epoch_of(group.name(), kind, stored.as_deref());
        let marks =
            epoch_of("hard", hard).and_then(|hard| Ok(Watermark { hard, soft: epoch_of("soft", soft)? }));
        let found = match (marks, record) {
            (Err(damaged), _) => Err(damaged),
            (Ok(marks), record) => {
                group.cover(marks);
                record::unpack(&record?, key, group)
            }
        };
        if found.is_err() {
            self.counts.damaged.fetch_add(1, Ordering::Relaxed);
        }
        found.ok().map(Arc::new)
    }
}

impl Tier for Shared {
    fn fetch<'t>(
        &'t self,
        key: &'t [u8],
        group: &'t Arc<Group>,
    ) -> BoxFuture<'t, Result<Option<Arc<StoredResponse>>, TierError>> {
        Box::pin(async move {
            let server = &self.server;
            if server.is_resting() {
                return Ok(None);
            }
            let fields = ["hard".to_owned(), "soft".to_owned(), server::field("r:", key)];
            let mut connection = server.reads.clone();
            let found: Stored =
                server.ask(FETCH_WITHIN, connection.hmget(server.group_key(group.name()), &fields)).await?;
            Ok(self.unpack(key, group, found))
        })
    }

    fn put(&self, key: &[u8], response: &Arc<StoredResponse>) {
        if self.server.data_set() == 0 {
            return;
        }
        let weight = u32::try_from(response.weight()).unwrap_or(u32::MAX);
        let is_queued = Arc::clone(&self.room).try_acquire_many_owned(weight).ok().and_then(|room| {
            let place = self.server.group_key(response.group.name());
            let change = Change::Put { place, key: key.into(), response: Arc::clone(response), _room: room };
            self.queue.try_send(change).ok()
        });
        if is_queued.is_none() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, key: &[u8], group: &Arc<Group>) {
        let change = Change::Remove { key: key.into(), group: group.name().into() };
        if self.queue.try_send(change).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn invalidate(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<(), TierError>> {
        let appended = self.append(invalidation);
        Box::pin(async move { appended.await.map(|_| ()) })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An epoch as text whose order is that of the epochs: the server's numbers are not exact for so many digits.
fn text(epoch: Epoch) -> String {
    format!("{:020}", epoch.0)
}

#[cfg(all(test, feature = "external-suites"))]
mod tests;
