//! The disk tier: everything that was stored, up to a size, over restarts.
//!
//! One file of redb. One thread writes, in transactions of many changes; what is queued for it counts as stored. Readers are
//! threads that may wait, bounded in number. The order of pages is that in which they were written, and one that the memory
//! holds when its turn to go has come gets another turn, so that what is in use stays.
//!
//! Nothing here is an error to a visitor. A file that cannot be read or written makes this tier one that has nothing, and it
//! is tried again; a damaged one is replaced by an empty one; a record that is not what its digests say is a miss.

mod engine;
mod folder;
mod queue;
mod row;
mod tables;
mod writer;

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use isr_cache::{BoxFuture, Epoch, Group, Invalidation, StoredResponse, Tier, TierError, Watermark};
use redb::{Builder, Database};
use tokio::sync::{Semaphore, oneshot};

use crate::step_back;
use engine::Engine;
use folder::Folder;
use queue::{Gathering, Pending, Queue};
use tables::Failure;

/// Reads at a time. More would not be faster on any disk, and each takes a thread.
const READS_AT_ONCE: usize = 32;

/// Memory for the upper levels of the file's trees. Bodies are left to the kernel's page cache.
const CACHE_BYTES: usize = 32 << 20;

/// What a record's weight becomes in the file, at most: not all pages of the file are full (measured: 1.0 for 16 KiB, 1.5 for
/// 1 KiB, below 2 for lengths of chance).
const BYTES_PER_WEIGHT: u64 = 2;

/// What the file takes beside that: its own tables, and what a transaction writes before the old is free.
const BYTES_BESIDE: u64 = 4 << 20;

/// What stands before the disk and knows what it must know.
pub trait Front: Send + Sync {
    /// The epoch that it is.
    fn epoch(&self) -> Epoch;

    /// How far the shared log was followed, counting only what [`Tier::invalidate`] has been certain of. `None` without one.
    fn followed(&self) -> Option<Followed>;

    /// Whether a page is in use, so that it should stay.
    fn is_in_use(&self, key: &[u8]) -> bool;

    /// All invalidations of more than one group, for a file that has lost them.
    fn marks(&self) -> Vec<(Box<[u8]>, Watermark)>;
}

/// The disk tier.
pub struct Disk {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    reads: Semaphore,
}

/// How far a shared log was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Number of the data set that the log is of.
    pub data_set: u64,
    /// The last position that was taken note of.
    pub position: Epoch,
}

/// What a disk remembers from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// No page or invalidation that it holds is of a later epoch.
    pub epoch: Epoch,
    /// How far the shared log was followed, if it was.
    pub followed: Option<Followed>,
    /// The invalidations of more than one group.
    pub marks: Vec<(Box<[u8]>, Watermark)>,
}

/// What the disk tier holds at a moment, and what happened to it since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// Number of stored responses.
    pub entries: u64,
    /// Bytes that they take in the file, at most.
    pub bytes: u64,
    /// Bytes that they may take.
    pub capacity: u64,
    /// Stored responses that had to go for others.
    pub evictions: u64,
    /// Times that reading or writing failed.
    pub errors: u64,
    /// Records that were not what they should be.
    pub damaged: u64,
    /// Responses that were not stored because the disk could not keep up or did not work.
    pub dropped: u64,
    /// Why it does not work, if it does not.
    pub broken: Option<TierError>,
}

/// Where the file is.
pub(crate) trait Medium: Send + Sync {
    /// Opens the file; makes it if it is not there.
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error>;
    /// Removes the file.
    fn discard(&self) -> io::Result<()>;
}

struct Shared {
    folder: String,
    medium: Box<dyn Medium>,
    capacity: u64,
    front: Box<dyn Front>,
    queue: Mutex<Queue>,
    changed: Condvar,
    database: RwLock<Option<Arc<Engine>>>,
    broken: Mutex<Option<TierError>>,
    is_broken: AtomicBool,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    entries: AtomicU64,
    weight: AtomicU64,
    evictions: AtomicU64,
    errors: AtomicU64,
    damaged: AtomicU64,
    dropped: AtomicU64,
}

impl Disk {
    /// The tier in this folder, which is made if it is not there, of at most `capacity` bytes; and what it remembers.
    ///
    /// `front` is asked for what stands before it once that is recalled; the epochs that it tells are later than the one
    /// recalled. A folder that does not work makes a tier that has nothing and tries again.
    pub fn open(folder: &Path, capacity: u64, front: impl FnOnce(&Recalled) -> Box<dyn Front>) -> Self {
        let medium = Folder { folder: folder.to_owned() };
        Self::on(Box::new(medium), folder.display().to_string(), capacity, Gathering::default(), front)
    }

    fn on(
        medium: Box<dyn Medium>,
        folder: String,
        capacity: u64,
        gathering: Gathering,
        front: impl FnOnce(&Recalled) -> Box<dyn Front>,
    ) -> Self {
        let opened = open(&*medium).or_else(|failure| {
            if !failure.is_damage() {
                return Err(failure);
            }
            tracing::error!(folder, error = %failure, "stored pages are lost; beginning with none");
            medium.discard().map_err(redb::Error::Io)?;
            open(&*medium)
        });
        let (database, recalled, broken) = match opened {
            Ok((database, known)) => {
                let recalled = Recalled { epoch: known.epoch, followed: known.followed, marks: known.marks };
                (Some(Arc::new(database)), recalled, None)
            }
            Err(failure) => {
                tracing::error!(folder, error = %failure, "pages are kept in memory alone until the disk works");
                let error = TierError(format!("the disk tier does not work: {failure}").into());
                (None, Recalled::default(), Some(error))
            }
        };
        let shared = Arc::new(Shared {
            folder,
            medium,
            capacity: capacity.saturating_sub(BYTES_BESIDE) / BYTES_PER_WEIGHT,
            front: front(&recalled),
            // What is on a disk that was not read at the start belongs to an unknown order of invalidations.
            queue: Mutex::new(Queue::new(gathering, broken.is_some())),
            changed: Condvar::new(),
            database: RwLock::new(database),
            is_broken: AtomicBool::new(broken.is_some()),
            broken: Mutex::new(broken),
            counts: Counts::default(),
        });
        if let Some(database) = shared.opened() {
            shared.measure(&database);
        }
        let writing = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("disk".into()).spawn(move || {
            step_back();
            writer::run(&writing);
        });
        let writer = writer
            .inspect_err(
                |error| tracing::error!(%error, "no thread writes to the disk: nothing is kept there"),
            )
            .ok();
        Self { shared, writer: Mutex::new(writer), reads: Semaphore::new(READS_AT_ONCE) }
    }

    /// What the tier holds now.
    pub fn usage(&self) -> DiskUsage {
        let Counts { entries, weight, evictions, errors, damaged, dropped } = &self.shared.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DiskUsage {
            entries: of(entries),
            bytes: of(weight) * BYTES_PER_WEIGHT + BYTES_BESIDE,
            capacity: self.shared.capacity * BYTES_PER_WEIGHT + BYTES_BESIDE,
            evictions: of(evictions),
            errors: of(errors),
            damaged: of(damaged),
            dropped: of(dropped),
            broken: self.shared.broken().clone(),
        }
    }

    /// Whether it has no stored response, and none waits to be written.
    pub fn is_empty(&self) -> bool {
        // In this order: what is written is counted before it no longer waits.
        let waits = self.shared.queue().has_records();
        !waits && self.shared.counts.entries.load(Ordering::Relaxed) == 0
    }

    /// Writes everything that is queued, and lets the file go: nothing is read or kept after that. Waits for the disk.
    pub fn close(&self) {
        self.shared.queue().is_closed = true;
        self.shared.changed.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has written what it could.
            let _ = writer.join();
        }
        self.shared.close();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Tier for Disk {
    fn fetch<'t>(
        &'t self,
        key: &'t [u8],
        group: &'t Arc<Group>,
    ) -> BoxFuture<'t, Result<Option<Arc<StoredResponse>>, TierError>> {
        Box::pin(async move {
            let must_empty = {
                let queue = self.shared.queue();
                match queue.find(key, group) {
                    Some(Pending::Response(response)) => return Ok(Some(response)),
                    Some(Pending::Nothing(_)) => return Ok(None),
                    None => queue.must_empty,
                }
            };
            if must_empty || self.shared.is_broken.load(Ordering::Relaxed) {
                return Ok(None);
            }
            // Never closed.
            let Ok(_permit) = self.reads.acquire().await else { return Ok(None) };
            let (shared, key, group) = (Arc::clone(&self.shared), key.to_vec(), Arc::clone(group));
            let reading = tokio::task::spawn_blocking(move || shared.read(&key, &group));
            reading
                .await
                .unwrap_or_else(|error| Err(TierError(format!("reading the disk ended: {error}").into())))
        })
    }

    fn put(&self, key: &[u8], response: &Arc<StoredResponse>) {
        let mut queue = self.shared.queue();
        if queue.put(key, response) {
            self.shared.tell(queue);
        } else {
            self.shared.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, key: &[u8], group: &Arc<Group>) {
        let mut queue = self.shared.queue();
        queue.remove(key, group);
        self.shared.tell(queue);
    }

    fn invalidate(&self, invalidation: Invalidation) -> BoxFuture<'static, Result<(), TierError>> {
        let (receipt, received) = oneshot::channel();
        let mut queue = self.shared.queue();
        queue.invalidate(invalidation, Some(receipt));
        self.shared.tell(queue);
        let broken = self.shared.broken().clone();
        Box::pin(async move {
            // A disk that does not work has heard of it, and may never write it.
            if let Some(error) = broken {
                return Err(error);
            }
            let ended = || TierError("the disk tier has ended".into());
            received.await.unwrap_or_else(|_| Err(ended()))
        })
    }
}

impl Shared {
    fn read(&self, key: &[u8], group: &Arc<Group>) -> Result<Option<Arc<StoredResponse>>, TierError> {
        let Some(database) = self.opened() else { return Ok(None) };
        let read = std::panic::catch_unwind(AssertUnwindSafe(|| tables::read(&database, key, group)));
        match read {
            Ok(Ok(Ok(found))) => Ok(found.map(Arc::new)),
            Ok(Ok(Err(_))) => {
                self.counts.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(folder = %self.folder, group = group.name(), "a stored page is damaged, and removed");
                let mut queue = self.queue();
                queue.remove(key, group);
                self.tell(queue);
                Ok(None)
            }
            Ok(Err(failure)) => {
                self.count_error();
                Err(TierError(format!("the disk tier cannot read: {failure}").into()))
            }
            Err(_) => {
                self.count_error();
                self.counts.damaged.fetch_add(1, Ordering::Relaxed);
                Err(TierError("the disk tier cannot read: the engine gave up".into()))
            }
        }
    }

    fn open(&self) -> Result<(Engine, tables::Known), Failure> {
        open(&*self.medium)
    }

    fn opened(&self) -> Option<Arc<Engine>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put_open(&self, database: Engine) -> Arc<Engine> {
        let database = Arc::new(database);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&database));
        database
    }

    /// Closes the file.
    fn close(&self) {
        // Readers that are under way keep it open until they end.
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Closes the file and removes it, because it is of no use.
    fn discard(&self) -> Result<(), Failure> {
        self.close();
        self.medium.discard().map_err(redb::Error::Io)?;
        tracing::error!(folder = %self.folder, "stored pages are lost; beginning with none");
        self.counts.entries.store(0, Ordering::Relaxed);
        self.counts.weight.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each change of the queue is whole when its lock is let go.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the queue, and wakes the writer if it waits for what is in it.
    fn tell(&self, queue: MutexGuard<'_, Queue>) {
        let is_news = queue.is_news();
        drop(queue);
        if is_news {
            self.changed.notify_one();
        }
    }

    fn broken(&self) -> MutexGuard<'_, Option<TierError>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the disk works. `true` if that is news.
    fn set_broken(&self, error: Option<TierError>) -> bool {
        let mut broken = self.broken();
        let is_news = broken.is_some() != error.is_some();
        if is_news && error.is_none() {
            tracing::info!(folder = %self.folder, "the disk works again");
        }
        self.is_broken.store(error.is_some(), Ordering::Relaxed);
        *broken = error;
        is_news
    }

    fn count_error(&self) {
        self.counts.errors.fetch_add(1, Ordering::Relaxed);
    }

    fn count_evictions(&self, evictions: u64) {
        self.counts.evictions.fetch_add(evictions, Ordering::Relaxed);
    }

    fn measure(&self, database: &Database) {
        if let Ok((entries, weight)) = tables::usage(database) {
            self.counts.entries.store(entries, Ordering::Relaxed);
            self.counts.weight.store(weight, Ordering::Relaxed);
        }
    }
}

fn open(medium: &dyn Medium) -> Result<(Engine, tables::Known), Failure> {
    let opening = || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = Engine::new(medium.open(&builder)?);
        let known = tables::open(&database)?;
        Ok((database, known))
    };
    std::panic::catch_unwind(AssertUnwindSafe(opening))
        .unwrap_or(Err(Failure::Inconsistent("the engine cannot open it")))
}

#[cfg(test)]
mod tests;
