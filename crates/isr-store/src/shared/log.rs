//! The log of invalidations, its positions, and the replicas that follow it.

use std::collections::HashMap;
use std::time::Duration;

use isr_cache::{BoxFuture, Epoch, Invalidation, Mode, Reach, TierError};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, FromRedisValue, RedisError};
use tokio::sync::oneshot;

use super::connection::Connection;
use super::server::WAIT_MOST;
use super::write::Change;
use super::{Shared, TIME_TO_LIVE, WITHIN, millis};

/// Entries of the log that are kept, roughly. A replica that was away for longer takes everything it holds for stale.
pub(super) const LOG_LENGTH: u64 = 100_000;

/// Published purges whose epochs are kept: five times as many as a list of them holds.
const PURGES_KEPT: u64 = 1_000;

/// Entries of the log that are read at a time.
const LOG_STEP: usize = 1_000;

/// A replica that has said nothing for so long is gone, and nobody waits for it. It must take what it holds for stale
/// before that.
pub const REPLICA_GONE_AFTER: Duration = Duration::from_secs(15);

/// What the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Invalidations in their order.
    pub entries: Vec<Entry>,
    /// There may be more.
    pub is_part: bool,
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

impl Shared {
    /// Joins the replicas: epochs go on after `own`. Gives the present epoch and the number of the data set, which is
    /// another one when the server has lost everything; then it is `new`, and `others` are waited for as if they had
    /// reported.
    pub async fn join(&self, own: Epoch, new: u64, others: &[String]) -> Result<(Epoch, u64), TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.join.prepare_invoke();
        invocation.key(server.log_key("epoch")).key(server.log_key("data-set"));
        invocation.key(server.log_key("positions")).key(server.log_key("seen"));
        invocation.arg(own.position_after()).arg(new).arg(others);
        let (position, data_set): (u64, u64) =
            server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?;
        Ok((Epoch::at(position), data_set))
    }

    /// A new epoch, later than all that any replica has been told.
    pub async fn next_epoch(&self) -> Result<Epoch, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.next.prepare_invoke();
        invocation.key(server.log_key("epoch")).key(server.log_key("data-set"));
        Ok(Epoch::at(server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?))
    }

    /// The epoch of a published purge, by the name of its list and its number there: the same for every replica, and a new one
    /// for the first that asks.
    pub async fn purge_epoch(&self, list: &str, number: u64) -> Result<Epoch, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.purge.prepare_invoke();
        invocation.key(server.log_key("epoch")).key(server.log_key("data-set"));
        invocation.key(server.log_key(&format!("purges:{list}")));
        invocation.arg(number).arg(PURGES_KEPT).arg(millis(TIME_TO_LIVE));
        Ok(Epoch::at(server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?))
    }

    /// Invalidates, and gives the position in the log at which it stands. Whoever reads that far knows of it.
    pub fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>> {
        let (receipt, received) = oneshot::channel();
        let is_queued = self.queue.try_send(Change::Invalidate(invalidation, receipt));
        Box::pin(async move {
            let busy = || TierError("the shared tier cannot keep up".into());
            is_queued.map_err(|_| busy())?;
            received.await.unwrap_or_else(|_| Err(busy()))
        })
    }

    /// What the log of a data set says after a position; waits for the next entry for at most `wait`, of some seconds.
    ///
    /// # Errors
    ///
    /// Also when the server has another data set by now.
    pub async fn news(&self, data_set: u64, after: Epoch, wait: Duration) -> Result<News, TierError> {
        let server = &self.server;
        let mut connection = server.log.clone();
        let log = server.log_key("log");
        let wait = wait.min(WAIT_MOST);
        let millis = usize::try_from(wait.as_millis()).unwrap_or(usize::MAX).max(1);
        let options = StreamReadOptions::default().block(millis).count(LOG_STEP);
        let id = format!("{}-1", after.position());
        let (logs, ids) = ([&log], [&id]);
        let asking = connection.xread_options(&logs, &ids, &options);
        let read: Option<StreamReadReply> = server.ask(wait + WITHIN, asking).await?;
        let ids = || read.iter().flat_map(|read| &read.keys).flat_map(|key| &key.ids);
        let entries: Vec<Entry> = ids()
            .filter_map(|entry| {
                let text = |name: &str| entry.get::<Vec<u8>>(name);
                decode(position(&entry.id)?, &text("kind")?, &text("mode")?, &text("reach")?, &text("mark")?)
            })
            .collect();
        let is_part = ids().count() >= LOG_STEP;
        // Looked at after the entries: what is trimmed meanwhile shows as a gap that was none, and never the other way round.
        let trimmed = server.ask(WITHIN, trimmed(&mut connection, &log)).await?;
        let present: Option<u64> = server.ask(WITHIN, connection.get(server.log_key("data-set"))).await?;
        if present != Some(data_set) {
            return Err(TierError("the shared tier has lost its data".into()));
        }
        Ok(News { has_gap: trimmed.is_some_and(|oldest| oldest > after), is_part, entries })
    }

    /// Tells how far in the log this replica is.
    pub async fn report(&self, replica: &str, position: Epoch) -> Result<(), TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.report.prepare_invoke();
        invocation.key(server.log_key("positions")).key(server.log_key("seen"));
        invocation.arg(replica).arg(position.position());
        server.ask::<u64>(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?;
        Ok(())
    }

    /// Takes this replica off the list.
    pub async fn leave(&self, replica: &str) -> Result<(), TierError> {
        let server = &self.server;
        let (positions, seen) = (server.log_key("positions"), server.log_key("seen"));
        let mut connection = server.reads.clone();
        server.ask::<u64>(WITHIN, connection.zrem(&seen, replica)).await?;
        server.ask::<u64>(WITHIN, connection.hdel(&positions, replica)).await?;
        Ok(())
    }

    /// The replicas that are there, in the order of their names. What is left of others is removed.
    pub async fn replicas(&self) -> Result<Vec<Replica>, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.roll.prepare_invoke();
        invocation.key(server.log_key("positions")).key(server.log_key("seen"));
        invocation.arg(REPLICA_GONE_AFTER.as_secs());
        let listed: Vec<(String, u64)> =
            server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?;
        let replica = |(name, position)| Replica { name, position: Epoch::at(position) };
        let mut replicas: Vec<Replica> = listed.into_iter().map(replica).collect();
        replicas.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(replicas)
    }
}

fn position(id: &str) -> Option<Epoch> {
    id.split('-').next()?.parse().ok().map(Epoch::at)
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

/// The oldest position that is still in the log, if older ones have been trimmed. Positions are epochs, and renders take
/// epochs too, so that a hole is no gap by itself.
async fn trimmed(connection: &mut Connection, log: &str) -> Result<Option<Epoch>, RedisError> {
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
