//! The memory tier: bounded in bytes, and not emptied by those who read everything once.

use crate::support::{Answer, Folder, Origin, Proxy, route};

/// Bytes of memory for pages.
const MEMORY: usize = 1 << 20;
/// Bytes of one page; the pages of the scan are five times what fits.
const PAGE: usize = 8 << 10;
/// Pages that are read once.
const SCANNED: usize = 5 * MEMORY / PAGE;

#[tokio::test]
async fn a_scan_neither_overfills_the_memory_nor_pushes_out_what_is_hot() {
    let origin = Origin::start(|request| Answer::page(format!("{:-<PAGE$}", request.target))).await;
    let folder = Folder::of(&origin, [route("/[kind]/[page]").interval("Never")]);
    let proxy = Proxy::with(folder).option("--max-memory-bytes", MEMORY.to_string()).start().await;
    let mut client = proxy.client().await;
    let hot: Vec<String> = (0..10).map(|page| format!("/hot/{page}")).collect();
    for _ in 0..5 {
        for page in &hot {
            client.get(page).await;
        }
    }
    for page in 0..SCANNED {
        let page = client.get(&format!("/scan/{page}")).await;
        assert_eq!(
            (page.status, page.body.len()),
            (200, PAGE),
            "a page that finds no room is served all the same"
        );
    }
    for page in &hot {
        assert_eq!(client.get(page).await.cache(), "HIT", "{page} was read often and outlives a scan");
    }
    let bytes = proxy.metric("isr_cache_bytes", &[]).await;
    assert!(
        bytes <= 1.05 * f64::from(u32::try_from(MEMORY).expect("a megabyte")),
        "bounded in bytes: {bytes}"
    );
    let entries = proxy.metric("isr_cache_entries", &[]).await;
    assert!(
        entries * f64::from(u32::try_from(PAGE).expect("a page")) <= bytes,
        "bodies are weighed: {entries}"
    );
}
