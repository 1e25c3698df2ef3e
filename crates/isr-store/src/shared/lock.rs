//! One render of a page at a time, whichever replica asks: a lock that ends by itself, with a number that tells a late render.
//!
//! The number is the epoch in which the render begins. A holder that was held up for so long that another took its lock
//! comes back with the lower number, and its page is not stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use isr_cache::{Epoch, Group, StoredResponse, TierError};

use super::server::digest;
use super::write::Change;
use super::{FETCH_WITHIN, Shared, WITHIN, millis, text};

/// How long a lock lasts if its holder says nothing more. A replica that was killed holds up the others for so long.
const LOCK_FOR: Duration = Duration::from_secs(3);

/// How often its holder says that it is still at work: two of these may be lost.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

/// What came of asking for the lock of a page.
#[derive(Debug)]
pub struct Claim {
    /// Whoever asked holds it now.
    pub is_ours: bool,
    /// What is stored, if it is of a later epoch than the one that was named.
    pub found: Option<Arc<StoredResponse>>,
}

impl Shared {
    /// Asks for the lock of a page under the number `fence`, and for what is stored of a later epoch than `known`. `steal`
    /// takes it from whoever holds it: who renders on demand does not wait for a render that began before.
    pub async fn claim(
        &self,
        key: &[u8],
        group: &Arc<Group>,
        fence: Epoch,
        known: Option<Epoch>,
        steal: bool,
    ) -> Result<Claim, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.claim.prepare_invoke();
        invocation.key(server.lock_key(group.name(), key)).key(server.group_key(group.name()));
        invocation.arg(text(fence)).arg(millis(LOCK_FOR)).arg(u8::from(steal));
        invocation.arg(digest(key)).arg(known.map(text).unwrap_or_default());
        let mut connection = server.reads.clone();
        let asking = invocation.invoke_async(&mut connection);
        let (is_ours, hard, soft, record): (bool, Option<u64>, Option<u64>, Option<Bytes>) =
            server.ask(FETCH_WITHIN, asking).await?;
        Ok(Claim { is_ours, found: self.unpack(key, group, (hard, soft, record)) })
    }

    /// Keeps the lock. `false` if somebody else has it by now.
    pub async fn renew(&self, key: &[u8], group: &Group, fence: Epoch) -> Result<bool, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.renew.prepare_invoke();
        invocation.key(server.lock_key(group.name(), key)).arg(text(fence)).arg(millis(LOCK_FOR));
        server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await
    }

    /// Gives the lock back, once everything is written that was stored before.
    pub fn release(&self, key: &[u8], group: &Group, fence: Epoch) {
        // Without room in the queue it ends by itself.
        let _ = self.queue.try_send(Change::Release { key: key.into(), group: group.name().into(), fence });
    }
}
