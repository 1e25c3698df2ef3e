use std::collections::HashMap;
use std::time::Duration;

use isr_cache::{RETRY_FIRST, RETRY_MOST};
use proptest::prelude::*;

use super::*;

/// Things that are looked at, so many at a time, at an application that is well from a certain time on, on a clock of
/// its own. Knows nothing of rows and waits.
struct World {
    now: Timestamp,
    agenda: Agenda<usize>,
    /// What is under way, and when it ends.
    under_way: Vec<(usize, Timestamp)>,
    at_once: usize,
    /// From when on each answers; those that are there already never ask the application.
    well_from: Vec<Option<Timestamp>>,
    /// When each was tried, and whether that ended well.
    tries: Vec<(usize, Timestamp, bool)>,
    done: HashMap<usize, Timestamp>,
}

/// How long the application takes to answer.
const TAKES: Duration = Duration::from_millis(100);

impl World {
    fn new(well_from: Vec<Option<Timestamp>>, at_once: usize) -> Self {
        let mut agenda = Agenda::default();
        for item in 0..well_from.len() {
            agenda.want(item);
            agenda.want(item);
        }
        let (tries, done) = (Vec::new(), HashMap::new());
        Self { now: Timestamp(1_000_000), agenda, under_way: Vec::new(), at_once, well_from, tries, done }
    }

    /// Goes on until there is nothing to do, or until `end`.
    fn run(&mut self, end: Timestamp, jitter: f64) {
        while self.now < end {
            let mut wake = None;
            while self.under_way.len() < self.at_once {
                match self.agenda.next(self.now) {
                    Step::Look(item) => {
                        assert!(self.under_way.iter().all(|(other, _)| *other != item), "twice at a time");
                        self.under_way.push((item, self.now.after(TAKES)));
                    }
                    Step::Wait(until) => {
                        assert!(until > self.now, "a wait for nothing");
                        wake = Some(until);
                        break;
                    }
                    Step::Nothing => break,
                }
            }
            let next = self.under_way.iter().map(|(_, ends)| *ends).chain(wake).min();
            let Some(next) = next else { return };
            self.now = next;
            let (ended, still): (Vec<_>, Vec<_>) =
                self.under_way.drain(..).partition(|(_, ends)| *ends <= next);
            self.under_way = still;
            for (item, _) in ended {
                let how = match self.well_from[item] {
                    None => Ended::Idle,
                    Some(from) if self.now >= from => Ended::Well,
                    Some(_) => Ended::Badly,
                };
                if how != Ended::Idle {
                    self.tries.push((item, self.now, how == Ended::Well));
                }
                if how != Ended::Badly {
                    assert_eq!(self.done.insert(item, self.now), None, "looked at although it was done");
                }
                self.agenda.ended(item, how, self.now, jitter);
            }
        }
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_000_000).after(Duration::from_secs(seconds))
}

const HOUR: u64 = 3600;

proptest! {
    #[test]
    fn everything_is_done_soon_after_the_application_is_well(
        well_from in prop::collection::vec(prop::option::of(0..HOUR), 1..40),
        at_once in 1..6_usize,
        jitter in 0.0..1.0,
    ) {
        let times: Vec<_> = well_from.iter().map(|from| from.map(at)).collect();
        let last = well_from.iter().flatten().max().copied().unwrap_or(0);
        let count = times.len() as u64;
        let mut world = World::new(times, at_once);
        // Each wait ends with a few tries, and a success ends the waiting; the last ones wait longest.
        let soon = at(last + (RETRY_MOST.as_secs() + 1) * (2 + count));
        world.run(soon, jitter);
        prop_assert_eq!(world.done.len(), world.well_from.len(), "{:?}", world.agenda);
        prop_assert_eq!(world.agenda.next(world.now), Step::Nothing);
        prop_assert_eq!((world.agenda.waiting(), world.agenda.failing()), (0, 0));
    }

    #[test]
    fn an_application_that_fails_altogether_is_left_alone(
        count in 1..2000_usize,
        at_once in 1..6_usize,
        jitter in 0.0..1.0,
    ) {
        let mut world = World::new(vec![Some(at(1000 * HOUR)); count], at_once);
        world.run(at(HOUR), jitter);
        // Waits of 30, 60, 120, 240 and then 300 seconds, less a tenth.
        let waits = 5 + (3600 - 405) / 270;
        let most = waits * (FAILURES_IN_A_ROW as usize + at_once);
        prop_assert!(world.tries.len() <= most, "{} tries in an hour", world.tries.len());
        let shortest = RETRY_FIRST.mul_f64(0.9);
        let gaps = world.tries.windows(2).map(|pair| pair[1].1.since(pair[0].1));
        prop_assert!(gaps.filter(|gap| *gap >= shortest).count() >= 12, "it does not rest");
    }

    #[test]
    fn one_broken_page_holds_up_no_other(count in 2..100_usize, broken in 0..100_usize, at_once in 1..6_usize) {
        let broken = broken % count;
        let mut times = vec![Some(at(0)); count];
        times[broken] = Some(at(1000 * HOUR));
        let mut world = World::new(times, at_once);
        world.run(at(600), 0.5);
        prop_assert_eq!(world.done.len(), count - 1);
        let before_any_wait = at(0).after(TAKES * u32::try_from(count).expect("a few"));
        prop_assert!(world.done.values().all(|when| *when <= before_any_wait), "somebody waited for it");
        // After 30, 60, 120 and 240 seconds, less a twentieth.
        prop_assert!(world.tries.iter().filter(|(item, ..)| *item == broken).count() <= 6);
    }
}

#[test]
fn what_is_asked_for_again_while_it_is_under_way_is_looked_at_again() {
    let mut agenda = Agenda::default();
    agenda.want("page");
    assert_eq!(agenda.next(at(0)), Step::Look("page"));
    agenda.want("page");
    agenda.ended("page", Ended::Well, at(1), 0.0);
    assert_eq!(agenda.next(at(1)), Step::Look("page"));
    agenda.ended("page", Ended::Idle, at(2), 0.0);
    assert_eq!(agenda.next(at(2)), Step::Nothing);
}

#[test]
fn asking_again_ends_no_wait() {
    let mut agenda = Agenda::default();
    agenda.want("page");
    agenda.next(at(0));
    agenda.ended("page", Ended::Badly, at(0), 0.0);
    agenda.want("page");
    agenda.want("other");
    assert_eq!(agenda.next(at(1)), Step::Wait(at(30)));
    assert_eq!(agenda.next(at(30)), Step::Look("other"), "what has not failed goes first");
    agenda.ended("other", Ended::Well, at(30), 0.0);
    assert_eq!(agenda.next(at(30)), Step::Wait(at(60)), "and what has waits its turn");
    assert_eq!(agenda.next(at(60)), Step::Look("page"));
}

#[test]
fn what_failed_during_a_wait_begins_no_other() {
    let mut agenda = Agenda::default();
    (0..10).for_each(|page| agenda.want(page));
    let under_way = 0..8;
    for page in under_way.clone() {
        assert_eq!(agenda.next(at(0)), Step::Look(page));
    }
    under_way.for_each(|page| agenda.ended(page, Ended::Badly, at(0), 0.0));
    assert_eq!(agenda.next(at(0)), Step::Wait(at(30)));
    assert_eq!(agenda.next(at(30)), Step::Look(8));
    // A visitor has brought it meanwhile.
    agenda.ended(8, Ended::Idle, at(30), 0.0);
    assert_eq!(agenda.next(at(30)), Step::Look(9), "nothing has failed since the wait");
}

#[test]
fn what_is_no_longer_listed_is_forgotten() {
    let mut agenda = Agenda::default();
    for page in ["gone", "kept"] {
        agenda.want(page);
    }
    agenda.keep_only(|page| *page == "kept");
    assert_eq!(agenda.next(at(0)), Step::Look("kept"));
    agenda.ended("kept", Ended::Badly, at(0), 0.0);
    agenda.keep_only(|_| false);
    assert_eq!(agenda.next(at(31)), Step::Nothing);
}
