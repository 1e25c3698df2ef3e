//! What every tier behind the memory promises, as tests that any of them can be put through.

use std::sync::Arc;

use isr_cache::{Epoch, Group, Invalidation, Mode, Reach, Tier};

use crate::testing::{body, page};

/// A page, and whether it is stale.
pub(crate) type Found = Option<(String, bool)>;

pub(crate) fn fresh(body: &str) -> Found {
    Some(body).map(|body| (body.to_owned(), false))
}

pub(crate) fn stale(body: &str) -> Found {
    Some(body).map(|body| (body.to_owned(), true))
}

pub(crate) fn group(name: &str) -> Arc<Group> {
    Arc::new(Group::new(name.into()))
}

pub(crate) fn invalidation(group: &Arc<Group>, mode: Mode, epoch: u64) -> Invalidation {
    group.invalidate(mode, Epoch(epoch));
    Invalidation { reach: Reach::Group(group.name().into()), mode, epoch: Epoch(epoch) }
}

/// What a process that begins finds of a page.
pub(crate) async fn found(tier: &dyn Tier, name: &str, key: &[u8]) -> Found {
    let group = group(name);
    let response = tier.fetch(key, &group).await.ok().flatten()?;
    let judged = response.group.watermark().judge(response.render.began);
    (judged != Some(Mode::Hard)).then(|| (body(&response), judged == Some(Mode::Soft)))
}

/// Waits until everything that the tier was told is done.
pub(crate) async fn settled(tier: &dyn Tier) {
    tier.invalidate(invalidation(&group("a/nobody"), Mode::Soft, 1)).await.expect("it works");
}

/// Puts a tier through all of it. `again` gives what a process that begins finds, beside the tier or after its end.
pub(crate) async fn keeps<T: Tier, A: Tier>(tier: T, again: impl AsyncFnOnce(T) -> A) {
    let blog = group("a/blog");
    tier.put(b"page", &page(&blog, "one", 1));
    tier.put(b"page", &page(&blog, "two", 2));
    tier.put(b"data", &page(&blog, "data", 2));
    tier.put(b"gone", &page(&blog, "gone", 2));
    tier.remove(b"gone", &blog);

    let [hard, soft, other] = ["a/hard", "a/soft", "a/other"].map(group);
    let key = |group: &Group, what: &str| format!("{} {what}", group.name()).into_bytes();
    for group in [&hard, &soft, &other] {
        tier.put(&key(group, "old"), &page(group, "old", 1));
        tier.put(&key(group, "new"), &page(group, "new", 9));
    }
    tier.invalidate(invalidation(&hard, Mode::Hard, 5)).await.expect("it works");
    tier.invalidate(invalidation(&soft, Mode::Soft, 5)).await.expect("it works");
    // Renders from before, which land late.
    tier.put(&key(&hard, "late"), &page(&hard, "late", 4));
    tier.put(&key(&soft, "late"), &page(&soft, "late", 4));
    settled(&tier).await;

    let check = async |tier: &dyn Tier, when: &str| {
        for (group, key, expected) in [
            ("a/blog", b"page".to_vec(), fresh("two")),
            ("a/blog", b"data".to_vec(), fresh("data")),
            ("a/blog", b"gone".to_vec(), None),
            ("b/blog", b"page".to_vec(), None),
            ("a/hard", key(&hard, "old"), None),
            ("a/hard", key(&hard, "late"), None),
            ("a/hard", key(&hard, "new"), fresh("new")),
            ("a/soft", key(&soft, "old"), stale("old")),
            ("a/soft", key(&soft, "late"), stale("late")),
            ("a/soft", key(&soft, "new"), fresh("new")),
            ("a/other", key(&other, "old"), fresh("old")),
        ] {
            let key_text = String::from_utf8_lossy(&key).into_owned();
            assert_eq!(found(tier, group, &key).await, expected, "{when}: {key_text} of {group}");
        }
    };
    check(&tier, "here").await;
    check(&again(tier).await, "again").await;
}
