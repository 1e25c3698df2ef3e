//! What to do about a Lease, by what was seen of it.

use std::time::Duration;

use tokio::time::Instant;

/// A Lease as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    version: String,
    holder: Option<String>,
    duration: Duration,
    /// When this version was first seen, by our own clock.
    first_seen: Instant,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is nobody's: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// It is somebody else's.
    Wait {
        /// Whose.
        holder: String,
        /// How long until it is free, unless they renew it.
        free_in: Duration,
    },
}

impl Observed {
    /// What is seen now, after what was seen before: as long as the version is the same, it was first seen then.
    pub(super) fn after(
        before: Option<Self>,
        version: String,
        holder: Option<String>,
        duration: Duration,
        now: Instant,
    ) -> Self {
        let first_seen =
            before.filter(|before| before.version == version).map_or(now, |before| before.first_seen);
        Self { version, holder, duration, first_seen }
    }
}

/// What to do about a Lease; `None` if there is none.
pub(super) fn decide(observed: Option<&Observed>, identity: &str, now: Instant) -> Step {
    let Some(observed) = observed else { return Step::Take };
    let Some(holder) = &observed.holder else { return Step::Take };
    if holder == identity {
        return Step::Renew;
    }
    let free_in = observed.duration.saturating_sub(now.duration_since(observed.first_seen));
    if free_in.is_zero() { Step::Take } else { Step::Wait { holder: holder.clone(), free_in } }
}
