//! The port to a store that replicas share: a tier, the locks by which one of them renders a page, and the log of
//! invalidations by which they agree.
//!
//! What a replica makes of it is decided in `isr-proxy` over this port, so that a model with a clock of its own drives the
//! same code as a server does.

use std::sync::Arc;
use std::time::Duration;

use crate::{BoxFuture, Epoch, Group, Invalidation, StoredResponse, Tier, TierError};

/// A replica that has said nothing for so long is gone, and nobody waits for it. It must take what it holds for stale
/// before that.
pub const REPLICA_GONE_AFTER: Duration = Duration::from_secs(15);

/// How long a lock lasts if its holder says nothing more. A replica that was killed holds up the others for so long.
pub const LOCK_FOR: Duration = Duration::from_secs(3);

/// How often the holder of a lock says that it is still at work: two of these may be lost.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

/// What the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Invalidations in their order.
    pub entries: Vec<LogEntry>,
    /// There may be more.
    pub is_part: bool,
    /// Invalidations after the position that was asked from are no longer in the log: all those before this one.
    pub gap: Option<Epoch>,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
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

/// The replicas that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// They, in the order of their names.
    pub replicas: Vec<Replica>,
    /// There may be others: it is less than [`REPLICA_GONE_AFTER`] since the store was found to have lost its data, and with them
    /// who is there.
    pub may_lack: bool,
}

/// How the lock of a page is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The number under which it is held: the epoch in which the render begins.
    pub fence: Epoch,
    /// The epoch of what is known of the page already; what is stored is given if it is later.
    pub known: Option<Epoch>,
    /// Takes the lock from whoever holds it: who renders on demand does not wait for a render that began before.
    pub steal: bool,
}

/// What came of asking for the lock of a page.
#[derive(Debug)]
pub struct Claim {
    /// Whoever asked holds it now.
    pub is_ours: bool,
    /// What is stored, if it is of a later epoch than the one that was named.
    pub found: Option<Arc<StoredResponse>>,
}

/// What happened to a shared store since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedUsage {
    /// Times that the server did not do what it was asked to do.
    pub errors: u64,
    /// Records that were not what they should be.
    pub damaged: u64,
    /// Responses that were not stored because the server is too slow or away.
    pub dropped: u64,
}

/// A store that replicas share.
///
/// What one replica writes ([`Tier::put`], [`Tier::remove`], [`release`](Self::release), [`append`](Self::append)) happens
/// in the order in which it was asked for. Storing a page and invalidating its group are one step each.
///
/// A replica uses the data set that it has [joined](Self::join), and no other: until it has joined the one that is there, it finds
/// no page, what it writes reaches nobody, and whoever waits for an answer gets an error. So an order of epochs never meets
/// what belongs to another one.
pub trait SharedStore: Tier {
    /// Whether it did not answer a moment ago, so that nobody asks it.
    fn is_resting(&self) -> bool;

    /// What happened since the start.
    fn usage(&self) -> SharedUsage;

    /// Joins the replicas: epochs go on after `own`. Gives the present epoch and the number of the data set, which is `new` if
    /// there is none. Whoever `knew` another one brings the news that it is lost.
    fn join(&self, own: Epoch, new: u64, knew: Option<u64>)
    -> BoxFuture<'_, Result<(Epoch, u64), TierError>>;

    /// A new epoch, later than all that any replica has been told; an error after `within`.
    fn next_epoch(&self, within: Duration) -> BoxFuture<'_, Result<Epoch, TierError>>;

    /// The epoch of a published purge, by the name of its list and its number there: the same for every replica, and a new one
    /// for the first that asks.
    fn purge_epoch<'s>(&'s self, list: &'s str, number: u64) -> BoxFuture<'s, Result<Epoch, TierError>>;

    /// Invalidates, and gives the position in the log at which it stands. Whoever reads that far knows of it.
    fn append(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<Epoch, TierError>>;

    /// What the log of a data set says after a position; waits for the next entry for at most `wait`, of some seconds.
    ///
    /// # Errors
    ///
    /// Also when the server has another data set by now.
    fn news(&self, data_set: u64, after: Epoch, wait: Duration) -> BoxFuture<'_, Result<News, TierError>>;

    /// Tells how far in the log this replica is.
    fn report<'s>(&'s self, replica: &'s str, position: Epoch) -> BoxFuture<'s, Result<(), TierError>>;

    /// Takes this replica off the list.
    fn leave<'s>(&'s self, replica: &'s str) -> BoxFuture<'s, Result<(), TierError>>;

    /// The replicas that are there. What is left of others is removed.
    fn replicas(&self) -> BoxFuture<'_, Result<Roll, TierError>>;

    /// Asks for the lock of a page, and for what is stored of it; an error after `within`.
    fn claim<'s>(
        &'s self,
        key: &'s [u8],
        group: &'s Arc<Group>,
        terms: Terms,
        within: Duration,
    ) -> BoxFuture<'s, Result<Claim, TierError>>;

    /// Keeps the lock. `false` if somebody else has it by now.
    fn renew<'s>(
        &'s self,
        key: &'s [u8],
        group: &'s Group,
        fence: Epoch,
    ) -> BoxFuture<'s, Result<bool, TierError>>;

    /// Gives the lock back, once everything is written that was stored before.
    fn release(&self, key: &[u8], group: &Group, fence: Epoch);
}
