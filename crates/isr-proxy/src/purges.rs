//! The purges that the operator of a cluster publishes, carried out one after the other.
//!
//! The source brings the list ([`Purges::see`]); a task of its own carries out what is new in it ([`follow`]) and remembers on
//! disk how far it is, so that a restart neither misses a purge nor carries one out again. What is to be done next is decided
//! by [`Position::next`].
//!
//! A purge that takes effect over a time is kept beside the position until its time is over; then it is carried out like any
//! other, in the epoch in which it began.
//!
//! A purge is done when it survives a restart and every replica that shares the pages knows of it: what
//! `POST /v1/invalidate` promises as well. `/configz` tells how far that is.

pub(crate) mod follow;
mod kept;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isr_routes::purges::PurgeLog;
use isr_routes::purges::position::Position;
use serde_json::{Value, json};
use tokio::sync::watch;

/// The published purges, and how far they are carried out.
pub(crate) struct Purges {
    seen: watch::Sender<Seen>,
    progress: Mutex<Progress>,
}

/// What is known of the list.
#[derive(Clone, Default)]
enum Seen {
    /// Nobody has said yet whether there is one.
    #[default]
    NotYet,
    /// There is none.
    Nothing,
    /// This one.
    Log(Arc<PurgeLog>),
}

#[derive(Clone, Debug, Default)]
struct Progress {
    position: Position,
    /// Why it goes no further, in a clause.
    problem: Option<String>,
    /// Whether all that was published has been done once since the start.
    has_caught_up: bool,
}

impl Purges {
    /// None. `expects` says whether a list is to be waited for.
    pub(crate) fn new(expects: bool) -> Self {
        let progress = Progress { has_caught_up: !expects, ..Progress::default() };
        Self { seen: watch::Sender::default(), progress: Mutex::new(progress) }
    }

    /// This list is published.
    pub(crate) fn see(&self, log: PurgeLog) {
        self.seen.send_replace(Seen::Log(Arc::new(log)));
    }

    /// None is published, as far as none was seen before.
    pub(crate) fn see_nothing(&self) {
        self.seen.send_if_modified(|seen| {
            let is_new = matches!(seen, Seen::NotYet);
            if is_new {
                *seen = Seen::Nothing;
            }
            is_new
        });
    }

    /// Whether everything that was published before the start is done.
    pub(crate) fn have_caught_up(&self) -> bool {
        self.progress().has_caught_up
    }

    /// How far they are carried out, for whoever waits for it.
    pub(crate) fn describe(&self) -> Value {
        let Progress { position, problem, .. } = self.progress().clone();
        json!({ "log": position.log, "position": position.done, "problem": problem })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Every change is an assignment.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
