//! The marks of invalidations, by whose pages they cover.
//!
//! A page asks the three realms that it is in. Most purges are of another route, and of a realm that has no marks nothing
//! further is asked: so hits are not slowed down by what is invalidated of others.

use std::collections::HashMap;

use super::{MARKS_MOST, Pages, Realm, Selector};
use crate::{Epoch, Watermark};

/// All marks, of which there are [`MARKS_MOST`] at most.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// By realm, as its bytes in a selector. None is empty.
    realms: HashMap<Box<[u8]>, OfRealm>,
    /// How many there are in all realms.
    len: usize,
}

/// The marks of a realm, by what follows it in a selector.
pub(super) type OfRealm = HashMap<Box<[u8]>, Watermark>;

impl Marks {
    /// The marks of a realm, if there are any.
    pub(super) fn of(&self, realm: &[u8]) -> Option<&OfRealm> {
        self.realms.get(realm)
    }

    /// Notes an invalidation of what the selector covers, as its bytes. Makes room if there is none.
    pub(super) fn note(&mut self, selector: &[u8], mark: Watermark) {
        let (realm, pages) = selector.split_at(realm_end(selector));
        let is_known = self.of(realm).is_some_and(|marks| marks.contains_key(pages));
        if !is_known && self.len >= MARKS_MOST {
            self.make_room();
        }
        self.add(realm, pages, mark);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, with their selectors as bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Box<[u8]>, Watermark)> {
        self.realms.iter().flat_map(|(realm, marks)| {
            marks.iter().map(move |(pages, mark)| ([&**realm, &**pages].concat().into(), *mark))
        })
    }

    fn add(&mut self, realm: &[u8], pages: &[u8], mark: Watermark) {
        let marks = self.realms.entry(realm.into()).or_default();
        let before = marks.len();
        let known = marks.entry(pages.into()).or_default();
        *known = known.later(mark);
        self.len += marks.len() - before;
    }

    fn remove(&mut self, selector: &[u8]) -> Option<Watermark> {
        let (realm, pages) = selector.split_at(realm_end(selector));
        let marks = self.realms.get_mut(realm)?;
        let removed = marks.remove(pages)?;
        self.len -= 1;
        if marks.is_empty() {
            self.realms.remove(realm);
        }
        Some(removed)
    }

    /// Frees at least an eighth of the room: of everybody who has half of their even share or more, the older half of the marks
    /// becomes one. These have half of all marks or more between them. Where shares would be small, all have one realm.
    fn make_room(&mut self) {
        if self.realms.len() > MARKS_MOST / 8 {
            let everybody = Selector { realm: Realm::Installation, pages: Pages::All }.to_bytes();
            self.fold_older_half(b"", &everybody[..realm_end(&everybody)]);
            return;
        }
        let share = MARKS_MOST / self.realms.len().max(1) / 2;
        let large = self.realms.iter().filter(|(_, marks)| marks.len() >= share);
        let large: Vec<Box<[u8]>> = large.map(|(realm, _)| realm.clone()).collect();
        for realm in large {
            self.fold_older_half(&realm, &realm);
        }
    }

    /// Makes of the older half of the marks whose selectors begin with `prefix` one of all pages of `realm`.
    fn fold_older_half(&mut self, prefix: &[u8], realm: &[u8]) {
        let theirs = self.iter().filter(|(selector, _)| selector.starts_with(prefix));
        let mut theirs: Vec<(Epoch, Box<[u8]>)> =
            theirs.map(|(selector, mark)| (mark.hard.max(mark.soft), selector)).collect();
        theirs.sort_unstable();
        theirs.truncate(theirs.len().div_ceil(2));
        let gone = theirs.iter().filter_map(|(_, selector)| self.remove(selector));
        let covered = gone.fold(Watermark::default(), Watermark::later);
        self.add(realm, b"a", covered);
    }
}

/// Where the part of a selector ends that says whose pages it covers.
pub(super) fn realm_end(selector: &[u8]) -> usize {
    selector.iter().position(|&byte| byte == 0).map_or(selector.len(), |end| end + 1)
}
