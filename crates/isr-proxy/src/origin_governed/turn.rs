//! One validation of a stored response at a time, for all who ask.

use std::sync::Arc;
use std::time::Duration;

use isr_cache::{Outcome, Standing, Timestamp, Verdict, Watermark, Why};
use tokio::sync::watch;

use crate::landing::Landing;
use crate::state::Proxy;

/// Whose turn it is to validate.
pub(super) enum Turn {
    /// This visitor's.
    Mine(Flight),
    /// Another's, who is at it.
    Another(Another),
    /// Nobody's: it is not worth waiting for each other.
    Alone,
}

/// A validation under way. Dropped, it has failed: whoever waits is never forgotten.
pub(super) struct Flight {
    proxy: Arc<Proxy>,
    key: Vec<u8>,
    number: u64,
    outcome: Outcome,
}

/// The validation of another visitor.
pub(super) struct Another {
    landing: watch::Receiver<Landing>,
    number: u64,
}

/// What the state machine is told of all of these. It only has to know that somebody waits, or that nobody does: what
/// is stored, and whether it was invalidated meanwhile, is looked up again afterwards.
const AWAITED: Standing = Standing::Expired { why: Why::Age };
const BEHIND: Standing = Standing::Stale { by: Duration::ZERO, why: Why::Age };

/// Takes a turn to validate what is stored under `key` while a visitor waits.
pub(super) fn take(proxy: &Arc<Proxy>, key: &[u8], now: Timestamp) -> Turn {
    let key = key_of_turns(key);
    let taken = proxy.entries.with(&key, now, |live| {
        let verdict = live.entry.on_request(now, AWAITED, Watermark::default(), proxy.pages.epoch());
        (verdict, live.landing.subscribe())
    });
    match taken {
        Some((Verdict::Wait { number, render: Some(_) }, _)) => Turn::Mine(Flight::new(proxy, key, number)),
        Some((Verdict::Wait { number, render: None }, landing)) => Turn::Another(Another { landing, number }),
        _ => Turn::Alone,
    }
}

/// Takes a turn to validate what is stored under `key` behind the visitors' backs; `None` if somebody is at it, or it is
/// too early after a failure.
pub(super) fn take_behind(proxy: &Arc<Proxy>, key: &[u8], now: Timestamp) -> Option<Flight> {
    let key = key_of_turns(key);
    let verdict = proxy.entries.with(&key, now, |live| {
        live.entry.on_request(now, BEHIND, Watermark::default(), proxy.pages.epoch())
    })?;
    let Verdict::ServeStale { render: Some(flight) } = verdict else { return None };
    Some(Flight::new(proxy, key, flight.number))
}

/// Whether the last validation has failed.
pub(super) fn has_failed(proxy: &Proxy, key: &[u8]) -> bool {
    proxy.entries.peek(&key_of_turns(key), |live| live.entry.failure().is_some()).unwrap_or(false)
}

/// The key itself belongs to renders on demand, whose waiting lines are not ours.
fn key_of_turns(key: &[u8]) -> Vec<u8> {
    [key, b"validation"].concat()
}

impl Flight {
    fn new(proxy: &Arc<Proxy>, key: Vec<u8>, number: u64) -> Self {
        Self { proxy: Arc::clone(proxy), key, number, outcome: Outcome::Failed }
    }

    /// Tells everybody who waits how it went.
    pub(super) fn ends(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Self { proxy, key, number, outcome } = self;
        let now = proxy.clock.now();
        let jitter = fastrand::f64();
        proxy.entries.with(key, now, |live| {
            // Nothing can be queued behind it, since no invalidation was told to the entry.
            live.entry.on_landed(now, *outcome, BEHIND, proxy.pages.epoch(), jitter);
            live.landing.send_replace(Landing { number: *number, ..Landing::none() });
        });
    }
}

impl Another {
    /// Waits until it has ended, for `limit` at most.
    pub(super) async fn wait(mut self, limit: Duration) {
        let landed = self.landing.wait_for(|landing| landing.number >= self.number);
        // Whatever ended the waiting, the visitor looks at what is stored now.
        drop(tokio::time::timeout(limit, landed).await);
    }
}
