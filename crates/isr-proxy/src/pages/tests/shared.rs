//! Combinations with the tier that replicas share, and with each of its operations going wrong.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use isr_cache::{Invalidation, Trigger};
use tokio::task::{JoinHandle, JoinSet};

use super::faulty::{Fault, Faulty};
use super::*;
use crate::clock::Clock;
use crate::model::store::Store;

/// What stands before the shared tier.
#[derive(Clone, Copy, Debug)]
struct Combination {
    memory: u64,
    has_disk: bool,
}

const COMBINATIONS: [Combination; 4] = [
    Combination { memory: ROOMY, has_disk: false },
    Combination { memory: TINY, has_disk: false },
    Combination { memory: ROOMY, has_disk: true },
    Combination { memory: TINY, has_disk: true },
];

/// A replica that follows the log until it is let go.
struct Member {
    pages: Arc<Pages>,
    following: JoinHandle<()>,
}

impl Member {
    /// One of this name, once it has read the log to its end.
    async fn join(name: &str, way: Faulty, state_dir: Option<&Path>, memory: u64) -> Self {
        let shared = Some((Arc::new(way) as Arc<dyn SharedStore>, name.to_owned()));
        let pages = Arc::new(Pages::over(shared, &config(state_dir, memory), NOW));
        let follows = Arc::clone(&pages);
        let following = tokio::spawn(async move { follows.follow(&Clock::at(NOW)).await });
        while !pages.have_caught_up() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { pages, following }
    }

    /// Ends in good order.
    async fn end(self) {
        self.following.abort();
        self.pages.leave().await;
        self.pages.close().await;
    }
}

/// One history, in which `way` makes of the store what it may; nothing that is acknowledged may be untrue afterwards: here, on a
/// replica that joins later, and here after a restart.
async fn survives(of: Combination, store: Arc<Mutex<Store>>, way: Faulty, is_sound: bool, when: String) {
    let folder = tempfile::tempdir().expect("a folder");
    let state_dir = of.has_disk.then(|| folder.path());
    let when = |place: &str| format!("{of:?}, {when}: {place}");

    let member = Member::join("one", way, state_dir, of.memory).await;
    let certain = history(&member.pages).await;
    assert!(!is_sound || certain == [true; 3], "{}: {certain:?}", when("every invalidation is certain"));
    obeys(&member.pages, certain, is_sound, &when("here")).await;
    let (sound, _) = Faulty::sound(&store);
    let other = Member::join("two", sound, None, ROOMY).await;
    obeys(&other.pages, certain, is_sound, &when("on another replica")).await;
    other.end().await;
    member.end().await;

    let (sound, _) = Faulty::sound(&store);
    let again = Member::join("one", sound, state_dir, of.memory).await;
    obeys(&again.pages, certain, is_sound, &when("after a restart")).await;
    again.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tiers_keep_what_they_promise_together_with_the_shared_one() {
    for of in COMBINATIONS {
        let store = Arc::<Mutex<Store>>::default();
        let (way, _) = Faulty::sound(&store);
        survives(of, store, way, true, "all is well".to_owned()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_shared_tier_does_not_do_nothing_acknowledged_is_untrue() {
    // With a disk the memory is small, so that pages come from there and not from memory.
    for of in COMBINATIONS.into_iter().filter(|of| !of.has_disk || of.memory == TINY) {
        let store = Arc::<Mutex<Store>>::default();
        let (way, operations) = Faulty::sound(&store);
        survives(of, store, way, true, "all is well".to_owned()).await;
        // Some more, because who was refused asks again.
        let operations = operations.load(Ordering::Relaxed) + 5;
        let mut histories = JoinSet::new();
        for at in 0..operations {
            for fault in [Fault::NotDone, Fault::NoAnswer, Fault::Slow] {
                let store = Arc::<Mutex<Store>>::default();
                let way = Faulty::new(&store, fault, at);
                histories.spawn(survives(
                    of,
                    store,
                    way,
                    false,
                    format!("operation {at} of {operations} is {fault:?}"),
                ));
            }
        }
        histories.join_all().await;
    }
}

#[tokio::test]
async fn what_is_replaced_in_memory_is_replaced_for_other_replicas() {
    let store = Arc::<Mutex<Store>>::default();
    let one = Member::join("one", Faulty::sound(&store).0, None, ROOMY).await;
    replace(&one.pages);
    let other = Member::join("two", Faulty::sound(&store).0, None, ROOMY).await;
    assert_eq!(found(&other.pages, "a/page", "a/page").await.as_deref(), Some("with a variant"));
    other.end().await;
    one.end().await;
}

#[tokio::test]
async fn what_the_shared_tier_tells_of_a_group_counts_before_the_log_says_it() {
    for claims in [false, true] {
        let store = Arc::<Mutex<Store>>::default();
        let Member { pages, following } = Member::join("one", Faulty::sound(&store).0, None, ROOMY).await;
        // Far ahead of the log, as by a replica that invalidates between two questions of this one.
        let epoch = Epoch::at(1_000_000);
        let mark = Invalidation { reach: Reach::Group("a/page".into()), mode: Mode::Hard, epoch };
        store.lock().expect("the store").mark(&mark);
        assert!(pages.epoch() < epoch, "it knows nothing of it");
        if claims {
            let (key, group) = (b"a/page", pages.group("a/page"));
            pages.claim(key, &group, Trigger::Miss, Duration::ZERO, || NOW, |_| true).await;
        } else {
            pages.recall(b"a/page", "a/page", NOW, |keep| keep()).await;
        }
        assert!(pages.epoch() >= epoch, "whatever is rendered from now on is later; claims: {claims}");
        Member { pages, following }.end().await;
    }
}
