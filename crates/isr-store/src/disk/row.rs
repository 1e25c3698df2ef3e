//! How a record lies in the file: a row with its head, and its bodies cut to the sizes of the file's pages.
//!
//! The engine gives each long value a run of pages that is a power of two, so a body of 16 KiB and its key would take 32. A body
//! is therefore cut into pieces that fill such runs to the last byte, and a short rest is kept in the row of the head, which is
//! written anyway. A page of 1 KiB is its row and nothing else.

use std::ops::Range;

use crate::record::Head;

/// A page of the engine's, in bytes.
const PAGE: usize = 4096;

/// What a page holds beside one piece: the engine's header (4), the length of the piece (4), its key (10).
const BESIDE: usize = 18;

/// A rest up to this length is kept with the head; a longer one fills a quarter of a page at least.
const REST_MOST: usize = 1024;

/// Bytes before the head in a row: number in the order, weight, number of the bodies, length of the head.
const PREFIX: usize = 28;

/// A row of the heads. Only the head is proved by a digest: the numbers may be anything in a damaged file.
#[derive(Debug, PartialEq)]
pub(super) struct Row<'r> {
    /// When it was written, among all.
    pub(super) order: u64,
    /// What the record takes.
    pub(super) weight: u64,
    /// Under which number its bodies are.
    pub(super) bodies: u64,
    /// `None` if it cannot be read.
    pub(super) head: Option<Head>,
    /// What is left of each body, one after the other.
    pub(super) rests: &'r [u8],
}

impl<'r> Row<'r> {
    /// The row that these bytes are; zeros and nothing where they are too short to tell.
    pub(super) fn parse(bytes: &'r [u8]) -> Self {
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let length =
            bytes.get(24..PREFIX).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        let end = PREFIX.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        Self {
            order: number(0),
            weight: number(8),
            bodies: number(16),
            head: bytes.get(PREFIX..end).and_then(|head| Head::from_bytes(head).ok()),
            rests: bytes.get(end..).unwrap_or_default(),
        }
    }
}

/// A row as bytes, with this head as bytes.
pub(super) fn write(order: u64, weight: u64, bodies: u64, head: &[u8], rests: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(PREFIX + head.len() + rests.len());
    for number in [order, weight, bodies] {
        row.extend_from_slice(&number.to_le_bytes());
    }
    // Heads are bounded by what HTTP allows, far below 4 GiB.
    row.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    row.extend_from_slice(head);
    row.extend_from_slice(rests);
    row
}

/// The pieces of a body of this length that have pages of their own, and the rest.
pub(super) fn cut(length: usize) -> (Vec<Range<usize>>, Range<usize>) {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while length - at > REST_MOST {
        // The longest run of pages that it fills, or one that it does not.
        let run = 1 << (length - at + BESIDE).max(PAGE).ilog2();
        let piece = at..length.min(at + run - BESIDE);
        at = piece.end;
        pieces.push(piece);
    }
    (pieces, at..length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_body_and_waste_little(length in 0..40_usize << 20) {
            let (pieces, rest) = cut(length);
            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.start, at);
                at = piece.end;
            }
            prop_assert_eq!((at, length), (rest.start, rest.end));
            prop_assert!(rest.len() <= REST_MOST && u8::try_from(pieces.len()).is_ok());
            let taken: usize = pieces.iter().map(|piece| (piece.len() + BESIDE).next_power_of_two().max(PAGE)).sum();
            prop_assert!(taken + rest.len() < length + PAGE - REST_MOST + BESIDE * (pieces.len() + 1), "{} bytes", taken);
        }

        #[test]
        fn any_bytes_are_a_row_or_none(bytes: Vec<u8>) {
            prop_assert_eq!(Row::parse(&bytes).head, None);
        }
    }

    #[test]
    fn a_page_of_16_kib_takes_16_kib() {
        let lengths = |length| {
            let (pieces, rest) = cut(length);
            (pieces.iter().map(Range::len).collect::<Vec<_>>(), rest.len())
        };
        assert_eq!(lengths(16 << 10), (vec![16_366], 18));
        assert_eq!(lengths(1 << 10), (vec![], 1_024));
        assert_eq!(lengths(20_000), (vec![16_366, 3_634], 0));
    }
}
