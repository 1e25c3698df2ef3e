//! The log of invalidations, its positions, and the replicas that follow it.

use std::collections::HashMap;
use std::time::Duration;

use isr_cache::{
    BoxFuture, Epoch, Invalidation, LogEntry, Mode, News, Pages, REPLICA_GONE_AFTER, Reach, Realm, Replica,
    Roll, Selector, TierError,
};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, FromRedisValue, RedisError};
use tokio::sync::oneshot;

use super::connection::Connection;
use super::entry;
use super::server::WAIT_MOST;
use super::write::Change;
use super::{Shared, TIME_TO_LIVE, WITHIN, millis};

/// Published purges whose epochs are kept: five times as many as a list of them holds.
const PURGES_KEPT: u64 = 1_000;

/// Entries of the log that are read at a time.
const LOG_STEP: usize = 1_000;

impl Shared {
    pub(super) async fn join(
        &self,
        own: Epoch,
        new: u64,
        knew: Option<u64>,
    ) -> Result<(Epoch, u64), TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.join.prepare_invoke();
        invocation.key(server.log_key("epoch")).key(server.log_key("data-set"));
        invocation.key(server.log_key("lost"));
        invocation.arg(own.position_after()).arg(new).arg(knew.unwrap_or_default());
        let (position, data_set): (u64, u64) =
            server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?;
        server.joined(data_set);
        Ok((Epoch::at(position), data_set))
    }

    pub(super) async fn next_epoch(&self, within: Duration) -> Result<Epoch, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.next.prepare_invoke();
        invocation.key(server.log_key("epoch")).key(server.log_key("data-set"));
        invocation.arg(server.data_set());
        Ok(Epoch::at(server.ask(within, invocation.invoke_async(&mut server.reads.clone())).await?))
    }

    pub(super) async fn purge_epoch(&self, list: &str, number: u64) -> Result<Epoch, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.purge.prepare_invoke();
        invocation.key(server.log_key("epoch")).key(server.log_key("data-set"));
        invocation.key(server.log_key(&format!("purges:{list}")));
        invocation.arg(server.data_set()).arg(number).arg(PURGES_KEPT).arg(millis(TIME_TO_LIVE));
        Ok(Epoch::at(server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?))
    }

    pub(super) fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>> {
        let (receipt, received) = oneshot::channel();
        let is_queued = self.queue.try_send(Change::Invalidate(invalidation, receipt));
        Box::pin(async move {
            let busy = || TierError("the shared tier cannot keep up".into());
            is_queued.map_err(|_| busy())?;
            received.await.unwrap_or_else(|_| Err(busy()))
        })
    }

    pub(super) async fn news(&self, data_set: u64, after: Epoch, wait: Duration) -> Result<News, TierError> {
        let server = &self.server;
        let mut connection = server.log.clone();
        let log = server.log_key("log");
        let wait = wait.min(WAIT_MOST);
        let millis = usize::try_from(wait.as_millis()).unwrap_or(usize::MAX).max(1);
        let options = StreamReadOptions::default().block(millis).count(LOG_STEP);
        // Whatever else stands at this position, by whomever: nothing is read twice.
        let id = format!("{}-{}", after.position(), u64::MAX);
        let (logs, ids) = ([&log], [&id]);
        let asking = connection.xread_options(&logs, &ids, &options);
        let read: Option<StreamReadReply> = server.ask(wait + WITHIN, asking).await?;
        let ids = || read.iter().flat_map(|read| &read.keys).flat_map(|key| &key.ids);
        let entries: Vec<LogEntry> = ids()
            .filter_map(|entry| {
                let position = position(&entry.id)?;
                let invalidation = entry::read(|name| entry.get(name));
                // What cannot be read may have meant anything.
                let invalidation = invalidation.unwrap_or_else(|| everything(position));
                Some(LogEntry { position, invalidation })
            })
            .collect();
        let is_part = ids().count() >= LOG_STEP;
        // Looked at after the entries: what is trimmed meanwhile shows as a gap that was none, and never the other way round.
        let trimmed = server.ask(WITHIN, trimmed(&mut connection, &log)).await?;
        let present: Option<u64> = server.ask(WITHIN, connection.get(server.log_key("data-set"))).await?;
        if present != Some(data_set) {
            return Err(TierError("the shared tier has lost its data".into()));
        }
        Ok(News { gap: trimmed.filter(|oldest| *oldest > after), is_part, entries })
    }

    pub(super) async fn report(&self, replica: &str, position: Epoch) -> Result<(), TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.report.prepare_invoke();
        invocation.key(server.log_key("positions")).key(server.log_key("data-set"));
        invocation.key(server.log_key("seen")).arg(server.data_set());
        invocation.arg(replica).arg(position.position());
        server.ask::<u64>(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?;
        Ok(())
    }

    pub(super) async fn leave(&self, replica: &str) -> Result<(), TierError> {
        let server = &self.server;
        let (positions, seen) = (server.log_key("positions"), server.log_key("seen"));
        let mut connection = server.reads.clone();
        server.ask::<u64>(WITHIN, connection.zrem(&seen, replica)).await?;
        server.ask::<u64>(WITHIN, connection.hdel(&positions, replica)).await?;
        Ok(())
    }

    pub(super) async fn replicas(&self) -> Result<Roll, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.roll.prepare_invoke();
        invocation.key(server.log_key("positions")).key(server.log_key("data-set"));
        invocation.key(server.log_key("seen")).key(server.log_key("lost")).arg(server.data_set());
        invocation.arg(REPLICA_GONE_AFTER.as_secs());
        let (may_lack, listed): (bool, Vec<(String, u64)>) =
            server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await?;
        let replica = |(name, position)| Replica { name, position: Epoch::at(position) };
        let mut replicas: Vec<Replica> = listed.into_iter().map(replica).collect();
        replicas.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Roll { replicas, may_lack })
    }
}

fn position(id: &str) -> Option<Epoch> {
    id.split('-').next()?.parse().ok().map(Epoch::at)
}

/// Makes stale whatever began before this epoch.
fn everything(epoch: Epoch) -> Invalidation {
    let selector = Selector { realm: Realm::Installation, pages: Pages::All };
    Invalidation { reach: Reach::Selected(selector.to_bytes().into()), mode: Mode::Soft, epoch }
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
