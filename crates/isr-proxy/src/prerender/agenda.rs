//! What is still to be looked at of one route, and when. Decides; does nothing.
//!
//! Things are looked at in the order in which they were asked for. What failed waits until everything else has had its
//! turn, and then for as long as a failing page of a visitor would. An application that fails altogether is asked for a
//! few pages after each wait, however many there are.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use isr_cache::{Timestamp, retry_after};

/// So many failures with no success between them, and the application is left alone for a while: one page may be broken,
/// and a second one by chance.
const FAILURES_IN_A_ROW: u32 = 3;

/// What is to be looked at.
#[derive(Debug)]
pub(super) struct Agenda<I> {
    todo: VecDeque<I>,
    /// What has failed since it was last looked at.
    failed: VecDeque<I>,
    /// What is in one of the two.
    known: HashSet<I>,
    under_way: usize,
    in_a_row: u32,
    /// How many waits there were with no success between them.
    waits: u32,
    wait_until: Option<Timestamp>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<I> {
    /// Look at this.
    Look(I),
    /// Nothing before this time.
    Wait(Timestamp),
    /// Nothing until something has ended or is asked for.
    Nothing,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There was nothing to do, so that nothing is known of the application.
    Idle,
    /// The application has answered.
    Well,
    /// It has not, or with an error.
    Badly,
}

impl<I> Default for Agenda<I> {
    fn default() -> Self {
        Self {
            todo: VecDeque::new(),
            failed: VecDeque::new(),
            known: HashSet::new(),
            under_way: 0,
            in_a_row: 0,
            waits: 0,
            wait_until: None,
        }
    }
}

impl<I: Clone + Eq + Hash> Agenda<I> {
    /// Looks at it too, unless it is to be looked at already. What is under way is looked at once more afterwards. A wait
    /// stays as long as it is: asking more often makes no application well.
    pub(super) fn want(&mut self, item: I) {
        if self.known.insert(item.clone()) {
            self.todo.push_back(item);
        }
    }

    /// Forgets what is no longer listed.
    pub(super) fn keep_only(&mut self, is_listed: impl Fn(&I) -> bool) {
        self.todo.retain(&is_listed);
        self.failed.retain(&is_listed);
        self.known.retain(&is_listed);
    }

    /// What to do at `now`.
    pub(super) fn next(&mut self, now: Timestamp) -> Step<I> {
        if let Some(until) = self.wait_until {
            if now < until {
                return Step::Wait(until);
            }
            self.wait_until = None;
        }
        if self.todo.is_empty() && self.under_way == 0 {
            std::mem::swap(&mut self.todo, &mut self.failed);
        }
        let Some(item) = self.todo.pop_front() else { return Step::Nothing };
        self.known.remove(&item);
        self.under_way += 1;
        Step::Look(item)
    }

    /// It has ended. `jitter` is a random number from 0 to 1.
    pub(super) fn ended(&mut self, item: I, how: Ended, now: Timestamp, jitter: f64) {
        self.under_way = self.under_way.saturating_sub(1);
        match how {
            Ended::Idle => {}
            Ended::Well => (self.in_a_row, self.waits) = (0, 0),
            Ended::Badly => {
                // What was under way when a wait began is no reason for the next one.
                if self.wait_until.is_none() {
                    self.in_a_row += 1;
                }
                if self.known.insert(item.clone()) {
                    self.failed.push_back(item);
                }
            }
        }
        let has_had_its_turn = self.todo.is_empty() && self.under_way == 0 && !self.failed.is_empty();
        if self.wait_until.is_none() && (self.in_a_row >= FAILURES_IN_A_ROW || has_had_its_turn) {
            self.waits = self.waits.saturating_add(1);
            self.in_a_row = 0;
            self.wait_until = Some(now.after(retry_after(self.waits, jitter)));
        }
    }

    /// Nobody will say how something has ended that was being looked at.
    pub(super) fn lost(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// How many are to be looked at or are being looked at.
    pub(super) fn waiting(&self) -> usize {
        self.todo.len() + self.under_way
    }

    /// How many have failed and are to be looked at again.
    pub(super) fn failing(&self) -> usize {
        self.failed.len()
    }

    /// Until when nothing is asked for.
    pub(super) fn wait_until(&self) -> Option<Timestamp> {
        self.wait_until
    }
}

#[cfg(test)]
mod tests;
