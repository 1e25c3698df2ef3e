//! The order of invalidations, and what it makes of a stored response.
//!
//! Wall clocks cannot say whether a render began before or after a purge that happened in the same millisecond, on
//! another core or on another replica. A counter can: every invalidation takes the next [`Epoch`], every render notes
//! the epoch it began in, and a response counts only if its render began no earlier than the last invalidation that
//! covers it. How long the render took, and when its answer arrived, does not matter.

use std::sync::atomic::{AtomicU64, Ordering};

/// A position in the order of invalidations. Greater is later.
///
/// Replicas that share a log count its positions in the upper bits. The lower ones order what happens on one replica between
/// two positions: whatever it does while it cannot reach the log is earlier than anything the log tells it next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Bits for what one replica does between two positions of the log: 65,536 invalidations of its own. Positions have 48, enough
/// for ten thousand a second until the year 2800.
const LOCAL_BITS: u32 = 16;

impl Epoch {
    /// The epoch of a position in the log that replicas share.
    pub fn at(position: u64) -> Self {
        Self(position << LOCAL_BITS)
    }

    /// The last position in the log that is not later.
    pub fn position(self) -> u64 {
        self.0 >> LOCAL_BITS
    }

    /// The first position in the log that is not earlier.
    pub fn position_after(self) -> u64 {
        self.0.div_ceil(1 << LOCAL_BITS)
    }

    /// The epoch that an invalidation following this one takes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How an invalidation treats what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The stored response is stale: served once more, and rendered behind the visitor's back.
    Soft,
    /// The stored response is gone: the next visitor waits for a render.
    Hard,
}

/// The last invalidations that cover a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Renders that began before this epoch are gone.
    pub hard: Epoch,
    /// Renders that began before this epoch are stale.
    pub soft: Epoch,
}

impl Watermark {
    /// What is left of a response whose render began in `began`: `None` if nothing covers it.
    pub fn judge(self, began: Epoch) -> Option<Mode> {
        if began < self.hard {
            Some(Mode::Hard)
        } else if began < self.soft {
            Some(Mode::Soft)
        } else {
            None
        }
    }

    /// What both cover.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        Self { hard: self.hard.max(other.hard), soft: self.soft.max(other.soft) }
    }
}

/// The source of epochs in one process.
#[derive(Debug, Default)]
pub struct Epochs(AtomicU64);

impl Epochs {
    /// Epochs that go on after this one.
    pub fn after(epoch: Epoch) -> Self {
        Self(AtomicU64::new(epoch.next().0))
    }

    /// The epoch that a render beginning now notes.
    pub fn current(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Acquire))
    }

    /// Takes note of an epoch that somebody else has told.
    pub fn raise(&self, epoch: Epoch) {
        self.0.fetch_max(epoch.0, Ordering::AcqRel);
    }

    /// A new epoch for an invalidation: later than any that [`current`](Self::current) has told so far.
    pub fn advance(&self) -> Epoch {
        Epoch(self.0.fetch_add(1, Ordering::AcqRel) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Group;

    #[test]
    fn what_a_replica_does_by_itself_is_earlier_than_what_the_log_tells_next() {
        let epochs = Epochs::default();
        epochs.raise(Epoch::at(7));
        let own = epochs.advance();
        assert!(Epoch::at(7) < own && own < Epoch::at(8));
        assert_eq!((own.position(), own.position_after()), (7, 8));
        assert_eq!(Epoch::at(8).position_after(), 8);
        epochs.raise(Epoch::at(3));
        assert_eq!(epochs.current(), own, "it never goes back");
    }

    #[test]
    fn a_render_that_began_before_an_invalidation_never_counts() {
        let epochs = Epochs::default();
        let marks = Group::new("a/".into());
        let began = epochs.current();
        assert_eq!(marks.watermark().judge(began), None, "nothing was invalidated yet");

        marks.invalidate(Mode::Soft, epochs.advance());
        assert_eq!(marks.watermark().judge(began), Some(Mode::Soft));
        assert_eq!(
            marks.watermark().judge(epochs.current()),
            None,
            "a render that begins afterwards is good"
        );

        marks.invalidate(Mode::Hard, epochs.advance());
        assert_eq!(marks.watermark().judge(began), Some(Mode::Hard), "the harder of the two wins");
    }
}
