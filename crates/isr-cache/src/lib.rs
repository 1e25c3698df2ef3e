//! isr-cache
pub mod cache_status;
pub mod conditional;
pub mod control;
mod entry;
mod epoch;
pub mod freshness;
pub mod negotiate;
mod page;
mod policy;
pub mod range;
mod stored;
pub mod storing;
mod time;
pub mod validation;
pub mod vary;

pub use cache_status::{CacheStatus, Forward, Handling, XIsrCache};
pub use conditional::Precondition;
pub use control::{CacheControl, Scope};
pub use entry::{
    ASK_AGAIN, ASK_AGAIN_TIMES, Entry, Failure, Flight, Landed, Next, OPT_OUT, Outcome, RETRY_FIRST,
    RETRY_MOST, Store, Trigger, Verdict, retry_after,
};
pub use epoch::{Epoch, Epochs, Marks, Mode, Watermark};
pub use freshness::{Lifetime, Reuse};
pub use page::{Render, SPREAD_MAX, SPREAD_PARTS, Standing, Why};
pub use policy::{Interval, NoStore, Policy};
pub use range::Range;
pub use stored::{Coding, Governed, Representation, StoredResponse};
pub use storing::{NotStored, RenderOutcome};
pub use time::Timestamp;
pub use vary::Vary;
