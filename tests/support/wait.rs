//! Waiting: for a condition, or, where time is the subject, for time.

use std::time::{Duration, Instant};

/// How long anything that must happen may take. Generous, because the machine may be busy: a test that needs this
/// long has failed, one that passes needs milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a condition: short beside any interval under test, long beside the cost of a look.
const STEP: Duration = Duration::from_millis(8);

/// Looks at `condition` until it holds something, and returns that. Panics with `what` after `deadline`.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begun.elapsed() < deadline, "not seen within {deadline:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// Lets real time pass. Only for tests whose subject is time: an interval that ends, a window in which nothing may
/// happen.
pub async fn let_time_pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// `future`, or a panic that names `what` when it is not done within [`PATIENCE`].
pub async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("not done within {PATIENCE:?}: {what}"))
}

/// Lets an interval of one second end, with room for the jitter that a proxy may add to it.
pub async fn let_the_interval_end() {
    let_time_pass(Duration::from_millis(1500)).await;
}
