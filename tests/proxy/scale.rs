//! A million pages: the memory that they take, what a start with them takes, and what it costs the visitors of others when
//! all of them are purged by one tag. `make bench-pages` runs this with the image's program.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::support::manifest::{SERVICE, service};
use crate::support::proxy::Launch;
use crate::support::{Folder, PATIENCE, Proxy, TOKEN, eventually, post, route};

/// Pages; the variable says another number.
fn pages() -> usize {
    std::env::var("PAGES").map_or(1_000_000, |pages| pages.parse().expect("PAGES is a number"))
}

/// Bytes of each body. What the client of tests asks for is not compressed, so that a page is one representation.
const BODY: usize = 1024;

/// What a page may take in memory beside its body.
const BESIDE_MOST: u64 = 512;

/// Pages that are there before memory is counted, or half of them: what the proxy has whatever number of pages there are (buffers,
/// the disk tier's queue and its cache of 32 MiB) is there then, which at 10,000 it is not.
const FIRST: usize = 40_000;

/// Visitors who fill the cache.
const FILLING: usize = 32;

/// From the start of the process to the first page.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Pages that are asked for as soon as the process is there.
const ASKED_AT_ONCE: usize = 1_000;

/// How much slower the slowest hundredth of hits may be while the tag is purged.
const SLOWER_MOST: f64 = 1.2;

/// Pairs of windows of a second each, a quiet one and one with purges. What disturbs the machine disturbs both of a pair.
const PAIRS: usize = 30;

/// Between two purges.
const PURGE_EVERY: Duration = Duration::from_millis(50);

/// Pages that do not carry the tag.
const OTHERS: usize = 500;

/// An application for many pages: it keeps no record of who asked.
async fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                let mut target = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if target.is_empty() {
                        line.split(' ').nth(1).unwrap_or_default().clone_into(&mut target);
                    } else if line.is_empty() {
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {BODY}\r\n\r\n{target:-<BODY$}"
                        );
                        if write.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                        target.clear();
                    }
                }
            });
        }
    });
    address
}

/// Pages that are asked for before the disk is waited for, which takes fewer in a second than the application renders.
const AT_ONCE: usize = 20_000;

/// Asks for all of these once; the first time the disk keeps each.
async fn ask_for_all(proxy: &Arc<Proxy>, pages: Range<usize>) {
    let began = Instant::now();
    for first in pages.clone().step_by(AT_ONCE) {
        let end = pages.end.min(first + AT_ONCE);
        ask_for(proxy, first..end).await;
        let all = f64::from(u32::try_from(end).expect("not so many"));
        eventually("they are on the disk", PATIENCE * 3, async || {
            (proxy.metric("isr_disk_entries", &[]).await >= all).then_some(())
        })
        .await;
    }
    println!("asked for {} pages in {:.0?}", pages.len(), began.elapsed());
}

async fn ask_for(proxy: &Arc<Proxy>, pages: Range<usize>) {
    let (next, end) = (Arc::new(AtomicUsize::new(pages.start)), pages.end);
    let visitors = (0..FILLING).map(|_| {
        let (proxy, next) = (Arc::clone(proxy), Arc::clone(&next));
        tokio::spawn(async move {
            let mut client = proxy.client().await;
            loop {
                let page = next.fetch_add(1, Ordering::Relaxed);
                if page >= end {
                    return;
                }
                assert_eq!(client.get(&format!("/of/{page}")).await.status, 200);
            }
        })
    });
    for visitor in visitors.collect::<Vec<_>>() {
        visitor.await.expect("an answer for each");
    }
}

/// The time of the slowest hundredth.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// What those saw who asked for other pages in a window.
struct Window {
    /// The time of the slowest hundredth.
    p99: Duration,
    /// How many hits.
    hits: u32,
    /// Processor time of the threads that answer visitors.
    visitors: Duration,
    /// And of the one that writes to the disk.
    disk: Duration,
}

/// Hits on other pages, for a second, by a visitor with a thread of their own: who purges does not hold them up here.
async fn hits(proxy: &Arc<Proxy>) -> Window {
    let proxy = Arc::clone(proxy);
    let visit = async move {
        let mut client = proxy.client().await;
        let mut times = Vec::new();
        let [visitors, disk] = ["visitors", "disk"].map(|names| proxy.processor_time(names));
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            let hit = client.get(&format!("/other/{}", fastrand::usize(..OTHERS))).await;
            assert_eq!(hit.cache(), "HIT");
            times.push(hit.took);
        }
        let hits = u32::try_from(times.len()).expect("not so many");
        let since = |names, before| proxy.processor_time(names).saturating_sub(before);
        let (visitors, disk) = (since("visitors", visitors), since("disk", disk));
        Window { p99: p99(&mut times), hits, visitors, disk }
    };
    let alone = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::spawn_blocking(move || alone.block_on(visit)).await.expect("every hit is one")
}

/// Purges the tag that all carry until it is over; how often.
async fn purge(proxy: Arc<Proxy>, is_over: Arc<AtomicBool>) -> usize {
    let mut client = proxy.client().await;
    let mut purges = 0;
    while !is_over.load(Ordering::Relaxed) {
        let body = json!({ "tags": ["of-a-million"] }).to_string();
        let request = post("/.well-known/kube-isr/v1/invalidate", body).revalidate(TOKEN);
        assert_eq!(client.send(&request).await.status, 200);
        purges += 1;
        tokio::time::sleep(PURGE_EVERY).await;
    }
    purges
}

/// Windows that are quiet, each with the one after it, in which the tag is purged.
async fn quiet_and_purging(proxy: &Arc<Proxy>) -> Vec<(Window, Window)> {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let quiet = hits(proxy).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let purges = tokio::spawn(purge(Arc::clone(proxy), Arc::clone(&is_over)));
        let purging = hits(proxy).await;
        is_over.store(true, Ordering::Relaxed);
        assert!(purges.await.expect("a purge works") > 0);
        pairs.push((quiet, purging));
    }
    pairs
}

/// The one in the middle.
fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable_by(|one, other| one.partial_cmp(other).expect("numbers"));
    values[values.len() / 2]
}

/// What purges cost the visitors of other pages: how much slower the slowest hundredth of their hits is.
async fn slowed_down(proxy: &Arc<Proxy>) -> f64 {
    let (quiet, purging): (Vec<_>, Vec<_>) = quiet_and_purging(proxy).await.into_iter().unzip();
    for (when, windows) in [("quiet", &quiet), ("while the tag of all pages is purged", &purging)] {
        let hits = windows.iter().map(|window| window.hits).sum::<u32>();
        let each = windows.iter().map(|window| window.visitors).sum::<Duration>() / hits;
        let disk = windows.iter().map(|window| window.disk).sum::<Duration>();
        let p99 = median(windows.iter().map(|window| window.p99));
        println!(
            "{when}: {hits} hits, p99 {p99:.1?}, {each:.1?} of the visitors' threads each; the disk's thread took {disk:.1?}"
        );
    }
    let pairs = quiet.iter().zip(&purging);
    median(pairs.map(|(quiet, purging)| purging.p99.as_secs_f64() / quiet.p99.as_secs_f64()))
}

fn launch(folder: Folder) -> Launch {
    let proxy = Proxy::with(folder)
        .environment("RUST_LOG", "warn")
        .option("--max-memory-bytes", (4_u64 << 30).to_string());
    proxy.option("--max-disk-bytes", (8_u64 << 30).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make bench-pages"]
async fn scale_a_million_pages_start_at_once_and_a_tag_of_all_slows_nobody() {
    let pages = pages();
    let address = application().await;
    let folder = Folder::new();
    folder.write("service.yaml", &service(SERVICE, address));
    for (name, route) in [
        ("of", route("/of/[page]").interval("Never").token(TOKEN).set("tags", json!(["of-a-million"]))),
        ("other", route("/other/[page]").interval("Never").token(TOKEN)),
    ] {
        folder.write(&format!("{name}.yaml"), &route.yaml(address.port()));
    }
    let proxy = Arc::new(launch(folder).start().await);
    let mut client = proxy.client().await;
    for page in 0..OTHERS {
        client.get(&format!("/other/{page}")).await;
    }
    let first = FIRST.min(pages / 2);
    for _ in 0..2 {
        ask_for_all(&proxy, 0..first).await;
    }
    let before = proxy.resident();
    // Each twice, so that whatever is made for a hit is there.
    for _ in 0..2 {
        ask_for_all(&proxy, first..pages).await;
    }
    let all = proxy.resident();
    let each = (all - before) / (pages - first) as u64;
    println!(
        "{pages} pages of {BODY} bytes take {each} bytes of memory each, the body included; the process has {all}"
    );

    let slower = slowed_down(&proxy).await;
    println!("p99 of hits while the tag of {pages} pages is purged: {slower:.2} of the quiet one");

    let proxy = Arc::into_inner(proxy).expect("nobody else has it");
    let folder = proxy.crash();
    let began = Instant::now();
    let proxy = launch(folder).start().await;
    let ready = began.elapsed();
    assert_eq!(proxy.get("/other/7").await.cache(), "HIT");
    let served = began.elapsed();
    println!(
        "killed, and started with {pages} pages: ready after {ready:.2?}, first page after {served:.2?}"
    );
    let mut client = proxy.client().await;
    let mut waits = Vec::new();
    for nth in 0..ASKED_AT_ONCE {
        // Each another one: the first visitor has it rendered.
        let page = client.get(&format!("/of/{}", nth * pages / ASKED_AT_ONCE)).await;
        assert_eq!(page.cache(), "STALE", "what was purged softly is there at once");
        waits.push(page.took);
    }
    println!(
        "of {ASKED_AT_ONCE} pages asked for at once, p99 came from the disk after {:.1?}",
        p99(&mut waits)
    );
    assert!(served < START_WITHIN, "{served:?}");
    assert!(each <= BODY as u64 + BESIDE_MOST, "{each} bytes");
    assert!(slower <= SLOWER_MOST, "{slower}");
}
