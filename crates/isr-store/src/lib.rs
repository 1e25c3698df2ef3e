//! Where stored responses live.
//!
//! [`Memory`] is the tier that serves: the hot set, weighed in bytes, ready to be written to a socket. [`Disk`] stands behind
//! it and keeps what was stored over restarts, [`Shared`] holds one copy for all replicas and the log by which they agree. [`Groups`] hands out the shared invalidation marks of a page and its
//! companions. A store knows nothing of freshness: it keeps bytes under keys and forgets the least useful when it is full;
//! `isr-cache` says what may be done with them.

#[cfg(test)]
mod contract;
mod disk;
mod files;
mod groups;
mod memory;
mod record;
mod shared;
mod step_back;
#[cfg(test)]
mod testing;

pub use disk::{Disk, DiskUsage, Followed, Front, Recalled};
pub use files::{BodyFile, Files};
pub use groups::Groups;
pub use memory::{Memory, Usage};
pub use shared::{Shared, SharedError, SharedOptions};
pub use step_back::{give_way, step_back};
