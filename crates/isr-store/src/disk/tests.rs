mod histories;

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use isr_cache::{Mode, Pages, Reach, Realm, Selector};

use super::*;
use crate::contract::{found, fresh, group, invalidation, keeps, settled};
use crate::testing::{ERRORS, Simple, Unreliable, page};

const ROOM: u64 = 64 << 20;

/// Files with damage in other places: among so many, some have the engine panic twice.
const DAMAGES: u64 = 150;

/// Transactions of so few changes that what belongs together comes apart.
const FEW: Gathering = Gathering { most: 2, within: Duration::from_millis(1) };

/// Longer than anything else here takes.
const LONG: Duration = Duration::from_secs(20);

/// The disk tier on this disk, and what it recalls. Epochs go on after those.
fn open(disk: &Unreliable, room: u64) -> (Disk, Recalled, Simple) {
    open_gathering(disk, room, FEW)
}

fn open_gathering(disk: &Unreliable, room: u64, gathering: Gathering) -> (Disk, Recalled, Simple) {
    let mut recalled = Recalled::default();
    let front = Simple::default();
    let standing = front.clone();
    let tier = Disk::on(Box::new(disk.clone()), "a test".into(), room, gathering, |known| {
        recalled = known.clone();
        standing.epoch.store(known.epoch.0, Relaxed);
        Box::new(standing.clone())
    });
    (tier, recalled, front)
}

#[tokio::test]
async fn a_disk_keeps_what_every_tier_keeps() {
    let disk = Unreliable::sound();
    keeps(open(&disk, ROOM).0, async |tier: Disk| {
        tier.close();
        open(&disk, ROOM).0
    })
    .await;
}

#[tokio::test]
async fn what_is_put_is_there_at_once_and_the_epoch_is_recalled() {
    let disk = Unreliable::sound();
    let (tier, _, front) = open(&disk, ROOM);
    front.epoch.store(5, Relaxed);
    assert!(tier.is_empty());
    tier.put(b"page", &page(&group("a/blog"), "one", 1));
    assert!(!tier.is_empty(), "before it is written");
    assert_eq!(found(&tier, "a/blog", b"page").await, fresh("one"), "before it is written");
    tier.close();
    let (tier, recalled, _) = open(&disk, ROOM);
    assert_eq!(recalled, Recalled { epoch: Epoch(5), ..Recalled::default() });
    assert_eq!(tier.usage().entries, 1);
}

#[tokio::test]
async fn how_far_the_log_was_followed_is_recalled_until_there_is_none() {
    let disk = Unreliable::sound();
    let followed = Some(Followed { data_set: u64::MAX, position: Epoch::at(7) });
    for now in [followed, None] {
        let (tier, _, front) = open(&disk, ROOM);
        *front.followed.lock().expect("the position") = now;
        tier.put(b"page", &page(&group("a/blog"), "one", 1));
        tier.close();
        assert_eq!(open(&disk, ROOM).1.followed, now);
    }
}

#[tokio::test]
async fn invalidations_of_many_groups_are_recalled() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, ROOM);
    let selector = Selector { realm: Realm::Installation, pages: Pages::Tag("t".into()) }.to_bytes();
    for (mode, epoch) in [(Mode::Soft, 3), (Mode::Hard, 7), (Mode::Hard, 6)] {
        let reach = Reach::Selected((&*selector).into());
        tier.invalidate(Invalidation { reach, mode, epoch: Epoch(epoch) }).await.expect("it works");
    }
    tier.close();
    let mark = Watermark { hard: Epoch(7), soft: Epoch(3) };
    assert_eq!(open(&disk, ROOM).1.marks, vec![(selector, mark)]);
}

#[tokio::test]
async fn marks_in_the_file_stay_as_many_as_the_memory_keeps() {
    let disk = Unreliable::sound();
    let (tier, _, front) = open(&disk, ROOM);
    let everything = Selector { realm: Realm::Installation, pages: Pages::All }.to_bytes();
    for epoch in 1..100_u64 {
        let mark = Watermark { hard: Epoch(epoch), ..Watermark::default() };
        // What a memory keeps that has room for one mark.
        *front.marks.lock().expect("the marks") = vec![(everything.clone(), mark)];
        let selector = Selector { realm: Realm::Installation, pages: Pages::Tag(epoch.to_string().into()) };
        let reach = Reach::Selected(selector.to_bytes().into());
        tier.invalidate(Invalidation { reach, mode: Mode::Hard, epoch: Epoch(epoch) })
            .await
            .expect("it works");
    }
    tier.close();
    let marks = open(&disk, ROOM).1.marks;
    assert!(marks.len() <= 9, "{} marks", marks.len());
    let covered = marks.iter().map(|(_, mark)| mark.hard).max();
    assert_eq!(covered, Some(Epoch(99)), "and nothing is covered by less");
}

#[tokio::test]
async fn a_tag_of_many_pages_is_written_as_one_mark() {
    let mut costs = Vec::new();
    for members in [10_u32, 1_000] {
        let disk = Unreliable::sound();
        let (tier, ..) = open(&disk, ROOM);
        for number in 0..members {
            tier.put(&number.to_le_bytes(), &page(&group(&format!("a/{number}")), "tagged", 1));
        }
        settled(&tier).await;
        let before = disk.written();
        let selector = Selector { realm: Realm::Installation, pages: Pages::Tag("a-tag".into()) };
        let reach = Reach::Selected(selector.to_bytes().into());
        tier.invalidate(Invalidation { reach, mode: Mode::Hard, epoch: Epoch(2) }).await.expect("it works");
        costs.push(disk.written() - before);
    }
    assert!(costs[1] < costs[0] * 3, "bytes written for 10 and for 1,000 members: {costs:?}");
}

#[tokio::test]
async fn a_start_reads_a_small_part_of_the_pages_and_serves() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, 1 << 30);
    let pages = 4_000_u32;
    for number in 0..pages {
        tier.put(&number.to_le_bytes(), &page(&group(&format!("a/{number}")), "a page", 1));
    }
    settled(&tier).await;
    // As it is found by who starts after a crash.
    let crashed = disk.crash(|| true);
    let (tier, ..) = open(&crashed, 1 << 30);
    let reads = crashed.reads();
    // A head and two bodies each would be three. Five for twenty pages are 250,000 for a million: a second of any disk's time.
    assert!(reads < u64::from(pages / 4), "{reads} reads at the start with {pages} pages");
    assert_eq!(found(&tier, "a/7", &7_u32.to_le_bytes()).await, fresh("a page"), "it serves at once");
    assert_eq!(tier.usage().entries, u64::from(pages));
}

#[tokio::test]
async fn unchanged_bodies_are_not_written_again() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, ROOM);
    let blog = group("a/blog");
    let written = || disk.written();
    let long = "x".repeat(1 << 20);
    tier.put(b"page", &page(&blog, &long, 1));
    tier.invalidate(invalidation(&group("a/other"), Mode::Hard, 1)).await.expect("a barrier");
    let first = written();
    assert!(first > 2 << 20, "two bodies of a MiB: {first}");
    tier.put(b"page", &page(&blog, &long, 2));
    tier.invalidate(invalidation(&group("a/other"), Mode::Hard, 2)).await.expect("a barrier");
    let second = written() - first;
    assert!(second < 1 << 20, "a head: {second}");
    assert_eq!(found(&tier, "a/blog", b"page").await, fresh(&long));
}

#[tokio::test]
async fn a_body_is_written_in_as_many_bytes_as_it_has() {
    let written = async |length: usize| {
        let disk = Unreliable::sound();
        let (tier, ..) = open(&disk, ROOM);
        for number in 0..100_u32 {
            let group = group(&format!("a/{number}"));
            tier.put(&number.to_le_bytes(), &page(&group, &"x".repeat(length), 1));
        }
        settled(&tier).await;
        disk.written()
    };
    // With the variant two bodies for each page.
    let each = (written(16 << 10).await - written(0).await) / 200;
    assert!(each < (16 << 10) * 11 / 10, "{each} bytes for 16 KiB");
}

#[tokio::test]
async fn the_file_is_bounded_and_what_is_in_use_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let room = 16 << 20;
    let front = Simple::default();
    let tier = Disk::open(folder.path(), room, |_| Box::new(front.clone()));
    let key = |number: u32| number.to_le_bytes().to_vec();
    let in_use: Vec<_> = (0..20).map(key).collect();
    front.in_use.lock().expect("the keys").clone_from(&in_use);
    let mut sizes = fastrand::Rng::with_seed(5);
    for number in 0..6000_u32 {
        let body = "y".repeat(sizes.usize(..9000));
        tier.put(&key(number), &page(&group(&format!("a/{number}")), &body, 1));
        if number % 256 == 0 {
            tier.invalidate(invalidation(&group("a/other"), Mode::Hard, 1)).await.expect("a barrier");
        }
    }
    tier.invalidate(invalidation(&group("a/other"), Mode::Hard, 1)).await.expect("a barrier");
    let usage = tier.usage();
    assert!(usage.evictions > 1000 && usage.bytes <= room, "{usage:?}");
    let file = std::fs::metadata(folder.path().join("pages.redb")).expect("the file");
    let taken = std::os::unix::fs::MetadataExt::blocks(&file) * 512;
    assert!(taken <= room, "{taken} bytes on the disk");
    for (number, key) in in_use.iter().enumerate() {
        assert!(found(&tier, &format!("a/{number}"), key).await.is_some(), "{number} is in use");
    }
    assert!(found(&tier, "a/5999", &key(5999)).await.is_some(), "the latest is there");
    assert_eq!(found(&tier, "a/30", &key(30)).await, None, "the oldest went");
}

#[tokio::test]
async fn flipped_bits_and_torn_ends_are_misses_and_never_other_pages() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, ROOM);
    let text = |number: u32| format!("page {number} {}", "z".repeat(number as usize * 50));
    for number in 0..100_u32 {
        tier.put(&number.to_le_bytes(), &page(&group(&format!("a/{number}")), &text(number), 1));
    }
    tier.close();
    let image = disk.image();
    let mut random = fastrand::Rng::with_seed(11);
    let (mut hits, mut misses) = (0, 0);
    for round in 0..60 {
        let mut image = image.clone();
        if round % 4 == 0 {
            image.truncate(random.usize(..image.len()));
        } else {
            for _ in 0..=round * 8 {
                let at = random.usize(..image.len());
                image[at] ^= 1 << random.u8(..8);
            }
        }
        let (tier, ..) = open(&Unreliable::holding(image), ROOM);
        for number in 0..100_u32 {
            match found(&tier, &format!("a/{number}"), &number.to_le_bytes()).await {
                Some((body, _)) => {
                    assert_eq!(body, text(number));
                    hits += 1;
                }
                None => misses += 1,
            }
        }
        let after = page(&group("a/after"), "after", 1);
        tier.put(b"after", &after);
        assert_eq!(found(&tier, "a/after", b"after").await, fresh("after"), "it goes on");
    }
    assert!(hits > 100 && misses > 100, "{hits} hits, {misses} misses: both happen");
}

#[tokio::test]
async fn a_disk_that_lies_when_it_is_read_gives_misses_and_never_other_pages() {
    let text = |number: u32| format!("page {number} {}", "z".repeat(number as usize * 200));
    let (mut hits, mut misses) = (0, 0);
    for every in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
        let disk = Unreliable::sound();
        let (tier, ..) = open(&disk, ROOM);
        for number in 0..60_u32 {
            tier.put(&number.to_le_bytes(), &page(&group(&format!("a/{number}")), &text(number), 1));
        }
        tier.close();
        disk.lie_every(every);
        let (tier, ..) = open(&disk, ROOM);
        for number in 0..60_u32 {
            match found(&tier, &format!("a/{number}"), &number.to_le_bytes()).await {
                Some((body, _)) => {
                    assert_eq!(body, text(number), "one read of {every} gives a wrong bit");
                    hits += 1;
                }
                None => misses += 1,
            }
        }
        disk.lie_every(0);
        tier.put(b"after", &page(&group("a/after"), "after", 1));
        assert_eq!(found(&tier, "a/after", b"after").await, fresh("after"), "it goes on");
    }
    assert!(hits > 60 && misses > 60, "{hits} hits, {misses} misses: both happen");
}

#[tokio::test]
async fn changes_that_nobody_waits_for_are_one_transaction() {
    let disk = Unreliable::sound();
    let tier = open_gathering(&disk, ROOM, Gathering { most: 256, within: LONG }).0;
    let before = disk.syncs();
    settled(&tier).await;
    let of_one = disk.syncs() - before;
    let before = disk.syncs();
    for number in 0..20_u32 {
        tier.put(&number.to_le_bytes(), &page(&group(&format!("a/{number}")), "a page", 1));
        // Time enough to write it by itself.
        std::thread::sleep(Duration::from_millis(5));
    }
    settled(&tier).await;
    let of_twenty = disk.syncs() - before;
    // The file grows as well.
    assert!(
        of_twenty < 2 * of_one,
        "20 pages waited for the disk {of_twenty} times, one change {of_one} times"
    );
    assert_eq!(tier.usage().entries, 20);
}

#[tokio::test]
async fn whoever_waits_for_the_disk_does_not_wait_for_more_changes() {
    let disk = Unreliable::sound();
    let tier = open_gathering(&disk, ROOM, Gathering { most: 3, within: LONG }).0;
    let put = |name: &str| tier.put(name.as_bytes(), &page(&group(&format!("a/{name}")), "a page", 1));
    let began = Instant::now();
    put("one");
    tier.invalidate(invalidation(&group("a/other"), Mode::Hard, 2)).await.expect("it works");
    assert_eq!(tier.usage().entries, 1, "a purge is certain, and what came before it");
    for name in ["two", "three", "four"] {
        put(name);
    }
    while tier.usage().entries < 4 {
        assert!(began.elapsed() < LONG / 2, "as many as make a transaction are written");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    put("five");
    tier.close();
    assert!(began.elapsed() < LONG / 2, "neither a purge nor the end waits: {:?}", began.elapsed());
    assert_eq!(tier.usage().entries, 5);
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_only_who_wants_to_be_certain() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, ROOM);
    tier.put(b"old", &page(&group("a/blog"), "old", 1));
    settled(&tier).await;
    disk.hold();
    let blog = group("a/blog");
    let mut certain = tier.invalidate(invalidation(&blog, Mode::Hard, 2));
    tier.put(b"new", &page(&blog, "new", 2));
    assert_eq!(found(&tier, "a/blog", b"new").await, fresh("new"), "what is queued is there");
    tokio::select! {
        biased;
        _ = &mut certain => panic!("nothing is certain while the disk hangs"),
        () = std::future::ready(()) => {}
    }
    disk.release();
    certain.await.expect("it goes on");
    settled(&tier).await;
    let crashed = open(&disk.crash(|| false), ROOM).0;
    assert_eq!(found(&crashed, "a/blog", b"old").await, None);
    assert_eq!(found(&crashed, "a/blog", b"new").await, fresh("new"));
}

#[tokio::test]
async fn no_damage_ends_the_process() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, ROOM);
    for number in 0..50_u32 {
        tier.put(&number.to_le_bytes(), &page(&group(&format!("a/{number}")), &"y".repeat(5000), 1));
    }
    settled(&tier).await;
    // As a crash leaves it: the engine looks at more of it than after an end in good order.
    let image = disk.crash(|| true).image();
    for seed in 0..DAMAGES {
        let (mut image, mut random) = (image.clone(), fastrand::Rng::with_seed(seed));
        for _ in 0..seed % 300 {
            let at = random.usize(..image.len());
            image[at] = random.u8(..);
        }
        let (tier, ..) = open(&Unreliable::holding(image), ROOM);
        let after = page(&group("a/after"), "after", 1);
        tier.put(b"after", &after);
        assert_eq!(found(&tier, "a/after", b"after").await, fresh("after"), "it goes on");
    }
}

/// What a reader may find: everything that was put since the last invalidation that is certain.
#[tokio::test]
async fn a_disk_that_cannot_be_read_at_the_start_is_emptied_before_it_is_used() {
    let disk = Unreliable::sound();
    let (tier, ..) = open(&disk, ROOM);
    tier.put(b"page", &page(&group("a/blog"), "from another order of epochs", 99));
    tier.close();
    disk.fail_after(0);
    let (tier, recalled, _) = open(&disk, ROOM);
    assert_eq!(recalled, Recalled::default());
    assert!(tier.usage().broken.is_some());
    tier.put(b"new", &page(&group("a/new"), "new", 1));
    assert_eq!(found(&tier, "a/new", b"new").await, fresh("new"), "what is queued is there");
    disk.stays(true);
    disk.mend();
    let errors = tier.usage().errors;
    let tried = async {
        while tier.usage().errors < errors + 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), tried).await.expect("it is tried again");
    assert!(tier.usage().broken.is_some(), "what cannot be removed is not read because it can be");
    assert_eq!(found(&tier, "a/blog", b"page").await, None);
    disk.stays(false);
    let mended = async {
        while tier.usage().broken.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), mended).await.expect("it recovers");
    assert_eq!(found(&tier, "a/blog", b"page").await, None);
    assert_eq!(found(&tier, "a/new", b"new").await, fresh("new"));
}

#[tokio::test]
async fn a_real_folder_is_made_and_kept_to_oneself() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pages");
    let open = || Disk::open(&path, ROOM, |_| Box::new(Simple::default()));
    let tier = open();
    tier.put(b"page", &page(&group("a/blog"), "kept", 1));
    tier.close();
    let mode = std::fs::metadata(path.join("pages.redb")).expect("the file").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    assert_eq!(found(&open(), "a/blog", b"page").await, fresh("kept"));
}
