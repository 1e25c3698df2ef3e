//! What a shared HTTP cache may do, decided by pure functions.
//!
//! Nothing here opens a socket, keeps a byte, or looks at a clock. A caller says what happened and what time it is, and
//! is told what to do: serve, serve stale and render, wait, pass. So every rule can be tested in bulk, on a clock that is
//! a number, against a model that is naive.
//!
//! Two kinds of routes, two sets of rules over the same [`StoredResponse`]:
//!
//! * **Routes with an interval** (Incremental Static Regeneration). [`Render::standing`] says how a stored page stands:
//!   fresh, stale, expired. [`Entry`] remembers what the page cannot, the render under way, the last failure, an opt-out,
//!   and decides what a request, a demand, and the end of a render lead to. [`epoch`](Epoch) orders renders and
//!   invalidations, so that a render that began before a purge never counts as fresh.
//! * **Routes that the origin governs** (RFC 9111). [`storing`] says what may be stored, [`freshness`] how long and what may
//!   be reused, [`validation`] how it is confirmed and what makes it out of date, [`vary`] which request gets which variant.
//!   [`control`] reads the directives, targeted ones (RFC 9213) before others.
//!
//! Both answer alike: [`negotiate`] chooses the coding, [`conditional`] and [`range`] how much of it is sent, [`CacheStatus`]
//! tells the visitor why (RFC 9211).
//!
//! Start reading at `entry.rs`, then `page.rs` and `epoch.rs`; for RFC 9111 at `freshness.rs`.

pub mod cache_status;
mod coding;
pub mod conditional;
pub mod connection;
pub mod control;
mod entry;
mod epoch;
mod fields;
pub mod freshness;
mod gradual;
mod group;
pub mod head;
mod invalidation;
mod latest;
pub mod negotiate;
mod page;
mod policy;
pub mod range;
mod routed;
mod shared;
pub mod short;
mod stored;
pub mod storing;
pub mod tags;
mod tier;
mod time;
pub mod validation;
pub mod vary;

pub use cache_status::{CacheStatus, Forward, Handling, XIsrCache};
pub use coding::{Asked, Coding};
pub use conditional::Precondition;
pub use control::{CacheControl, Scope};
pub use entry::{
    ASK_AGAIN, ASK_AGAIN_TIMES, Entry, Failure, Flight, Landed, Next, OPT_OUT, Outcome, RETRY_FIRST,
    RETRY_MOST, Store, Trigger, Verdict, retry_after,
};
pub use epoch::{Epoch, Epochs, Mode, Watermark};
pub use fields::RequestFields;
pub use freshness::{Lifetime, Reuse};
pub use gradual::{Gradual, Spread};
pub use group::Group;
pub use head::Head;
pub use invalidation::{Invalidations, MARKS_MOST, PREFIX_DEPTH, Pages, Realm, Selector};
pub use latest::Latest;
pub use page::{Render, SPREAD_MAX, SPREAD_PARTS, Standing, Why};
pub use policy::{Interval, NoStore, Policy};
pub use range::Range;
pub use routed::Routed;
pub use shared::{
    Claim, LOCK_FOR, LogEntry, News, RENEW_EVERY, REPLICA_GONE_AFTER, Replica, Roll, SharedStore,
    SharedUsage, Terms,
};
pub use stored::{Compressed, Extra, Governed, Representation, StoredResponse};
pub use storing::{NotStored, RenderOutcome};
pub use tier::{BoxFuture, Invalidation, Reach, Tier, TierError};
pub use time::{Moment, Seconds, Timestamp};
pub use vary::Vary;
