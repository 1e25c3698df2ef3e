//! Who may write: one operator of an installation, the holder of its Lease.
//!
//! Every write to the Lease carries the `resourceVersion` that was read, so that of two who take it one fails. Clocks
//! of other machines are not looked at: a Lease is free when it did not change for its duration by our own clock, and
//! ours is over, by our own clock, before anybody else's patience can be ([`Leadership::is_leader`]). A process that was
//! stopped and goes on thus knows that it may not write, before it has asked anybody.
//!
//! Who has lost the Lease stands by again: what wrote is ended first ([`crate::Operator::run`]), and then it is asked for like by
//! any other. A process that ended instead would begin anew after the pauses of the kubelet, which grow to minutes, with lists of
//! everything, just when an API server comes back.
//!
//! This is our own because the crates for it renew a Lease but do not say at each write whether it is still held.

mod decision;
mod holding;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::Context;
use holding::{Attended, Holding};

/// Whether this process may write, right now. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(Arc<Term>);

/// Until when the Lease is held without being renewed.
#[derive(Debug)]
struct Term {
    start: Instant,
    /// Milliseconds after the start; 0 while it is not held.
    end: AtomicU64,
}

/// The other end of [`Leadership`].
pub(crate) struct Lease {
    term: Arc<Term>,
    holding: Holding,
    context: Context,
}

impl Leadership {
    /// That of a process which holds no Lease.
    pub(crate) fn none() -> Self {
        Self(Arc::new(Term { start: Instant::now(), end: AtomicU64::new(0) }))
    }

    /// Whether writing is allowed at this moment.
    pub(crate) fn is_leader(&self) -> bool {
        !self.0.left(Instant::now()).is_zero()
    }
}

impl Term {
    /// How much of it is left.
    fn left(&self, now: Instant) -> Duration {
        let end = self.start + Duration::from_millis(self.end.load(Ordering::Acquire));
        end.saturating_duration_since(now)
    }

    fn extend_to(&self, end: Instant) {
        let length = end.duration_since(self.start).as_millis();
        self.end.store(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn end(&self) {
        self.end.store(0, Ordering::Release);
    }
}

impl Lease {
    /// The Lease of an installation, not held yet. Who asks `context` whether it may write, asks about this one.
    pub(crate) fn new(context: &Context) -> Self {
        let term = Arc::clone(&context.leadership.0);
        Self { term, holding: Holding::new(context), context: context.clone() }
    }

    /// Takes the Lease as soon as it is free.
    pub(crate) async fn take(&mut self) {
        let duration = self.context.config.lease_duration;
        loop {
            let asked = Instant::now();
            let pause = match self.attend(false, duration / 3).await {
                Ok(Attended::Mine) => {
                    self.extend(asked);
                    let (lease, identity) = (self.holding.name(), self.holding.identity());
                    tracing::info!(lease, identity, "holding the Lease");
                    self.context.metrics.is_leader.set(1);
                    return;
                }
                Ok(Attended::Theirs { free_in, .. }) => free_in.min(duration / 3),
                Err(error) => self.failed(&error),
            };
            tokio::time::sleep(jittered(pause)).await;
        }
    }

    /// Keeps the Lease for as long as it can be renewed; returns why it is lost. From then on [`Leadership`] says so.
    pub(crate) async fn keep(&mut self) -> String {
        let duration = self.context.config.lease_duration;
        let mut pause = duration / 3;
        let why = loop {
            tokio::time::sleep(jittered(pause).min(self.left())).await;
            // A process that was stopped wakes up here.
            let left = self.left();
            if left.is_zero() {
                break "it could not be renewed in time".to_owned();
            }
            let asked = Instant::now();
            pause = match self.attend(true, left.min(duration / 3)).await {
                Ok(Attended::Mine) => {
                    self.extend(asked);
                    duration / 3
                }
                Ok(Attended::Theirs { holder, .. }) => break format!("{holder} holds it"),
                Err(error) => self.failed(&error),
            };
        };
        self.term.end();
        self.context.metrics.stand_by();
        why
    }

    /// Leaves the Lease to whoever waits for it, if it is held.
    pub(crate) async fn release(&mut self) {
        let was_held = !self.left().is_zero();
        self.term.end();
        self.context.metrics.stand_by();
        if was_held {
            self.holding.release(RETRY).await;
        }
    }

    /// `namespace/name` of the Lease.
    pub(crate) fn name(&self) -> String {
        self.holding.name()
    }

    /// Looks at the Lease once and does what is due, within this time.
    async fn attend(&mut self, is_held: bool, patience: Duration) -> Result<Attended, String> {
        let attended = tokio::time::timeout(patience, self.holding.attend(is_held)).await;
        attended.unwrap_or_else(|_| Err("the API server does not answer".to_owned()))
    }

    /// Takes note of a look that came to nothing; how long to wait before the next.
    fn failed(&self, error: &str) -> Duration {
        tracing::warn!(lease = self.name(), error, "the Lease cannot be attended to; trying again");
        RETRY.min(self.context.config.lease_duration / 10)
    }

    /// It is held for two thirds of its duration, counted from before the request: whoever sees the result sees it later.
    fn extend(&self, asked: Instant) {
        self.term.extend_to(asked + self.context.config.lease_duration * 2 / 3);
    }

    fn left(&self) -> Duration {
        self.term.left(Instant::now())
    }
}

/// The pause after a failed request.
const RETRY: Duration = Duration::from_secs(1);

/// Up to a tenth earlier, so that replicas do not ask in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - 0.1 * fastrand::f64())
}

#[cfg(test)]
mod tests;
