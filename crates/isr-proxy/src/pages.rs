//! Where the pages are: in memory, and behind it on the disk; and what invalidates them.
//!
//! A hit asks the memory alone. Who finds nothing there asks the disk before anything is rendered ([`Pages::recall`]).
//! Whatever is stored goes to both, and an invalidation is certain when the disk has it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use isr_cache::{
    BoxFuture, Epoch, Epochs, Group, Invalidation, Invalidations, Mode, Reach, Selector, StoredResponse,
    Tier, TierError, Timestamp, TooManyMarks, Watermark,
};
use isr_routes::Route;
use isr_store::{Disk, DiskUsage, Front, Groups, Memory, Usage};
use tokio::sync::Mutex;

use crate::config::Config;

/// How long a visitor waits for a page to be found on the disk. A disk that hangs must cost no more than a render does.
const RECALL_WITHIN: Duration = Duration::from_millis(500);

/// Locks for pages that are being recalled: who asks for the same page waits for the same read, and who asks for another
/// one seldom waits for it.
const RECALLS: usize = 256;

/// All stored responses.
pub(crate) struct Pages {
    memory: Arc<Memory>,
    disk: Option<Disk>,
    groups: Groups,
    invalidations: Arc<Invalidations>,
    epochs: Arc<Epochs>,
    recalls: Box<[Mutex<()>]>,
    hasher: RandomState,
}

/// Ends when something is known to survive a restart.
pub(crate) type Certain = BoxFuture<'static, Result<(), TierError>>;

impl Pages {
    /// The pages that the disk holds, or none.
    pub(crate) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        // A page and its compressed variants.
        let memory = Arc::new(Memory::new(limits.memory_bytes, 3 * limits.page_bytes as u64));
        let invalidations = Arc::<Invalidations>::default();
        let mut epochs = Arc::<Epochs>::default();
        let folder = config.state_dir.as_ref().filter(|_| limits.disk_bytes > 0);
        let disk = folder.map(|folder| {
            Disk::open(&folder.join("pages"), limits.disk_bytes, |recalled| {
                epochs = Arc::new(Epochs::after(recalled.epoch));
                for (selector, watermark) in &recalled.marks {
                    for (mode, epoch) in [(Mode::Hard, watermark.hard), (Mode::Soft, watermark.soft)] {
                        // The disk holds no more of them than there may be.
                        let _ = invalidations.note(selector, mode, epoch);
                    }
                }
                Box::new(Before {
                    memory: Arc::clone(&memory),
                    epochs: Arc::clone(&epochs),
                    invalidations: Arc::clone(&invalidations),
                })
            })
        });
        Self {
            memory,
            disk,
            groups: Groups::default(),
            invalidations,
            epochs,
            recalls: (0..RECALLS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The response in memory under `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<StoredResponse>> {
        self.memory.get(key)
    }

    /// The response in memory under `key`, without counting as a use of it.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Arc<StoredResponse>> {
        self.memory.peek(key)
    }

    /// Brings the response under `key` from the disk into memory, if it is there and not in memory; `false` if there is
    /// none. `keep` puts it into memory, or does not when something else is there by then.
    pub(crate) async fn recall(
        &self,
        key: &[u8],
        group: &str,
        now: Timestamp,
        keep: impl FnOnce(&dyn Fn()),
    ) -> bool {
        let Some(disk) = &self.disk else { return false };
        // Held before the disk is asked: who invalidates the group meanwhile marks this one.
        let group = self.groups.get(group);
        let finding = async {
            let lock = usize::try_from(self.hasher.hash_one(key) % RECALLS as u64).unwrap_or(0);
            let _alone = self.recalls[lock].lock().await;
            if self.memory.peek(key).is_some() {
                return true;
            }
            // An error is counted where it happens; to a visitor it is a page that is not there.
            let Ok(Some(mut found)) = disk.fetch(key, &group).await else { return false };
            if found.render.finished > now {
                // The clock was ahead before the restart. A page is never younger than this moment.
                Arc::make_mut(&mut found).render.finished = now;
            }
            keep(&|| {
                if self.memory.peek(key).is_none() {
                    self.memory.put(key, Arc::clone(&found));
                }
            });
            true
        };
        tokio::time::timeout(RECALL_WITHIN, finding).await.unwrap_or(false)
    }

    /// Whether pages may be found where [`recall`](Self::recall) looks.
    pub(crate) fn has_more(&self) -> bool {
        self.disk.is_some()
    }

    /// Stores `response` under `key` in place of what is there.
    pub(crate) fn put(&self, key: &[u8], response: Arc<StoredResponse>) {
        response.group.tag(&response.tags);
        if let Some(disk) = &self.disk {
            disk.put(key, &response);
        }
        self.memory.put(key, response);
    }

    /// Stores `response` if `present` is still what is stored under `key`.
    pub(crate) fn replace(&self, key: &[u8], present: &Arc<StoredResponse>, response: &Arc<StoredResponse>) {
        if self.memory.replace(key, present, Arc::clone(response))
            && let Some(disk) = &self.disk
        {
            disk.put(key, response);
        }
    }

    /// Forgets what is stored under `key`, a member of `group`.
    pub(crate) fn remove(&self, key: &[u8], group: &Arc<Group>) {
        self.memory.remove(key);
        if let Some(disk) = &self.disk {
            disk.remove(key, group);
        }
    }

    /// The group of this name.
    pub(crate) fn group(&self, name: &str) -> Arc<Group> {
        self.groups.get(name)
    }

    /// The group of this name, if anything of it is in memory or under way.
    pub(crate) fn find_group(&self, name: &str) -> Option<Arc<Group>> {
        self.groups.find(name)
    }

    /// The invalidations that cover a group of a route's pages.
    #[inline]
    pub(crate) fn watermark(&self, group: &Group, route: &Route) -> Watermark {
        self.invalidations.watermark(group, &route.id, &route.tags)
    }

    /// The epoch in which a render that begins now begins.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epochs.current()
    }

    /// A new epoch.
    pub(crate) fn next_epoch(&self) -> Epoch {
        self.epochs.advance()
    }

    /// Invalidates what began before `epoch` of a group. Everybody here knows of it when this returns; after a restart
    /// when the future has ended.
    pub(crate) fn invalidate_group(&self, name: &str, mode: Mode, epoch: Epoch) -> Certain {
        let group = self.groups.get(name);
        group.invalidate(mode, epoch);
        self.tell(Invalidation { reach: Reach::Group(Arc::clone(group.name())), mode, epoch })
    }

    /// Invalidates what a selector covers, in the same way.
    pub(crate) fn invalidate(&self, selector: &Selector, mode: Mode) -> Result<Certain, TooManyMarks> {
        let bytes = selector.to_bytes();
        let epoch = self.epochs.advance();
        self.invalidations.note(&bytes, mode, epoch)?;
        Ok(self.tell(Invalidation { reach: Reach::Selected(bytes.into()), mode, epoch }))
    }

    fn tell(&self, invalidation: Invalidation) -> Certain {
        match &self.disk {
            Some(disk) => disk.invalidate(invalidation),
            None => Box::pin(async { Ok(()) }),
        }
    }

    /// What is in memory, in no order. Walks everything: for people who ask, not for requests.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, Arc<StoredResponse>)> {
        self.memory.iter()
    }

    /// What the memory holds.
    pub(crate) fn usage(&self) -> Usage {
        self.memory.usage()
    }

    /// What the disk holds, if there is one.
    pub(crate) fn disk_usage(&self) -> Option<DiskUsage> {
        self.disk.as_ref().map(Disk::usage)
    }
}

/// What stands before the disk.
struct Before {
    memory: Arc<Memory>,
    epochs: Arc<Epochs>,
    invalidations: Arc<Invalidations>,
}

impl Front for Before {
    fn epoch(&self) -> Epoch {
        self.epochs.current()
    }

    fn is_in_use(&self, key: &[u8]) -> bool {
        self.memory.peek(key).is_some()
    }

    fn marks(&self) -> Vec<(Box<[u8]>, Watermark)> {
        self.invalidations.marks()
    }
}
