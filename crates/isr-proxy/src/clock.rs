//! The one place that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use isr_cache::Timestamp;
use tokio::time::Instant;

/// Wall-clock time that never goes back: read once, then advanced by the monotonic clock. A step of the system's clock
/// so neither refreshes nor expires every page at once.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch_millis: u64,
    started: Instant,
}

impl Clock {
    /// A clock that starts at the system's time.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
    }

    /// A clock that starts at this time.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { epoch_millis: now.0, started: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.epoch_millis).after(self.started.elapsed())
    }
}
