//! Copying and comparing few bytes, of which a hit does a dozen of each. The image is linked with musl, whose `memcpy` and
//! `memcmp` go byte by byte there: 10 to 16 ns to copy a number or a name, where this takes 2 to 4.

/// Pieces up to this size, in bytes, are appended in steps: beyond it a call of `memcpy` costs no more.
const STEPS_MOST: usize = 512;

/// Appends bytes, as [`Vec::extend_from_slice`] does.
#[inline]
pub fn append(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        0..4 => bytes.iter().for_each(|byte| out.push(*byte)),
        4..8 => append_in_steps::<4>(bytes, out),
        8..16 => append_in_steps::<8>(bytes, out),
        16..64 => append_in_steps::<16>(bytes, out),
        64..=STEPS_MOST => append_in_steps::<64>(bytes, out),
        _ => out.extend_from_slice(bytes),
    }
}

/// Appends at least `N` bytes, `N` at a time. The last step begins early enough to be a whole one.
#[inline]
fn append_in_steps<const N: usize>(bytes: &[u8], out: &mut Vec<u8>) {
    let end = out.len() + bytes.len();
    let Some(last) = bytes.last_chunk::<N>() else { return };
    for step in bytes.as_chunks::<N>().0 {
        out.extend_from_slice(step);
    }
    out.truncate(end - N);
    out.extend_from_slice(last);
}

/// Appends the first `length` bytes of `room`.
#[inline]
pub fn append_first<const N: usize>(room: &[u8; N], length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length.min(N);
    out.extend_from_slice(room);
    out.truncate(end);
}

/// Whether two texts are the same, eight bytes at a time.
#[inline]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let mut pairs = words.iter().zip(other_words);
    pairs.all(|(one, other)| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other))
        && match (one.last_chunk::<8>(), other.last_chunk::<8>()) {
            (Some(one), Some(other)) => u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other),
            _ => rest.iter().eq(other_rest),
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn appends_what_extending_appends(before in prop::collection::vec(any::<u8>(), 0..40), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let (mut out, mut expected) = (before.clone(), before);
            append(&bytes, &mut out);
            expected.extend_from_slice(&bytes);
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn appends_the_first_bytes_of_room(before in prop::collection::vec(any::<u8>(), 0..40), room in any::<[u8; 16]>(), length in 0..=16_usize) {
            let (mut out, mut expected) = (before.clone(), before);
            append_first(&room, length, &mut out);
            expected.extend_from_slice(&room[..length]);
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn tells_what_differs_in_one_byte(text in prop::collection::vec(any::<u8>(), 1..40), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
            prop_assert!(equal(&text, &text.clone()));
            let mut other = text.clone();
            other[at.index(text.len())] ^= flip;
            prop_assert!(!equal(&text, &other));
            prop_assert!(!equal(&text, &text[1..]));
        }
    }
}
