//! Letting visitors go first where a processor cannot do everything at once.

use rustix::process::nice;

/// How far a thread stands back, as a nice value: one that has a processor's whole work to do gets a tenth of the processor
/// while visitors want all of it (the kernel weighs 110 against 1,024), which is some hundred renders a second, and all that
/// they leave at other times.
const BY: i32 = 10;

/// Has the calling thread stand back behind those that serve visitors, for good, and the threads that it starts. On Linux this is
/// the thread's own affair and needs no right; where it is refused all goes on, and hits wait longer.
pub fn step_back() {
    let _ = nice(BY);
}

/// Lets a thread go first that was woken while this one works, at the end of a piece of work of some hundred microseconds. The
/// kernel would let it wait for the next tick, 4 ms, however far this one stands back (Linux since 6.6).
pub fn give_way() {
    std::thread::yield_now();
}
