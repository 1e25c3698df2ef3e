//! The memory tier.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use isr_cache::StoredResponse;
use isr_cache::short::equal;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, OptionsBuilder, Weighter};

/// The greatest response takes at most this part of a shard, so that a big page never empties one.
const SHARE_OF_SHARD: u64 = 4;

/// Shards, at most: more threads than this do not serve one cache.
const SHARDS_MOST: u64 = 64;

/// Assumed when the table is sized: pages this small on average fill the memory with as many entries.
const TYPICAL_WEIGHT: u64 = 16 * 1024;

/// Stored responses in memory, bounded in bytes, evicted by S3-FIFO: one walk over a million pages that nobody asks for
/// again does not push out the pages that everybody asks for.
#[derive(Debug)]
pub struct Memory {
    cache: Cache<Box<[u8]>, Arc<StoredResponse>, Bytes, DefaultHashBuilder, Count>,
    evictions: Arc<AtomicU64>,
}

/// What the memory tier holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Number of stored responses.
    pub entries: usize,
    /// Bytes they take.
    pub bytes: u64,
    /// Bytes they may take.
    pub capacity: u64,
    /// Stored responses that had to go for others, since the start.
    pub evictions: u64,
}

impl Memory {
    /// A tier of at most `capacity` bytes for responses of up to `largest` bytes.
    ///
    /// A shard keeps nothing heavier than itself, so there are only as many shards as leave room for the largest.
    pub fn new(capacity: u64, largest: u64) -> Self {
        let entries = usize::try_from(capacity / TYPICAL_WEIGHT).unwrap_or(usize::MAX).max(64);
        let shards = (capacity / largest.saturating_mul(SHARE_OF_SHARD).max(1)).clamp(1, SHARDS_MOST);
        // Rounded down: the table takes the next power of two, and its shards must not get smaller by that.
        let shards = 1_usize << shards.ilog2();
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(capacity)
            .shards(shards)
            .build();
        let evictions = Arc::default();
        let count = Count(Arc::clone(&evictions));
        let cache = match options {
            Ok(options) => Cache::with_options(options, Bytes, DefaultHashBuilder::default(), count),
            // The options are complete; the capacity alone would do as well, with shards by the number of processors.
            Err(_) => Cache::with(entries, capacity, Bytes, DefaultHashBuilder::default(), count),
        };
        Self { cache, evictions }
    }

    /// The response stored under `key`.
    pub fn get(&self, key: &[u8]) -> Option<Arc<StoredResponse>> {
        self.cache.get(&Sought(key))
    }

    /// The response stored under `key`, without counting as a use of it.
    pub fn peek(&self, key: &[u8]) -> Option<Arc<StoredResponse>> {
        self.cache.peek(key)
    }

    /// Stores `response` under `key` in place of what is there.
    pub fn put(&self, key: &[u8], response: Arc<StoredResponse>) {
        self.cache.insert(key.into(), response);
    }

    /// Stores `response` if `present` is still what is stored under `key`: a change made beside the response (its
    /// compressed variants) never brings back what was replaced meanwhile, and does not count as a use of it. Whoever
    /// writes under one key does so one after the other.
    pub fn replace(&self, key: &[u8], present: &Arc<StoredResponse>, response: Arc<StoredResponse>) -> bool {
        let unchanged = self.peek(key).is_some_and(|stored| Arc::ptr_eq(&stored, present));
        unchanged && self.cache.replace(key.into(), response, true).is_ok()
    }

    /// Forgets what is stored under `key`.
    pub fn remove(&self, key: &[u8]) {
        self.cache.remove(key);
    }

    /// What is stored, in no order. Walks everything: for people who ask, not for requests.
    pub fn iter(&self) -> impl Iterator<Item = (Box<[u8]>, Arc<StoredResponse>)> {
        self.cache.iter()
    }

    /// What the tier holds now.
    pub fn usage(&self) -> Usage {
        Usage {
            entries: self.cache.len(),
            bytes: self.cache.weight(),
            capacity: self.cache.capacity(),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}

/// The key of a hit.
#[derive(Hash)]
struct Sought<'k>(&'k [u8]);

impl Equivalent<Box<[u8]>> for Sought<'_> {
    fn equivalent(&self, key: &Box<[u8]>) -> bool {
        equal(self.0, key)
    }
}

/// Counts what is evicted.
#[derive(Clone, Debug)]
struct Count(Arc<AtomicU64>);

impl Lifecycle<Box<[u8]>, Arc<StoredResponse>> for Count {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _key: Box<[u8]>, _response: Arc<StoredResponse>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Box<[u8]>, Arc<StoredResponse>> for Bytes {
    fn weight(&self, key: &Box<[u8]>, response: &Arc<StoredResponse>) -> u64 {
        (key.len() + response.weight()) as u64
    }
}

#[cfg(test)]
mod tests;
