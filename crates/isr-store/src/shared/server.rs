//! The server and how it is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use isr_cache::{Epoch, TierError};
use redis::RedisError;

use super::address::Address;
use super::connection::{Connection, Login};
use super::scripts::Scripts;
use super::{FORMAT, SharedOptions, WITHIN, text};
use crate::record::{self, Damaged};

/// After a failure, how long no visitor waits for the next.
pub(super) const REST: Duration = Duration::from_secs(1);

/// How long a process that was held up itself has to look what has come meanwhile.
const CATCH_UP: Duration = Duration::from_millis(5);

/// The longest that the server may keep an answer back because it was asked to.
pub(super) const WAIT_MOST: Duration = Duration::from_secs(20);

pub(super) struct Server {
    /// For what somebody waits for.
    pub(super) reads: Connection,
    /// For what is written in order; a long record holds up nobody who reads.
    pub(super) writes: Connection,
    /// For reading the log, which waits and would hold up everything behind it.
    pub(super) log: Connection,
    pub(super) scripts: Scripts,
    pub(super) errors: AtomicU64,
    prefix: String,
    /// The data set that this replica has joined; 0 before it has joined any. What it does is done in that one and in no other.
    data_set: AtomicU64,
    resting: Mutex<Option<Instant>>,
}

impl Server {
    pub(super) fn new(options: &SharedOptions, address: &Address) -> Result<Self, RedisError> {
        let login =
            Login { address, password: options.password.as_deref(), trusted: options.trusted.as_deref() };
        let open = |answer_within| Connection::new(&login, answer_within);
        Ok(Self {
            reads: open(WITHIN)?,
            writes: open(WITHIN)?,
            log: open(WAIT_MOST + WITHIN)?,
            scripts: Scripts::new(),
            errors: AtomicU64::default(),
            prefix: format!("isr:{FORMAT}:{}:", options.installation),
            data_set: AtomicU64::default(),
            resting: Mutex::default(),
        })
    }

    /// Waits for an answer, and notes whether there was one.
    pub(super) async fn ask<T>(
        &self,
        within: Duration,
        asking: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, TierError> {
        let mut asking = std::pin::pin!(asking);
        let mut answer = tokio::time::timeout(within, &mut asking).await;
        if answer.is_err() {
            // It may be this process that stood still, and the answer is there.
            answer = tokio::time::timeout(CATCH_UP, asking).await;
        }
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {within:?}"),
        };
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.resting() = Some(Instant::now() + REST);
        Err(TierError(format!("the shared tier does not answer: {error}").into()))
    }

    /// Notes which data set this replica has joined.
    pub(super) fn joined(&self, data_set: u64) {
        self.data_set.store(data_set, Ordering::Relaxed);
    }

    pub(super) fn data_set(&self) -> u64 {
        self.data_set.load(Ordering::Relaxed)
    }

    /// Whether nobody is to ask the server: it did not answer a moment ago, or is not known to have anything for this replica.
    pub(super) fn is_resting(&self) -> bool {
        self.data_set() == 0 || self.resting().is_some_and(|until| Instant::now() < until)
    }

    fn resting(&self) -> MutexGuard<'_, Option<Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hash of a group's marks and records. In a cluster its lock is beside it. It is one of the data set, so that what a
    /// replica writes that has yet to learn that its own is lost is nobody's.
    pub(super) fn group_key(&self, group: &str) -> String {
        format!("{}{}:group:{{{group}}}", self.prefix, self.data_set())
    }

    /// The lock for rendering a page of a group.
    pub(super) fn lock_key(&self, group: &str, key: &[u8]) -> String {
        format!("{}{}:lock:{{{group}}}:{}", self.prefix, self.data_set(), digest(key))
    }

    /// Keys of the log are in one slot of a cluster.
    pub(super) fn log_key(&self, name: &str) -> String {
        format!("{}{{log}}:{name}", self.prefix)
    }
}

/// A field of a group's hash: `e:` for the epoch of a record, `r:` for the record.
pub(super) fn field(kind: &str, key: &[u8]) -> String {
    format!("{kind}{}", digest(key))
}

/// A mark of a group as it is stored: the epoch, and a digest of it and of what it is.
pub(super) fn mark(group: &str, kind: &str, epoch: Epoch) -> String {
    let epoch = text(epoch);
    let sum = digest(format!("{group} {kind} {epoch}").as_bytes());
    epoch + &sum[..8]
}

/// The epoch of a mark, of which there may be none.
pub(super) fn epoch_of(group: &str, kind: &str, stored: Option<&str>) -> Result<Epoch, Damaged> {
    let Some(stored) = stored else { return Ok(Epoch(0)) };
    let epoch = stored.get(..20).and_then(|epoch| epoch.parse().ok()).map(Epoch).ok_or(Damaged)?;
    if mark(group, kind, epoch) == stored { Ok(epoch) } else { Err(Damaged) }
}

pub(super) fn digest(key: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(record::digest(key)))
}
