//! What the cache does about one key: serve, serve stale and render, wait, or step aside.
//!
//! An [`Entry`] remembers what the stored page cannot: the render under way, the last failure, an opt-out. It is asked
//! only when the stored page alone does not settle the request; a fresh page never touches it. Each method takes what
//! happened and the time, changes the entry, and returns what the caller has to do. There is at most one render of a
//! key under way, always; everything else follows from that.

use std::time::Duration;

use crate::{Epoch, Standing, Timestamp, Watermark, Why};

/// Wait this long after the first failed render before the next; Vercel retries after the same time.
pub const RETRY_FIRST: Duration = Duration::from_secs(30);
/// Longer than this between two renders of a failing page, and its recovery would go unnoticed for too long.
pub const RETRY_MOST: Duration = Duration::from_mins(5);
/// How long a page that opted out is passed through without asking again whether it still does. Varnish remembers an
/// uncacheable response for the same time.
pub const OPT_OUT: Duration = Duration::from_mins(2);
/// An origin that answered with a stale copy of its own is renewing it now: ask again after this time, then twice it…
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
/// …and so on, this many times, before the stale copy counts as a failed render.
pub const ASK_AGAIN_TIMES: u32 = 3;

/// A render under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Counts the renders of this key; who waits, waits for a number.
    pub number: u64,
    /// Why it was begun.
    pub trigger: Trigger,
    /// The epoch it began in.
    pub began: Epoch,
}

/// Why a render is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Nothing servable is stored and a visitor waits.
    Miss,
    /// The stored page is stale.
    Stale,
    /// A request with the route's token asked for it.
    OnDemand,
    /// The route wants the page to be there before anybody asks for it.
    Prerender,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve the stored page.
    Serve,
    /// Serve the stored page; begin the render if there is one.
    ServeStale {
        /// The render to begin. `None`: one is under way, or it is too early to try again.
        render: Option<Flight>,
    },
    /// Wait until a render with this number, or a later one, has landed.
    Wait {
        /// The number to wait for.
        number: u64,
        /// The render to begin. `None`: one is under way.
        render: Option<Flight>,
    },
    /// Send the request to the origin by itself and store nothing.
    Pass,
}

/// How a render ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a page to store.
    Rendered,
    /// With a page that the origin itself calls stale.
    AlreadyStale,
    /// The page says that it must not be stored.
    OptedOut,
    /// With a page that cannot be stored: too long, or varying by what the key does not hold.
    Unstorable,
    /// With an error, a broken body, or not at all.
    Failed,
}

/// What to do with what a render brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed {
    /// What becomes of the stored page.
    pub store: Store,
    /// The render to begin next, if somebody waits for one.
    pub next: Option<Next>,
}

/// What becomes of the stored page when a render has landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The new page replaces it.
    Replace,
    /// It stays.
    Keep,
    /// It goes, and the new page is not stored either.
    Drop,
}

/// A render that follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin it now.
    Now(Flight),
    /// Ask the entry again after this time, with [`Entry::ask_again`].
    After(Duration),
}

/// What is remembered of the last render that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many renders in a row have failed.
    pub count: u32,
    /// When the last one did.
    pub at: Timestamp,
    /// No render is begun for a stale page before this time.
    pub retry_at: Timestamp,
}

/// The state of one key beside its stored page.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The number of the last render begun.
    number: u64,
    flight: Option<Flight>,
    /// Somebody waits for a render that begins after the present one.
    queued: Option<Trigger>,
    failure: Option<Failure>,
    passing_until: Option<Timestamp>,
    /// How many times in a row the origin gave a stale copy, and when to ask again.
    stale_copies: u32,
    ask_again_at: Option<Timestamp>,
}

impl Entry {
    /// A request came whose stored page stands so. `epoch` is the present one.
    pub fn on_request(
        &mut self,
        now: Timestamp,
        standing: Standing,
        watermark: Watermark,
        epoch: Epoch,
    ) -> Verdict {
        match standing {
            Standing::Fresh { .. } => Verdict::Serve,
            Standing::Stale { why: Why::Outdated, .. } => match self.flight {
                Some(flight) if flight.began < watermark.hard => self.queue(flight, Trigger::Miss),
                Some(flight) => Verdict::Wait { number: flight.number, render: None },
                None if self.may_refresh(now) => self.begin_and_wait(Trigger::Miss, epoch),
                None => Verdict::ServeStale { render: None },
            },
            Standing::Stale { why: Why::Unsure, .. } => Verdict::ServeStale { render: None },
            Standing::Stale { .. } => Verdict::ServeStale {
                render: self.may_refresh(now).then(|| self.begin(Trigger::Stale, epoch)),
            },
            Standing::Missing | Standing::Expired { .. } => {
                if self.passes(now) {
                    return Verdict::Pass;
                }
                match self.flight {
                    // A render that began before an invalidation cannot answer who came after it.
                    Some(flight) if flight.began < watermark.hard => self.queue(flight, Trigger::Miss),
                    Some(flight) => Verdict::Wait { number: flight.number, render: None },
                    None => self.begin_and_wait(Trigger::Miss, epoch),
                }
            }
        }
    }

    /// A request with the route's token asks for a render that begins now or later. `epoch` is a new one.
    pub fn on_demand(&mut self, epoch: Epoch) -> Verdict {
        // Who purges a page that opted out a minute ago wants to know whether it still does.
        self.passing_until = None;
        match self.flight {
            Some(flight) => self.queue(flight, Trigger::OnDemand),
            None => self.begin_and_wait(Trigger::OnDemand, epoch),
        }
    }

    /// The page is to be [there](Standing::is_there) before anybody asks for it. Never answers [`Verdict::ServeStale`].
    pub fn on_prerender(&mut self, now: Timestamp, standing: Standing, epoch: Epoch) -> Verdict {
        if standing.is_there() {
            return Verdict::Serve;
        }
        if self.passes(now) {
            return Verdict::Pass;
        }
        match self.flight {
            // Should it have begun before an invalidation, whoever looks again finds that the page is still not there.
            Some(flight) => Verdict::Wait { number: flight.number, render: None },
            None => self.begin_and_wait(Trigger::Prerender, epoch),
        }
    }

    /// The render with this number begins now, in a later epoch than was known when it was asked for.
    pub fn on_begun(&mut self, number: u64, epoch: Epoch) {
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.number == number) {
            flight.began = epoch.max(flight.began);
        }
    }

    /// The render under way has ended. `stored` is how the stored page stands now, `epoch` a new one, `jitter` a
    /// random number from 0 to 1.
    pub fn on_landed(
        &mut self,
        now: Timestamp,
        outcome: Outcome,
        stored: Standing,
        epoch: Epoch,
        jitter: f64,
    ) -> Landed {
        self.flight = None;
        let servable = matches!(stored, Standing::Fresh { .. } | Standing::Stale { .. });
        let mut ask_again = None;

        let store = match outcome {
            Outcome::Rendered => {
                self.succeed();
                Store::Replace
            }
            Outcome::AlreadyStale => {
                self.stale_copies += 1;
                if self.stale_copies <= ASK_AGAIN_TIMES {
                    let after = ASK_AGAIN * (1 << (self.stale_copies - 1));
                    self.ask_again_at = Some(now.after(after));
                    ask_again = Some(Next::After(after));
                } else {
                    self.fail(now, jitter);
                }
                // A stale copy is better than nothing, and no better than what is there.
                if servable { Store::Keep } else { Store::Replace }
            }
            Outcome::OptedOut => {
                self.succeed();
                self.passing_until = Some(now.after(OPT_OUT));
                Store::Drop
            }
            Outcome::Unstorable | Outcome::Failed => {
                self.fail(now, jitter);
                if outcome == Outcome::Unstorable && !servable {
                    self.passing_until = Some(now.after(OPT_OUT));
                }
                Store::Keep
            }
        };

        let queued = self.queued.take().map(|trigger| Next::Now(self.begin(trigger, epoch)));
        Landed { store, next: queued.or(ask_again) }
    }

    /// The time that [`Next::After`] named has come: the render to begin, unless one is under way or the origin has
    /// given a page of its own meanwhile.
    pub fn ask_again(&mut self, now: Timestamp, epoch: Epoch) -> Option<Flight> {
        let due = self.flight.is_none() && self.ask_again_at.is_some_and(|at| now >= at);
        due.then(|| self.begin(Trigger::Stale, epoch))
    }

    /// Whether requests for this key go to the origin one by one because its page opted out of being stored.
    pub fn passes(&self, now: Timestamp) -> bool {
        self.passing_until.is_some_and(|until| now < until)
    }

    /// Whether there is nothing here worth remembering at `now`.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.flight.is_none()
            && !self.passes(now)
            && self.ask_again_at.is_none_or(|at| now > at.after(RETRY_FIRST))
            // The count of failures outlives the wait, so that the next one waits longer.
            && self.failure.is_none_or(|failure| now > failure.retry_at.after(RETRY_MOST))
    }

    /// The render under way.
    pub fn flight(&self) -> Option<Flight> {
        self.flight
    }

    /// The last failure, if no render has succeeded since.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    fn begin(&mut self, trigger: Trigger, epoch: Epoch) -> Flight {
        self.number += 1;
        let flight = Flight { number: self.number, trigger, began: epoch };
        self.flight = Some(flight);
        self.ask_again_at = None;
        flight
    }

    fn begin_and_wait(&mut self, trigger: Trigger, epoch: Epoch) -> Verdict {
        let flight = self.begin(trigger, epoch);
        Verdict::Wait { number: flight.number, render: Some(flight) }
    }

    /// Waits for the render after `flight`; an on-demand trigger is not forgotten for a lesser one.
    fn queue(&mut self, flight: Flight, trigger: Trigger) -> Verdict {
        if self.queued != Some(Trigger::OnDemand) {
            self.queued = Some(trigger);
        }
        Verdict::Wait { number: flight.number + 1, render: None }
    }

    fn may_refresh(&self, now: Timestamp) -> bool {
        self.flight.is_none()
            && self.failure.is_none_or(|failure| now >= failure.retry_at)
            && self.ask_again_at.is_none_or(|at| now >= at)
    }

    fn succeed(&mut self) {
        self.failure = None;
        self.stale_copies = 0;
        self.ask_again_at = None;
    }

    fn fail(&mut self, now: Timestamp, jitter: f64) {
        let count = self.failure.map_or(0, |failure| failure.count).saturating_add(1);
        self.stale_copies = 0;
        self.ask_again_at = None;
        self.failure = Some(Failure { count, at: now, retry_at: now.after(retry_after(count, jitter)) });
    }
}

/// How long to wait after the `count`th failure in a row: 30 s doubling to 5 min, less up to a tenth by `jitter`
/// (0 to 1), so that pages which failed together do not all ask again together.
pub fn retry_after(count: u32, jitter: f64) -> Duration {
    let doublings = count.saturating_sub(1).min(16);
    let wait = RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MOST);
    wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 10.0)
}

#[cfg(test)]
mod tests;
