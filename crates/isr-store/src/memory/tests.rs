use std::collections::HashSet;

use super::*;
use isr_cache::{Asked, Epoch, Group, Head, Render, Routed, Timestamp};

fn response(size: usize) -> Arc<StoredResponse> {
    Arc::new(StoredResponse {
        head: Head::new(http::StatusCode::OK, &"".into(), None, std::iter::empty()),
        body: bytes::Bytes::from(vec![b'x'; size]),
        asked: Asked::never(),
        modified: None,
        render: Render { finished: Timestamp(0).into(), began: Epoch(0), born_stale: false, spread: 0 },
        routed: Routed::default(),
        group: Arc::new(Group::new("/".into())),
        extra: None,
    })
}

fn key(page: usize) -> Vec<u8> {
    format!("/page/{page}").into_bytes()
}

#[test]
fn memory_is_bounded_in_bytes_not_in_entries() {
    let memory = Memory::new(10 << 20, 64 << 10);
    for page in 0..2000 {
        memory.put(&key(page), response(64 << 10));
        assert!(memory.usage().bytes <= memory.usage().capacity, "{:?}", memory.usage());
    }
    assert!(memory.usage().bytes > 8 << 20, "most of the room is used: {:?}", memory.usage());
    assert!(memory.usage().entries < 200, "{:?}", memory.usage());
}

#[test]
fn a_scan_does_not_push_out_the_pages_in_use() {
    let memory = Memory::new(4 << 20, 64 << 10);
    let hot: Vec<_> = (0..100).map(key).collect();
    for key in &hot {
        memory.put(key, response(16 << 10));
    }
    for _ in 0..3 {
        for key in &hot {
            memory.get(key);
        }
    }
    for page in 1000..11_000 {
        let plain = response(12 << 10);
        memory.put(&key(page), Arc::clone(&plain));
        // As when the compressed variants are added: nobody asked for the page.
        memory.replace(&key(page), &plain, response(16 << 10));
    }
    let kept = hot.iter().filter(|key| memory.peek(key).is_some()).count();
    assert!(kept >= 90, "{kept} of 100 hot pages survived a scan of 10,000 others; an LRU keeps none");
}

#[test]
fn a_replacement_never_brings_back_what_was_replaced() {
    let memory = Memory::new(1 << 20, 64 << 10);
    let (old, new, compressed) = (response(1), response(2), response(3));
    memory.put(b"page", Arc::clone(&old));
    assert!(memory.replace(b"page", &old, Arc::clone(&compressed)));
    assert!(Arc::ptr_eq(&memory.get(b"page").unwrap(), &compressed));
    memory.put(b"page", Arc::clone(&new));
    assert!(!memory.replace(b"page", &old, compressed), "a newer page came in");
    assert!(Arc::ptr_eq(&memory.get(b"page").unwrap(), &new));
    memory.remove(b"page");
    assert!(!memory.replace(b"page", &new, response(4)), "the page was removed meanwhile");
    assert!(memory.get(b"page").is_none());
}

#[test]
fn keys_are_compared_whole() {
    let memory = Memory::new(8 << 20, 64 << 10);
    let mut bodies = HashSet::new();
    for page in 0..1000 {
        memory.put(&key(page), response(page));
    }
    for page in 0..1000 {
        let stored = memory.get(&key(page)).unwrap();
        assert_eq!(stored.body.len(), page);
        bodies.insert(stored.body.len());
    }
    assert_eq!(bodies.len(), 1000);
}

#[test]
fn the_largest_response_is_kept_however_many_processors_there_are() {
    let memory = Memory::new(256 << 20, 30 << 20);
    memory.put(b"large", response(29 << 20));
    assert!(memory.get(b"large").is_some());
}

#[test]
fn a_key_is_the_same_if_every_byte_is() {
    let key = |length: usize| (0..length).map(|at| at.to_le_bytes()[0]).collect::<Box<[u8]>>();
    for length in 0..40 {
        assert!(Sought(&key(length)).equivalent(&key(length)));
        assert!(!Sought(&key(length)).equivalent(&key(length + 1)));
        for at in 0..length {
            let mut other = key(length);
            other[at] ^= 1;
            assert!(!Sought(&key(length)).equivalent(&other), "byte {at} of {length} differs");
        }
    }
}
