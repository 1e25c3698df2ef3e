//! One render of a page at a time, whichever replica asks: a lock that ends by itself, with a number that tells a late render.
//!
//! The number is the epoch in which the render begins. A holder that was held up for so long that another took its lock
//! comes back with the lower number, and its page is not stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use isr_cache::{Claim, Epoch, Group, LOCK_FOR, Terms, TierError};

use super::server::digest;
use super::write::Change;
use super::{Shared, WITHIN, millis, text};

impl Shared {
    pub(super) async fn claim(
        &self,
        key: &[u8],
        group: &Arc<Group>,
        Terms { fence, known, steal }: Terms,
        within: Duration,
    ) -> Result<Claim, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.claim.prepare_invoke();
        invocation.key(server.lock_key(group.name(), key)).key(server.group_key(group.name()));
        invocation.arg(text(fence)).arg(millis(LOCK_FOR)).arg(u8::from(steal));
        invocation.arg(digest(key)).arg(known.map(text).unwrap_or_default());
        let mut connection = server.reads.clone();
        let asking = invocation.invoke_async(&mut connection);
        let (is_ours, hard, soft, record): (bool, Option<String>, Option<String>, Option<Bytes>) =
            server.ask(within, asking).await?;
        Ok(Claim { is_ours, found: self.unpack(key, group, (hard, soft, record)) })
    }

    pub(super) async fn renew(&self, key: &[u8], group: &Group, fence: Epoch) -> Result<bool, TierError> {
        let server = &self.server;
        let mut invocation = server.scripts.renew.prepare_invoke();
        invocation.key(server.lock_key(group.name(), key)).arg(text(fence)).arg(millis(LOCK_FOR));
        server.ask(WITHIN, invocation.invoke_async(&mut server.reads.clone())).await
    }

    pub(super) fn release(&self, key: &[u8], group: &Group, fence: Epoch) {
        // Without room in the queue it ends by itself.
        let _ = self.queue.try_send(Change::Release { key: key.into(), group: group.name().into(), fence });
    }
}
