//! What is read when. Pure: time and chance are arguments.
//!
//! A Secret is read at once when a route that names it changes, or when a watch says that it changed itself. Otherwise it
//! is read once a period, each Secret at a moment of its own, so that a thousand Secrets are a steady trickle of requests.
//! One that does not exist is looked for sooner at first: a Secret is often created moments after the route.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isr_routes::{References, Secret};

use crate::world::Key;

/// The first pause after a failure, doubled with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest pause while nothing at all is known of a Secret: the table waits for it.
const WAITED_FOR_MOST: Duration = Duration::from_secs(2);
/// The longest pause before a Secret that changed is read again, and the pause after a refusal where a watch tells of
/// changes: roles change without one.
const RETRY_MOST: Duration = Duration::from_secs(30);
/// The first pause before looking for a missing Secret again, doubled each time up to the period.
const MISSING_FIRST: Duration = Duration::from_secs(1);
/// So often in a row may an API server that is there fail to show a Secret of which nothing is known, before the table is
/// made without it: about twelve seconds. Other routes should not wait longer for the one.
const FAILURES_MOST: u32 = 10;

/// What is known of the Secrets that routes name, and when each is read next. Times count from any one moment.
pub(crate) struct Schedule {
    /// How often a Secret is read that nothing points at having changed; `None` where a watch tells.
    period: Option<Duration>,
    secrets: BTreeMap<Key, Entry>,
}

/// A Secret to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Which.
    pub(crate) secret: Key,
    /// The keys whose values are wanted.
    pub(crate) keys: BTreeSet<String>,
    /// Whether an answer that is behind by moments would do harm: something just changed.
    pub(crate) is_exact: bool,
}

/// What came of reading a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there.
    Found(Secret),
    /// It does not exist.
    Gone,
    /// We may not read it; the phrase says what to grant.
    Refused(String),
    /// Nothing was learnt. With what the API server says, if it is there and fails.
    Failed(Option<String>),
}

struct Entry {
    keys: BTreeSet<String>,
    known: Known,
    /// When it is read next; `None` is never, until something changes.
    next: Option<Duration>,
    is_exact: bool,
    /// Failures, or looks in vain, in a row.
    attempts: u32,
    /// Those of them in which the API server was there, and failed.
    failures: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Found(Secret),
    Gone,
    Unreadable(String),
}

impl Schedule {
    /// Nothing is wanted yet.
    pub(crate) fn new(period: Option<Duration>) -> Self {
        Self { period, secrets: BTreeMap::new() }
    }

    /// Says which keys of which Secrets routes name, and which of these Secrets may have changed.
    pub(crate) fn want(
        &mut self,
        wanted: BTreeMap<Key, BTreeSet<String>>,
        touched: &BTreeSet<Key>,
        now: Duration,
    ) {
        self.secrets.retain(|secret, _| wanted.contains_key(secret));
        for (secret, keys) in wanted {
            let is_touched = touched.contains(&secret);
            let entry = self.secrets.entry(secret).or_insert_with(|| Entry {
                keys: BTreeSet::new(),
                known: Known::Nothing,
                next: None,
                is_exact: true,
                attempts: 0,
                failures: 0,
            });
            if is_touched || entry.keys != keys {
                entry.keys = keys;
                entry.next = Some(now);
                entry.is_exact = true;
                entry.attempts = 0;
            }
        }
    }

    /// What is to be read by now.
    pub(crate) fn due(&self, now: Duration) -> Vec<Read> {
        let due = self.secrets.iter().filter(|(_, entry)| entry.next.is_some_and(|next| next <= now));
        due.map(|(secret, entry)| Read {
            secret: secret.clone(),
            keys: entry.keys.clone(),
            is_exact: entry.is_exact,
        })
        .collect()
    }

    /// When something is to be read next.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.secrets.values().filter_map(|entry| entry.next).min()
    }

    /// Takes in what came of a reading. `chance` is in 0..1. Returns whether anything means something else now.
    pub(crate) fn learn(&mut self, secret: &Key, outcome: Outcome, now: Duration, chance: f64) -> bool {
        let period = self.period;
        let Some(entry) = self.secrets.get_mut(secret) else { return false };
        let known = match outcome {
            Outcome::Found(secret) => Known::Found(secret),
            Outcome::Gone => Known::Gone,
            // Who once could read it keeps what was read: a role that is being edited must not cost a token.
            Outcome::Refused(why) if !matches!(entry.known, Known::Found(_)) => Known::Unreadable(why),
            Outcome::Refused(_) => entry.known.clone(),
            Outcome::Failed(why) => return entry.fail(why, period, now),
        };
        let is_first = entry.known == Known::Nothing || entry.is_exact;
        entry.attempts = if known == Known::Gone { entry.attempts + 1 } else { 0 };
        entry.failures = 0;
        entry.is_exact = false;
        entry.next = match (&known, period) {
            (Known::Gone, Some(period)) => {
                let doubled = MISSING_FIRST * 2_u32.saturating_pow(entry.attempts - 1);
                Some(now + doubled.min(period))
            }
            // The first round is spread over the period; from then on each keeps its moment.
            (_, Some(period)) if is_first => Some(now + period.mul_f64(chance)),
            (_, Some(period)) => Some(now + period),
            (Known::Unreadable(_), None) => Some(now + RETRY_MOST),
            (_, None) => None,
        };
        let changed = entry.known != known;
        entry.known = known;
        changed
    }

    /// Whether something is known of every Secret: a table made before that would lack tokens.
    pub(crate) fn is_complete(&self) -> bool {
        self.secrets.values().all(|entry| entry.known != Known::Nothing)
    }

    /// Adds what is known of the Secrets.
    pub(crate) fn fill(&self, references: &mut References) {
        for (name, entry) in &self.secrets {
            match &entry.known {
                Known::Found(secret) => {
                    references.secrets.insert(name.clone(), secret.clone());
                }
                Known::Unreadable(why) => {
                    references.unreadable.insert(name.clone(), why.clone());
                }
                Known::Gone | Known::Nothing => {}
            }
        }
    }
}

impl Entry {
    /// Nothing was learnt: what is known stays. That a Secret of which nothing is known cannot be read is said at last,
    /// but only if the API server is there; while it is away there is nothing to publish to.
    fn fail(&mut self, why: Option<String>, period: Option<Duration>, now: Duration) -> bool {
        let pause = RETRY_FIRST * 2_u32.saturating_pow(self.attempts.min(16));
        self.attempts += 1;
        self.failures += u32::from(why.is_some());
        let is_unknown = self.known == Known::Nothing;
        let most = if is_unknown { WAITED_FOR_MOST } else { RETRY_MOST };
        self.next = Some(now + if self.is_exact { pause.min(most) } else { period.unwrap_or(RETRY_MOST) });
        match why {
            Some(why) if is_unknown && self.failures >= FAILURES_MOST => {
                let wrong = format!("{why}: look into the API server's log; it is tried again and again");
                self.known = Known::Unreadable(wrong);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
