//! From texts to places, for lookups that wait for memory as rarely as possible.

/// Places by the hash of their text. Ten thousand texts take 160 KB without a pointer to follow, where a hash map of
/// strings waits for memory three times per lookup. Whether a place really has the text is for the caller to say.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Hash and place, sorted.
    slots: Box<[(u64, usize)]>,
}

impl Index {
    /// The index of distinct texts and their places.
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = (&'t str, usize)>) -> Self {
        let mut slots: Box<[_]> = texts.into_iter().map(|(text, place)| (hash(text), place)).collect();
        slots.sort_unstable();
        Self { slots }
    }

    /// The place of a text; `has_text` tells whether a place with the same hash is the one.
    pub(crate) fn find(&self, text: &str, has_text: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = hash(text);
        let first = self.slots.partition_point(|&(slot, _)| slot < hash);
        let same_hash = self.slots[first..].iter().take_while(|&&(slot, _)| slot == hash);
        same_hash.map(|&(_, place)| place).find(|&place| has_text(place))
    }
}

/// FNV-1a. It needs no secret: only the authors of routes could make texts collide, requests cannot.
fn hash(text: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
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
