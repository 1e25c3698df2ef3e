//! Histories of chance: visitors, people who purge, and trouble, all at once.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use isr_cache::Timestamp;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::link::Way;
use super::world::{ALL_HARD, Member, ON_DEMAND, PATHS, Purge, Setting, World};

/// How long visitors, purges and trouble go on: one or two of the longest troubles.
const LASTS: Duration = Duration::from_secs(45);

/// Entries of the log that are kept, where it is long enough and where it is not.
const LOG_LENGTH: usize = 10_000;
const LOG_SHORT: usize = 4;

/// Memory for all pages, and for two or three of them.
const ROOMY: u64 = 16 << 20;
const TINY: u64 = 3 << 10;

/// The slowest step of a render, mostly, and where the application hangs.
const STEP_MOST: Duration = Duration::from_millis(700);
const STEP_SLOW: Duration = Duration::from_secs(25);

/// Within this long after the last trouble purges work again: a replica that is gone is not waited for any more.
const HEALS_WITHIN: Duration = Duration::from_secs(25);

/// After a purge, when nothing is wrong any more, all replicas soon serve one page. Their clocks differ, so that one may
/// render a page again that is fresh for another.
const AGREE_WITHIN: Duration = Duration::from_secs(20);

/// What may go wrong in a history.
#[allow(clippy::struct_excessive_bools, reason = "each kind of trouble is there or not")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) loses_messages: bool,
    pub(super) cuts_off: bool,
    pub(super) is_restarted: bool,
    pub(super) loses_data: bool,
    /// The log keeps a few entries.
    pub(super) forgets: bool,
    pub(super) has_disks: bool,
}

/// How much there is to do in a history. Where little happens, old things stay for longer.
#[derive(Clone, Copy)]
struct Pace {
    /// The longest time between two visits, and between two purges, of one person.
    visits: u64,
    purges: u64,
    /// Whether all replicas are looked at after each purge.
    looks: bool,
}

/// A history of which some things are the same throughout.
struct History {
    world: World,
    trouble: Trouble,
    pace: Pace,
    is_over: AtomicBool,
}

/// One of some.
fn one<T: Copy>(of: &[T]) -> T {
    of[fastrand::usize(..of.len())]
}

/// On demand, and by each kind of selector.
fn some_purge() -> (&'static str, Purge) {
    let purge = |body, reaches, is_hard| Purge { body: Some(body), reaches, is_hard };
    let purges = [
        purge(r#"{"tags":["of-the-page"],"mode":"soft"}"#, |_| true, false),
        purge(r#"{"tags":["of-the-route"],"mode":"hard"}"#, |path| path.starts_with("/never"), true),
        purge(r#"{"prefixes":["/now"],"mode":"soft"}"#, |path| path.starts_with("/now"), false),
        ALL_HARD,
        purge(r#"{"paths":["/never/a"],"mode":"soft"}"#, |path| path == "/never/a", false),
        purge(r#"{"paths":["/never/b"],"mode":"hard"}"#, |path| path == "/never/b", true),
    ];
    (one(&PATHS), if fastrand::bool() { ON_DEMAND } else { one(&purges) })
}

/// One history with this trouble.
pub(super) async fn history(seed: u64, trouble: Trouble) {
    let slowest = if fastrand::u8(..8) == 0 { STEP_SLOW } else { STEP_MOST };
    let setting = Setting {
        log: if trouble.forgets { LOG_SHORT } else { LOG_LENGTH },
        // Who has lost entries knows that there were some, and not that they were hard.
        knows_all: !trouble.forgets && !trouble.loses_data,
        memory: if fastrand::u8(..3) == 0 { TINY } else { ROOMY },
        compresses: fastrand::u8(..4) == 0,
        slowest,
    };
    let pace = Pace {
        visits: one(&[500, 1_500, 5_000]),
        purges: one(&[3_000, 10_000, 40_000]),
        looks: fastrand::bool(),
    };
    let world = World::new(format!("seed {seed}, {trouble:?}"), setting);
    let history = Rc::new(History { world, trouble, pace, is_over: AtomicBool::default() });
    history.run().await;
}

impl History {
    async fn run(self: Rc<Self>) {
        for name in ["one", "two", "three"] {
            let folder = self.trouble.has_disks.then(|| tempfile::tempdir().expect("a folder"));
            // Clocks of machines differ.
            let skew = Timestamp(1_700_000_000_000 + fastrand::u64(..2_000));
            self.world.start(name, self.way(), folder, skew).await;
        }
        let mut people = JoinSet::new();
        for _ in 0..3 {
            people.spawn_local(Rc::clone(&self).visitor());
        }
        for _ in 0..2 {
            people.spawn_local(Rc::clone(&self).purger());
            // Seldom comes one trouble alone.
            people.spawn_local(Rc::clone(&self).trouble());
        }
        sleep(LASTS).await;
        self.is_over.store(true, Ordering::Relaxed);
        people.join_all().await;
        self.heals().await;
    }

    fn way(&self) -> Arc<Way> {
        let way = Way::default();
        if self.trouble.loses_messages {
            way.lost.store(fastrand::u64(..30), Ordering::Relaxed);
        }
        Arc::new(way)
    }

    fn some_member(&self) -> Rc<Member> {
        let members = self.world.members();
        Rc::clone(&members[fastrand::usize(..members.len())])
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    async fn visitor(self: Rc<Self>) {
        while self.goes_on() {
            sleep(Duration::from_millis(fastrand::u64(..self.pace.visits))).await;
            self.world.visit(&self.some_member(), one(&PATHS)).await;
        }
    }

    async fn purger(self: Rc<Self>) {
        while self.goes_on() {
            sleep(Duration::from_millis(fastrand::u64(..self.pace.purges))).await;
            let (path, purge) = some_purge();
            if self.world.purge(&self.some_member(), path, purge).await && self.pace.looks {
                // Whoever may have missed it is looked at first.
                let members = self.world.members();
                for (member, path) in members.iter().flat_map(|member| PATHS.map(|path| (member, path))) {
                    // Nobody is sent to one that has left meanwhile.
                    if self.world.is_present(member) {
                        self.world.visit(member, path).await;
                    }
                }
            }
        }
    }

    async fn trouble(self: Rc<Self>) {
        let Trouble { cuts_off, is_restarted, loses_data, .. } = self.trouble;
        let server = &self.world.server;
        while self.goes_on() {
            sleep(Duration::from_millis(fastrand::u64(..8_000))).await;
            let member = self.some_member();
            match fastrand::u8(..3) {
                0 if cuts_off => {
                    member.way.is_cut.store(true, Ordering::Relaxed);
                    sleep(Duration::from_millis(one(&[fastrand::u64(..5_000), fastrand::u64(..30_000)])))
                        .await;
                    // One that has ended meanwhile stays where it is.
                    member.way.is_cut.store(!self.world.is_present(&member), Ordering::Relaxed);
                }
                1 if is_restarted => self.restart(&member).await,
                2 if loses_data => {
                    server.is_down.store(true, Ordering::Relaxed);
                    sleep(Duration::from_millis(one(&[fastrand::u64(..500), fastrand::u64(..20_000)]))).await;
                    // By its clock the next one is up to a minute before or after it.
                    server.lose_data(fastrand::i64(-600_000..600_000));
                    server.is_down.store(false, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    /// Ends a replica, in good order or not, and starts it again. Its tasks cannot be killed; nothing that they do reaches anybody.
    async fn restart(&self, member: &Rc<Member>) {
        self.world.forget(member);
        if fastrand::bool() {
            // Nobody is served any more.
            member.proxy.pages.leave().await;
        }
        member.way.is_cut.store(true, Ordering::Relaxed);
        sleep(Duration::from_millis(one(&[0, fastrand::u64(..5_000)]))).await;
        // What was on its disk is read by the next, which has a copy: this one may still write.
        member.proxy.pages.close().await;
        let folder = member.folder.as_ref().map(|folder| {
            let copy = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(copy.path().join("pages")).expect("a folder");
            let file = "pages/pages.redb";
            std::fs::copy(folder.path().join(file), copy.path().join(file)).expect("the file");
            copy
        });
        self.world.start(member.name, self.way(), folder, member.skew).await;
    }

    /// All is well again: purges work, and all replicas agree, without a restart.
    async fn heals(&self) {
        let world = &self.world;
        let members = world.members();
        for member in &members {
            member.way.is_cut.store(false, Ordering::Relaxed);
            member.way.lost.store(0, Ordering::Relaxed);
        }
        sleep(HEALS_WITHIN + world.setting.slowest).await;
        for (number, path) in PATHS.into_iter().enumerate() {
            let purging = &members[number % members.len()];
            assert!(world.purge(purging, path, ON_DEMAND).await, "{}: purges work again", world.title);
            let before = world.site.version(path);
            let at = format!("{}: {path}, purged by {}", world.title, purging.name);
            let agree = async {
                loop {
                    let mut seen = Vec::new();
                    for member in &members {
                        let page = world.visit(member, path).await;
                        assert!(page.version >= before, "{at}: {} has v{}", member.name, page.version);
                        seen.push((page.cache, page.version));
                    }
                    // What is fresh until it is purged was rendered after the last purge, by whomever.
                    let are_one = path.starts_with("/never") || seen.iter().all(|page| page.1 == seen[0].1);
                    if are_one && seen.iter().all(|page| page.0 == "HIT") {
                        return;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let within = AGREE_WITHIN + 2 * world.setting.slowest;
            let agreed = tokio::time::timeout(within, agree).await;
            assert!(agreed.is_ok(), "{at}: the replicas do not agree within {within:?}");
        }
    }
}
