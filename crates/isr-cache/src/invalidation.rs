//! Invalidations of many pages at once: by tag, by path prefix, by host, or everything.
//!
//! An invalidation writes one mark, however many pages it covers, and touches none of them. A page that is asked for looks
//! once after each invalidation whether it is covered ([`Invalidations::watermark`]): a handful of lookups, by its
//! namespace, its route, its host, the beginnings of its path, and its tags; three where nobody has invalidated anything of
//! its route, its namespace, or all. Between two invalidations a hit reads one number more for all of this.

mod marks;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Epoch, Gradual, Group, Mode, Timestamp, Watermark};
use marks::Marks;

/// Segments of a path that prefixes can tell apart; what is deeper is looked up by these. Sites are seldom deeper than
/// eight, and a path made of thousands must not cost thousands of lookups.
pub const PREFIX_DEPTH: usize = 16;

/// Marks that are kept, at most. One takes some 150 bytes, so that all take 15 MB; a site that purges a new tag every minute has
/// so many after ten weeks, when hardly a page is left that was rendered before the first.
pub const MARKS_MOST: usize = 100_000;

/// Whose pages an invalidation may cover.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Realm {
    /// Everybody's.
    Installation,
    /// Those of all routes of a namespace.
    Namespace(Box<str>),
    /// Those of a route, as `namespace/name`.
    Route(Box<str>),
}

/// Which pages an invalidation covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pages {
    /// All of them.
    All,
    /// Those of a host.
    Host(Box<str>),
    /// Those whose path is this one or continues it after a slash, on this host or on any.
    Prefix {
        /// The host; `None` for any.
        host: Option<Box<str>>,
        /// The path, without a slash at its end; empty for the whole host.
        path: Box<str>,
    },
    /// Those that carry a tag.
    Tag(Box<str>),
}

/// What an invalidation covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    /// Whose pages.
    pub realm: Realm,
    /// Which of them.
    pub pages: Pages,
}

/// The marks of all invalidations that cover more than one group.
#[derive(Debug, Default)]
pub struct Invalidations {
    /// How many there have been. Groups note which they know.
    version: AtomicU64,
    marks: RwLock<Marks>,
    /// Those that take effect over a time. There are as many as there are deploys under way.
    gradual: RwLock<Vec<Gradual>>,
}

impl Selector {
    /// As bytes, equal for equal selectors alone. No name in it holds the byte 0.
    pub fn to_bytes(&self) -> Box<[u8]> {
        let mut bytes = Vec::new();
        match &self.realm {
            Realm::Installation => realm(&mut bytes, b'i', ""),
            Realm::Namespace(namespace) => realm(&mut bytes, b'n', namespace),
            Realm::Route(route) => realm(&mut bytes, b'r', route),
        }
        match &self.pages {
            Pages::All => bytes.push(b'a'),
            Pages::Host(host) => part(&mut bytes, b'h', host),
            Pages::Prefix { host, path } => {
                part(&mut bytes, b'p', host.as_deref().unwrap_or_default());
                part(&mut bytes, 0, path);
            }
            Pages::Tag(tag) => part(&mut bytes, b't', tag),
        }
        bytes.into()
    }
}

impl Realm {
    /// Whose pages a selector covers that is given as bytes; `None` if it is not one that this version writes.
    pub fn of(selector: &[u8]) -> Option<Self> {
        let (kind, rest) = selector.split_first()?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&rest[..end]).ok()?;
        match kind {
            b'i' => Some(Self::Installation),
            b'n' => Some(Self::Namespace(name.into())),
            b'r' => Some(Self::Route(name.into())),
            _ => None,
        }
    }
}

fn realm(bytes: &mut Vec<u8>, kind: u8, name: &str) {
    part(bytes, kind, name);
    bytes.push(0);
}

fn part(bytes: &mut Vec<u8>, kind: u8, text: &str) {
    bytes.push(kind);
    bytes.extend_from_slice(text.as_bytes());
}

impl Invalidations {
    /// Notes an invalidation of everything that began before `epoch` and that the selector, as bytes, covers.
    ///
    /// Where there is no room for its mark, the oldest of those who have most become one that covers all their pages: what
    /// was rendered before the last of these is invalidated once more than was asked for, and nothing less.
    pub fn note(&self, selector: &[u8], mode: Mode, epoch: Epoch) {
        let mut marks = self.write();
        let mark = match mode {
            Mode::Soft => Watermark { soft: epoch, ..Watermark::default() },
            Mode::Hard => Watermark { hard: epoch, ..Watermark::default() },
        };
        marks.note(selector, mark);
        // Within the lock: who sees the new version finds the new mark.
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes an invalidation that takes effect over a time.
    pub fn begin(&self, gradual: Gradual) {
        self.gradual.write().unwrap_or_else(PoisonError::into_inner).push(gradual);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets one that took effect over a time, because it is noted as any other by now.
    pub fn end(&self, epoch: Epoch) {
        self.gradual.write().unwrap_or_else(PoisonError::into_inner).retain(|known| known.epoch != epoch);
    }

    /// The invalidations that are in effect at `now` and cover a group of a route's pages, of those that name it alone and of
    /// all others.
    #[inline]
    pub fn watermark(&self, group: &Group, route: &str, route_tags: &[String], now: Timestamp) -> Watermark {
        let version = self.version.load(Ordering::Acquire);
        if !group.is_checked(version, now) {
            self.check(group, version, route, route_tags, now);
        }
        group.watermark()
    }

    #[cold]
    fn check(&self, group: &Group, version: u64, route: &str, route_tags: &[String], now: Timestamp) {
        group.check(version, |tags| {
            let (gradually, until) = self.judge_gradual(route, group, now);
            (self.judge(route, group, tags, route_tags).later(gradually), until)
        });
    }

    /// What takes effect over a time, as far as it has for this group, and when there will be more.
    fn judge_gradual(&self, route: &str, group: &Group, now: Timestamp) -> (Watermark, Timestamp) {
        let (mut found, mut until) = (Watermark::default(), Timestamp(u64::MAX));
        for gradual in &*self.gradual.read().unwrap_or_else(PoisonError::into_inner) {
            if !gradual.routes.iter().any(|known| **known == *route) {
                continue;
            }
            let moment = gradual.spread.moment(group.name());
            if moment <= now {
                found.soft = found.soft.max(gradual.epoch);
            } else {
                until = until.min(moment);
            }
        }
        (found, until)
    }

    /// Looks up everything that may cover a page.
    fn judge(
        &self,
        route: &str,
        group: &Group,
        tags: Option<&[Box<str>]>,
        route_tags: &[String],
    ) -> Watermark {
        let marks = self.read();
        let mut found = Watermark::default();
        let namespace = route.split('/').next().unwrap_or_default();
        let (host, path) = (group.host(), group.path());
        let mut bytes = Vec::with_capacity(256);
        for (kind, name) in [(b'i', ""), (b'n', namespace), (b'r', route)] {
            bytes.clear();
            realm(&mut bytes, kind, name);
            let Some(marks) = marks.of(&bytes) else { continue };
            let mut look = |write: &mut dyn FnMut(&mut Vec<u8>)| {
                bytes.clear();
                write(&mut bytes);
                if let Some(watermark) = marks.get(&*bytes) {
                    found = found.later(*watermark);
                }
            };
            look(&mut |bytes| bytes.push(b'a'));
            look(&mut |bytes| part(bytes, b'h', host));
            for host in ["", host] {
                for end in prefix_ends(path) {
                    look(&mut |bytes| {
                        part(bytes, b'p', host);
                        part(bytes, 0, &path[..end]);
                    });
                }
            }
            for tag in tags.unwrap_or_default() {
                look(&mut |bytes| part(bytes, b't', tag));
            }
            for tag in route_tags {
                look(&mut |bytes| part(bytes, b't', tag));
            }
            if tags.is_none() {
                let any = marks.iter().filter(|(pages, _)| pages.starts_with(b"t"));
                found = any.fold(found, |found, (_, watermark)| found.later(*watermark));
            }
        }
        found
    }

    /// How many marks there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All marks, each with its selector as bytes.
    pub fn marks(&self) -> Vec<(Box<[u8]>, Watermark)> {
        self.read().iter().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Marks> {
        // Each mark is one assignment: there is none that should not be, whoever panicked.
        self.marks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Marks> {
        self.marks.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the prefixes of a path end: before each of its first slashes, and at its end.
fn prefix_ends(path: &str) -> impl Iterator<Item = usize> {
    let slashes = path.match_indices('/').map(|(at, _)| at);
    let path_end = path.trim_end_matches('/').len();
    // The slash at the beginning ends the empty prefix, which the whole host has.
    slashes
        .filter(move |&at| at < path_end || at == 0)
        .take(PREFIX_DEPTH)
        .chain(Some(path_end).filter(|&end| end > 0))
}

#[cfg(test)]
mod tests;
