//! What one replica of the application revalidates is new at every proxy, whichever replica renders it.

use serde_json::json;

use crate::fleet::Fleet;
use crate::page::generation;
use crate::support::{Response, get, head};

/// Pages made of data with the tag `posts` that the application keeps for an hour: by `fetch`, by `'use cache'`, and by
/// `unstable_cache`.
const TAGGED: [&str; 3] = ["/docs/blog", "/docs/remembered", "/docs/unstable"];

/// Has all caches, of the proxies and of the replicas, hold the pages as they are now.
async fn settle(fleet: &Fleet, pages: &[&str]) {
    for page in pages {
        fleet.warm(page).await;
        for proxy in &fleet.proxies {
            proxy.visit_until(page, "the page is stored", |page| page.cache() == "HIT").await;
        }
    }
}

/// Asserts that the next visitor of each page gets one made of this version of the data, at every proxy. The page is
/// rendered at another replica in each turn.
async fn assert_new(fleet: &Fleet, pages: &[&str], version: u64, turn: usize, why: &str) {
    for (index, page) in pages.iter().enumerate() {
        for offset in 0..2 {
            let proxy = &fleet.proxies[(index + turn + offset) % 2];
            let answer = proxy.get(page).await;
            assert_eq!(answer.status, 200, "{why}: {page}: {}", answer.text());
            assert_eq!(generation(&answer).version, version, "{why}: {page}, {}", answer.cache());
        }
    }
}

/// The same where Next.js answers before it revalidates: soon.
async fn become_new(fleet: &Fleet, pages: &[&str], version: u64, turn: usize, why: &str) {
    for (index, page) in pages.iter().enumerate() {
        for offset in 0..2 {
            let proxy = &fleet.proxies[(index + turn + offset) % 2];
            let is_new = |page: &Response| page.status == 200 && generation(page).version == version;
            proxy.visit_until(page, &format!("{why}: {page} is new"), is_new).await;
        }
    }
}

#[tokio::test]
async fn what_is_gone_in_one_replica_is_new_at_every_proxy() {
    let fleet = Fleet::start("1h").await;
    for (turn, why) in
        ["a route handler", "updateTag", "a route handler", "updateTag"].into_iter().enumerate()
    {
        settle(&fleet, &TAGGED).await;
        let version = fleet.edit(1, &format!("Edit {turn}")).await;
        for page in TAGGED {
            for proxy in &fleet.proxies {
                let stored = proxy.get(page).await;
                assert_eq!(stored.cache(), "HIT", "{page}: nobody has been told");
                assert!(generation(&stored).version < version, "{page}");
                assert_eq!(stored.header("cache-tag"), "", "{page}: tags are not for visitors");
            }
        }
        if why == "updateTag" {
            fleet.press("update").await;
            assert_new(&fleet, &TAGGED, version, turn / 2, why).await;
        } else {
            fleet.call(json!({ "tag": "posts" })).await;
            become_new(&fleet, &TAGGED, version, turn / 2, why).await;
        }
    }
}

#[tokio::test]
async fn what_is_stale_in_one_replica_is_served_once_more_and_then_new() {
    let fleet = Fleet::start("1h").await;
    for (turn, why) in ["a route handler", "a Server Action"].into_iter().enumerate() {
        settle(&fleet, &TAGGED).await;
        let version = fleet.edit(1, &format!("Edit {turn}")).await;
        match turn {
            0 => fleet.call(json!({ "tag": "posts", "profile": "max" })).await,
            _ => fleet.press("tag").await,
        }
        for (index, page) in TAGGED.iter().enumerate() {
            let proxy = &fleet.proxies[(index + turn) % 2];
            let first = proxy
                .visit_until(page, "it is stale, and nobody waits", |page| page.cache() == "STALE")
                .await;
            assert!(generation(&first).version < version, "{why}: {page}");
            let next = proxy.visit_until(page, "it is fresh", |page| page.cache() == "HIT").await;
            assert_eq!(generation(&next).version, version, "{why}: {page}: rendered once, of new data");
            let other = &fleet.proxies[(index + turn + 1) % 2];
            let next = other.visit_until(page, "it is fresh here too", |page| page.cache() == "HIT").await;
            assert_eq!(generation(&next).version, version, "{why}: {page}");
        }
    }
}

#[tokio::test]
async fn a_path_is_revalidated_and_no_other() {
    let fleet = Fleet::start("1h").await;
    let (list, one, two) = ("/docs/blog", "/docs/blog/1", "/docs/blog/2");
    for turn in 0..2 {
        settle(&fleet, &[list, one, two]).await;
        let version = fleet.edit(1, &format!("Edit {turn}")).await;
        match turn {
            0 => fleet.call(json!({ "path": "/blog" })).await,
            _ => fleet.press("path").await,
        }
        become_new(&fleet, &[list], version, turn, "revalidatePath('/blog')").await;
        fleet.call(json!({ "path": "/blog/1" })).await;
        become_new(&fleet, &[one], version, turn, "revalidatePath('/blog/1')").await;
        for proxy in &fleet.proxies {
            let other = proxy.get(two).await;
            assert_eq!(other.cache(), "HIT", "{two} was not named");
            assert!(generation(&other).version < version, "{two}");
        }
    }
    let version = fleet.edit(2, "Another edit").await;
    fleet.call(json!({ "path": "/blog/[slug]", "type": "page" })).await;
    become_new(&fleet, &[two], version, 0, "all pages of a route").await;
}

/// The fixture has a base path and two languages.
#[tokio::test]
async fn a_page_of_the_pages_router_is_revalidated_in_its_language() {
    let fleet = Fleet::start("1h").await;
    let (english, german) = ("/docs/posts/1", "/docs/de/posts/1");
    for (page, language) in [(english, "(en)"), (german, "(de)")] {
        let first = fleet.proxies[0].get(page).await;
        assert_eq!((first.status, first.cache()), (200, "MISS"), "{page}");
        assert!(first.text().contains(language), "{page}: the whole page and no fallback: {}", first.text());
    }
    for turn in 0..2 {
        settle(&fleet, &[english, german]).await;
        let version = fleet.edit(1, &format!("Edit {turn}")).await;
        let (named, other) = if turn == 0 { (german, english) } else { (english, german) };
        fleet.revalidate(named).await;
        assert_new(&fleet, &[named], version, turn, "res.revalidate").await;
        for proxy in &fleet.proxies {
            let other = proxy.get(other).await;
            assert_eq!(other.cache(), "HIT", "the other language was not named");
            assert!(generation(&other).version < version);
        }
    }
}

#[tokio::test]
async fn a_page_that_was_not_there_appears() {
    let fleet = Fleet::start("1h").await;
    let (app, pages) = ("/docs/blog/50", "/docs/posts/50");
    for page in [app, pages] {
        fleet.warm(page).await;
        for proxy in &fleet.proxies {
            assert_eq!(proxy.get(page).await.status, 404, "{page}");
        }
    }
    let version = fleet.edit(50, "It is there").await;
    for proxy in &fleet.proxies {
        for page in [app, pages] {
            let absent = proxy.get(page).await;
            assert_eq!((absent.status, absent.cache()), (404, "HIT"), "{page}: stored");
        }
    }
    fleet.call(json!({ "path": "/blog/50" })).await;
    fleet.revalidate(pages).await;
    assert_new(&fleet, &[pages], version, 0, "it is there").await;
    become_new(&fleet, &[app], version, 0, "it is there").await;
}

/// The data that replicas keep is used as long as nothing is revalidated, and read once by each when something was.
#[tokio::test]
async fn data_is_read_again_only_when_something_was_revalidated() {
    let fleet = Fleet::start("1s").await;
    settle(&fleet, &TAGGED).await;
    let renders = async |count: usize| {
        for _ in 0..count {
            for page in TAGGED {
                let before = generation(&fleet.proxies[0].get(page).await);
                let is_newer = |page: &Response| generation(page) > before;
                fleet.proxies[0].visit_until(page, "it is rendered again", is_newer).await;
            }
        }
    };
    renders(1).await;
    let before = fleet.reads().await;
    renders(2).await;
    assert_eq!(fleet.reads().await, before, "by the interval pages are rendered of the data that is there");
    fleet.edit(1, "Edited").await;
    fleet.press("update").await;
    renders(1).await;
    let after = fleet.reads().await;
    assert!(after > before, "of new data");
    renders(2).await;
    assert_eq!(fleet.reads().await, after, "which is kept again");
}

#[tokio::test]
async fn on_demand_a_page_is_made_of_new_data() {
    let fleet = Fleet::start("1h").await;
    settle(&fleet, &TAGGED).await;
    let version = fleet.edit(1, "Edited").await;
    for (index, page) in TAGGED.into_iter().enumerate() {
        let demand = head(page).revalidate(crate::support::TOKEN);
        fleet.proxies[index % 2].send(&demand).await.is_revalidated(200, page);
    }
    assert_new(&fleet, &TAGGED, version, 0, "on demand").await;
}

/// Its middleware gives every visitor a cookie, also in the renders that kube-isr asks for.
#[tokio::test]
async fn a_cookie_of_the_middleware_is_in_nobody_elses_page() {
    let fleet = Fleet::start("1h").await;
    for page in ["/docs/blog", "/docs/posts/1", "/docs/de/posts/1"] {
        for proxy in &fleet.proxies {
            for visitor in ["alice", "bob"] {
                let answer = proxy.send(&get(page).header("User-Agent", visitor)).await;
                assert_eq!(answer.status, 200, "{page}");
                let said = format!("{:?} {}", answer.headers, answer.text());
                assert!(
                    !said.to_ascii_lowercase().contains("set-cookie") && !said.contains("of-"),
                    "{page}: {said}"
                );
            }
        }
    }
    assert!(fleet.proxies[0].metric("isr_set_cookie_dropped_total", &[]).await > 0.5, "the middleware ran");
    let own = fleet.proxies[0].send(&get("/docs/edit").header("User-Agent", "alice")).await;
    assert!(own.header("set-cookie").contains("of-alice"), "a page that is nobody else's: {:?}", own.headers);
}
