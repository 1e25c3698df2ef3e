//! Stored responses and a disk of the imagination, for tests.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use isr_cache::{
    Asked, Coding, Compressed, Epoch, Extra, Governed, Group, Head, Lifetime, Render, Routed, StoredResponse,
    Timestamp, Watermark,
};
use redb::backends::InMemoryBackend;
use redb::{Builder, Database, StorageBackend};

use crate::disk::{Followed, Front, Medium};

/// A page whose body is this text, rendered in this epoch, with a compressed variant and everything else a page can have.
pub(crate) fn page(group: &Arc<Group>, body: &str, began: u64) -> Arc<StoredResponse> {
    let etag = HeaderValue::from_static("\"an-entity-tag\"");
    let field = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let fields = [field("content-type", "text/html"), field("x-twice", "1"), field("x-twice", "2")];
    let fields = fields.iter().map(|(name, value)| (name, value));
    Arc::new(StoredResponse {
        head: Head::new(StatusCode::OK, &"shop/blog".into(), Some(&etag), fields),
        body: Bytes::copy_from_slice(body.as_bytes()),
        asked: Asked::never(),
        modified: Some(Timestamp(1234).seconds()),
        render: Render { finished: Timestamp(5678).into(), began: Epoch(began), born_stale: true, spread: 7 },
        routed: Routed::default(),
        group: Arc::clone(group),
        extra: Some(Box::new(Extra {
            compressed: Box::new([Compressed {
                coding: Coding::Brotli,
                body: body.bytes().rev().collect(),
                etag: Some((*b"\"an-entity-tag-br\"").into()),
            }]),
            governed: Some(Box::new(Governed {
                lifetime: Lifetime {
                    fresh_for: std::time::Duration::from_secs(9),
                    stale_while_revalidate: Some(std::time::Duration::from_millis(1)),
                    stale_if_error: None,
                    must_revalidate: true,
                    heuristic: false,
                },
                initial_age: std::time::Duration::from_secs(3),
                vary: Box::new([HeaderName::from_static("accept-language")]),
            })),
            tags: Box::new(["a-tag".into()]),
        })),
    })
}

/// The body of a page as text.
pub(crate) fn body(response: &StoredResponse) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

/// Selectors as bytes, and their invalidations.
pub(crate) type Marks = Vec<(Box<[u8]>, Watermark)>;

/// What stands before a disk in tests: an epoch that only grows, and nothing in use.
#[derive(Clone, Default)]
pub(crate) struct Simple {
    pub(crate) epoch: Arc<AtomicU64>,
    pub(crate) followed: Arc<Mutex<Option<Followed>>>,
    pub(crate) in_use: Arc<Mutex<Vec<Vec<u8>>>>,
    pub(crate) marks: Arc<Mutex<Marks>>,
}

impl Front for Simple {
    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    fn followed(&self) -> Option<Followed> {
        *self.followed.lock().expect("the position")
    }

    fn is_in_use(&self, key: &[u8]) -> bool {
        self.in_use.lock().expect("the keys").iter().any(|known| known == key)
    }

    fn marks(&self) -> Marks {
        self.marks.lock().expect("the marks").clone()
    }
}

/// A disk that loses, refuses or tears what is written when it is told to. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreliable(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// What a reader sees.
    live: Mutex<Arc<InMemory>>,
    /// What is certain to be there after a crash.
    durable: Mutex<Vec<u8>>,
    /// What was written since, in order.
    unsynced: Mutex<VecDeque<(u64, Vec<u8>)>>,
    /// Operations until the first that fails; then all do.
    fuse: AtomicU64,
    is_broken: AtomicBool,
    /// It cannot be removed, whatever else it can.
    stays: AtomicBool,
    written: AtomicU64,
    reads: AtomicU64,
    syncs: AtomicU64,
    /// Which error it meets, as the system numbers them.
    errno: AtomicI32,
    /// Of so many reads one gives a wrong bit; 0: none does.
    lies_every: AtomicU64,
    /// Whether every operation waits.
    is_held: Mutex<bool>,
    released: Condvar,
}

/// Errors that disks meet: input and output, no room, read-only.
pub(crate) const ERRORS: [i32; 3] = [5, 28, 30];

type InMemory = InMemoryBackend;

impl Unreliable {
    /// A sound one.
    pub(crate) fn sound() -> Self {
        let disk = Self::default();
        disk.0.fuse.store(u64::MAX, Ordering::Relaxed);
        disk
    }

    /// How many bytes it was told to write.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// How many times something was read from it.
    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// How many times it was waited for until all is certain.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::Relaxed)
    }

    /// From now on, one read of so many gives a wrong bit; 0: none does.
    pub(crate) fn lie_every(&self, reads: u64) {
        self.0.lies_every.store(reads, Ordering::Relaxed);
    }

    /// Has every operation wait, until it is released.
    pub(crate) fn hold(&self) {
        *self.0.is_held.lock().expect("the gate") = true;
    }

    pub(crate) fn release(&self) {
        *self.0.is_held.lock().expect("the gate") = false;
        self.0.released.notify_all();
    }

    /// Every operation fails after so many, with this error.
    pub(crate) fn fail_with(&self, errno: i32, operations: u64) {
        self.0.errno.store(errno, Ordering::Relaxed);
        self.fail_after(operations);
    }

    /// Every operation fails after so many.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.0.fuse.store(operations, Ordering::Relaxed);
    }

    /// Whether any operation has failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.is_broken.load(Ordering::Relaxed)
    }

    /// Whether it cannot be removed.
    pub(crate) fn stays(&self, stays: bool) {
        self.0.stays.store(stays, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.0.is_broken.store(false, Ordering::Relaxed);
        self.fail_after(u64::MAX);
    }

    /// The power fails: of what was not synced, `survives` says what is there afterwards, write by write.
    pub(crate) fn crash(&self, mut survives: impl FnMut() -> bool) -> Self {
        let mut image = self.0.durable.lock().expect("the image").clone();
        for (offset, data) in self.0.unsynced.lock().expect("the writes").iter() {
            if survives() {
                apply(&mut image, *offset, data);
            }
        }
        Self::holding(image)
    }

    /// One that holds these bytes.
    pub(crate) fn holding(image: Vec<u8>) -> Self {
        let disk = Self::sound();
        let live = InMemory::new();
        live.set_len(image.len() as u64).expect("room");
        live.write(0, &image).expect("room");
        *disk.0.live.lock().expect("the disk") = Arc::new(live);
        *disk.0.durable.lock().expect("the image") = image;
        disk
    }

    /// All its bytes.
    pub(crate) fn image(&self) -> Vec<u8> {
        let live = Arc::clone(&self.0.live.lock().expect("the disk"));
        let mut image = vec![0; usize::try_from(live.len().expect("a length")).expect("it fits")];
        live.read(0, &mut image).expect("its bytes");
        image
    }

    fn step(&self) -> io::Result<Arc<InMemory>> {
        let inner = &self.0;
        let held = inner.is_held.lock().expect("the gate");
        drop(inner.released.wait_while(held, |is_held| *is_held).expect("the gate"));
        let left = inner.fuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(if left == u64::MAX { left } else { left.saturating_sub(1) })
        });
        if left == Ok(0) {
            inner.is_broken.store(true, Ordering::Relaxed);
            return Err(match inner.errno.load(Ordering::Relaxed) {
                0 => io::Error::new(io::ErrorKind::StorageFull, "no room"),
                errno => io::Error::from_raw_os_error(errno),
            });
        }
        Ok(Arc::clone(&inner.live.lock().expect("the disk")))
    }
}

fn apply(image: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let from = usize::try_from(offset).expect("it fits");
    if image.len() < from + data.len() {
        image.resize(from + data.len(), 0);
    }
    image[from..from + data.len()].copy_from_slice(data);
}

impl StorageBackend for Unreliable {
    fn len(&self) -> io::Result<u64> {
        self.step()?.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let nth = self.0.reads.fetch_add(1, Ordering::Relaxed);
        self.step()?.read(offset, out)?;
        let every = self.0.lies_every.load(Ordering::Relaxed);
        if every > 0 && nth.is_multiple_of(every) && !out.is_empty() {
            let at = usize::try_from(nth.wrapping_mul(7919)).unwrap_or_default() % out.len();
            out[at] ^= 1 << (nth % 8);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step()?.set_len(len)?;
        // Lengths are taken to be certain at once.
        self.0.durable.lock().expect("the image").resize(usize::try_from(len).expect("it fits"), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step()?;
        self.0.syncs.fetch_add(1, Ordering::Relaxed);
        let mut durable = self.0.durable.lock().expect("the image");
        for (offset, data) in self.0.unsynced.lock().expect("the writes").drain(..) {
            apply(&mut durable, offset, &data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step()?.write(offset, data)?;
        self.0.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.0.unsynced.lock().expect("the writes").push_back((offset, data.to_vec()));
        Ok(())
    }
}

impl Medium for Unreliable {
    fn open(&self, builder: &Builder) -> Result<Database, redb::Error> {
        Ok(builder.create_with_backend(self.clone())?)
    }

    fn discard(&self) -> io::Result<()> {
        self.step()?;
        if self.0.stays.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        *self.0.live.lock().expect("the disk") = Arc::new(InMemory::new());
        self.0.durable.lock().expect("the image").clear();
        self.0.unsynced.lock().expect("the writes").clear();
        Ok(())
    }
}
