//! A million pages: the memory that they take, what a start with them takes, and what it costs the visitors of others when
//! all of them are purged by one tag. `make bench-pages` runs this with the image's program.

use std::net::SocketAddr;
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

/// Visitors who fill the cache.
const FILLING: usize = 32;

/// From the start of the process to the first page.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Pages that are asked for as soon as the process is there.
const ASKED_AT_ONCE: usize = 1_000;

/// How much slower the slowest hundredth of hits may be while the tag is purged.
const SLOWER_MOST: f64 = 1.2;

/// Windows of a second each, with purges in every other one.
const WINDOWS: usize = 60;

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

/// Asks for all of them once; the first time the disk keeps each.
async fn ask_for_all(proxy: &Arc<Proxy>, pages: usize) {
    let began = Instant::now();
    for first in (0..pages).step_by(AT_ONCE) {
        let end = pages.min(first + AT_ONCE);
        ask_for(proxy, first..end).await;
        let all = f64::from(u32::try_from(end).expect("not so many"));
        eventually("they are on the disk", PATIENCE * 3, async || {
            (proxy.metric("isr_disk_entries", &[]).await >= all).then_some(())
        })
        .await;
    }
    println!("asked for {pages} pages in {:.0?}", began.elapsed());
}

async fn ask_for(proxy: &Arc<Proxy>, pages: std::ops::Range<usize>) {
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

/// Hits on other pages, for a second.
async fn hits(proxy: &Proxy, times: &mut Vec<Duration>) {
    let mut client = proxy.client().await;
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let hit = client.get(&format!("/other/{}", fastrand::usize(..OTHERS))).await;
        assert_eq!(hit.cache(), "HIT");
        times.push(hit.took);
    }
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

/// Times of hits in quiet windows, and in those in which the tag is purged.
async fn quiet_and_purging(proxy: &Arc<Proxy>) -> (Vec<Duration>, Vec<Duration>) {
    let (mut quiet, mut purging) = (Vec::new(), Vec::new());
    for window in 0..WINDOWS {
        if window % 2 == 0 {
            hits(proxy, &mut quiet).await;
            continue;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let purges = tokio::spawn(purge(Arc::clone(proxy), Arc::clone(&is_over)));
        hits(proxy, &mut purging).await;
        is_over.store(true, Ordering::Relaxed);
        assert!(purges.await.expect("a purge works") > 0);
    }
    (quiet, purging)
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
    let before = proxy.resident();
    ask_for_all(&proxy, pages).await;
    // Each once more, so that whatever is made for a hit is there.
    ask_for_all(&proxy, pages).await;
    let each = (proxy.resident() - before) / pages as u64;
    println!("{pages} pages of {BODY} bytes take {each} bytes of memory each, the body included");

    let (mut quiet, mut purging) = quiet_and_purging(&proxy).await;
    let (quiet, purging) = (p99(&mut quiet), p99(&mut purging));
    println!(
        "p99 of hits: {quiet:.1?} quiet, {purging:.1?} while a tag of {pages} pages is purged every {PURGE_EVERY:?}"
    );

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
    assert!(purging.as_secs_f64() <= quiet.as_secs_f64() * SLOWER_MOST, "{purging:?} and {quiet:?}");
}
