//! What a route grants: how long its pages are fresh, how long they may be served stale, who decides.

use std::time::Duration;

/// Who says how long a stored response is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The route does: Incremental Static Regeneration. The page is shared by declaration, so renders are collapsed
    /// and the origin's `Cache-Control` is overridden.
    Interval(Interval),
    /// The origin does, by RFC 9111, 9213 and 5861.
    Origin,
}

/// The ISR settings of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// A page older than this is stale. `None` is `interval: Never`: fresh until it is invalidated.
    pub every: Option<Duration>,
    /// A stale page is served for this long after it went stale. `None`: without limit.
    pub stale_for: Option<Duration>,
    /// What `no-store` on a page means.
    pub no_store: NoStore,
}

/// What the origin's `Cache-Control: no-store` means on a route with an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStore {
    /// The page opts out: it is not stored, and what was stored for it is dropped.
    Honor,
    /// The origin says it everywhere (PHP sessions do); the route knows better.
    Override,
}
