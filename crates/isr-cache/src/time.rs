//! Time as the cache sees it: a number that is handed in.

use std::num::NonZero;
use std::time::Duration;

use crate::freshness::date;

/// Milliseconds since the Unix epoch, as told by the caller.
///
/// Within one process it never goes back: the caller reads the wall clock once and advances it monotonically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// Whole seconds since the Unix epoch, the resolution of HTTP dates: four bytes in a stored response, also where there may be
/// none. Counts from the first second after the epoch until 2106; what is beyond is the first or the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(NonZero<u32>);

impl Seconds {
    /// As a number.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// As an HTTP date (RFC 9110 §5.6.7).
    pub fn http_date(self) -> [u8; 29] {
        date::format(self)
    }
}

/// A timestamp in six bytes, which every stored response has: good for 8,900 years. What is beyond is the last.
///
/// The first byte counts most, so the order of the bytes is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment([u8; 6]);

impl Moment {
    /// As what is reckoned with.
    pub fn timestamp(self) -> Timestamp {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0);
        Timestamp(u64::from_be_bytes(millis))
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Self {
        let last = (1 << 48) - 1;
        let [_, _, millis @ ..] = timestamp.0.min(last).to_be_bytes();
        Self(millis)
    }
}

impl From<Seconds> for Timestamp {
    /// The beginning of the second.
    fn from(seconds: Seconds) -> Self {
        Self(u64::from(seconds.get()) * 1000)
    }
}

impl Timestamp {
    /// The second in which this instant is.
    pub fn seconds(self) -> Seconds {
        let seconds = u32::try_from(self.as_secs()).unwrap_or(u32::MAX);
        Seconds(NonZero::new(seconds).unwrap_or(NonZero::<u32>::MIN))
    }

    /// The instant `later` after this one; saturates at the end of time.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(millis(later)))
    }

    /// How long after `earlier` this instant is; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the Unix epoch, the resolution of HTTP dates.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_timestamp_again() {
        let last = Timestamp((1 << 48) - 1);
        for timestamp in [Timestamp(0), Timestamp(1_795_617_240_123), last] {
            assert_eq!(Moment::from(timestamp).timestamp(), timestamp);
        }
        assert_eq!(Moment::from(Timestamp(u64::MAX)).timestamp(), last);
    }
}
