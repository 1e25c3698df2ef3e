//! The shared tier as the store that replicas share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use isr_cache::{
    BoxFuture, Claim, Epoch, Group, Invalidation, News, Roll, SharedStore, SharedUsage, Terms, TierError,
};

use super::{Counts, Shared};

impl SharedStore for Shared {
    fn is_resting(&self) -> bool {
        self.server.is_resting()
    }

    fn usage(&self) -> SharedUsage {
        let Counts { damaged, dropped } = &*self.counts;
        SharedUsage {
            errors: self.server.errors.load(Ordering::Relaxed),
            damaged: damaged.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
        }
    }

    fn join(
        &self,
        own: Epoch,
        new: u64,
        knew: Option<u64>,
    ) -> BoxFuture<'_, Result<(Epoch, u64), TierError>> {
        Box::pin(Self::join(self, own, new, knew))
    }

    fn next_epoch(&self, within: Duration) -> BoxFuture<'_, Result<Epoch, TierError>> {
        Box::pin(Self::next_epoch(self, within))
    }

    fn purge_epoch<'s>(&'s self, list: &'s str, number: u64) -> BoxFuture<'s, Result<Epoch, TierError>> {
        Box::pin(Self::purge_epoch(self, list, number))
    }

    fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>> {
        Self::append(self, invalidation)
    }

    fn news(&self, data_set: u64, after: Epoch, wait: Duration) -> BoxFuture<'_, Result<News, TierError>> {
        Box::pin(Self::news(self, data_set, after, wait))
    }

    fn report<'s>(&'s self, replica: &'s str, position: Epoch) -> BoxFuture<'s, Result<(), TierError>> {
        Box::pin(Self::report(self, replica, position))
    }

    fn leave<'s>(&'s self, replica: &'s str) -> BoxFuture<'s, Result<(), TierError>> {
        Box::pin(Self::leave(self, replica))
    }

    fn replicas(&self) -> BoxFuture<'_, Result<Roll, TierError>> {
        Box::pin(Self::replicas(self))
    }

    fn claim<'s>(
        &'s self,
        key: &'s [u8],
        group: &'s Arc<Group>,
        terms: Terms,
        within: Duration,
    ) -> BoxFuture<'s, Result<Claim, TierError>> {
        Box::pin(Self::claim(self, key, group, terms, within))
    }

    fn renew<'s>(
        &'s self,
        key: &'s [u8],
        group: &'s Group,
        fence: Epoch,
    ) -> BoxFuture<'s, Result<bool, TierError>> {
        Box::pin(Self::renew(self, key, group, fence))
    }

    fn release(&self, key: &[u8], group: &Group, fence: Epoch) {
        Self::release(self, key, group, fence);
    }
}
