//! What a stored page takes in memory beside its body. Alone in its process, so that nobody else's memory is counted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderName, HeaderValue, VARY, VIA};
use isr_cache::{Asked, Epoch, Head, Render, Routed, StoredResponse, Timestamp};
use isr_store::{Groups, Memory};

/// The image's allocator, which rounds sizes up as it does there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many that what the process has anyway is nothing beside them. The table of groups has room for 4,688 more: when it grows, a
/// page takes up to 30 bytes more until there are twice as many, which `make bench-pages` with its million has in it.
const PAGES: u64 = 110_000;

/// Of these, the ones that are there before memory is counted: what a tier takes whatever it holds is there then.
const FIRST: u64 = PAGES / 10;

/// Bytes of each body.
const BODY: usize = 1024;

/// What each may take beside its body: what it takes, and what the allocator may keep for a while of tables that were outgrown (21
/// bytes were seen, in every fourth run). The budget, 512 bytes, is for all that a proxy has of a page, some 40 bytes more than
/// this.
const BESIDE_MOST: u64 = 440 + 24;

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// A page as it comes from an application that says little, in a group of its own.
fn page(groups: &Groups, route: &Arc<str>, number: u64) -> StoredResponse {
    let value = |text: &str| HeaderValue::from_str(text).expect("a value");
    let fields: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, value("text/html; charset=utf-8")),
        (DATE, value(&format!("Thu, 01 Jan 1970 {:02}:{:02}:00 GMT", number / 60 % 24, number % 60))),
        (VIA, value("1.1 kube-isr")),
        (CACHE_CONTROL, value("public, max-age=0, must-revalidate")),
        (VARY, value("accept-encoding")),
    ];
    let etag = value(&format!("\"{number:016}\""));
    let fields = fields.iter().map(|(name, value)| (name, value));
    StoredResponse {
        head: Head::new(StatusCode::OK, route, Some(&etag), fields),
        body: Bytes::from(vec![b'x'; BODY]),
        asked: Asked::never(),
        modified: None,
        render: Render { finished: Timestamp(number).into(), began: Epoch(0), born_stale: false, spread: 0 },
        routed: Routed::default(),
        group: groups.get(&format!("shop.example.com/posts/{number}")),
        extra: None,
    }
}

#[test]
fn a_stored_page_takes_little_beside_its_body_and_is_weighed_as_what_it_takes() {
    let (groups, memory) = (Groups::default(), Memory::new(4 << 30, 30 << 20));
    let route: Arc<str> = "shop/products".into();
    // Host, path and an empty query, each with its length.
    let key = |number: u64| format!("\x10shop.example.com\x0d/posts/{number}\0").into_bytes();
    // Stored, and sent once: whoever has a body counts it.
    let store = |pages: Range<u64>| {
        for number in pages {
            memory.put(&key(number), Arc::new(page(&groups, &route, number)));
            drop(memory.get(&key(number)).expect("it is there").body.clone());
        }
    };
    store(0..FIRST);
    let (before, weight) = (resident(), memory.usage().bytes);
    store(FIRST..PAGES);
    let taken = (resident() - before) / (PAGES - FIRST);
    let weighed = (memory.usage().bytes - weight) / (PAGES - FIRST);
    println!("a page of {BODY} bytes takes {taken} bytes of memory, and is weighed as {weighed}");
    assert!(taken <= BODY as u64 + BESIDE_MOST, "{taken} bytes");
    assert!(weighed.abs_diff(taken) <= taken / 20, "{weighed} instead of {taken} bytes");
}
