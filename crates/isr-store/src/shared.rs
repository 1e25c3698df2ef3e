//! The shared tier: one copy of each page for all replicas, and the log of invalidations that makes them agree.
//!
//! The server is Redis 7 or Valkey. A group of pages is one hash, with its marks beside its records, so that storing and
//! invalidating are one step each. The log is a stream; the position of an entry is an epoch, the next number of one counter,
//! so that what one replica rendered and another invalidated have an order.
//!
//! A visitor waits for it a few tens of milliseconds at most, and after a failure not at all for a second. Only who
//! invalidates waits longer, and is told when it could not be done.

mod scripts;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use isr_cache::{
    BoxFuture, Epoch, Group, Invalidation, Mode, Reach, StoredResponse, Tier, TierError, Watermark,
};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, FromRedisValue, RedisError};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::record;
use scripts::Scripts;

/// The version of keys and values. Replicas of another one share nothing with these.
const FORMAT: u8 = 1;

/// How long a visitor waits for a page to be found. A render takes longer, and a local server answers in under one.
const FETCH_WITHIN: Duration = Duration::from_millis(50);

/// How long anything else may take.
const WITHIN: Duration = Duration::from_secs(2);

/// After a failure, how long no visitor waits for the next.
const REST: Duration = Duration::from_secs(1);

/// Bytes of records that wait to be written, at most; what comes beyond is not stored.
const QUEUE_BYTES: usize = 64 << 20;

/// Changes that wait to be written, at most.
const QUEUE_LENGTH: usize = 10_000;

/// A record that nobody has written anew for so long goes, however much room there is.
const TIME_TO_LIVE: Duration = Duration::from_hours(30 * 24);

/// Entries of the log that are kept, roughly. A replica that was away for longer takes everything it holds for stale.
const LOG_LENGTH: u64 = 100_000;

/// Entries of the log that are read at a time.
const LOG_STEP: usize = 1_000;

/// A replica that has said nothing for so long is gone. It takes what it holds for stale well before that.
pub(crate) const REPLICA_GONE_AFTER: Duration = Duration::from_secs(30);

/// Where the server is, and whose data these are.
#[derive(Clone)]
pub struct SharedOptions {
    /// `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, or `rediss://` for TLS.
    pub url: String,
    /// The password, if it is not in the URL.
    pub password: Option<String>,
    /// The installation, whose data these are.
    pub installation: String,
}

/// Why there is no shared tier.
#[derive(Debug, thiserror::Error)]
#[error("{0}: write redis://HOST:PORT, or rediss://HOST:PORT for TLS")]
pub struct SharedError(String);

/// What the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Invalidations in their order.
    pub entries: Vec<Entry>,
    /// Invalidations after the position that was asked from are no longer in the log.
    pub has_gap: bool,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in the log.
    pub position: Epoch,
    /// What it says.
    pub invalidation: Invalidation,
}

/// A replica, as it told of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// How far in the log it is.
    pub position: Epoch,
}

/// What happened to the shared tier since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedUsage {
    /// Times that the server did not do what it was asked to do.
    pub errors: u64,
    /// Records that were not what they should be.
    pub damaged: u64,
    /// Responses that were not stored because the server is too slow or away.
    pub dropped: u64,
}

/// The shared tier.
pub struct Shared {
    inner: Arc<Inner>,
    queue: mpsc::Sender<Change>,
    room: Arc<Semaphore>,
}

struct Inner {
    connection: ConnectionManager,
    /// For reading the log, which waits and would hold up everything behind it.
    log_connection: ConnectionManager,
    scripts: Scripts,
    prefix: String,
    resting: Mutex<Option<Instant>>,
    errors: AtomicU64,
    damaged: AtomicU64,
    dropped: AtomicU64,
}

/// Something to write, in order.
enum Change {
    Put { key: Box<[u8]>, response: Arc<StoredResponse>, _room: tokio::sync::OwnedSemaphorePermit },
    Remove { key: Box<[u8]>, group: Arc<Group> },
    Invalidate(Invalidation, oneshot::Sender<Result<Epoch, TierError>>),
}

impl Shared {
    /// The tier on this server, which need not be there yet. To be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the URL makes no sense.
    pub fn new(options: &SharedOptions) -> Result<Self, SharedError> {
        let bad = |error: RedisError| SharedError(error.to_string());
        let mut info = redis::IntoConnectionInfo::into_connection_info(&*options.url).map_err(bad)?;
        if let Some(password) = &options.password {
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        let client = redis::Client::open(info).map_err(bad)?;
        let config = |response| {
            ConnectionManagerConfig::new()
                .set_connection_timeout(Some(WITHIN))
                .set_response_timeout(Some(response))
                // Whoever waits is told at once; the next one tries again.
                .set_number_of_retries(0)
        };
        let open = |config| ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(bad);
        let inner = Arc::new(Inner {
            connection: open(config(WITHIN))?,
            log_connection: open(config(REPLICA_GONE_AFTER))?,
            scripts: Scripts::new(),
            prefix: format!("isr:{FORMAT}:{}:", options.installation),
            resting: Mutex::default(),
            errors: AtomicU64::default(),
            damaged: AtomicU64::default(),
            dropped: AtomicU64::default(),
        });
        let (queue, changes) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(write(Arc::clone(&inner), changes));
        Ok(Self { inner, queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)) })
    }

    /// Joins the replicas: epochs go on after `own`. Gives the present epoch and the name of the data set, which is another
    /// one when the server has lost everything.
    pub async fn join(&self, own: Epoch, new_name: &str) -> Result<(Epoch, String), TierError> {
        let inner = &self.inner;
        let mut invocation = inner.scripts.join.prepare_invoke();
        invocation.key(inner.log_key("epoch")).key(inner.log_key("data-set")).arg(own.0).arg(new_name);
        let (epoch, name): (u64, String) =
            inner.ask(WITHIN, invocation.invoke_async(&mut inner.connection.clone())).await?;
        Ok((Epoch(epoch), name))
    }

    /// A new epoch, later than all that any replica has been told.
    pub async fn next_epoch(&self) -> Result<Epoch, TierError> {
        let inner = &self.inner;
        let mut connection = inner.connection.clone();
        Ok(Epoch(inner.ask(WITHIN, connection.incr(inner.log_key("epoch"), 1)).await?))
    }

    /// Invalidates, and gives the position in the log at which it stands. A replica that is there knows of it.
    pub fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>> {
        let (receipt, received) = oneshot::channel();
        let is_queued = self.queue.try_send(Change::Invalidate(invalidation, receipt));
        Box::pin(async move {
            let busy = || TierError("the shared tier cannot keep up".into());
            is_queued.map_err(|_| busy())?;
            received.await.unwrap_or_else(|_| Err(busy()))
        })
    }

    /// What the log says after a position; waits for the next entry for at most `wait`.
    pub async fn news(&self, after: Epoch, wait: Duration) -> Result<News, TierError> {
        let inner = &self.inner;
        let mut connection = inner.log_connection.clone();
        let log = inner.log_key("log");
        let patience = wait + WITHIN;
        let millis = usize::try_from(wait.as_millis()).unwrap_or(usize::MAX).max(1);
        let options = StreamReadOptions::default().block(millis).count(LOG_STEP);
        let id = format!("{}-1", after.0);
        let read: Option<StreamReadReply> =
            inner.ask(patience, connection.xread_options(&[&log], &[&id], &options)).await?;
        let entries: Vec<Entry> = read
            .iter()
            .flat_map(|read| &read.keys)
            .flat_map(|key| &key.ids)
            .filter_map(|entry| {
                let text = |name: &str| entry.get::<Vec<u8>>(name);
                decode(position(&entry.id)?, &text("kind")?, &text("mode")?, &text("reach")?, &text("mark")?)
            })
            .collect();
        // Looked at after the entries: what is trimmed meanwhile shows as a gap that was none, and never the other way round.
        let trimmed = inner.ask(WITHIN, trimmed(&mut connection, &log)).await?;
        Ok(News { has_gap: trimmed.is_some_and(|oldest| oldest > after), entries })
    }

    /// Tells how far in the log this replica is.
    pub async fn report(&self, replica: &str, position: Epoch) -> Result<(), TierError> {
        let inner = &self.inner;
        let now: (u64, u64) = inner.ask(WITHIN, time(&mut inner.connection.clone())).await?;
        let mut pipeline = redis::pipe();
        let (positions, seen) = (inner.log_key("positions"), inner.log_key("seen"));
        pipeline.hset(&positions, replica, position.0).ignore().zadd(&seen, replica, now.0).ignore();
        let mut connection = inner.connection.clone();
        inner.ask(WITHIN, pipeline.query_async::<()>(&mut connection)).await
    }

    /// Takes this replica off the list.
    pub async fn leave(&self, replica: &str) -> Result<(), TierError> {
        let inner = &self.inner;
        let mut pipeline = redis::pipe();
        pipeline
            .hdel(inner.log_key("positions"), replica)
            .ignore()
            .zrem(inner.log_key("seen"), replica)
            .ignore();
        inner.ask(WITHIN, pipeline.query_async::<()>(&mut inner.connection.clone())).await
    }

    /// The replicas that are there.
    pub async fn replicas(&self) -> Result<Vec<Replica>, TierError> {
        let inner = &self.inner;
        let now: (u64, u64) = inner.ask(WITHIN, time(&mut inner.connection.clone())).await?;
        let since = now.0.saturating_sub(REPLICA_GONE_AFTER.as_secs());
        let mut pipeline = redis::pipe();
        let (positions, seen) = (inner.log_key("positions"), inner.log_key("seen"));
        pipeline.zrangebyscore(&seen, since, "+inf").hgetall(&positions);
        let (names, mut positions): (Vec<String>, HashMap<String, u64>) =
            inner.ask(WITHIN, pipeline.query_async(&mut inner.connection.clone())).await?;
        let replica = |name: String| {
            let position = Epoch(positions.remove(&name).unwrap_or_default());
            Replica { name, position }
        };
        Ok(names.into_iter().map(replica).collect())
    }

    /// What happened since the start.
    pub fn usage(&self) -> SharedUsage {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Inner { errors, damaged, dropped, .. } = &*self.inner;
        SharedUsage { errors: of(errors), damaged: of(damaged), dropped: of(dropped) }
    }
}

impl Tier for Shared {
    fn fetch<'t>(
        &'t self,
        key: &'t [u8],
        group: &'t Arc<Group>,
    ) -> BoxFuture<'t, Result<Option<Arc<StoredResponse>>, TierError>> {
        Box::pin(async move {
            let inner = &self.inner;
            if inner.is_resting() {
                return Ok(None);
            }
            let fields = ["hard".to_owned(), "soft".to_owned(), field("r:", key)];
            let mut connection = inner.connection.clone();
            let found: (Option<u64>, Option<u64>, Option<Bytes>) =
                inner.ask(FETCH_WITHIN, connection.hmget(inner.group_key(group), &fields)).await?;
            let (hard, soft, record) = found;
            group.cover(Watermark { hard: Epoch(hard.unwrap_or(0)), soft: Epoch(soft.unwrap_or(0)) });
            let Some(record) = record else { return Ok(None) };
            let found = record::unpack(&record, key, group).ok().map(Arc::new);
            if found.is_none() {
                inner.damaged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(found)
        })
    }

    fn put(&self, key: &[u8], response: &Arc<StoredResponse>) {
        let weight = u32::try_from(response.weight()).unwrap_or(u32::MAX);
        let is_queued = Arc::clone(&self.room).try_acquire_many_owned(weight).ok().and_then(|room| {
            let change = Change::Put { key: key.into(), response: Arc::clone(response), _room: room };
            self.queue.try_send(change).ok()
        });
        if is_queued.is_none() {
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, key: &[u8], group: &Arc<Group>) {
        let change = Change::Remove { key: key.into(), group: Arc::clone(group) };
        if self.queue.try_send(change).is_err() {
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn invalidate(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<(), TierError>> {
        let appended = self.append(invalidation);
        Box::pin(async move { appended.await.map(|_| ()) })
    }
}

/// Makes changes one after the other, until nobody is left to ask for one.
async fn write(inner: Arc<Inner>, mut changes: mpsc::Receiver<Change>) {
    while let Some(change) = changes.recv().await {
        match change {
            Change::Put { key, response, .. } => {
                let mut invocation = inner.scripts.put.prepare_invoke();
                invocation.key(inner.group_key(&response.group));
                invocation.arg(digest(&key)).arg(response.render.began.0).arg(record::pack(&key, &response));
                invocation.arg(millis(TIME_TO_LIVE));
                let mut connection = inner.connection.clone();
                if inner.ask::<u64>(WITHIN, invocation.invoke_async(&mut connection)).await.is_err() {
                    inner.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Change::Remove { key, group } => {
                let fields = [field("e:", &key), field("r:", &key)];
                let mut connection = inner.connection.clone();
                // What is left is as good as it was; who removes it says so again when it is asked for.
                let _ = inner.ask::<u64>(WITHIN, connection.hdel(inner.group_key(&group), &fields)).await;
            }
            Change::Invalidate(invalidation, receipt) => {
                // Who waited may have left.
                let _ = receipt.send(inner.invalidate(&invalidation).await);
            }
        }
    }
}

impl Inner {
    async fn invalidate(&self, invalidation: &Invalidation) -> Result<Epoch, TierError> {
        let Invalidation { reach, mode, epoch } = invalidation;
        let mode = match mode {
            Mode::Hard => "hard",
            Mode::Soft => "soft",
        };
        let (kind, bytes, mark) = match reach {
            Reach::Group(group) => {
                let mut invocation = self.scripts.mark.prepare_invoke();
                invocation.key(self.group_key_of(group)).arg(mode).arg(epoch.0).arg(millis(TIME_TO_LIVE));
                self.ask::<u64>(WITHIN, invocation.invoke_async(&mut self.connection.clone())).await?;
                ("group", group.as_bytes(), epoch.0)
            }
            Reach::Selected(selector) => ("selected", &**selector, epoch.0),
        };
        let mut invocation = self.scripts.append.prepare_invoke();
        invocation.key(self.log_key("epoch")).key(self.log_key("log"));
        invocation.arg(kind).arg(mode).arg(bytes).arg(mark).arg(LOG_LENGTH);
        Ok(Epoch(self.ask(WITHIN, invocation.invoke_async(&mut self.connection.clone())).await?))
    }

    /// Waits for an answer, and notes whether there was one.
    async fn ask<T>(
        &self,
        within: Duration,
        asking: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, TierError> {
        let error = match tokio::time::timeout(within, asking).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {within:?}"),
        };
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.resting() = Some(Instant::now() + REST);
        Err(TierError(format!("the shared tier does not answer: {error}").into()))
    }

    fn is_resting(&self) -> bool {
        self.resting().is_some_and(|until| Instant::now() < until)
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group_key(&self, group: &Group) -> String {
        self.group_key_of(group.name())
    }

    fn group_key_of(&self, name: &str) -> String {
        format!("{}group:{name}", self.prefix)
    }

    /// Keys of the log are in one slot of a cluster.
    fn log_key(&self, name: &str) -> String {
        format!("{{{}log}}:{name}", self.prefix)
    }
}

fn field(kind: &str, key: &[u8]) -> String {
    format!("{kind}{}", digest(key))
}

fn digest(key: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(record::digest(key)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn position(id: &str) -> Option<Epoch> {
    id.split('-').next()?.parse().ok().map(Epoch)
}

fn decode(position: Epoch, kind: &[u8], mode: &[u8], reach: &[u8], mark: &[u8]) -> Option<Entry> {
    let reach = match kind {
        b"group" => Reach::Group(std::str::from_utf8(reach).ok()?.into()),
        b"selected" => Reach::Selected(reach.into()),
        _ => return None,
    };
    let mode = match mode {
        b"hard" => Mode::Hard,
        b"soft" => Mode::Soft,
        _ => return None,
    };
    let epoch = Epoch(std::str::from_utf8(mark).ok()?.parse().ok()?);
    Some(Entry { position, invalidation: Invalidation { reach, mode, epoch } })
}

async fn time(connection: &mut ConnectionManager) -> Result<(u64, u64), RedisError> {
    redis::cmd("TIME").query_async(connection).await
}

/// The oldest position that is still in the log, if older ones have been trimmed. Positions are epochs, and renders take
/// epochs too, so that a hole is no gap by itself.
async fn trimmed(connection: &mut ConnectionManager, log: &str) -> Result<Option<Epoch>, RedisError> {
    let info: HashMap<String, redis::Value> = match connection.xinfo_stream(log).await {
        Ok(info) => info,
        // There is no log yet.
        Err(error) if error.code() == Some("ERR") => return Ok(None),
        Err(error) => return Err(error),
    };
    let number = |name: &str| info.get(name).and_then(|value| u64::from_redis_value(value.clone()).ok());
    if number("entries-added") <= number("length") {
        return Ok(None);
    }
    let first = info.get("first-entry").and_then(|entry| match entry {
        redis::Value::Array(parts) => String::from_redis_value(parts.first()?.clone()).ok(),
        _ => None,
    });
    let last = || String::from_redis_value(info.get("last-generated-id")?.clone()).ok();
    Ok(first.or_else(last).and_then(|id| position(&id)))
}

#[cfg(all(test, feature = "external-suites"))]
mod tests;
