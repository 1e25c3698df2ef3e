//! What is written, one change after the other: who reads the log finds in the store what came before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use isr_cache::{Epoch, Invalidation, Reach, StoredResponse, TierError};
use redis::AsyncCommands as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::entry;
use super::server::{Server, digest, field, mark};
use super::{Counts, TIME_TO_LIVE, WITHIN, millis, text};
use crate::record;

/// Entries of the log that are kept, roughly. A replica that was away for longer takes everything it holds for stale.
const LOG_LENGTH: u64 = 100_000;

/// Something to write.
pub(super) enum Change {
    /// `place` is where its group was when it was stored: of the data set that had been joined by then.
    Put {
        place: String,
        key: Box<[u8]>,
        response: Arc<StoredResponse>,
        _room: OwnedSemaphorePermit,
    },
    Remove {
        key: Box<[u8]>,
        group: Arc<str>,
    },
    Release {
        key: Box<[u8]>,
        group: Arc<str>,
        fence: Epoch,
    },
    Invalidate(Invalidation, oneshot::Sender<Result<Epoch, TierError>>),
}

/// Makes changes until nobody is left to ask for one.
pub(super) async fn run(server: Arc<Server>, counts: Arc<Counts>, mut changes: mpsc::Receiver<Change>) {
    while let Some(change) = changes.recv().await {
        match change {
            Change::Put { place, key, response, .. } => {
                let mut invocation = server.scripts.put.prepare_invoke();
                invocation.key(place);
                invocation
                    .arg(digest(&key))
                    .arg(text(response.render.began))
                    .arg(record::pack(&key, &response));
                invocation.arg(millis(TIME_TO_LIVE));
                let mut connection = server.writes.clone();
                if server.ask::<u64>(WITHIN, invocation.invoke_async(&mut connection)).await.is_err() {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Change::Remove { key, group } => {
                let fields = [field("e:", &key), field("r:", &key)];
                let mut connection = server.writes.clone();
                // What is left is as good as it was; who removes it says so again when it is asked for.
                let _ = server.ask::<u64>(WITHIN, connection.hdel(server.group_key(&group), &fields)).await;
            }
            Change::Release { key, group, fence } => {
                let mut invocation = server.scripts.release.prepare_invoke();
                invocation.key(server.lock_key(&group, &key)).arg(text(fence));
                // A lock that stays ends by itself.
                let _ = server.ask::<u64>(WITHIN, invocation.invoke_async(&mut server.writes.clone())).await;
            }
            Change::Invalidate(invalidation, receipt) => {
                // Who waited may have left.
                let _ = receipt.send(invalidate(&server, &invalidation).await);
            }
        }
    }
}

async fn invalidate(server: &Server, invalidation: &Invalidation) -> Result<Epoch, TierError> {
    let entry = entry::write(invalidation);
    if let Reach::Group(group) = &invalidation.reach {
        let mut invocation = server.scripts.mark.prepare_invoke();
        invocation.key(server.group_key(group)).arg(entry.mode);
        invocation.arg(mark(group, entry.mode, invalidation.epoch)).arg(millis(TIME_TO_LIVE));
        server.ask::<u64>(WITHIN, invocation.invoke_async(&mut server.writes.clone())).await?;
    }
    let mut invocation = server.scripts.append.prepare_invoke();
    invocation.key(server.log_key("epoch")).key(server.log_key("data-set")).key(server.log_key("log"));
    invocation.arg(server.data_set()).arg(entry.kind).arg(entry.mode).arg(entry.reach).arg(&entry.mark);
    invocation.arg(LOG_LENGTH).arg(entry.sum());
    let position: u64 = server.ask(WITHIN, invocation.invoke_async(&mut server.writes.clone())).await?;
    Ok(Epoch::at(position))
}
