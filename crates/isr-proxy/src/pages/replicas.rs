//! Agreeing with the other replicas: following the log of invalidations, and waiting until all have.
//!
//! Who invalidates appends to the log and waits until every replica that is there has read so far. A replica that cannot
//! read the log stops being sure of what it holds before the others stop waiting for it, and takes it for stale.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use isr_cache::{
    BoxFuture, Epoch, Invalidation, REPLICA_GONE_AFTER, Reach, Replica, Roll, SharedStore, SharedUsage,
    Tier as _, TierError, Timestamp,
};
use isr_store::{Disk, Followed};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Certain, EPOCH_WITHIN, Pages};
use crate::clock::Clock;

/// From the last look at the log: how long a replica is sure to know of every invalidation that was acknowledged.
const SURE_FOR: Duration = Duration::from_secs(10);
const _: () = assert!(SURE_FOR.as_secs() < REPLICA_GONE_AFTER.as_secs());

/// How long the log is waited for before this replica says again that it is there.
const NEWS_WAIT: Duration = Duration::from_secs(3);

/// After a failure, until the log is read again: once with nothing in between, and some more for everybody at once.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// How long who invalidates waits for the other replicas. They take milliseconds; one that takes longer is in trouble.
const AGREE_WITHIN: Duration = Duration::from_secs(5);

/// Reads of the log that wait for the disk, at most, of up to a thousand entries each.
const READS_MOST: usize = 100;

/// How often they are looked at meanwhile: at first, and at last.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LAST: Duration = Duration::from_millis(100);

/// The shared tier, and this replica among those that use it.
pub(crate) struct Replicas {
    pub(super) shared: Arc<dyn SharedStore>,
    name: String,
    /// How far the log was followed here.
    position: AtomicU64,
    /// The epoch after which it joined the present data set, if it had known another one. What is from before has no place in the
    /// order of the present one.
    joined: AtomicU64,
    /// Up to when it is sure that nothing was missed.
    sure_until: AtomicU64,
    /// Whether the log has been read to its end once.
    has_joined: AtomicBool,
    /// The names of all replicas at the last look.
    known: Arc<Mutex<Vec<String>>>,
    /// How far it was followed with everything on the disk.
    pub(super) followed: Arc<Mutex<Option<Followed>>>,
}

/// Ends when the disk has it.
type Written = BoxFuture<'static, Result<(), TierError>>;

/// How far the log was read, and what has to be on the disk for that to be true there.
type Reached = (Followed, Vec<Written>);

/// How the shared tier does, for people who ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedState {
    pub(crate) usage: SharedUsage,
    /// Position of this replica in the log.
    pub(crate) position: u64,
    /// Whether it is sure to know of every invalidation.
    pub(crate) is_sure: bool,
}

impl Replicas {
    /// What was stored before `now` may have been invalidated by others until the log has been read.
    pub(super) fn new(
        shared: Arc<dyn SharedStore>,
        name: String,
        followed: Arc<Mutex<Option<Followed>>>,
        now: Timestamp,
    ) -> Self {
        Self {
            shared,
            name,
            position: AtomicU64::default(),
            joined: AtomicU64::default(),
            sure_until: AtomicU64::new(now.0.saturating_sub(1)),
            has_joined: AtomicBool::default(),
            known: Arc::default(),
            followed,
        }
    }

    /// Up to when nothing was missed.
    pub(super) fn sure_until(&self) -> Timestamp {
        Timestamp(self.sure_until.load(Ordering::Acquire))
    }

    /// The earliest epoch that the store can place.
    pub(super) fn joined(&self) -> Epoch {
        Epoch(self.joined.load(Ordering::Acquire))
    }

    /// Whether the log has been read to its end once.
    pub(super) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self, now: Timestamp) -> SharedState {
        SharedState {
            usage: self.shared.usage(),
            position: Epoch(self.position.load(Ordering::Relaxed)).position(),
            is_sure: now <= self.sure_until(),
        }
    }

    /// Appends to the log, at once; the future ends when every replica that is there has read it.
    pub(super) fn tell(&self, invalidation: Invalidation) -> Certain {
        let appended = self.shared.append(invalidation);
        let (shared, known, own) = (Arc::clone(&self.shared), Arc::clone(&self.known), self.name.clone());
        Box::pin(async move {
            let position = appended.await.map_err(|error| uncertain(&others(&known, &own), &error))?;
            agree(&*shared, &known, &own, position).await
        })
    }

    fn followed(&self) -> MutexGuard<'_, Option<Followed>> {
        // One assignment.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The replicas that are there; their names are remembered.
async fn look(shared: &dyn SharedStore, known: &Mutex<Vec<String>>) -> Result<Roll, TierError> {
    let roll = shared.replicas().await?;
    // One assignment.
    *known.lock().unwrap_or_else(PoisonError::into_inner) =
        roll.replicas.iter().map(|replica| replica.name.clone()).collect();
    Ok(roll)
}

/// The replicas beside this one that were there at the last look.
fn others(known: &Mutex<Vec<String>>, own: &str) -> Vec<String> {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().filter(|name| *name != own).cloned().collect()
}

/// Says who may not have heard of an invalidation.
fn uncertain(names: &[String], error: &TierError) -> TierError {
    let who = if names.is_empty() { "other replicas".to_owned() } else { names.join(", ") };
    TierError(format!("{who} may still serve the old one: {error}").into())
}

/// Waits until all replicas have followed the log to this position.
async fn agree(
    shared: &dyn SharedStore,
    known: &Mutex<Vec<String>>,
    own: &str,
    position: Epoch,
) -> Result<(), TierError> {
    let until = Instant::now() + AGREE_WITHIN;
    let mut pause = LOOK_FIRST;
    loop {
        let roll = look(shared, known).await.map_err(|error| uncertain(&others(known, own), &error))?;
        let is_behind = |replica: &Replica| replica.position < position;
        let behind: Vec<String> =
            roll.replicas.into_iter().filter(is_behind).map(|replica| replica.name).collect();
        if behind.is_empty() && !roll.may_lack {
            return Ok(());
        }
        if Instant::now() + pause > until {
            let why = if behind.is_empty() {
                format!(
                    "the shared tier has lost its data, and not all may be back within {REPLICA_GONE_AFTER:?}"
                )
            } else {
                format!("no word that they know of it within {AGREE_WITHIN:?}")
            };
            return Err(uncertain(&behind, &TierError(why.into())));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_LAST);
    }
}

/// Notes how far the log was followed with everything on the disk, which takes changes in their order.
async fn follow_on_disk(mut reads: mpsc::Receiver<Reached>, followed: Arc<Mutex<Option<Followed>>>) {
    while let Some((how_far, written)) = reads.recv().await {
        if join_all(written).await.into_iter().all(|written| written.is_ok()) {
            // One assignment.
            *followed.lock().unwrap_or_else(PoisonError::into_inner) = Some(how_far);
        }
    }
}

impl Pages {
    /// Follows the log for as long as the process lives. Does nothing without a shared tier.
    pub(crate) async fn follow(&self, clock: &Clock) {
        let Some(replicas) = &self.replicas else { return };
        let mut is_away = false;
        // What the disk has is for the next start; here it is known in any case.
        let mut known = *replicas.followed();
        let (reached, reads) = mpsc::channel(READS_MOST);
        tokio::spawn(follow_on_disk(reads, Arc::clone(&replicas.followed)));
        loop {
            let Err(error) =
                self.follow_until_error(replicas, clock, &reached, &mut known, &mut is_away).await;
            if !is_away {
                is_away = true;
                tracing::warn!(%error, "the log of invalidations cannot be read; trying again");
            }
            // Jittered, so that a server that comes back is not asked by all replicas at one moment.
            tokio::time::sleep(RETRY_AFTER.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Takes this replica off the list, so that nobody waits for it.
    pub(crate) async fn leave(&self) {
        if let Some(replicas) = &self.replicas {
            // Otherwise it is taken off a little later.
            let _ = replicas.shared.leave(&replicas.name).await;
        }
    }

    async fn follow_until_error(
        &self,
        replicas: &Replicas,
        clock: &Clock,
        reached: &mpsc::Sender<Reached>,
        known: &mut Option<Followed>,
        is_away: &mut bool,
    ) -> Result<Infallible, TierError> {
        let shared = &replicas.shared;
        let was_sure = clock.now() <= replicas.sure_until();
        let new = fastrand::u64(1..=i64::MAX as u64);
        let (epoch, data_set) =
            shared.join(self.epochs.current(), new, known.map(|known| known.data_set)).await?;
        self.epochs.raise(epoch);
        if known.is_some_and(|known| known.data_set != data_set) {
            // It may be the very epoch of something that is held here.
            replicas.joined.fetch_max(epoch.next().0, Ordering::AcqRel);
        }
        let mut position = match *known {
            Some(known) if known.data_set == data_set => known.position,
            Some(_) if !was_sure => {
                // The server has lost its data, and with them what this replica has not read.
                drop(self.doubt_all(shared.next_epoch(EPOCH_WITHIN).await?));
                Epoch(0)
            }
            // What is in the shared tier may be older than entries that were never read here: from the beginning.
            _ => Epoch(0),
        };
        // What comes onto an empty disk from now on is covered by no group's mark that the log has told before.
        let was_empty = self.disk.as_ref().is_none_or(Disk::is_empty);
        // What is there already, and then what comes.
        let mut wait = Duration::ZERO;
        loop {
            let asked = clock.now();
            let news = shared.news(data_set, position, std::mem::replace(&mut wait, NEWS_WAIT)).await?;
            let mut written = Vec::new();
            if let Some(oldest) = news.gap {
                tracing::warn!(
                    "the log of invalidations is no longer whole: what is older is taken for stale"
                );
                position = position.max(oldest);
                written.push(self.doubt_all(oldest));
            }
            for mut entry in news.entries {
                position = position.max(entry.position);
                // Who joined before did not know how late it was here: what they have told by then may be about what is held
                // here, whatever its number says.
                if entry.position <= replicas.joined() {
                    entry.invalidation.epoch = entry.invalidation.epoch.max(replicas.joined());
                }
                let skips_disk = was_empty && entry.position <= epoch;
                written.extend(self.take_note(entry.invalidation, skips_disk));
            }
            self.epochs.raise(position);
            replicas.position.store(position.0, Ordering::Relaxed);
            if !news.is_part {
                replicas.sure_until.fetch_max(asked.after(SURE_FOR).0, Ordering::AcqRel);
            }
            shared.report(&replicas.name, position).await?;
            look(&**shared, &replicas.known).await?;
            if !news.is_part {
                replicas.has_joined.store(true, Ordering::Relaxed);
            }
            let how_far = Followed { data_set, position };
            *known = Some(how_far);
            // Nobody waits for a disk that hangs. Where there is no room, a later read says as much.
            let _ = reached.try_send((how_far, written));
            if std::mem::take(is_away) {
                tracing::info!("the log of invalidations is read again");
            }
        }
    }

    /// Takes note of an invalidation that the log tells of; ends when the disk has it.
    pub(super) fn take_note(&self, invalidation: Invalidation, skips_disk: bool) -> Option<Written> {
        let Invalidation { reach, mode, epoch } = &invalidation;
        self.epochs.raise(*epoch);
        self.latest.note(reach, *epoch);
        match reach {
            Reach::Group(name) => {
                // Whoever recalls a page of it holds the group by then.
                if let Some(group) = self.groups.find(name) {
                    group.invalidate(*mode, *epoch);
                }
                if skips_disk {
                    self.announce(&invalidation);
                    return None;
                }
            }
            Reach::Selected(selector) => self.invalidations.note(selector, *mode, *epoch),
        }
        self.announce(&invalidation);
        self.disk.as_ref().map(|disk| disk.invalidate(invalidation))
    }
}
