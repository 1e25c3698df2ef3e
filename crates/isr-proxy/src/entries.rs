//! The state machines of the keys for which something is going on, and the visitors who wait for them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use isr_cache::{Entry, Timestamp};
use tokio::sync::watch;

use crate::landing::Landing;

/// Shards of the table: renders of different pages rarely meet at one lock on any machine we know of.
const SHARDS: usize = 64;

/// Keys with something going on, at most. One takes well under a kilobyte; an attacker who asks for a million paths
/// that do not exist fills this and nothing else, and further misses are passed through one by one.
const MOST_KEYS: usize = 65_536;

/// How many keys a shard looks at, when it is full, for one to forget.
const FORGET_LOOKS: usize = 16;

/// All keys with a render under way, a recent failure or an opt-out.
pub(crate) struct Entries {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    len: AtomicUsize,
}

type Shard = HashMap<Arc<[u8]>, Live>;

/// A key with something going on.
pub(crate) struct Live {
    pub(crate) entry: Entry,
    /// The last render that landed. Who waits, watches this.
    pub(crate) landing: watch::Sender<Landing>,
    /// What went wrong last, for people who ask.
    pub(crate) complaint: Option<Arc<str>>,
}

impl Entries {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
        }
    }

    /// Calls `decide` with the key's state, made if there is none, unless there are too many keys already: then `None`.
    /// A state with nothing left to remember is forgotten afterwards.
    pub(crate) fn with<T>(
        &self,
        key: &[u8],
        now: Timestamp,
        decide: impl FnOnce(&mut Live) -> T,
    ) -> Option<T> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if !shard.contains_key(key) {
            if self.len.load(Ordering::Relaxed) >= MOST_KEYS && !self.forget_one(&mut shard, now) {
                return None;
            }
            shard.insert(key.into(), Live::new());
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        let live = shard.get_mut(key)?;
        let decision = decide(live);
        if live.entry.is_idle(now) {
            shard.remove(key);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        Some(decision)
    }

    /// Calls `look` with the key's state, if there is any.
    pub(crate) fn peek<T>(&self, key: &[u8], look: impl FnOnce(&Live) -> T) -> Option<T> {
        let shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(key).map(look)
    }

    /// How many keys have something going on.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn forget_one(&self, shard: &mut Shard, now: Timestamp) -> bool {
        // A failure or an opt-out may be forgotten early; a render with people waiting for it may not.
        let found = shard
            .iter()
            .take(FORGET_LOOKS)
            .find(|(_, live)| live.entry.is_idle(now) || live.entry.flight().is_none())
            .map(|(key, _)| Arc::clone(key));
        let Some(key) = found else { return false };
        shard.remove(&key);
        self.len.fetch_sub(1, Ordering::Relaxed);
        true
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }
}

impl Live {
    fn new() -> Self {
        Self { entry: Entry::default(), landing: watch::Sender::new(Landing::none()), complaint: None }
    }
}

#[cfg(test)]
mod tests {
    use isr_cache::{Epoch, Outcome, Standing, Watermark};

    use super::*;

    const NOW: Timestamp = Timestamp(0);

    fn begin(entries: &Entries, key: usize) -> bool {
        let began = entries.with(&key.to_le_bytes(), NOW, |live| {
            live.entry.on_request(NOW, Standing::Missing, Watermark::default(), Epoch(0));
        });
        began.is_some()
    }

    #[test]
    fn keys_under_way_are_bounded_and_none_with_a_render_is_forgotten() {
        let entries = Entries::new();
        assert!((0..MOST_KEYS).all(|key| begin(&entries, key)), "there is room for so many");
        assert!(!begin(&entries, MOST_KEYS), "and for no more");
        let rendering = |key: usize| entries.peek(&key.to_le_bytes(), |live| live.entry.flight().is_some());
        assert!((0..MOST_KEYS).all(|key| rendering(key) == Some(true)), "somebody waits for each of them");
    }

    #[test]
    fn a_failure_is_forgotten_for_a_render() {
        let entries = Entries::new();
        for key in 0..MOST_KEYS {
            begin(&entries, key);
            entries.with(&key.to_le_bytes(), NOW, |live| {
                live.entry.on_landed(NOW, Outcome::Failed, Standing::Missing, Epoch(0), 0.0)
            });
        }
        assert_eq!(entries.len(), MOST_KEYS, "each failure is remembered for a while");
        assert!(begin(&entries, MOST_KEYS), "until there is something better to do with the room");
        assert_eq!(entries.len(), MOST_KEYS);
    }
}
