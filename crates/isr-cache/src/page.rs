//! How a stored page of an ISR route stands: fresh, stale, expired or missing.

use std::time::Duration;

use crate::entry::{RETRY_FIRST, RETRY_MOST};
use crate::{Epoch, Interval, Mode, Moment, Timestamp, Watermark};

/// What the cache remembers of the render that made a stored page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Render {
    /// When the origin's answer was complete.
    pub finished: Moment,
    /// The epoch in which the render began.
    pub began: Epoch,
    /// The origin said that this was a stale copy of its own (`x-nextjs-cache: STALE`).
    pub born_stale: bool,
    /// How much earlier than its interval this page goes stale, in 1/[`SPREAD_PARTS`] of the interval. Pages stored
    /// in one moment (after a start, a purge, a deploy) so do not all ask the origin again in one moment.
    pub spread: u8,
}

/// The finest share of an interval that [`Render::spread`] counts in.
pub const SPREAD_PARTS: u32 = 1024;

/// The greatest spread: 5 % of the interval. Enough to smear a thousand pages over half a second of a ten second
/// interval, too little for anybody to notice that a page is younger than it might be.
pub const SPREAD_MAX: u8 = 51;

/// How a stored page stands at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is stored.
    Missing,
    /// The page may be served as it is.
    Fresh {
        /// How long it stays so; `None` until it is invalidated.
        ttl: Option<Duration>,
    },
    /// The page may be served while a render is under way.
    Stale {
        /// How long it has been so, as far as time made it so.
        by: Duration,
        /// What made it so.
        why: Why,
    },
    /// The page is still stored but may not be served any more.
    Expired {
        /// What made it so.
        why: Why,
    },
}

/// Why a page is not fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It grew older than the route allows.
    Age,
    /// It was invalidated.
    Invalidated,
    /// The origin gave a stale copy.
    BornStale,
    /// It is data, and its page has been rendered anew since.
    Outdated,
    /// Others may have invalidated it, and nobody could say so here. It was rendered since, so that it is not rendered
    /// again at once.
    Unsure,
}

impl Standing {
    /// Whether the next visitor gets the page at once, and nothing has invalidated it. One that is older than its interval
    /// is there: that visitor renews it.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Fresh { .. } | Self::Stale { why: Why::Age | Why::BornStale | Why::Unsure, .. } => true,
            Self::Missing
            | Self::Expired { .. }
            | Self::Stale { why: Why::Invalidated | Why::Outdated, .. } => false,
        }
    }

    /// How the page stands for a replica that has been sure only until `sure_until` to know of every invalidation: it is
    /// never fresh after that.
    #[must_use]
    #[inline]
    pub fn if_sure_until(self, sure_until: Timestamp, render: &Render, now: Timestamp) -> Self {
        if now <= sure_until || !matches!(self, Self::Fresh { .. }) {
            return self;
        }
        let why = if render.is_doubtful(sure_until, now) { Why::Invalidated } else { Why::Unsure };
        Self::Stale { by: Duration::ZERO, why }
    }
}

impl Render {
    /// Whether a replica that has been sure only until `sure_until` to know of every invalidation is to have the page rendered
    /// again, because others may have invalidated it.
    ///
    /// One that was rendered since is left alone for as long as there had been no word by then, which doubles with each render,
    /// but for no less than after a failed render and for no more than after the last of many. It may be that this replica
    /// alone is cut off; but it may as well be that nobody has a log, for hours, and rendering everything again and again
    /// would then be for nothing.
    pub fn is_doubtful(&self, sure_until: Timestamp, now: Timestamp) -> bool {
        let finished = self.finished.timestamp();
        let alone_for = finished.since(sure_until).clamp(RETRY_FIRST, RETRY_MOST);
        now > sure_until && (finished <= sure_until || self.age(now) >= alone_for)
    }

    /// How long ago the page was rendered.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.finished.timestamp())
    }

    /// How the page stands at `now` under the route's `policy`, given the invalidations that cover it.
    pub fn standing(&self, now: Timestamp, policy: &Interval, watermark: Watermark) -> Standing {
        let age = self.age(now);
        let fresh_for =
            policy.every.map(|every| every * (SPREAD_PARTS - u32::from(self.spread)) / SPREAD_PARTS);
        let overdue = fresh_for.map_or(Duration::ZERO, |fresh_for| age.saturating_sub(fresh_for));
        let invalidated = watermark.judge(self.began);

        if invalidated == Some(Mode::Hard) {
            return Standing::Expired { why: Why::Invalidated };
        }
        if overdue > Duration::ZERO && policy.stale_for.is_some_and(|limit| overdue > limit) {
            return Standing::Expired { why: Why::Age };
        }
        if invalidated == Some(Mode::Soft) {
            return Standing::Stale { by: overdue, why: Why::Invalidated };
        }
        if self.born_stale {
            return Standing::Stale { by: overdue, why: Why::BornStale };
        }
        match fresh_for {
            None => Standing::Fresh { ttl: None },
            Some(fresh_for) if age < fresh_for => {
                Standing::Fresh { ttl: Some(fresh_for.saturating_sub(age)) }
            }
            Some(_) => Standing::Stale { by: overdue, why: Why::Age },
        }
    }
}

impl Standing {
    /// How data stands whose page has been rendered anew since: it may be served if nothing newer can be had.
    #[must_use]
    pub fn outdated(self) -> Self {
        match self {
            Self::Fresh { .. } => Self::Stale { by: Duration::ZERO, why: Why::Outdated },
            Self::Stale { by, .. } => Self::Stale { by, why: Why::Outdated },
            Self::Missing | Self::Expired { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoStore;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(every: Option<u64>, stale_for: Option<u64>) -> Interval {
        Interval {
            every: every.map(Duration::from_secs),
            stale_for: stale_for.map(Duration::from_secs),
            no_store: NoStore::Honor,
        }
    }

    fn page() -> Render {
        Render { finished: Timestamp(1_000_000).into(), began: Epoch(5), born_stale: false, spread: 0 }
    }

    fn at(age: u64) -> Timestamp {
        Timestamp(1_000_000).after(Duration::from_secs(age))
    }

    #[test]
    fn a_page_is_fresh_within_its_interval_then_stale_then_expired() {
        let policy = policy(Some(10), Some(60));
        let none = Watermark::default();
        let cases = [
            (0, Standing::Fresh { ttl: Some(10 * SECOND) }),
            (9, Standing::Fresh { ttl: Some(SECOND) }),
            (10, Standing::Stale { by: Duration::ZERO, why: Why::Age }),
            (70, Standing::Stale { by: 60 * SECOND, why: Why::Age }),
            (71, Standing::Expired { why: Why::Age }),
        ];
        for (age, expected) in cases {
            assert_eq!(page().standing(at(age), &policy, none), expected, "at the age of {age} s");
        }
    }

    #[test]
    fn never_is_fresh_until_invalidated_and_no_limit_means_stale_for_ever() {
        let none = Watermark::default();
        assert_eq!(page().standing(at(1 << 30), &policy(None, Some(1)), none), Standing::Fresh { ttl: None });
        let standing = page().standing(at(1 << 30), &policy(Some(10), None), none);
        assert!(matches!(standing, Standing::Stale { why: Why::Age, .. }), "{standing:?}");
        let soft = Watermark { soft: Epoch(6), ..none };
        assert_eq!(
            page().standing(at(1), &policy(None, None), soft),
            Standing::Stale { by: Duration::ZERO, why: Why::Invalidated }
        );
    }

    #[test]
    fn an_invalidation_covers_renders_that_began_before_it() {
        let policy = policy(Some(10), None);
        let hard = |epoch| Watermark { hard: Epoch(epoch), soft: Epoch(0) };
        assert_eq!(page().standing(at(1), &policy, hard(6)), Standing::Expired { why: Why::Invalidated });
        assert!(matches!(page().standing(at(1), &policy, hard(5)), Standing::Fresh { .. }));
    }

    #[test]
    fn a_stale_copy_of_the_origin_is_stale_from_birth() {
        let page = Render { born_stale: true, ..page() };
        let standing = page.standing(at(0), &policy(Some(10), None), Watermark::default());
        assert_eq!(standing, Standing::Stale { by: Duration::ZERO, why: Why::BornStale });
    }

    #[test]
    fn the_spread_only_ever_makes_a_page_stale_earlier() {
        let page = Render { spread: SPREAD_MAX, ..page() };
        let policy = policy(Some(100), None);
        assert!(matches!(page.standing(at(95), &policy, Watermark::default()), Standing::Fresh { .. }));
        assert!(matches!(page.standing(at(96), &policy, Watermark::default()), Standing::Stale { .. }));
    }

    #[test]
    fn who_is_not_sure_calls_nothing_fresh_and_renders_it_again_now_and_then() {
        let fresh = Standing::Fresh { ttl: None };
        let rendered = |age| Render { finished: at(age).into(), ..page() };
        let stale = |why| Standing::Stale { by: Duration::ZERO, why };
        for (sure_until, finished, now, expected) in [
            (100, 50, 100, fresh),
            (100, 50, 101, stale(Why::Invalidated)),
            (100, 100, 101, stale(Why::Invalidated)),
            (100, 110, 110, stale(Why::Unsure)),
            (100, 110, 139, stale(Why::Unsure)),
            (100, 110, 140, stale(Why::Invalidated)),
            // There has been no word for a minute when it is rendered.
            (100, 160, 219, stale(Why::Unsure)),
            (100, 160, 220, stale(Why::Invalidated)),
            // Nor for hours.
            (100, 9100, 9399, stale(Why::Unsure)),
            (100, 9100, 9400, stale(Why::Invalidated)),
        ] {
            let standing = fresh.if_sure_until(at(sure_until), &rendered(finished), at(now));
            assert_eq!(standing, expected, "sure until {sure_until}, rendered at {finished}, at {now}");
        }
        let expired = Standing::Expired { why: Why::Age };
        assert_eq!(expired.if_sure_until(at(100), &rendered(50), at(101)), expired);
    }

    #[test]
    fn a_clock_that_steps_back_makes_a_page_young_not_old() {
        assert_eq!(page().age(Timestamp(0)), Duration::ZERO);
    }
}
