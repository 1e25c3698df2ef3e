//! Invalidations that take effect over a time, each page at a moment of its own.
//!
//! After a deploy every page is out of date at once, and rendering them all at once would fall on pods that have just started.
//! So each group of pages turns stale at a moment that its name decides: the same on every replica and after every restart, and
//! spread evenly over the time that the route allows.

use std::time::Duration;

use crate::{Epoch, Timestamp};

/// The time over which an invalidation takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// When the first pages turn stale.
    pub begins: Timestamp,
    /// How much later the last ones do.
    pub over: Duration,
}

/// An invalidation of routes' pages that takes effect over a time, softly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gradual {
    /// The routes, as `namespace/name`.
    pub routes: Box<[Box<str>]>,
    /// What began before this turns stale.
    pub epoch: Epoch,
    /// When.
    pub spread: Spread,
}

impl Spread {
    /// The moment at which the group of this name turns stale.
    pub fn moment(self, group: &str) -> Timestamp {
        let over = u128::from(u64::try_from(self.over.as_millis()).unwrap_or(u64::MAX));
        let later = (over * u128::from(share(group))) >> 32;
        self.begins.after(Duration::from_millis(u64::try_from(later).unwrap_or(u64::MAX)))
    }

    /// From when on every group is stale.
    pub fn ends(self) -> Timestamp {
        self.begins.after(self.over)
    }
}

/// The share of the time that passes before a group turns stale, of 2³². FNV-1a, whose upper bits are then mixed with all others
/// (the finalizer of `SplitMix64`), because names differ in their last characters. No secret and no seed: all replicas must agree.
fn share(group: &str) -> u32 {
    let mut hash = group.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((hash ^ (hash >> 31)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_turn_stale_evenly_over_the_time_and_at_the_same_moment_everywhere() {
        let spread = Spread { begins: Timestamp(1_000), over: Duration::from_secs(100) };
        let mut of_tenth = [0; 10];
        for page in 0..10_000 {
            let moment = spread.moment(&format!("shop.example.com/blog-posts/{page}"));
            assert!(moment >= spread.begins && moment < spread.ends());
            of_tenth[usize::try_from((moment.0 - 1_000) / 10_000).expect("a tenth")] += 1;
        }
        assert!(of_tenth.iter().all(|pages| (850..1150).contains(pages)), "{of_tenth:?}");
        // What other versions of this program on other replicas say too.
        assert_eq!(spread.moment("shop.example.com/blog").0, spread.moment("shop.example.com/blog").0);
        let at_once = Spread { over: Duration::ZERO, ..spread };
        assert_eq!(at_once.moment("shop.example.com/blog"), spread.begins);
    }
}
