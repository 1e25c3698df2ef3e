//! Where stored responses live.
//!
//! [`Memory`] is the tier that serves: the hot set, weighed in bytes, ready to be written to a socket. [`Groups`] hands
//! out the shared invalidation marks of a page and its companions. A store knows nothing of freshness: it keeps bytes
//! under keys and forgets the least useful when it is full; `isr-cache` says what may be done with them.

mod groups;
mod memory;

pub use groups::Groups;
pub use memory::{Memory, Usage};
