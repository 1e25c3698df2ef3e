//! Histories that chance would seldom come to: several things that happen one after the other, and nothing else in between.
//!
//! Each is the shortest way to what a visitor would see if one line of the product were missing. Messages to the store take a
//! millisecond, the application none.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use isr_cache::{REPLICA_GONE_AFTER, Timestamp};
use tokio::time::sleep;

use super::run;
use super::world::{Member, ON_DEMAND, Purge, Setting, World};

/// The page that it is about: fresh until it is purged.
const PAGE: &str = "/never/a";

/// A page that nobody asks for.
const OTHER: Purge =
    Purge { body: Some(r#"{"paths":["/never/b"]}"#), reaches: |path| path == "/never/b", is_hard: false };

/// By tag, which the store's own records do not show.
const BY_TAG: Purge =
    Purge { body: Some(r#"{"tags":["of-the-page"],"mode":"soft"}"#), reaches: |_| true, is_hard: false };

/// By path, which is a mark of its group in the store before the log tells of it.
const BY_PATH: [Purge; 2] = [
    Purge {
        body: Some(r#"{"paths":["/never/a"],"mode":"hard"}"#),
        reaches: |path| path == PAGE,
        is_hard: true,
    },
    Purge {
        body: Some(r#"{"paths":["/never/a"],"mode":"soft"}"#),
        reaches: |path| path == PAGE,
        is_hard: false,
    },
];

/// Entries of the log that are kept.
const LOG: usize = 4;

/// By a clock of the store's that is a minute back, in units of 100 us.
const A_MINUTE_BACK: i64 = -600_000;

/// Until everybody has done what they do when something has changed.
const SOON: Duration = Duration::from_secs(2);

fn written(title: &str, history: impl AsyncFnOnce(&World)) {
    let setting =
        Setting { log: LOG, knows_all: false, memory: 16 << 20, compresses: false, slowest: Duration::ZERO };
    run(0, async { history(&World::new(title.to_owned(), setting)).await });
}

/// A new replica whose disk, if it has one, is empty.
async fn joins(world: &World, name: &'static str) -> Rc<Member> {
    let way = Arc::<super::link::Way>::default();
    way.takes.store(1, Ordering::Relaxed);
    world.start(name, way, None, Timestamp(1_700_000_000_000)).await
}

fn cut(member: &Member, is_cut: bool) {
    member.way.is_cut.store(is_cut, Ordering::Relaxed);
}

/// What a visitor gets, who must not get as fresh what was purged.
async fn visit(world: &World, member: &Member) -> (String, u64) {
    let seen = world.visit(member, PAGE).await;
    (seen.cache, seen.version)
}

async fn purge(world: &World, member: &Member, purge: Purge) {
    assert!(world.purge(member, PAGE, purge).await, "{}: everybody knows of the purge", world.title);
}

/// Replica `three` is cut off for so long that nobody waits for it, and the page is purged meanwhile.
async fn purged_behind(world: &World, one: &Member, three: &Member) {
    purged_behind_by(world, one, three, ON_DEMAND).await;
}

async fn purged_behind_by(world: &World, one: &Member, three: &Member, by: Purge) {
    cut(three, true);
    sleep(REPLICA_GONE_AFTER + SOON).await;
    purge(world, one, by).await;
}

/// The store is replaced by an empty one before anybody is back, and `first` is the first who is.
async fn replaced(world: &World, clock: i64, first: &Member) {
    for member in world.members() {
        cut(&member, true);
    }
    // Until nobody waits for an answer of the former.
    sleep(Duration::from_secs(6)).await;
    world.server.lose_data(clock);
    cut(first, false);
    sleep(SOON).await;
    for member in world.members() {
        cut(&member, false);
    }
}

#[test]
fn who_was_cut_off_while_the_store_lost_its_data_calls_nothing_fresh_that_it_had() {
    written("a store without data", async |world| {
        let (one, three) = (joins(world, "one").await, joins(world, "three").await);
        assert_eq!(visit(world, &three).await, ("MISS".into(), 1));
        purged_behind(world, &one, &three).await;
        replaced(world, 0, &one).await;
        sleep(SOON).await;
        assert_eq!(visit(world, &three).await, ("STALE".into(), 1), "nobody could tell it of the purge");
        sleep(SOON).await;
        assert_eq!(visit(world, &three).await, ("HIT".into(), 3));
    });
}

#[test]
fn who_joins_a_store_whose_clock_is_behind_doubts_what_it_has_rendered() {
    written("a store without data, a minute back", async |world| {
        let (one, three) = (joins(world, "one").await, joins(world, "three").await);
        assert_eq!(visit(world, &three).await, ("MISS".into(), 1));
        purged_behind(world, &one, &three).await;
        replaced(world, A_MINUTE_BACK, &three).await;
        assert_eq!(visit(world, &three).await, ("STALE".into(), 1), "the doubt is later than the render");
    });
}

#[test]
fn who_joins_a_store_whose_clock_is_behind_doubts_what_it_has_from_others() {
    written("a store without data, a minute back, and a page from elsewhere", async |world| {
        let (one, three) = (joins(world, "one").await, joins(world, "three").await);
        assert_eq!(visit(world, &one).await, ("MISS".into(), 1));
        sleep(SOON).await;
        assert_eq!(visit(world, &three).await, ("HIT".into(), 1), "the store has it");
        purged_behind(world, &one, &three).await;
        replaced(world, A_MINUTE_BACK, &three).await;
        assert_eq!(visit(world, &three).await, ("STALE".into(), 1), "the doubt is later than the render");
    });
}

#[test]
fn who_begins_with_nothing_after_the_log_was_cut_takes_older_pages_for_stale() {
    written("a log that is too short", async |world| {
        let one = joins(world, "one").await;
        assert_eq!(visit(world, &one).await, ("MISS".into(), 1));
        purge(world, &one, BY_TAG).await;
        for _ in 0..=LOG {
            purge(world, &one, OTHER).await;
        }
        let two = joins(world, "two").await;
        assert_eq!(visit(world, &two).await, ("STALE".into(), 1), "the store has it from before the purge");
        sleep(SOON).await;
        assert_eq!(visit(world, &two).await, ("HIT".into(), 2));
    });
}

#[test]
fn a_page_that_is_purged_while_it_is_on_its_way_is_not_fresh_when_it_comes() {
    for by in [ON_DEMAND, BY_TAG] {
        written("a page on its way", async |world| {
            let (one, two) = (joins(world, "one").await, joins(world, "two").await);
            assert_eq!(visit(world, &one).await, ("MISS".into(), 1));
            sleep(SOON).await;
            two.way.pages_late.store(100, Ordering::Relaxed);
            let purging = async {
                sleep(Duration::from_millis(10)).await;
                purge(world, &one, by).await;
                world.server.age()
            };
            let visiting = async {
                visit(world, &two).await;
                world.server.age()
            };
            let (purged, visited) = tokio::join!(purging, visiting);
            assert!(purged < visited, "the purge was the first to end");
            assert_ne!(visit(world, &two).await, ("HIT".into(), 1));
        });
    }
}

#[test]
fn who_learns_of_a_purge_from_the_store_alone_renders_after_it() {
    for by in BY_PATH {
        written("marks that are read before the log is", async |world| {
            let (one, three) = (joins(world, "one").await, joins(world, "three").await);
            assert_eq!(visit(world, &one).await, ("MISS".into(), 1));
            sleep(SOON).await;
            // The log tells of it 20 ms after it was told; what is found in the store is there 20 ms after it was asked for.
            three.way.takes.store(10, Ordering::Relaxed);
            let cutting = async {
                sleep(Duration::from_millis(22)).await;
                cut(&three, true);
            };
            let (is_acknowledged, _, ()) =
                tokio::join!(world.purge(&one, PAGE, by), visit(world, &three), cutting);
            assert!(!is_acknowledged, "{by:?}: nobody knows whether it is there");
            sleep(SOON).await;
            assert_eq!(visit(world, &three).await, ("HIT".into(), 2), "{by:?}: it was rendered since");
        });
    }
}

#[test]
fn a_render_from_before_the_store_lost_its_data_is_given_to_nobody() {
    written("a render that is slow", async |world| {
        let (one, three) = (joins(world, "one").await, joins(world, "three").await);
        world.site.late.store(40_000, Ordering::Relaxed);
        let purging = async {
            sleep(SOON).await;
            purged_behind_by(world, &one, &three, BY_TAG).await;
            replaced(world, 0, &one).await;
            sleep(SOON).await;
        };
        let ((cache, version), ()) = tokio::join!(visit(world, &three), purging);
        assert_eq!((&*cache, version), ("MISS", 1), "it was begun before the purge");
        world.site.late.store(0, Ordering::Relaxed);
        sleep(SOON).await;
        let four = joins(world, "four").await;
        assert_ne!(visit(world, &four).await, ("HIT".into(), 1));
    });
}

#[test]
fn a_purge_that_knew_nothing_of_a_replica_holds_there_when_it_joins() {
    written("a store without data, a minute back, where another one is first", async |world| {
        let (one, three) = (joins(world, "one").await, joins(world, "three").await);
        assert_eq!(visit(world, &three).await, ("MISS".into(), 1));
        cut(&three, true);
        cut(&one, true);
        world.forget(&one);
        world.server.lose_data(A_MINUTE_BACK);
        // It knows of no other, and three is sure for some more seconds.
        let two = joins(world, "two").await;
        purge(world, &two, BY_TAG).await;
        cut(&three, false);
        sleep(2 * SOON).await;
        assert_eq!(visit(world, &three).await, ("STALE".into(), 1), "it has read of the purge");
    });
}

#[test]
fn a_render_that_ends_before_its_replica_has_joined_again_is_given_to_nobody() {
    written("a store without data, a minute back, and a render from before", async |world| {
        let three = joins(world, "three").await;
        world.site.late.store(1_000, Ordering::Relaxed);
        let purging = async {
            sleep(Duration::from_millis(900)).await;
            world.server.lose_data(A_MINUTE_BACK);
            // It knows of no other, and counts from where the store's clock is.
            let two = joins(world, "two").await;
            purge(world, &two, BY_TAG).await;
        };
        let (seen, ()) = tokio::join!(visit(world, &three), purging);
        assert_eq!(seen, ("MISS".into(), 1), "it was begun before the purge");
        world.site.late.store(0, Ordering::Relaxed);
        sleep(REPLICA_GONE_AFTER + SOON).await;
        let four = joins(world, "four").await;
        assert_ne!(visit(world, &four).await, ("HIT".into(), 1), "no purge of its order is later");
    });
}
