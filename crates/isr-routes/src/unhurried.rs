//! Long work that lets others go first.
//!
//! A table of 100,000 routes takes seconds to read and compile, and a thread that is woken meanwhile, because a visitor has sent a
//! request, wants the processor at once. Linux (since 6.6) gives it to that thread only at its next tick, 4 ms later, however low
//! the priority of the one that works, unless that one gives it away.

use std::cmp::Ordering;
use std::thread;

/// Comparisons in a row, of some hundred nanoseconds each.
const COMPARISONS: usize = 4096;

/// The items, with a moment after `in_a_row` of them in which another thread can have the processor. So many should take some
/// hundred microseconds: more have visitors wait; with fewer, a thread that always has something to do would take nearly all.
pub fn unhurried<T>(in_a_row: usize, items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    items.into_iter().enumerate().map(move |(number, item)| {
        if number % in_a_row == in_a_row - 1 {
            thread::yield_now();
        }
        item
    })
}

/// Sorts items in the same way; equal ones keep their order.
pub(crate) fn sort_unhurried<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut compared = 0_usize;
    items.sort_by(|one, other| {
        compared += 1;
        if compared.is_multiple_of(COMPARISONS) {
            thread::yield_now();
        }
        compare(one, other)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_come_in_their_order() {
        assert!(unhurried(7, 0..100).eq(0..100));
        let mut items: Vec<(i32, i32)> = (0..5000).map(|number| (number * 37 % 100, number)).collect();
        let mut sorted = items.clone();
        sorted.sort_unstable();
        sort_unhurried(&mut items, |one, other| one.0.cmp(&other.0));
        assert_eq!(items, sorted);
    }
}
