//! From texts to places, for lookups that wait for memory as rarely as possible.

use xxhash_rust::xxh3::xxh3_64;

/// Places by the hash of their text, in open addressing: ten thousand texts take 256 KiB without a pointer to follow, and one
/// or two slots side by side say where a text is, where a hash map of strings waits for memory three times. Whether a place
/// really has the text is for the caller to say.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two, at least half of them free; none for no text.
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    /// `FREE` if there is none.
    place: u32,
}

/// More places than there may be routes.
const FREE: u32 = u32::MAX;

impl Index {
    /// The index of distinct texts and their places.
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = (&'t str, usize)>) -> Self {
        let texts: Vec<_> = texts.into_iter().collect();
        if texts.is_empty() {
            return Self::default();
        }
        let free = Slot { hash: 0, place: FREE };
        let mut index = Self { slots: vec![free; (2 * texts.len()).next_power_of_two()].into() };
        for (text, place) in texts {
            let hash = hash(text);
            let mut at = index.first(hash);
            while index.slots[at].place != FREE {
                at = index.next(at);
            }
            index.slots[at] = Slot { hash, place: u32::try_from(place).unwrap_or(FREE) };
        }
        index
    }

    /// The place of a text; `has_text` tells whether a place with the same hash is the one.
    pub(crate) fn find(&self, text: &str, has_text: impl Fn(usize) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = hash(text);
        let mut at = self.first(hash);
        loop {
            let slot = self.slots[at];
            if slot.place == FREE {
                return None;
            }
            if slot.hash == hash && has_text(slot.place as usize) {
                return Some(slot.place as usize);
            }
            at = self.next(at);
        }
    }

    fn first(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

/// Always the same of the same text. It needs no secret: only the authors of routes could make texts collide, requests
/// cannot.
fn hash(text: &str) -> u32 {
    let [_, _, _, _, lower @ ..] = xxh3_64(text.as_bytes()).to_be_bytes();
    u32::from_be_bytes(lower)
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn texts_are_found_and_told_apart() {
        let texts: Vec<String> = (0..1000).map(|number| format!("text-{number}")).collect();
        let index = Index::new(texts.iter().enumerate().map(|(place, text)| (text.as_str(), place)));
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(index.find(text, |found| texts[found] == *text), Some(place));
            assert_eq!(
                index.find(text, |_| false),
                None,
                "a place of the same hash without the text is not found"
            );
        }
        assert_eq!(index.find("other", |_| true), None);
        assert_eq!(Index::default().find("", |_| true), None);
    }
}
