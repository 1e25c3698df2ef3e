//! What the tiers promise together, in each combination that one replica can have, over restarts and with a disk that does not work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::StatusCode;
use isr_cache::{Asked, Head, Pages as Covered, Realm, Render, Selector};

use super::*;
use crate::config::{Limits, Routes, Scheme};

const NOW: Timestamp = Timestamp(1_000_000);

/// Memory for all pages here.
const ROOMY: u64 = 64 << 20;

/// Memory for one of them at a time.
const TINY: u64 = 24 << 10;

fn config(state_dir: Option<&Path>, memory_bytes: u64) -> Config {
    let second = Duration::from_secs(1);
    Config {
        routes: Routes::Path(PathBuf::new()),
        state_dir: state_dir.map(Path::to_owned),
        shared: None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        admin: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_scheme: Scheme::Https,
        trusted: Vec::new(),
        access_log: false,
        limits: Limits {
            connect: second,
            first_byte: second,
            idle: second,
            render: second,
            stream_idle: second,
            page_bytes: 16 << 10,
            memory_bytes,
            disk_bytes: 64 << 20,
            renders: 1,
            renders_per_backend: 1,
            drain_delay: second,
            drain: second,
        },
    }
}

/// A page of 16 KiB that begins with this text, rendered in this epoch.
fn page(pages: &Pages, group: &str, text: &str, began: Epoch) -> Arc<StoredResponse> {
    Arc::new(StoredResponse {
        head: Head::new(StatusCode::OK, &"shop/blog".into(), None, std::iter::empty()),
        body: Bytes::from(format!("{text:<16384}")),
        compressed: Box::default(),
        asked: Asked::never(),
        modified: None,
        render: Render { finished: NOW, began, born_stale: false, spread: 0 },
        governed: None,
        group: pages.group(group),
        tags: Box::new([group.into()]),
    })
}

/// What a visitor gets under a key, and whether it is stale.
async fn found(pages: &Pages, group: &str, key: &str) -> Option<String> {
    if pages.get(key.as_bytes()).is_none() {
        pages.recall(key.as_bytes(), group, NOW, |keep| keep()).await;
    }
    let stored = pages.get(key.as_bytes())?;
    let watermark = pages.invalidations.watermark(&stored.group, "shop/blog", &[], NOW);
    let judged = watermark.judge(stored.render.began);
    let text = String::from_utf8_lossy(&stored.body).trim_end().to_owned();
    match judged {
        None => Some(text),
        Some(Mode::Soft) => Some(text + ", stale"),
        Some(Mode::Hard) => None,
    }
}

/// Stores and invalidates; gives how many of the invalidations became certain.
async fn history(pages: &Arc<Pages>) -> usize {
    let before = pages.epoch();
    for group in ["a/kept", "a/hard", "a/soft", "a/tagged", "a/removed"] {
        pages.put(group.as_bytes(), page(pages, group, "old", before));
    }
    pages.put(b"a/kept", page(pages, "a/kept", "newer", before));
    pages.remove(b"a/removed", &pages.group("a/removed"));
    // Renders that begin before it is invalidated hold their group.
    let late = ["a/hard", "a/tagged"].map(|group| page(pages, group, "late", before));
    let epoch = pages.own_epoch();
    let selector = Selector { realm: Realm::Installation, pages: Covered::Tag("a/tagged".into()) };
    let invalidations = [
        pages.invalidate_group("a/hard", Mode::Hard, epoch),
        pages.invalidate_group("a/soft", Mode::Soft, epoch),
        pages.invalidate(&selector, Mode::Hard, epoch),
    ];
    let mut certain = 0;
    for invalidation in invalidations {
        certain += usize::from(invalidation.await.is_ok());
    }
    for late in late {
        let key = format!("{} late", late.group.name());
        pages.put(key.as_bytes(), late);
    }
    pages.put(b"a/hard again", page(pages, "a/hard", "again", epoch));
    certain
}

/// Each key with its group and what a visitor must get of it, if anything is kept at all.
const EXPECTED: [(&str, &str, Option<&str>); 8] = [
    ("a/kept", "a/kept", Some("newer")),
    ("a/hard", "a/hard", None),
    ("a/hard", "a/hard late", None),
    ("a/hard", "a/hard again", Some("again")),
    ("a/soft", "a/soft", Some("old, stale")),
    ("a/tagged", "a/tagged", None),
    ("a/tagged", "a/tagged late", None),
    ("a/removed", "a/removed", None),
];

/// Whether everything is as it must be. Where something may be lost, it may be `None`, and never anything else.
async fn obeys(pages: &Pages, may_be_lost: bool, when: &str) {
    for (group, key, expected) in EXPECTED {
        let found = found(pages, group, key).await;
        assert!(
            found.as_deref() == expected || may_be_lost && found.is_none(),
            "{when}: {key}: {found:?}, not {expected:?}"
        );
    }
}

#[tokio::test]
async fn memory_and_disk_keep_what_they_promise_together() {
    for memory in [ROOMY, TINY] {
        let folder = tempfile::tempdir().expect("a folder");
        let open =
            || Arc::new(Pages::new(&config(Some(folder.path()), memory), NOW).expect("no store is shared"));
        let pages = open();
        assert_eq!(history(&pages).await, 3, "every invalidation is certain");
        let when = format!("with {memory} bytes of memory");
        obeys(&pages, false, &when).await;
        pages.close().await;
        drop(pages);
        obeys(&open(), false, &format!("{when}, after a restart")).await;
    }
}

#[tokio::test]
async fn memory_alone_promises_nothing_over_a_restart() {
    let open = || Arc::new(Pages::new(&config(None, ROOMY), NOW).expect("no store is shared"));
    let pages = open();
    assert_eq!(history(&pages).await, 3, "nothing outlives the process, so every invalidation is certain");
    obeys(&pages, false, "in memory").await;
    let full = Arc::new(Pages::new(&config(None, TINY), NOW).expect("no store is shared"));
    history(&full).await;
    obeys(&full, true, "in a memory that is full").await;
    assert!(open().are_empty());
}

#[tokio::test]
async fn a_disk_that_does_not_work_costs_certainty_and_no_page() {
    let folder = tempfile::tempdir().expect("a folder");
    // Not even root makes a folder of a file.
    let state = folder.path().join("state");
    std::fs::write(&state, "a file").expect("a file in its way");
    for memory in [ROOMY, TINY] {
        let pages = Arc::new(Pages::new(&config(Some(&state), memory), NOW).expect("no store is shared"));
        assert_eq!(history(&pages).await, 0, "no invalidation is certain");
        // What waits for the disk is found where it waits.
        obeys(&pages, false, "beside a broken disk").await;
    }
}
