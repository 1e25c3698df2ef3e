//! Room for what is held in memory before it is stored.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Bytes that may be held at once by bodies that are not whole yet, as a part of the memory for stored pages: one in
/// four. Beyond it bodies pass without being stored; otherwise a thousand slow readers would fill the memory.
const SHARE: u64 = 4;

/// Held at a time: small enough for small pages, large enough to count rarely.
pub(crate) const STEP: usize = 16 * 1024;

/// Variants that wait or are being made at a time, for each thread that makes them. Whoever asks beyond that asks again with the next
/// request for the page; it is served as it is until then.
const AT_ONCE: usize = 32;

/// The room for bodies that are not whole yet, in steps.
pub(crate) fn for_reading(memory_bytes: u64) -> Arc<Semaphore> {
    let steps = usize::try_from(memory_bytes / SHARE).unwrap_or(usize::MAX) / STEP;
    Arc::new(Semaphore::new(steps.clamp(1, Semaphore::MAX_PERMITS)))
}

/// The room for variants under way.
pub(crate) fn for_compressing() -> Arc<Semaphore> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(AT_ONCE * threads))
}
