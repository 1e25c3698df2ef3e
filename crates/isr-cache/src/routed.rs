//! Which route a stored response was found by.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Which route of which table answers the host and the path that a response is stored under. The first hit under a table notes
/// it, so that the others do not look for what cannot have changed: a table answers the same for the same host and path.
///
/// Both numbers are in one word: who reads it sees them together.
#[derive(Debug, Default)]
pub struct Routed(AtomicU64);

impl Routed {
    /// Notes the place of the route in a table.
    pub fn note(&self, table: NonZero<u32>, place: u32) {
        self.0.store(u64::from(table.get()) << 32 | u64::from(place), Relaxed);
    }

    /// The place of the route in this table, if it was noted last.
    #[inline]
    pub fn place(&self, table: NonZero<u32>) -> Option<u32> {
        let noted = self.0.load(Relaxed);
        let [a, b, c, d, place @ ..] = noted.to_be_bytes();
        (u32::from_be_bytes([a, b, c, d]) == table.get()).then(|| u32::from_be_bytes(place))
    }
}

impl Clone for Routed {
    /// Knows nothing: a copy may be stored under another key.
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_the_last_table_is_known() {
        let table = |number| NonZero::new(number).unwrap();
        let routed = Routed::default();
        assert_eq!(routed.place(table(1)), None);
        routed.note(table(1), 0);
        assert_eq!(routed.place(table(1)), Some(0));
        routed.note(table(u32::MAX), u32::MAX);
        assert_eq!(routed.place(table(u32::MAX)), Some(u32::MAX));
        assert_eq!(routed.place(table(1)), None, "another table may say otherwise");
        assert_eq!(routed.clone().place(table(u32::MAX)), None, "so may another key");
    }
}
