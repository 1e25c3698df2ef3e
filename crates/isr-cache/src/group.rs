//! What stored responses that belong together share: the page, its data companions, its query variants.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Epoch, Mode, Timestamp, Watermark};

/// Tags of a group, at most: those of a page and a few companions that carry as many as they may. A group with more
/// is covered by any invalidation of a tag.
pub(crate) const TAGS_OF_GROUP: usize = 4 * crate::tags::TAGS_OF_RESPONSE;

/// A group of stored responses, which are invalidated together.
///
/// Every stored response and every render under way holds it by reference count, so that a hit reads four numbers and
/// an invalidation of the whole group writes one.
///
/// Most groups are one page, so that a cache has as many of them as pages: 64 bytes each, beside the name itself.
#[derive(Debug)]
pub struct Group {
    /// 16 bytes, and the text.
    name: Box<str>,
    /// Epochs, of 8 bytes each.
    hard: AtomicU64,
    soft: AtomicU64,
    /// Where its page is further than data that was rendered before.
    led: AtomicU64,
    /// The version of [`Invalidations`](crate::Invalidations) whose marks are in the two above: 4 bytes, because that is four
    /// billion invalidations of one process. After so many, each look checks again.
    checked: AtomicU32,
    /// When something more may be in effect, in whole seconds since the Unix epoch: 4 bytes, which last until 2106. In the second in
    /// which it comes into effect, each look checks again.
    until: AtomicU32,
    /// 16 bytes: a lock, and nothing until there are some, because most pages have none.
    tags: Mutex<Option<Box<Tags>>>,
}

#[derive(Debug, Default)]
struct Tags {
    all: Vec<Box<str>>,
    are_too_many: bool,
}

impl Group {
    /// A group with this name (host and page path, as in `shop.example.com/blog`) that nothing has invalidated.
    pub fn new(name: Box<str>) -> Self {
        Self {
            name,
            hard: AtomicU64::default(),
            soft: AtomicU64::default(),
            led: AtomicU64::default(),
            checked: AtomicU32::default(),
            until: AtomicU32::new(u32::MAX),
            tags: Mutex::default(),
        }
    }

    /// Host and page path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host of its pages.
    pub fn host(&self) -> &str {
        self.name.find('/').map_or(&self.name, |slash| &self.name[..slash])
    }

    /// The path of its page.
    pub fn path(&self) -> &str {
        self.name.find('/').map_or("/", |slash| &self.name[slash..])
    }

    /// The invalidations so far.
    pub fn watermark(&self) -> Watermark {
        // Acquire pairs with the release below: who sees the mark also sees what was stored before it was set.
        Watermark {
            hard: Epoch(self.hard.load(Ordering::Acquire)),
            soft: Epoch(self.soft.load(Ordering::Acquire)),
        }
    }

    /// Invalidates what began before `epoch`. Marks only move forward, in whatever order they arrive.
    pub fn invalidate(&self, mode: Mode, epoch: Epoch) {
        let mark = match mode {
            Mode::Soft => &self.soft,
            Mode::Hard => &self.hard,
        };
        mark.fetch_max(epoch.0, Ordering::AcqRel);
    }

    /// The page has new content from this epoch on: data of it that was rendered earlier is of another generation.
    pub fn lead(&self, epoch: Epoch) {
        self.led.fetch_max(epoch.0, Ordering::AcqRel);
    }

    /// The last epoch that [`lead`](Self::lead) has told.
    pub fn led(&self) -> Epoch {
        Epoch(self.led.load(Ordering::Acquire))
    }

    /// Takes over the marks of something that covers the group.
    pub fn cover(&self, watermark: Watermark) {
        self.invalidate(Mode::Hard, watermark.hard);
        self.invalidate(Mode::Soft, watermark.soft);
    }

    /// Notes the tags of one of its responses. They stay with the group even when a later response lacks them: an
    /// invalidation may cover too much, and never too little.
    pub fn tag(&self, tags: &[Box<str>]) {
        if tags.is_empty() {
            return;
        }
        let mut known = self.tags();
        let known = known.get_or_insert_default();
        let mut is_new = false;
        for tag in tags {
            if !known.all.contains(tag) {
                if known.all.len() >= TAGS_OF_GROUP {
                    known.are_too_many = true;
                    break;
                }
                known.all.push(tag.clone());
                is_new = true;
            }
        }
        if is_new || known.are_too_many {
            // What covers the new ones is not known yet.
            self.checked.store(0, Ordering::Release);
        }
    }

    /// Whether all invalidations up to this version that are in effect at this time are in the marks.
    #[inline]
    pub(crate) fn is_checked(&self, version: u64, now: Timestamp) -> bool {
        u64::from(self.checked.load(Ordering::Acquire)) >= version
            && now.as_secs() < u64::from(self.until.load(Ordering::Acquire))
    }

    /// Calls `judge` with the tags, of which `None` means any, and takes over what it finds as of this version, and until when
    /// that holds.
    pub(crate) fn check(
        &self,
        version: u64,
        judge: impl FnOnce(Option<&[Box<str>]>) -> (Watermark, Timestamp),
    ) {
        // Under the lock, so that tags noted meanwhile are checked again.
        let tags = self.tags();
        let known = tags.as_deref().map_or(Some(&[][..]), |tags| (!tags.are_too_many).then_some(&*tags.all));
        let (watermark, until) = judge(known);
        self.cover(watermark);
        let or_most = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        self.until.store(or_most(until.as_secs()), Ordering::Release);
        self.checked.fetch_max(or_most(version), Ordering::AcqRel);
    }

    fn tags(&self) -> MutexGuard<'_, Option<Box<Tags>>> {
        // Whoever panicked left a list of tags.
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_tells_host_and_path() {
        let group = Group::new("shop.example.com:8080/blog/1".into());
        assert_eq!((group.host(), group.path()), ("shop.example.com:8080", "/blog/1"));
    }

    #[test]
    fn marks_never_go_back() {
        let group = Group::new("a/".into());
        group.invalidate(Mode::Hard, Epoch(7));
        group.invalidate(Mode::Hard, Epoch(3));
        assert_eq!(group.watermark().hard, Epoch(7));
    }
}
