//! The port to slower tiers of stored responses: a disk, a store that replicas share.
//!
//! The memory tier serves; a tier behind it is asked when the memory has nothing, and told of everything that is stored.
//! It may be slow, full, broken or away, and none of that is seen by a visitor: an error is a miss. Only who invalidates
//! waits for it, because a tier that has not heard of an invalidation could bring the old page back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Epoch, Group, Mode, StoredResponse};

/// A future that is spoken of by its result alone.
pub type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// What an invalidation reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A group, by its name.
    Group(Arc<str>),
    /// What a [`Selector`](crate::Selector) covers, as its bytes.
    Selected(Arc<[u8]>),
}

/// Makes everything within reach that began before an epoch stale or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// What.
    pub reach: Reach,
    /// Stale or gone.
    pub mode: Mode,
    /// Before when.
    pub epoch: Epoch,
}

/// A tier did not do what it was asked to do. A sentence without a full stop, which names the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierError(pub Arc<str>);

impl std::fmt::Display for TierError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TierError {}

/// A tier of stored responses behind the memory.
pub trait Tier: Send + Sync {
    /// The response stored under `key`, as a member of `group`, which takes over the invalidations of it that the tier
    /// knows. What a caller holds of the group before it asks sees all others.
    fn fetch<'t>(
        &'t self,
        key: &'t [u8],
        group: &'t Arc<Group>,
    ) -> BoxFuture<'t, Result<Option<Arc<StoredResponse>>, TierError>>;

    /// Stores `response` under `key`, soon. Does not wait; what cannot be stored is counted and forgotten.
    fn put(&self, key: &[u8], response: &Arc<StoredResponse>);

    /// Forgets what is stored under `key` as a member of `group`, soon.
    fn remove(&self, key: &[u8], group: &Arc<Group>);

    /// Makes sure that nothing the tier gives from now on, or after a restart, is older than the invalidation. The tier
    /// knows of it when this returns; the future ends when it is certain.
    fn invalidate(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<(), TierError>>;
}
