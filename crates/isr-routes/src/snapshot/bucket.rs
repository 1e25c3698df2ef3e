//! Which routes stand together in a shard.
//!
//! The buckets are the leaves of a binary trie over the digests of the routes' names. A bucket that grows too big is
//! split by the next bit; nothing else moves. Which buckets there are depends on the routes alone, not on the order in
//! which they came or on what was before.

use sha2::{Digest, Sha256};

/// One route on its way into a bucket: where it belongs, and its bytes.
pub(super) struct Item {
    place: [u8; 32],
    pub(super) bytes: Vec<u8>,
}

impl Item {
    /// `name` is the route's `namespace/name`.
    pub(super) fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self { place: Sha256::digest(name).into(), bytes }
    }
}

/// Distributes items to buckets of at most `most` bytes each, if no single item is bigger. No bucket is empty.
pub(super) fn fill(mut items: Vec<Item>, most: usize) -> Vec<Vec<Item>> {
    items.sort_by_key(|item| item.place);
    let mut buckets = Vec::new();
    split(items, 0, most, &mut buckets);
    buckets
}

fn split(mut items: Vec<Item>, bit: usize, most: usize, buckets: &mut Vec<Vec<Item>>) {
    if items.is_empty() {
        return;
    }
    // One more for the comma between two of them.
    let size: usize = items.iter().map(|item| item.bytes.len() + 1).sum();
    if size <= most || items.len() == 1 || bit == 256 {
        buckets.push(items);
        return;
    }
    let is_set = |item: &Item| item.place[bit / 8] & (128 >> (bit % 8)) != 0;
    // Sorted by place, those with the bit set stand at the end.
    let upper = items.split_off(items.partition_point(|item| !is_set(item)));
    split(items, bit + 1, most, buckets);
    split(upper, bit + 1, most, buckets);
}
