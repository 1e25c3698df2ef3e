//! Histories of chance on disks that crash and fail.

use std::collections::HashMap;

use super::*;

#[derive(Default)]
struct Model {
    /// By key: the epochs of what was put, in order.
    put: HashMap<u8, Vec<u64>>,
    /// By key: nothing older than this may be found.
    certain: HashMap<u8, u64>,
    /// By key: this, or something newer, must be found.
    acknowledged: HashMap<u8, u64>,
    /// By key: an invalidation that failed, and may have been made all the same.
    doubtful: HashMap<u8, u64>,
}

/// One history of puts and invalidations, on a disk that fails at some moment.
async fn history(disk: &Unreliable, tier: &Disk, front: &Simple, seed: u64, steps: u32) -> Model {
    let mut random = fastrand::Rng::with_seed(seed);
    let groups: Vec<_> = (0..4_u8).map(|key| group(&format!("a/{key}"))).collect();
    let mut model = Model::default();
    let mut under_way = Vec::new();
    for step in 0..steps {
        let key = random.u8(..4);
        let group = &groups[usize::from(key)];
        let epoch = front.epoch.fetch_add(1, Relaxed) + 1;
        let what = random.u8(..3);
        if what > 0 {
            tier.put(&[key], &page(group, &format!("{key} {epoch}"), epoch));
            model.put.entry(key).or_default().push(epoch);
        }
        if what < 2 {
            // By itself an invalidation; after a page a revalidation on demand.
            let certain = tier.invalidate(invalidation(group, Mode::Hard, epoch));
            under_way.push((key, epoch, what == 1, certain));
        }
        if random.u8(..4) > 0 && step + 1 < steps {
            continue;
        }
        for (key, epoch, is_page, certain) in under_way.drain(..) {
            if certain.await.is_ok() {
                let latest = model.certain.entry(key).or_default();
                *latest = epoch.max(*latest);
                // A later invalidation may have come after the page.
                if is_page && *latest == epoch {
                    model.acknowledged.insert(key, epoch);
                }
            } else {
                model.doubtful.insert(key, epoch);
            }
        }
        model.acknowledged.retain(|key, epoch| model.certain.get(key) == Some(epoch));
        if disk.is_broken() {
            break;
        }
    }
    model
}

async fn obeys(tier: &Disk, model: &Model, what: &str) {
    for key in 0..4_u8 {
        if let Some((body, _)) = found(tier, &format!("a/{key}"), &[key]).await {
            let epoch: u64 = body
                .strip_prefix(&format!("{key} "))
                .and_then(|epoch| epoch.parse().ok())
                .unwrap_or_else(|| panic!("{what}: another's page: {body}"));
            assert!(model.put.get(&key).is_some_and(|put| put.contains(&epoch)), "{what}: {body}");
            let certain = model.certain.get(&key).copied().unwrap_or_default();
            assert!(epoch >= certain, "{what}: {body} is older than the invalidation of {certain}");
        } else {
            let of = |epochs: &HashMap<u8, u64>| epochs.get(&key).copied().unwrap_or_default();
            let (acknowledged, doubtful) = (of(&model.acknowledged), of(&model.doubtful));
            // A disk that does not work gives nothing.
            let is_lost = acknowledged > doubtful && tier.usage().broken.is_none();
            assert!(!is_lost, "{what}: {key} {acknowledged} was acknowledged and is gone");
        }
    }
}

#[tokio::test]
async fn after_a_crash_nothing_is_older_than_an_invalidation_that_was_certain() {
    let (mut rounds, mut kept) = (0, 0);
    for seed in 0..150 {
        let disk = Unreliable::sound();
        let mut random = fastrand::Rng::with_seed(seed);
        let (tier, _, front) = open(&disk, ROOM);
        disk.fail_after(random.u64(..400));
        let model = history(&disk, &tier, &front, seed, 40).await;
        let last = front.epoch.load(Relaxed);
        for survivors in ["none", "some", "all"] {
            let crashed = disk.crash(|| match survivors {
                "none" => false,
                "all" => true,
                _ => random.bool(),
            });
            let (tier, recalled, _) = open(&crashed, ROOM);
            assert!(recalled.epoch.0 <= last);
            obeys(&tier, &model, &format!("seed {seed}, {survivors} survived")).await;
            for (key, certain) in &model.certain {
                // What was certain when it was invalidated is in the order of epochs for ever.
                assert!(recalled.epoch.0 >= *certain, "{key}: {recalled:?} is before {certain}");
            }
            kept += tier.usage().entries;
            rounds += 1;
        }
    }
    assert!(kept > rounds / 2, "most crashes leave something: {kept} pages after {rounds}");
}

#[tokio::test]
async fn a_disk_that_fails_at_any_operation_and_is_mended_lies_to_nobody() {
    // At operations all over the history, with each error of a disk in turn.
    for seed in 0..60 {
        let disk = Unreliable::sound();
        let (tier, _, front) = open(&disk, ROOM);
        disk.fail_with(ERRORS[usize::try_from(seed % 3).expect("small")], 5 * seed);
        let model = history(&disk, &tier, &front, seed, 60).await;
        let was_broken = disk.is_broken();
        obeys(&tier, &model, "while it is broken").await;
        disk.mend();
        // The next write that works says so, by itself and without a restart.
        let other = group("a/other");
        let mended = async {
            let mut epoch = front.epoch.load(Relaxed);
            loop {
                epoch += 1;
                if tier.invalidate(invalidation(&other, Mode::Hard, epoch)).await.is_ok() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), mended).await.expect("it recovers");
        assert!(tier.usage().broken.is_none());
        assert!(!was_broken || tier.usage().errors > 0, "it was counted");
        obeys(&tier, &model, "after it was mended").await;
        tier.close();
        obeys(&open(&disk, ROOM).0, &model, "after a restart").await;
    }
}
