//! The thread that writes, and what it does when it cannot.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use isr_cache::{Invalidation, MARKS_MOST, Mode, Reach, TierError, Watermark};

use super::Shared;
use super::engine::Engine;
use super::queue::{Operation, Pending, Queue};
use super::tables::{self, Batch, Failure};
use crate::give_way;

/// Changes in a row, of up to a hundred microseconds each, before visitors' threads may have the processor.
const IN_A_ROW: u64 = 8;

/// Marks in the file, at most; in tests so few that there soon are more.
const MARKS_IN_FILE: u64 = if cfg!(test) { 8 } else { MARKS_MOST as u64 };

/// The first pause after a failure, doubled with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
/// The longest pause after a failure: somebody who has made room sees it used soon.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Writes what is queued until the queue is closed and empty, or closed and the disk does not work.
pub(super) fn run(shared: &Shared) {
    let mut failures = 0_u32;
    loop {
        let operations = {
            let has_nothing_to_do =
                |queue: &mut Queue| queue.operations.is_empty() && !queue.is_closed && !queue.must_empty;
            let waited = shared.changed.wait_while(shared.queue(), has_nothing_to_do);
            let queue = waited.unwrap_or_else(PoisonError::into_inner);
            if queue.operations.is_empty() && queue.is_closed {
                return;
            }
            gather(shared, queue).take()
        };
        match attempt(shared, &operations) {
            Ok(()) => {
                failures = 0;
                shared.set_broken(None);
                shared.queue().written(&operations);
                for (_, operation) in operations {
                    if let Operation::Invalidate(_, Some(receipt)) = operation {
                        // Who waited may have left.
                        let _ = receipt.send(Ok(()));
                    }
                }
            }
            Err(failure) => {
                failures += 1;
                give_back(shared, operations, &failure);
                let pause =
                    RETRY_FIRST.saturating_mul(1 << failures.min(10).saturating_sub(1)).min(RETRY_MOST);
                if !pause_unless_closed(shared, pause) {
                    return;
                }
            }
        }
    }
}

/// Waits for further changes.
fn gather<'s>(shared: &'s Shared, queue: MutexGuard<'s, Queue>) -> MutexGuard<'s, Queue> {
    let within = queue.gathering.within;
    let waited = shared.changed.wait_timeout_while(queue, within, |queue| !queue.is_due());
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Waits; `false` if the queue is closed meanwhile.
fn pause_unless_closed(shared: &Shared, pause: Duration) -> bool {
    let waited = shared.changed.wait_timeout_while(shared.queue(), pause, |queue| !queue.is_closed);
    !waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
}

/// Tells those who wait, and keeps what must not be forgotten for the next try.
fn give_back(shared: &Shared, operations: Vec<(u64, Operation)>, failure: &Failure) {
    let error = TierError(format!("the disk tier does not work: {failure}").into());
    shared.count_error();
    if shared.set_broken(Some(error.clone())) {
        tracing::error!(folder = %shared.folder, error = %failure, "pages are kept in memory alone until the disk works again");
    }
    // An engine that has met an error is opened anew; one whose file is damaged begins with an empty one.
    shared.close();
    let mut queue = shared.queue();
    queue.must_empty |= failure.is_damage();
    queue.put_back(operations);
    // All who wait, also those whose turn had not come: nobody knows when it will.
    for receipt in queue.receipts() {
        let _ = receipt.send(Err(error.clone()));
    }
}

fn attempt(shared: &Shared, operations: &[(u64, Operation)]) -> Result<(), Failure> {
    // An engine that reads a damaged file may panic; that is damage and no more.
    std::panic::catch_unwind(AssertUnwindSafe(|| write(shared, operations)))
        .unwrap_or(Err(Failure::Inconsistent("the engine gave up")))
}

fn write(shared: &Shared, operations: &[(u64, Operation)]) -> Result<(), Failure> {
    if shared.queue().must_empty {
        // If it cannot be removed now it must not be read later either.
        shared.discard()?;
    }
    let database = shared.database()?;
    let evictions = tables::change(&database, |batch| {
        changes(shared, operations, batch)?;
        if batch.marks_count > MARKS_IN_FILE {
            // The memory has made fewer of them that cover the same.
            batch.replace_marks(&shared.front.marks())?;
        }
        batch.evict(shared.capacity, &|key| shared.front.is_in_use(key))?;
        // Asked for now, with all that came before it written: what was followed later is followed again after a crash.
        batch.seal(shared.front.epoch(), shared.front.followed())?;
        Ok(batch.evictions)
    })?;
    shared.count_evictions(evictions);
    shared.measure(&database);
    Ok(())
}

fn changes(shared: &Shared, operations: &[(u64, Operation)], batch: &mut Batch<'_>) -> Result<(), Failure> {
    let last = operations.last().map_or(0, |(number, _)| *number);
    for (number, operation) in operations {
        if number.is_multiple_of(IN_A_ROW) {
            give_way();
        }
        match operation {
            Operation::Record(key) => {
                let latest = shared.queue().latest(*number, key, last);
                match latest {
                    Some(Pending::Response(response)) => batch.put(key, &response)?,
                    Some(Pending::Nothing(group)) => batch.remove(&tables::place(group.name(), key))?,
                    None => {}
                }
            }
            Operation::Invalidate(Invalidation { reach, mode, epoch }, _) => match reach {
                Reach::Group(group) => batch.invalidate(group, *mode, *epoch)?,
                Reach::Selected(selector) => batch.mark(selector, *mode, *epoch)?,
            },
        }
    }
    Ok(())
}

impl Shared {
    /// The open file, opened if it is not.
    fn database(&self) -> Result<Arc<Engine>, Failure> {
        if let Some(database) = self.opened() {
            return Ok(database);
        }
        let mut is_new = self.queue().must_empty;
        let (database, _) = match self.open() {
            Err(failure) if failure.is_damage() => {
                self.queue().must_empty = true;
                self.discard()?;
                is_new = true;
                self.open()?
            }
            opened => opened?,
        };
        if is_new {
            // Pages from before an invalidation may come to a file that has not heard of it.
            tables::change(&database, |batch| {
                for (selector, Watermark { hard, soft }) in self.front.marks() {
                    batch.mark(&selector, Mode::Hard, hard)?;
                    batch.mark(&selector, Mode::Soft, soft)?;
                }
                batch.seal(self.front.epoch(), None)
            })?;
            self.queue().must_empty = false;
        }
        Ok(self.put_open(database))
    }
}
