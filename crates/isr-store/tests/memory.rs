//! What a stored page takes in memory beside its body. Alone in its process, so that nobody else's memory is counted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderName, HeaderValue, VARY, VIA};
use isr_cache::{Asked, Epoch, Head, Render, StoredResponse, Timestamp};
use isr_store::{Groups, Memory};

/// So many that what the process has anyway is nothing beside them.
const PAGES: u64 = 100_000;

/// Bytes of each body.
const BODY: usize = 1024;

/// What each may take beside its body: the budget, which is for the image's allocator; the one of tests takes 8 bytes more for
/// each of the seven pieces that a page is in: response, lines, body and the count of its holders, group, its name, key.
const BESIDE_MOST: u64 = 512 + 7 * 8;

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
    let etag = value(&format!("\"{number:024}\""));
    let fields = fields.iter().map(|(name, value)| (name, value));
    StoredResponse {
        head: Head::new(StatusCode::OK, route, Some(&etag), fields),
        body: Bytes::from(vec![b'x'; BODY]),
        compressed: Box::default(),
        asked: Asked::never(),
        modified: None,
        render: Render { finished: Timestamp(number), began: Epoch(0), born_stale: false, spread: 0 },
        governed: None,
        group: groups.get(&format!("shop.example.com/products/{number}")),
        tags: Box::default(),
    }
}

#[test]
fn a_stored_page_takes_half_a_kibibyte_beside_its_body_and_is_weighed_as_what_it_takes() {
    let (groups, memory) = (Groups::default(), Memory::new(1 << 30, 64 << 10));
    let route: Arc<str> = "shop/products".into();
    let key = |number: u64| format!("shop.example.com\0/products/{number}\0").into_bytes();
    let before = resident();
    for number in 0..PAGES {
        memory.put(&key(number), Arc::new(page(&groups, &route, number)));
    }
    // As each is sent once: whoever has a body counts it.
    for number in 0..PAGES {
        drop(memory.get(&key(number)).expect("it is there").body.clone());
    }
    let taken = (resident() - before) / PAGES;
    let weighed = memory.usage().bytes / PAGES;
    println!("a page of {BODY} bytes takes {taken} bytes of memory, and is weighed as {weighed}");
    assert!(taken <= BODY as u64 + BESIDE_MOST, "{taken} bytes");
    assert!(weighed.abs_diff(taken) <= taken / 20, "{weighed} instead of {taken} bytes");
}
