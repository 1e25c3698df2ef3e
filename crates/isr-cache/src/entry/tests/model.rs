//! Random histories beside a naive model of what an entry should do.

use proptest::prelude::*;

use super::super::*;
use crate::{Epochs, Group, Interval, Mode, NoStore, Render};

const POLICY: Interval = Interval {
    every: Some(Duration::from_secs(10)),
    stale_for: Some(Duration::from_secs(1000)),
    no_store: NoStore::Honor,
};

/// One key with its stored page, driven as the proxy drives it, beside a history from which a naive model says what
/// must be true. The model knows nothing of epochs, flights or back-off: it reads the whole history every time.
struct World {
    now: Timestamp,
    epochs: Epochs,
    group: Group,
    entry: Entry,
    page: Option<Render>,
    flight: Option<Flight>,
    /// Since when the render under way is, in the order of events.
    flight_since: usize,
    history: Vec<Event>,
    waiting: Vec<Waiter>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Stored { since: usize, at: Timestamp, born_stale: bool },
    Dropped,
    Failed { at: Timestamp },
    OptedOut { at: Timestamp },
    Invalidated(Mode),
    Began(Trigger),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    since: usize,
    number: u64,
    on_demand: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Advance(u64),
    Request,
    OnDemand,
    Prerender,
    Invalidate(Mode),
    Land(Outcome, f64),
    AskAgain,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: Timestamp::default(),
            epochs: Epochs::default(),
            group: Group::new("/".into()),
            entry: Entry::default(),
            page: None,
            flight: None,
            flight_since: 0,
            history: Vec::new(),
            waiting: Vec::new(),
        }
    }
}

impl World {
    fn standing(&self) -> Standing {
        self.page.map_or(Standing::Missing, |page| page.standing(self.now, &POLICY, self.group.watermark()))
    }

    fn begin(&mut self, flight: Flight) {
        assert_eq!(self.flight, None, "two renders of one key at once");
        self.flight = Some(flight);
        self.flight_since = self.history.len();
        self.history.push(Event::Began(flight.trigger));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Advance(millis) => self.now = self.now.after(Duration::from_millis(millis)),
            Step::Request => self.request(),
            Step::Prerender => self.prerender(),
            Step::OnDemand => {
                let verdict = self.entry.on_demand(self.epochs.advance());
                let Verdict::Wait { number, render } = verdict else {
                    panic!("who asks on demand waits for a render: {verdict:?}")
                };
                self.wait(number, render, true);
            }
            Step::Invalidate(mode) => {
                self.group.invalidate(mode, self.epochs.advance());
                self.history.push(Event::Invalidated(mode));
            }
            Step::Land(outcome, jitter) => self.land(outcome, jitter),
            Step::AskAgain => {
                if let Some(flight) = self.entry.ask_again(self.now, self.epochs.current()) {
                    self.begin(flight);
                }
            }
        }
    }

    fn wait(&mut self, number: u64, render: Option<Flight>, on_demand: bool) {
        self.waiting.push(Waiter { since: self.history.len(), number, on_demand });
        if let Some(flight) = render {
            self.begin(flight);
        }
        assert!(self.flight.is_some(), "somebody waits and no render is under way");
    }

    fn request(&mut self) {
        let standing = self.standing();
        let verdict =
            self.entry.on_request(self.now, standing, self.group.watermark(), self.epochs.current());
        match verdict {
            Verdict::Serve => assert!(self.model_fresh(), "served as fresh, but it is not"),
            Verdict::ServeStale { render } => {
                assert!(!self.model_fresh(), "served as stale, but it is fresh");
                assert!(self.model_servable(), "served stale, but it may not be served");
                if let Some(flight) = render {
                    assert!(!self.model_backing_off(), "rendered again too soon after a failure");
                    self.begin(flight);
                }
            }
            Verdict::Wait { number, render } => {
                assert!(!self.model_servable(), "a visitor waits although a page may be served");
                self.wait(number, render, false);
            }
            Verdict::Pass => {
                assert!(!self.model_servable(), "passed although a page may be served");
                assert!(self.model_opted_out(), "passed although nothing opted out");
            }
        }
    }

    fn prerender(&mut self) {
        let standing = self.standing();
        match self.entry.on_prerender(self.now, standing, self.epochs.current()) {
            Verdict::Serve => assert!(self.model_servable(), "taken for there, and a visitor would wait"),
            Verdict::Wait { render, .. } => {
                assert!(!self.model_fresh(), "rendered although it is fresh");
                assert!(
                    !self.model_servable() || self.model_invalidated_page(),
                    "rendered because of its age: that is for visitors to begin"
                );
                // Whoever prerenders waits, but is no visitor: an older render is no wrong answer to them.
                if let Some(flight) = render {
                    assert_eq!(flight.trigger, Trigger::Prerender);
                    self.begin(flight);
                }
                assert!(self.flight.is_some(), "waits for nothing");
            }
            Verdict::Pass => assert!(self.model_opted_out(), "passed although nothing opted out"),
            Verdict::ServeStale { .. } => panic!("nobody is there to be served"),
        }
    }

    fn land(&mut self, outcome: Outcome, jitter: f64) {
        let Some(flight) = self.flight.take() else { return };
        let since = self.flight_since;
        let servable_before = self.model_servable();
        let landed = self.entry.on_landed(self.now, outcome, self.standing(), self.epochs.advance(), jitter);

        // Whoever came before this render began got an answer no older than their own request; a purge counts.
        self.waiting.retain(|waiter| {
            let answered = waiter.number <= flight.number;
            if answered && waiter.on_demand {
                assert!(since >= waiter.since, "an on-demand request was answered by an older render");
            }
            if answered {
                let purged_after = |event: &Event| *event == Event::Invalidated(Mode::Hard);
                let between = self.history.get(since..waiter.since).unwrap_or_default();
                assert!(!between.iter().any(purged_after), "a visitor got a render from before a purge");
            }
            !answered
        });

        let event = match landed.store {
            Store::Replace => {
                let born_stale = outcome == Outcome::AlreadyStale;
                self.page =
                    Some(Render { finished: self.now.into(), began: flight.began, born_stale, spread: 0 });
                if flight.trigger == Trigger::OnDemand {
                    self.group.invalidate(Mode::Hard, flight.began);
                }
                Event::Stored { since, at: self.now, born_stale }
            }
            Store::Drop => {
                self.page = None;
                Event::Dropped
            }
            Store::Keep => Event::Nothing,
        };
        self.history.push(event);
        match outcome {
            Outcome::Failed | Outcome::Unstorable => {
                assert_eq!(self.model_servable(), servable_before, "a failure cost a good page");
                self.history.push(Event::Failed { at: self.now });
                if outcome == Outcome::Unstorable {
                    self.history.push(Event::OptedOut { at: self.now });
                }
            }
            Outcome::OptedOut => self.history.push(Event::OptedOut { at: self.now }),
            Outcome::Rendered | Outcome::AlreadyStale => {}
        }
        match landed.next {
            Some(Next::Now(flight)) => self.begin(flight),
            Some(Next::After(_)) | None => {}
        }
        assert!(self.waiting.is_empty() || self.flight.is_some(), "somebody waits for ever");
    }

    // The naive model.

    /// The stored page: when its render began in the history, when it landed.
    fn model_page(&self) -> Option<(usize, Timestamp, bool)> {
        self.history.iter().rev().find_map(|event| match *event {
            Event::Stored { since, at, born_stale } => Some(Some((since, at, born_stale))),
            Event::Dropped => Some(None),
            _ => None,
        })?
    }

    fn model_invalidated(&self, since: usize, mode: Mode) -> bool {
        self.history[since..].contains(&Event::Invalidated(mode))
    }

    fn model_invalidated_page(&self) -> bool {
        self.model_page().is_some_and(|(since, ..)| {
            self.model_invalidated(since, Mode::Soft) || self.model_invalidated(since, Mode::Hard)
        })
    }

    fn model_fresh(&self) -> bool {
        self.model_page().is_some_and(|(since, at, born_stale)| {
            !born_stale
                && self.now.since(at) < Duration::from_secs(10)
                && !self.model_invalidated(since, Mode::Soft)
                && !self.model_invalidated(since, Mode::Hard)
        })
    }

    fn model_servable(&self) -> bool {
        self.model_page().is_some_and(|(since, at, _)| {
            self.now.since(at) <= Duration::from_secs(1010) && !self.model_invalidated(since, Mode::Hard)
        })
    }

    fn model_backing_off(&self) -> bool {
        let last = self.history.iter().rev().find_map(|event| match *event {
            Event::Failed { at } => Some(Some(at)),
            Event::Stored { .. } | Event::Dropped => Some(None),
            _ => None,
        });
        last.flatten().is_some_and(|at| self.now.since(at) < RETRY_FIRST.mul_f64(0.9))
    }

    fn model_opted_out(&self) -> bool {
        self.history
            .iter()
            .any(|event| matches!(event, Event::OptedOut { at } if self.now.since(*at) < OPT_OUT))
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Rendered),
        3 => Just(Outcome::Failed),
        1 => Just(Outcome::AlreadyStale),
        1 => Just(Outcome::OptedOut),
        1 => Just(Outcome::Unstorable),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..15_000).prop_map(Step::Advance),
        1 => (0_u64..1_200_000).prop_map(Step::Advance),
        8 => Just(Step::Request),
        2 => Just(Step::Prerender),
        1 => Just(Step::OnDemand),
        1 => prop_oneof![Just(Mode::Soft), Just(Mode::Hard)].prop_map(Step::Invalidate),
        5 => (outcome(), 0.0..1.0).prop_map(|(outcome, jitter)| Step::Land(outcome, jitter)),
        1 => Just(Step::AskAgain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_agree_with_the_naive_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World { now: Timestamp(1_000_000), ..World::default() };
        for step in steps {
            world.step(step);
        }
    }

    #[test]
    fn the_wait_after_a_failure_stays_within_its_bounds(count in 1_u32..1000, jitter in 0.0..1.0) {
        let wait = retry_after(count, jitter);
        prop_assert!(wait >= RETRY_FIRST.mul_f64(0.9) && wait <= RETRY_MOST);
    }
}
