//! Agreeing with the other replicas: following the log of invalidations, and waiting until all have.
//!
//! Who invalidates appends to the log and waits until every replica that is there has read so far. A replica that cannot
//! read the log stops being sure of what it holds before the others stop waiting for it, and takes it for stale.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use isr_cache::{BoxFuture, Epoch, Invalidation, Reach, Tier as _, TierError, Timestamp};
use isr_store::{Followed, REPLICA_GONE_AFTER, Replica, Shared, SharedUsage};
use tokio::time::Instant;

use super::{Certain, Pages};
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

/// How often they are looked at meanwhile: at first, and at last.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LAST: Duration = Duration::from_millis(100);

/// The shared tier, and this replica among those that use it.
pub(crate) struct Replicas {
    pub(super) shared: Arc<Shared>,
    name: String,
    /// How far the log was followed here.
    position: AtomicU64,
    /// Up to when it is sure that nothing was missed.
    sure_until: AtomicU64,
    /// Whether the log has been read to its end once.
    has_joined: AtomicBool,
    /// The names of all replicas at the last look.
    known: Arc<Mutex<Vec<String>>>,
    /// How far it was followed with everything on the disk.
    pub(super) followed: Arc<Mutex<Option<Followed>>>,
}

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
        shared: Shared,
        name: String,
        followed: Arc<Mutex<Option<Followed>>>,
        now: Timestamp,
    ) -> Self {
        Self {
            shared: Arc::new(shared),
            name,
            position: AtomicU64::default(),
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
        let (shared, known) = (Arc::clone(&self.shared), Arc::clone(&self.known));
        Box::pin(async move {
            let unknown = |error: TierError| {
                TierError(format!("other replicas may still serve the old one: {error}").into())
            };
            let position = appended.await.map_err(unknown)?;
            agree(&shared, &known, position).await.map_err(unknown)
        })
    }

    fn followed(&self) -> MutexGuard<'_, Option<Followed>> {
        // One assignment.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The replicas that are there; their names are remembered.
async fn look(shared: &Shared, known: &Mutex<Vec<String>>) -> Result<Vec<Replica>, TierError> {
    let replicas = shared.replicas().await?;
    // One assignment.
    *known.lock().unwrap_or_else(PoisonError::into_inner) =
        replicas.iter().map(|replica| replica.name.clone()).collect();
    Ok(replicas)
}

/// Waits until all replicas have followed the log to this position.
async fn agree(shared: &Shared, known: &Mutex<Vec<String>>, position: Epoch) -> Result<(), TierError> {
    let until = Instant::now() + AGREE_WITHIN;
    let mut pause = LOOK_FIRST;
    loop {
        let behind: Vec<String> = look(shared, known)
            .await?
            .into_iter()
            .filter(|replica| replica.position < position)
            .map(|replica| replica.name)
            .collect();
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() + pause > until {
            let names = behind.join(", ");
            return Err(TierError(format!("no word from {names} within {AGREE_WITHIN:?}").into()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_LAST);
    }
}

impl Pages {
    /// Follows the log for as long as the process lives. Does nothing without a shared tier.
    pub(crate) async fn follow(&self, clock: &Clock) {
        let Some(replicas) = &self.replicas else { return };
        let mut is_away = false;
        // What the disk has is for the next start; here it is known in any case.
        let mut known = *replicas.followed();
        loop {
            let Err(error) = self.follow_until_error(replicas, clock, &mut known, &mut is_away).await;
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
        known: &mut Option<Followed>,
        is_away: &mut bool,
    ) -> Result<Infallible, TierError> {
        let shared = &replicas.shared;
        let was_sure = clock.now() <= replicas.sure_until();
        let others = replicas.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let new = fastrand::u64(1..=i64::MAX as u64);
        let (epoch, data_set) = shared.join(self.epochs.current(), new, &others).await?;
        self.epochs.raise(epoch);
        let mut position = match *known {
            Some(known) if known.data_set == data_set => known.position,
            Some(_) if !was_sure => {
                // The server has lost its data, and with them what this replica has not read.
                drop(self.doubt_all(shared.next_epoch().await?));
                Epoch(0)
            }
            // What is in the shared tier may be older than entries that were never read here: from the beginning.
            _ => Epoch(0),
        };
        // What comes onto an empty disk from now on is covered by no group's mark that the log has told before.
        let was_empty = self.disk.as_ref().is_none_or(|disk| disk.usage().entries == 0);
        // What is there already, and then what comes.
        let mut wait = Duration::ZERO;
        loop {
            let asked = clock.now();
            let news = shared.news(data_set, position, std::mem::replace(&mut wait, NEWS_WAIT)).await?;
            if news.has_gap {
                tracing::warn!(
                    "the log of invalidations is no longer whole: everything stored is taken for stale"
                );
                drop(self.doubt_all(shared.next_epoch().await?));
            }
            let mut written = Vec::new();
            for entry in news.entries {
                position = position.max(entry.position);
                let skips_disk = was_empty && entry.position <= epoch;
                written.extend(self.take_note(entry.invalidation, skips_disk));
            }
            self.epochs.raise(position);
            replicas.position.store(position.0, Ordering::Relaxed);
            if !news.is_part {
                replicas.sure_until.fetch_max(asked.after(SURE_FOR).0, Ordering::AcqRel);
            }
            shared.report(&replicas.name, position).await?;
            look(shared, &replicas.known).await?;
            if !news.is_part {
                replicas.has_joined.store(true, Ordering::Relaxed);
            }
            *known = Some(Followed { data_set, position });
            if join_all(written).await.into_iter().all(|written| written.is_ok()) {
                *replicas.followed() = *known;
            }
            if std::mem::take(is_away) {
                tracing::info!("the log of invalidations is read again");
            }
        }
    }

    /// Takes note of an invalidation that the log tells of; ends when the disk has it.
    pub(super) fn take_note(
        &self,
        invalidation: Invalidation,
        skips_disk: bool,
    ) -> Option<BoxFuture<'static, Result<(), TierError>>> {
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
