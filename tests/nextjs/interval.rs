//! Refreshes by interval, behind the visitor's back.

use crate::page::{ROUTERS, assert_kind, generation};
use crate::site::Site;
use crate::support::{PATIENCE, eventually};

#[tokio::test]
async fn an_old_page_is_served_once_more_and_then_the_new_one() {
    let site = Site::of_example("3s").tapped().start().await;
    for router in ROUTERS {
        for path in [router.list.to_owned(), router.post("1")] {
            let why = format!("{}, {path}", router.name);
            let mut visitor = site.proxy.client().await;
            let first = visitor.get(&path).await;
            assert_eq!((first.status, first.cache()), (200, "MISS"), "{why}: the first visitor renders");
            assert_kind(&first, "text/html", &why);
            let second = visitor.get(&path).await;
            assert_eq!((second.status, second.cache()), (200, "HIT"), "{why}: the second does not");
            assert_eq!(second.text(), first.text(), "{why}: and gets the same page");

            let title = format!("What is new on {path}");
            let version = site.edit(1, &title).await;
            let mut seen = Vec::new();
            let new = eventually(&format!("{why}: the new page"), PATIENCE, async || {
                let page = visitor.get(&path).await;
                assert_eq!(page.status, 200, "{why}: always a page");
                seen.push(page.cache().to_owned());
                (generation(&page) != generation(&first)).then_some(page)
            })
            .await;
            assert_eq!(
                generation(&new).version,
                version,
                "{why}: the newest data, although Next.js has a page"
            );
            assert!(new.text().contains(&title), "{why}: the new title");
            assert_eq!(new.cache(), "HIT", "{why}: the new page comes from the cache, after {seen:?}");
            seen.pop();
            seen.dedup();
            assert!(
                seen == ["HIT", "STALE"] || seen == ["STALE"],
                "{why}: fresh until the interval is over, then stale, and never waited for: {seen:?}"
            );
            assert_eq!(site.tap().count_of(&path), 2, "{why}: one render each");
        }
    }
}
