//! How far a proxy is in the list of purges, and what it does next. Pure.

use isr_cache::Epoch;
use serde::{Deserialize, Serialize};

use super::PurgeLog;

/// How far a proxy is. It is kept on disk: see [`Position::next`] for what may be done before it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// In which log; empty in none.
    pub log: String,
    /// The number of the last purge that is done.
    pub done: u64,
    /// The epoch of the purge after it, once it has one. Whoever ends while carrying it out begins it again in the same epoch,
    /// so that what was rendered since is not invalidated again.
    pub begun: Option<u64>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: all purges are done.
    Rest,
    /// There is nothing that a purge so far could cover: stand at the end.
    Skip,
    /// Purges are gone that were never carried out here: take all that is held for stale, then go on with the first.
    DoubtAll,
    /// Carry out the purge with this number, in this epoch if it has one.
    CarryOut {
        /// Its number.
        number: u64,
        /// The epoch that it was begun in.
        begun: Option<Epoch>,
    },
}

/// What there is that may be older than the purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// Only what is in a store that is shared with others, who carry out every purge there too.
    SharedAlone,
    /// Pages of this proxy's own.
    Own,
}

impl Position {
    /// What is to be done next.
    pub fn next(&self, log: &PurgeLog, holds: Holds) -> Step {
        if self.log.is_empty() {
            return match holds {
                Holds::Nothing => Step::Skip,
                Holds::Own if log.first() > 1 => Step::DoubtAll,
                Holds::SharedAlone | Holds::Own => self.after(log.first() - 1, log),
            };
        }
        // Numbers that went back are those of a log that was restored from a backup.
        let is_other = self.log != log.id || self.done > log.last();
        if is_other || self.done + 1 < log.first() {
            return Step::DoubtAll;
        }
        self.after(self.done, log)
    }

    fn after(&self, done: u64, log: &PurgeLog) -> Step {
        if done == log.last() {
            return if self.log == log.id { Step::Rest } else { Step::Skip };
        }
        Step::CarryOut { number: done + 1, begun: self.begun.map(Epoch) }
    }

    /// Everything before the first purge of this log is settled.
    pub fn before_first(log: &PurgeLog) -> Self {
        Self { log: log.id.clone(), done: log.first() - 1, begun: None }
    }

    /// Everything is settled.
    pub fn at_end(log: &PurgeLog) -> Self {
        Self { log: log.id.clone(), done: log.last(), begun: None }
    }
}
