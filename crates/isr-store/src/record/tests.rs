use proptest::prelude::*;

use super::*;
use crate::testing::page;

fn group() -> Arc<Group> {
    Arc::new(Group::new("shop.example.com/blog".into()))
}

fn bodies(response: &StoredResponse) -> Vec<Bytes> {
    response.representations().map(|representation| representation.body.clone()).collect()
}

/// Everything that a response says of itself.
fn told(response: &StoredResponse) -> String {
    format!("{response:?}")
}

#[test]
fn a_stored_response_is_read_as_it_was() {
    let stored = page(&group(), "<p>hello</p>", 7);
    stored.group.invalidate(Mode::Soft, Epoch(3));
    let head = Head::from_bytes(&Head::of(b"key", &stored).to_bytes()).expect("its own bytes");
    let fresh = group();
    let read = head.into_response(b"key", &fresh, bodies(&stored)).expect("a response");
    stored.group.tag(stored.tags());
    assert_eq!(told(&read), told(&stored), "soft mark and tags of the group included");
}

#[test]
fn what_is_not_the_record_that_is_meant_is_none() {
    let stored = page(&group(), "<p>hello</p>", 7);
    let head = || Head::from_bytes(&Head::of(b"key", &stored).to_bytes()).expect("its own bytes");
    let other = Arc::new(Group::new("other.example.com/blog".into()));
    assert!(head().into_response(b"another key", &group(), bodies(&stored)).is_err());
    assert!(head().into_response(b"key", &other, bodies(&stored)).is_err());
    assert!(head().into_response(b"key", &group(), vec![]).is_err());
    let mut swapped = bodies(&stored);
    swapped.swap(0, 1);
    assert!(head().into_response(b"key", &group(), swapped).is_err());
    let mut newer = Head::of(b"key", &stored).to_bytes();
    newer[0] = FORMAT + 1;
    assert_eq!(Head::from_bytes(&newer), Err(Damaged), "of another version");
}

proptest! {
    #[test]
    fn no_flipped_bit_is_overlooked(at in any::<prop::sample::Index>(), bit in 0..8_u8, body in "[a-z]{1,64}") {
        let stored = page(&group(), &body, 7);
        let mut bytes = Head::of(b"key", &stored).to_bytes();
        let at_head = at.index(bytes.len());
        bytes[at_head] ^= 1 << bit;
        prop_assert_eq!(Head::from_bytes(&bytes), Err(Damaged));
        let mut bodies = bodies(&stored);
        let mut flipped = bodies[0].to_vec();
        let at_body = at.index(flipped.len());
        flipped[at_body] ^= 1 << bit;
        bodies[0] = flipped.into();
        prop_assert!(Head::of(b"key", &stored).into_response(b"key", &group(), bodies).is_err());
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), fixed in any::<bool>()) {
        let mut bytes = bytes;
        if fixed && bytes.len() > 9 {
            // Right as far as the digest tells.
            bytes[0] = FORMAT;
            let sum = digest(&bytes[9..]);
            bytes[1..9].copy_from_slice(&sum[..8]);
        }
        if let Ok(head) = Head::from_bytes(&bytes) {
            let bodies = head.bodies.iter().map(|_| Bytes::new()).collect();
            let _ = head.into_response(b"", &group(), bodies);
        }
    }
}
