//! When something last moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time of the last movement, shared between who moves and who waits for silence.
#[derive(Clone)]
pub(crate) struct Activity {
    start: Instant,
    last_millis: Arc<AtomicU64>,
}

impl Activity {
    /// Something moves now.
    pub(crate) fn begin() -> Self {
        Self { start: Instant::now(), last_millis: Arc::default() }
    }

    /// Something has moved.
    pub(crate) fn note(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// Ends once nothing has moved for `limit`.
    pub(crate) async fn silence(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
            let silent = self.start.elapsed().saturating_sub(last);
            let Some(left) = limit.checked_sub(silent).filter(|left| !left.is_zero()) else { return };
            tokio::time::sleep(left).await;
        }
    }
}
