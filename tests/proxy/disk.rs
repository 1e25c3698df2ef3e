//! The disk tier: pages outlive the process, and nothing that goes wrong with the disk reaches a visitor.

use std::collections::HashMap;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::support::proxy::is_optimised;
use crate::support::{Answer, Folder, Origin, PATIENCE, Proxy, TOKEN, eventually, get, head, post, route};

fn file(folder: &Folder) -> PathBuf {
    folder.beside("state").join("pages/pages.redb")
}

/// Waits until so many pages are on the disk.
async fn on_disk(proxy: &Proxy, count: f64) {
    let what = format!("{count} pages on the disk");
    eventually(&what, PATIENCE, async || {
        (proxy.metric("isr_disk_entries", &[]).await >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pages_outlive_a_restart_with_all_that_is_known_of_them() {
    let long = "text ".repeat(2000);
    let body = long.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{} {body}", request.nth)).header("x-of-the-origin", "kept");
        match &*request.target {
            "/governed" => page.header("cache-control", "max-age=3600").header("vary", "accept-language"),
            _ => page,
        }
    })
    .await;
    let folder = Folder::of(&origin, [route("/interval").interval("1h"), route("/governed")]);
    let proxy = Proxy::with(folder).start().await;
    let zipped = get("/interval").header("accept-encoding", "gzip");
    let french = get("/governed").header("accept-language", "fr");
    proxy.send(&zipped).await;
    let etag = eventually("the compressed variant", PATIENCE, async || {
        let page = proxy.send(&zipped).await;
        (page.header("content-encoding") == "gzip").then(|| page.header("etag").to_owned())
    })
    .await;
    proxy.send(&french).await;
    // A page, a page in French, and the note that it is one.
    on_disk(&proxy, 3.0).await;

    let proxy = Proxy::with(proxy.stop().await).start().await;
    origin.answer(|_| Answer::status(503));
    let page = proxy.get("/interval").await;
    page.is(200, "HIT", &format!("v1 {long}"), "from the disk");
    assert_eq!(page.header("x-of-the-origin"), "kept");
    assert!(page.header("age").parse::<u64>().expect("an age") < 3600);
    let page = proxy.send(&zipped).await;
    assert_eq!((page.header("content-encoding"), page.header("etag")), ("gzip", &*etag));
    proxy.send(&french).await.is(200, "HIT", &format!("v1 {long}"), "in French");
    assert_ne!(
        proxy.send(&get("/governed").header("accept-language", "de")).await.status,
        200,
        "not in German"
    );
    assert!(proxy.metric("isr_cache_entries", &[]).await > 2.5, "recalled into memory");
}

#[tokio::test]
async fn what_was_stored_last_before_an_end_in_good_order_is_kept() {
    // More than the disk has written when the end begins.
    let page = 48 << 10;
    let origin = Origin::start(move |request| Answer::page(format!("{:-<page$}", request.target))).await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1h")]);
    let proxy = Proxy::with(folder).start().await;
    let mut client = proxy.client().await;
    for number in 0..200 {
        client.get(&format!("/{number}")).await;
    }
    let proxy = Proxy::with(proxy.stop().await).start().await;
    drop(origin);
    let mut client = proxy.client().await;
    for number in 0..200 {
        let found = client.get(&format!("/{number}")).await;
        assert_eq!((found.status, found.cache()), (200, "HIT"), "/{number} was stored before the end");
    }
}

#[tokio::test]
async fn what_was_revalidated_or_invalidated_stays_so_after_a_crash() {
    let origin = Origin::counting().await;
    let routes = ["/renewed", "/soft", "/hard", "/kept", "/tagged"];
    let folder = Folder::of(
        &origin,
        routes.map(|path| route(path).interval("1h").token(TOKEN).set("tags", json!([path]))),
    );
    let proxy = Proxy::with(folder).start().await;
    for path in routes {
        proxy.get(path).await.is(200, "MISS", "v1", "rendered");
    }
    proxy.send(&head("/renewed").revalidate(TOKEN)).await.is_revalidated(200, "on demand");
    for body in [
        json!({ "paths": ["/soft"] }),
        json!({ "paths": ["/hard"], "mode": "hard" }),
        json!({ "tags": ["/tagged"], "mode": "hard" }),
    ] {
        let request = post("/.well-known/kube-isr/v1/invalidate", body.to_string()).revalidate(TOKEN);
        assert_eq!(proxy.send(&request).await.status, 200);
    }
    let proxy = Proxy::with(proxy.crash()).start().await;
    proxy.get("/renewed").await.is(200, "HIT", "v2", "the new page, not the old one");
    proxy.get("/soft").await.is(200, "STALE", "v1", "served once more");
    proxy.get("/hard").await.is(200, "MISS", "v2", "gone");
    proxy.get("/tagged").await.is(200, "MISS", "v2", "gone by its tag");
    proxy.get("/kept").await.is(200, "HIT", "v1", "nobody has spoken of it");
}

#[tokio::test]
async fn the_last_good_page_is_on_the_disk_when_the_application_is_gone() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1s").token(TOKEN)]);
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/a").await.is(200, "MISS", "v1", "rendered");
    on_disk(&proxy, 1.0).await;
    let proxy = Proxy::with(proxy.crash()).start().await;
    drop(origin);
    assert_eq!(proxy.send(&head("/a").revalidate(TOKEN)).await.status, 502, "nobody renders it");
    let page = proxy.get("/a").await;
    assert_eq!((page.status, page.text().as_str()), (200, "v1"), "and the last good page stays");
}

#[tokio::test]
async fn what_the_memory_has_no_room_for_is_found_on_the_disk() {
    let page = 16 << 10;
    let origin = Origin::start(move |request| Answer::page(format!("{:-<page$}", request.target))).await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1h")]);
    let proxy = Proxy::with(folder).option("--max-memory-bytes", (1 << 20).to_string()).start().await;
    let mut client = proxy.client().await;
    for number in 0..300 {
        client.get(&format!("/{number}")).await;
    }
    on_disk(&proxy, 300.0).await;
    for number in 0..300 {
        let found = client.get(&format!("/{number}")).await;
        assert_eq!(found.cache(), "HIT");
        assert!(found.text().starts_with(&format!("/{number}-")), "its own page");
    }
    assert_eq!(origin.count(), 300, "each was rendered once");
}

#[tokio::test]
async fn a_thousand_who_ask_for_one_page_on_the_disk_cause_no_render() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1h")]);
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/a").await.is(200, "MISS", "v1", "rendered");
    on_disk(&proxy, 1.0).await;
    let proxy = Arc::new(Proxy::with(proxy.crash()).start().await);
    let visitors = (0..100).map(|_| {
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            let mut client = proxy.client().await;
            for _ in 0..10 {
                client.get("/a").await.is(200, "HIT", "v1", "from the disk");
            }
        })
    });
    for visitor in visitors.collect::<Vec<_>>() {
        visitor.await.expect("a page");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn without_a_disk_pages_are_in_memory_alone() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/a").interval("1h").token(TOKEN)]);
    let proxy = Proxy::with(folder).option("--max-disk-bytes", "0").start().await;
    proxy.get("/a").await.is(200, "MISS", "v1", "rendered");
    proxy.send(&head("/a").revalidate(TOKEN)).await.is_revalidated(200, "certain at once");
    let folder = proxy.stop().await;
    assert!(!file(&folder).exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_no_visitor_anything_and_is_told() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/a").interval("1h").token(TOKEN)]);
    // Not even root makes a folder of a file.
    std::fs::write(folder.beside("state"), "a file").expect("a file in its way");
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/a").await.is(200, "MISS", "v1", "rendered");
    proxy.get("/a").await.is(200, "HIT", "v1", "from memory");
    assert!(proxy.metric("isr_disk_broken", &[]).await > 0.5);
    assert!(proxy.log().contains("pages are kept in memory alone"), "{}", proxy.log());
    let answer = proxy.send(&get("/a").revalidate(TOKEN)).await;
    let problem = answer.problem(503, "it is not certain");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("a restart may bring back the old one"), "{detail}");
    proxy.get("/a").await.is(200, "HIT", "v2", "here it is new all the same");

    std::fs::remove_file(proxy.folder().beside("state")).expect("out of its way");
    eventually("the disk works", PATIENCE * 2, async || {
        (proxy.metric("isr_disk_broken", &[]).await < 0.5).then_some(())
    })
    .await;
    proxy.send(&head("/a").revalidate(TOKEN)).await.is_revalidated(200, "certain again");
    let proxy = Proxy::with(proxy.crash()).start().await;
    proxy.get("/a").await.is(200, "HIT", "v3", "and it is");
}

#[tokio::test]
async fn a_full_disk_is_told_and_pages_go_on() {
    let origin =
        Origin::start(|request| Answer::page(format!("v{} {}", request.nth, "x".repeat(64 << 10)))).await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1h").token(TOKEN)]);
    // The shell's limit on file sizes refuses to write beyond it, as a full disk does.
    let proxy = Proxy::with(folder).file_size_limit(4 << 10).start().await;
    for number in 0..400 {
        assert_eq!(proxy.get(&format!("/{number}")).await.status, 200, "{number}");
    }
    eventually("the disk is full", PATIENCE, async || {
        (proxy.metric("isr_disk_broken", &[]).await > 0.5).then_some(())
    })
    .await;
    proxy.send(&get("/399").revalidate(TOKEN)).await.problem(503, "it cannot be made certain");
    assert_eq!(proxy.get("/399").await.cache(), "HIT");
    assert!(proxy.metric("isr_disk_errors_total", &[]).await > 0.5);
}

#[tokio::test]
async fn a_damaged_file_is_a_cold_start_at_worst() {
    let origin =
        Origin::start(|request| Answer::page(format!("{} {}", request.target, "y".repeat(5000)))).await;
    let folder = Folder::of(&origin, [route("/[page]").interval("1h")]);
    let mut proxy = Proxy::with(folder).start().await;
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..12 {
        for number in 0..50 {
            let page = proxy.get(&format!("/{number}")).await;
            assert!(page.text().starts_with(&format!("/{number} ")), "its own page: {:.20}", page.text());
        }
        // Whatever was lost, what is rendered from now on is kept.
        proxy.get(&format!("/after-{round}")).await;
        on_disk(&proxy, 1.0).await;
        let folder = proxy.crash();
        let path = file(&folder);
        let damaged = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
        let length = damaged.metadata().expect("its length").len();
        if round % 3 == 0 {
            damaged.set_len(random.u64(..length)).expect("shorter");
        } else {
            for _ in 0..20 * round {
                damaged.write_all_at(&[random.u8(..)], random.u64(..length)).expect("a wrong byte");
            }
        }
        drop(damaged);
        proxy = Proxy::with(folder).start().await;
    }
}

/// What one page has been through, as its visitors and the one who revalidates it know it.
#[derive(Default)]
struct Seen {
    /// The newest version that an answer has acknowledged.
    acknowledged: AtomicU64,
    /// Everything up to this version is from before a purge that was acknowledged.
    purged: AtomicU64,
    /// No purge can have reached a version after this one.
    reached: AtomicU64,
}

fn version(text: &str) -> u64 {
    let version = text.strip_prefix('v').and_then(|rest| rest.split(' ').next());
    version.and_then(|version| version.parse().ok()).unwrap_or_else(|| panic!("no page: {text:.40}"))
}

/// Times that it is killed; an optimised program is killed as often as is promised.
const KILLS: u32 = 200;
const KILLS_UNOPTIMISED: u32 = 20;

/// Who asks for pages anew and purges them, one request after the other.
const WRITERS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_every_acknowledged_page_is_there_and_none_is_torn_or_purged() {
    // Each render of a page is a new version of it, told at both ends of the body.
    let versions: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    let counting = Arc::clone(&versions);
    let latest = |versions: &Mutex<HashMap<String, u64>>, page: &str| {
        versions.lock().expect("the versions").get(page).copied().unwrap_or_default()
    };
    let origin = Origin::start(move |request| {
        let mut versions = counting.lock().expect("the versions");
        let version = versions.entry(request.target.clone()).or_default();
        *version += 1;
        Answer::page(format!("v{version} {} {}v{version}", request.target, "z".repeat(20_000)))
            .header("cache-tag", &*request.target)
    })
    .await;
    let pages: Vec<String> = (0..8).map(|number| format!("/{number}")).collect();
    let seen: Arc<Vec<Seen>> = Arc::new(pages.iter().map(|_| Seen::default()).collect());
    let folder = Folder::of(&origin, [route("/[page]").interval("1h").token(TOKEN)]);
    let mut proxy = Proxy::with(folder).start().await;
    let mut random = fastrand::Rng::with_seed(17);
    let kills = if is_optimised() { KILLS } else { KILLS_UNOPTIMISED };
    for round in 0..kills {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (mut client, pages, seen) = (proxy.client().await, pages.clone(), Arc::clone(&seen));
            let versions = Arc::clone(&versions);
            let mut random = fastrand::Rng::with_seed(u64::from(round * WRITERS + writer));
            writers.push(tokio::spawn(async move {
                loop {
                    let number = random.usize(..pages.len());
                    let page = &pages[number];
                    let purge = match random.u8(..6) {
                        0 => Some(json!({ "paths": [page], "mode": "hard" })),
                        1 => Some(json!({ "tags": [page], "mode": "hard" })),
                        _ => None,
                    };
                    let before = latest(&versions, page);
                    let request = match &purge {
                        Some(purge) => post("/.well-known/kube-isr/v1/invalidate", purge.to_string()),
                        None => get(page),
                    };
                    let answer = client.try_send(&request.revalidate(TOKEN)).await;
                    if purge.is_some() {
                        // The renders of the other writers may have begun before it and get their versions after it.
                        let reached = latest(&versions, page) + u64::from(WRITERS) - 1;
                        seen[number].reached.fetch_max(reached, Ordering::SeqCst);
                    }
                    let Ok(answer) = answer else { return };
                    if answer.status == 200 && purge.is_some() {
                        seen[number].purged.fetch_max(before, Ordering::SeqCst);
                    } else if answer.status == 200 {
                        seen[number].acknowledged.fetch_max(version(&answer.text()), Ordering::SeqCst);
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(random.u64(5..80))).await;
        let folder = proxy.crash();
        for writer in writers {
            writer.await.expect("a writer ends with its connection");
        }
        proxy = Proxy::with(folder).start().await;
        let mut client = proxy.client().await;
        for (number, page) in pages.iter().enumerate() {
            let acknowledged = seen[number].acknowledged.load(Ordering::SeqCst);
            let purged = seen[number].purged.load(Ordering::SeqCst);
            let answer = client.get(page).await;
            let text = answer.text();
            let found = version(&text);
            assert!(
                text.ends_with(&format!("zv{found}")) && text.contains(&format!(" {page} ")),
                "torn: {text:.40}"
            );
            assert!(
                found >= acknowledged,
                "round {round}: {page} is v{found}, and v{acknowledged} was acknowledged"
            );
            assert!(found > purged, "round {round}: {page} is v{found}, and all up to v{purged} was purged");
            if acknowledged > seen[number].reached.load(Ordering::SeqCst) {
                assert_eq!(answer.cache(), "HIT", "round {round}: {page} was acknowledged and is there");
            }
        }
    }
}
