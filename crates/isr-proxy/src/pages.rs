//! Where the pages are: in memory, behind it on the disk, and in a store that replicas share; and what invalidates them.
//!
//! A hit asks the memory alone. Who finds nothing there asks the others before anything is rendered ([`Pages::recall`]).
//! Whatever is stored goes to all of them. An invalidation is certain when the disk has it, or when every replica knows of
//! it: one that starts anew reads the log from where its disk left off.

mod claim;
mod invalidate;
mod replicas;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use isr_cache::{
    BoxFuture, Epoch, Epochs, Group, Invalidations, Latest, Mode, Reach, SharedStore, StoredResponse, Tier,
    TierError, Timestamp, Watermark,
};
use isr_store::{
    BodyFile, Disk, DiskUsage, Files, Followed, Front, Groups, Memory, Shared, SharedError, Usage,
};
use tokio::sync::{Mutex, broadcast};

use crate::config::Config;
pub(crate) use claim::{Claimed, Hold};
use replicas::Replicas;
pub(crate) use replicas::SharedState;

/// How long a visitor waits for a page to be found on the disk or in the shared tier. A disk that hangs must cost no more
/// than a render does.
const RECALL_WITHIN: Duration = Duration::from_millis(500);

/// How long the end of the process waits for the disk. The chart leaves a pod 5 s after its drain, of which the last word to the
/// other replicas may take 2.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// How long who invalidates waits for the epoch in which that happens.
const EPOCH_WITHIN: Duration = Duration::from_secs(2);

/// Locks for pages that are being recalled: who asks for the same page waits for the same read, and who asks for another
/// one seldom waits for it.
const RECALLS: usize = 256;

/// Invalidations that somebody who listens may be behind by. As many as one request may name.
const NEWS: usize = 1024;

/// All stored responses.
pub(crate) struct Pages {
    memory: Arc<Memory>,
    files: Files,
    disk: Option<Disk>,
    replicas: Option<Replicas>,
    groups: Groups,
    invalidations: Arc<Invalidations>,
    latest: Latest,
    epochs: Arc<Epochs>,
    recalls: Box<[Mutex<()>]>,
    hasher: RandomState,
    /// What is invalidated, for those who want to know.
    news: broadcast::Sender<Reach>,
}

/// Ends when something is known to hold everywhere and to survive a restart.
pub(crate) type Certain = BoxFuture<'static, Result<(), TierError>>;

impl Pages {
    /// The pages that the disk and the shared tier hold, or none. To be called within a runtime.
    pub(crate) fn new(config: &Config, now: Timestamp) -> Result<Self, SharedError> {
        let shared = match &config.shared {
            Some(shared) => Some((Arc::new(Shared::new(&shared.options)?) as Arc<_>, shared.replica.clone())),
            None => None,
        };
        Ok(Self::over(shared, config, now))
    }

    /// The pages that the disk and this shared store hold, in which this replica is called so.
    pub(crate) fn over(
        shared: Option<(Arc<dyn SharedStore>, String)>,
        config: &Config,
        now: Timestamp,
    ) -> Self {
        let limits = &config.limits;
        // A page and its compressed variants.
        let memory = Arc::new(Memory::new(limits.memory_bytes, 3 * limits.page_bytes as u64));
        let invalidations = Arc::<Invalidations>::default();
        let mut epochs = Arc::<Epochs>::default();
        let mut followed = Arc::<std::sync::Mutex<Option<Followed>>>::default();
        let folder = config.state_dir.as_ref().filter(|_| limits.disk_bytes > 0);
        let disk = folder.map(|folder| {
            Disk::open(&folder.join("pages"), limits.disk_bytes, |recalled| {
                epochs = Arc::new(Epochs::after(recalled.epoch));
                // Without a shared tier this disk goes on by itself, and never knows again what it missed.
                let known = recalled.followed.filter(|_| shared.is_some());
                followed = Arc::new(std::sync::Mutex::new(known));
                for (selector, watermark) in &recalled.marks {
                    for (mode, epoch) in [(Mode::Hard, watermark.hard), (Mode::Soft, watermark.soft)] {
                        invalidations.note(selector, mode, epoch);
                    }
                }
                Box::new(Before {
                    memory: Arc::clone(&memory),
                    epochs: Arc::clone(&epochs),
                    invalidations: Arc::clone(&invalidations),
                    followed: Arc::clone(&followed),
                })
            })
        });
        let replicas = shared.map(|(shared, name)| Replicas::new(shared, name, followed, now));
        Self {
            memory,
            files: Files::new(limits.memory_bytes),
            disk,
            replicas,
            groups: Groups::default(),
            invalidations,
            latest: Latest::default(),
            epochs,
            recalls: (0..RECALLS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            news: broadcast::Sender::new(NEWS),
        }
    }

    /// The response in memory under `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<StoredResponse>> {
        self.memory.get(key)
    }

    /// The file of a body that is long enough for one, for the kernel to send from.
    pub(crate) fn file(&self, body: &Bytes) -> Option<Arc<BodyFile>> {
        self.files.of(body)
    }

    /// The response in memory under `key`, without counting as a use of it.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Arc<StoredResponse>> {
        self.memory.peek(key)
    }

    /// Brings the response under `key` from the disk or the shared tier into memory, if it is there and not in memory;
    /// `false` if there is none. `keep` puts it into memory, or does not when something else is there by then.
    pub(crate) async fn recall(
        &self,
        key: &[u8],
        group: &str,
        now: Timestamp,
        keep: impl FnOnce(&dyn Fn()),
    ) -> bool {
        // Held before anybody is asked: who invalidates the group meanwhile marks this one.
        let group = self.groups.get(group);
        let finding = async {
            let lock = usize::try_from(self.hasher.hash_one(key) % RECALLS as u64).unwrap_or(0);
            let _alone = self.recalls[lock].lock().await;
            if self.memory.peek(key).is_some() {
                return true;
            }
            let on_disk = match &self.disk {
                Some(disk) => disk.fetch(key, &group).await,
                None => Ok(None),
            };
            // An error is counted where it happens; to a visitor it is a page that is not there.
            let (found, is_on_disk) = match (on_disk, &self.replicas) {
                (Ok(Some(found)), _) => (found, true),
                (_, Some(replicas)) => {
                    let found = replicas.shared.fetch(key, &group).await;
                    self.take_note_of_marks(&group);
                    match found {
                        Ok(Some(found)) => (found, false),
                        _ => return false,
                    }
                }
                _ => return false,
            };
            let found = from_elsewhere(&self.epochs, now, found);
            keep(&|| {
                if self.memory.peek(key).is_none() {
                    found.group.tag(found.tags());
                    if !is_on_disk && let Some(disk) = &self.disk {
                        disk.put(key, &found);
                    }
                    self.memory.put(key, Arc::clone(&found));
                }
            });
            true
        };
        tokio::time::timeout(RECALL_WITHIN, finding).await.unwrap_or(false)
    }

    /// Takes note of what the shared tier has told of a group's invalidations, perhaps before the log does: whatever is rendered
    /// here from now on is later, also without the log.
    fn take_note_of_marks(&self, group: &Group) {
        let Watermark { hard, soft } = group.watermark();
        self.epochs.raise(hard.max(soft));
    }

    /// Whether pages may be found where [`recall`](Self::recall) looks.
    pub(crate) fn has_more(&self) -> bool {
        self.disk.is_some() || self.replicas.is_some()
    }

    /// Stores `response` under `key` in place of what is there.
    pub(crate) fn put(&self, key: &[u8], response: Arc<StoredResponse>) {
        self.share(key, &response);
        self.adopt(key, response);
    }

    fn share(&self, key: &[u8], response: &Arc<StoredResponse>) {
        if let Some(replicas) = &self.replicas
            // The server may have forgotten the mark, or have lost all that was told. A new replica would take the page for good.
            && response.render.began >= response.group.watermark().hard.max(replicas.joined())
        {
            replicas.shared.put(key, response);
        }
    }

    /// Stores a response that another replica has rendered.
    pub(crate) fn adopt(&self, key: &[u8], response: Arc<StoredResponse>) {
        response.group.tag(response.tags());
        if let Some(disk) = &self.disk {
            disk.put(key, &response);
        }
        self.memory.put(key, response);
    }

    /// Stores `response` if `present` is still what is stored under `key`.
    pub(crate) fn replace(&self, key: &[u8], present: &Arc<StoredResponse>, response: &Arc<StoredResponse>) {
        if self.memory.replace(key, present, Arc::clone(response)) {
            self.share(key, response);
            if let Some(disk) = &self.disk {
                disk.put(key, response);
            }
        }
    }

    /// Forgets what is stored under `key`, a member of `group`.
    pub(crate) fn remove(&self, key: &[u8], group: &Arc<Group>) {
        self.memory.remove(key);
        for tier in self.tiers() {
            tier.remove(key, group);
        }
    }

    /// What stands behind the memory.
    fn tiers(&self) -> impl Iterator<Item = &dyn Tier> {
        let shared = self.replicas.as_ref().map(|replicas| &*replicas.shared as &dyn Tier);
        self.disk.as_ref().map(|disk| disk as &dyn Tier).into_iter().chain(shared)
    }

    /// The group of this name.
    pub(crate) fn group(&self, name: &str) -> Arc<Group> {
        self.groups.get(name)
    }

    /// The group of this name, if anything of it is in memory or under way.
    pub(crate) fn find_group(&self, name: &str) -> Option<Arc<Group>> {
        self.groups.find(name)
    }

    /// What is in memory, in no order. Walks everything: for people who ask, not for requests.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Box<[u8]>, Arc<StoredResponse>)> {
        self.memory.iter()
    }

    /// What the memory holds.
    pub(crate) fn usage(&self) -> Usage {
        self.memory.usage()
    }

    /// Whether there is a store that other replicas have pages in.
    pub(crate) fn is_shared(&self) -> bool {
        self.replicas.is_some()
    }

    /// Whether nothing is in memory and on the disk.
    pub(crate) fn are_empty(&self) -> bool {
        self.memory.usage().entries == 0 && self.disk.as_ref().is_none_or(Disk::is_empty)
    }

    /// Whether everything is known here that other replicas have invalidated before the start.
    pub(crate) fn have_caught_up(&self) -> bool {
        self.replicas.as_ref().is_none_or(Replicas::has_joined)
    }

    /// How the shared tier does, if there is one.
    pub(crate) fn shared_state(&self, now: Timestamp) -> Option<SharedState> {
        self.replicas.as_ref().map(|replicas| replicas.state(now))
    }

    /// Writes to the disk what waits to be written. It has nothing and keeps nothing after that.
    pub(crate) async fn close(self: &Arc<Self>) {
        let pages = Arc::clone(self);
        let closing = tokio::task::spawn_blocking(move || pages.disk.as_ref().map(Disk::close));
        if tokio::time::timeout(CLOSE_WITHIN, closing).await.is_err() {
            tracing::warn!("the disk is too slow: pages of the last seconds are not kept");
        }
    }

    /// What the disk holds, if there is one.
    pub(crate) fn disk_usage(&self) -> Option<DiskUsage> {
        self.disk.as_ref().map(Disk::usage)
    }
}

/// A response from elsewhere, whose clock may be ahead: a page is never younger than this moment. Its epoch may be ahead as well of
/// all that is known here; whatever is invalidated here from now on is later.
fn from_elsewhere(epochs: &Epochs, now: Timestamp, mut response: Arc<StoredResponse>) -> Arc<StoredResponse> {
    epochs.raise(response.render.began);
    if response.render.finished.timestamp() > now {
        Arc::make_mut(&mut response).render.finished = now.into();
    }
    response
}

#[cfg(test)]
mod tests;

/// What stands before the disk.
struct Before {
    followed: Arc<std::sync::Mutex<Option<Followed>>>,
    memory: Arc<Memory>,
    epochs: Arc<Epochs>,
    invalidations: Arc<Invalidations>,
}

impl Front for Before {
    fn epoch(&self) -> Epoch {
        self.epochs.current()
    }

    fn followed(&self) -> Option<Followed> {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_in_use(&self, key: &[u8]) -> bool {
        self.memory.peek(key).is_some()
    }

    fn marks(&self) -> Vec<(Box<[u8]>, Watermark)> {
        self.invalidations.marks()
    }
}
