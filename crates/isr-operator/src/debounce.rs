//! When a burst of changes is over.

use std::time::Duration;

/// Changes come in bursts: `kubectl apply -f folder/`, a rollout. A burst counts as over when nothing changed for this
/// long: longer than the gap between two objects of one `kubectl apply`, far shorter than anybody would notice.
const QUIET: Duration = Duration::from_millis(50);

/// A burst that does not end is acted upon after this long: a quarter of the two seconds in which a change should reach
/// the proxies.
const MOST: Duration = Duration::from_millis(500);

/// A burst of changes. Times are counted from any one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    first: Duration,
    last: Duration,
}

impl Burst {
    /// A burst that begins.
    pub(crate) fn begin(now: Duration) -> Self {
        Self { first: now, last: now }
    }

    /// Another change.
    pub(crate) fn change(&mut self, now: Duration) {
        self.last = now;
    }

    /// When the burst counts as over, if nothing else changes.
    pub(crate) fn over_at(&self) -> Duration {
        (self.last + QUIET).min(self.first + MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(7);

    #[test]
    fn a_single_change_waits_for_quiet() {
        assert_eq!(Burst::begin(START).over_at(), START + QUIET);
    }

    #[test]
    fn each_change_puts_off_the_end_until_the_most() {
        let mut burst = Burst::begin(START);
        for step in 1..=100_u32 {
            let now = START + Duration::from_millis(20) * step;
            burst.change(now);
            assert_eq!(burst.over_at(), (now + QUIET).min(START + MOST));
        }
        assert_eq!(burst.over_at(), START + MOST);
    }
}
