//! What the tiers promise together, in each combination that a replica can have, over restarts and with tiers that do not work.

mod faulty;
mod shared;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::StatusCode;
use isr_cache::{Asked, Extra, Head, Pages as Covered, Realm, Render, Routed, Selector};

use super::*;
use crate::config::{Limits, Routes, Scheme};

const NOW: Timestamp = Timestamp(1_000_000);

/// Memory for all pages here.
const ROOMY: u64 = 64 << 20;

/// Memory for one of them at a time.
const TINY: u64 = 24 << 10;

/// How often a page is looked for that is not in memory.
const RECALLS: usize = 5;

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
        asked: Asked::never(),
        modified: None,
        render: Render { finished: NOW.into(), began, born_stale: false, spread: 0 },
        routed: Routed::default(),
        group: pages.group(group),
        extra: Extra { tags: Box::new([group.into()]), ..Extra::default() }.if_any(),
    })
}

/// What a visitor gets under a key, and whether it is stale.
async fn found(pages: &Pages, group: &str, key: &str) -> Option<String> {
    // A recall gives up after half a second, which the disk of a busy machine may take: who asks again gets the page.
    for _ in 0..RECALLS {
        if pages.get(key.as_bytes()).is_some() {
            break;
        }
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

/// Stores and invalidates; gives which of the invalidations became certain.
async fn history(pages: &Arc<Pages>) -> [bool; 3] {
    let before = pages.epoch();
    for group in ["a/kept", "a/hard", "a/soft", "a/tagged", "a/removed"] {
        pages.put(group.as_bytes(), page(pages, group, "old", before));
    }
    pages.put(b"a/kept", page(pages, "a/kept", "newer", before));
    pages.remove(b"a/removed", &pages.group("a/removed"));
    // Renders that begin before it is invalidated hold their group.
    let late = ["a/hard", "a/tagged"].map(|group| page(pages, group, "late", before));
    // Who is refused asks again.
    let epoch = loop {
        if let Ok(epoch) = pages.next_epoch().await {
            break epoch;
        }
    };
    let selector = Selector { realm: Realm::Installation, pages: Covered::Tag("a/tagged".into()) };
    let certain = [
        pages.invalidate_group("a/hard", Mode::Hard, epoch),
        pages.invalidate_group("a/soft", Mode::Soft, epoch),
        pages.invalidate(&selector, Mode::Hard, epoch),
    ];
    let certain = futures::future::join_all(certain).await;
    for late in late {
        let key = format!("{} late", late.group.name());
        pages.put(key.as_bytes(), late);
    }
    pages.put(b"a/hard again", page(pages, "a/hard", "again", epoch));
    [0, 1, 2].map(|nth: usize| certain[nth].is_ok())
}

/// Each key with its group and what a visitor must get of it, if anything is kept at all; and which of the invalidations that is
/// due to, if it is one.
const EXPECTED: [(&str, &str, Option<&str>, Option<usize>); 8] = [
    ("a/kept", "a/kept", Some("newer"), None),
    ("a/hard", "a/hard", None, Some(0)),
    ("a/hard", "a/hard late", None, Some(0)),
    ("a/hard", "a/hard again", Some("again"), None),
    ("a/soft", "a/soft", Some("old, stale"), Some(1)),
    ("a/tagged", "a/tagged", None, Some(2)),
    ("a/tagged", "a/tagged late", None, Some(2)),
    ("a/removed", "a/removed", None, None),
];

/// Whether everything is as it must be.
async fn is_as_expected(pages: &Pages, when: &str) {
    obeys(pages, [true; 3], true, when).await;
}

/// Whether everything is as it must be, as far as the invalidations are `certain`. Where something went wrong a page may be lost,
/// or be the one before if no invalidation covers it; and it is never anything else.
async fn obeys(pages: &Pages, certain: [bool; 3], is_sound: bool, when: &str) {
    for (group, key, expected, invalidated) in EXPECTED {
        let found = found(pages, group, key).await;
        let is_due = invalidated.is_none_or(|nth| certain[nth]);
        let may_be =
            !is_sound && (found.is_none() || invalidated.is_none() && found.as_deref() == Some("old"));
        assert!(
            !is_due || found.as_deref() == expected || may_be,
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
        assert_eq!(history(&pages).await, [true; 3], "every invalidation is certain");
        let when = format!("with {memory} bytes of memory");
        is_as_expected(&pages, &when).await;
        pages.close().await;
        drop(pages);
        is_as_expected(&open(), &format!("{when}, after a restart")).await;
    }
}

/// Puts one page in the place of another that is in memory, as who adds a variant does.
fn replace(pages: &Pages) {
    let epoch = pages.epoch();
    pages.put(b"a/page", page(pages, "a/page", "as it came", epoch));
    let present = pages.peek(b"a/page").expect("what was put last is in memory");
    pages.replace(b"a/page", &present, &page(pages, "a/page", "with a variant", epoch));
}

#[tokio::test]
async fn what_is_replaced_in_memory_is_replaced_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Arc::new(Pages::new(&config(Some(folder.path()), ROOMY), NOW).expect("no store is shared"));
    let pages = open();
    replace(&pages);
    pages.close().await;
    drop(pages);
    assert_eq!(found(&open(), "a/page", "a/page").await.as_deref(), Some("with a variant"));
}

#[tokio::test]
async fn memory_alone_promises_nothing_over_a_restart() {
    let open = || Arc::new(Pages::new(&config(None, ROOMY), NOW).expect("no store is shared"));
    let pages = open();
    assert_eq!(history(&pages).await, [true; 3], "nothing outlives the process, so each is certain");
    is_as_expected(&pages, "in memory").await;
    let full = Arc::new(Pages::new(&config(None, TINY), NOW).expect("no store is shared"));
    history(&full).await;
    obeys(&full, [true; 3], false, "in a memory that is full").await;
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
        assert_eq!(history(&pages).await, [false; 3], "no invalidation is certain");
        // What waits for the disk is found where it waits.
        is_as_expected(&pages, "beside a broken disk").await;
    }
}
