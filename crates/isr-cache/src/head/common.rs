//! Lines that many heads begin with, kept once for all of them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use http::{HeaderMap, StatusCode, Version};

use super::lines::append_to;

/// Beginnings that are shared, at most. An installation has a few for each of its routes; an application that sends a field of
/// another value with every page gets this far, and has its pages keep their lines for themselves from there on.
const SHARED_MOST: usize = 16_384;

/// Before so many new ones, a look at which are still in use is not worth its time.
const SWEEP_AFTER: usize = 1024;

/// Maps of fields that a thread keeps, at most: some 2 KiB each, for the routes that it is asked for in turn.
const MAPS_MOST: usize = 64;

/// Room for fields in a map: those of a head with those that are written for each answer.
const MAP_ROOM: usize = 24;

/// A map of fields, and what it is of.
struct Kept {
    of: Weak<Common>,
    map: HeaderMap,
}

thread_local! {
    /// Maps of the beginnings that this thread was asked for last. Each thread has its own: a copy counts references to the
    /// values, and threads that count at one place hold each other up.
    static MAPS: RefCell<[Option<Kept>; MAPS_MOST]> =
        const { RefCell::new([const { None }; MAPS_MOST]) };
}

/// The beginning of a head.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Common {
    pub(super) status: StatusCode,
    pub(super) route: Arc<str>,
    /// The status line, the lines about the content, the other lines.
    text: Box<[u8]>,
    /// Where the lines about the content begin.
    content: usize,
    /// Where they end.
    beside: usize,
}

/// What is shared. One for the process, because it decides nothing: what is equal is equal for everybody.
static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Shared {
    all: HashSet<Arc<Common>>,
    /// New ones since the last look at which are in use.
    new: usize,
}

impl Common {
    /// The beginning of these lines: the one that others have, if any does.
    pub(super) fn of(status: StatusCode, route: &Arc<str>, content: &[u8], beside: &[u8]) -> Arc<Self> {
        let start = format!("{:?} {status}\r\n", Version::HTTP_11);
        let common = Self {
            status,
            route: Arc::clone(route),
            text: [start.as_bytes(), content, beside].concat().into(),
            content: start.len(),
            beside: start.len() + content.len(),
        };
        // Whoever panicked left a set of beginnings.
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).share(common)
    }

    /// All of it.
    pub(super) fn whole(&self) -> &[u8] {
        &self.text
    }

    /// All lines of fields.
    pub(super) fn fields(&self) -> &[u8] {
        &self.text[self.content..]
    }

    /// The same as a map, with room for more.
    pub(super) fn map(self: &Arc<Self>) -> HeaderMap {
        MAPS.with_borrow_mut(|maps| {
            // Allocations are many times 64 bytes apart as a rule.
            let place = &mut maps[(Arc::as_ptr(self).addr() >> 6) % MAPS_MOST];
            if let Some(kept) = place
                && kept.of.as_ptr() == Arc::as_ptr(self)
            {
                return kept.map.clone();
            }
            let mut map = HeaderMap::with_capacity(MAP_ROOM);
            append_to(&mut map, self.fields());
            // While it is referred to, its place in memory is nobody else's.
            *place = Some(Kept { of: Arc::downgrade(self), map: map.clone() });
            map
        })
    }

    /// Those that are not about the content.
    pub(super) fn beside_content(&self) -> &[u8] {
        &self.text[self.beside..]
    }
}

impl Shared {
    fn share(&mut self, common: Common) -> Arc<Common> {
        if let Some(known) = self.all.get(&common) {
            return Arc::clone(known);
        }
        let common = Arc::new(common);
        self.new += 1;
        if self.new >= SWEEP_AFTER.max(self.all.len() / 2) {
            self.all.retain(|known| Arc::strong_count(known) > 1);
            self.new = 0;
        }
        if self.all.len() < SHARED_MOST {
            self.all.insert(Arc::clone(&common));
        }
        common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(route: &str) -> Common {
        let text = Box::from(*b"HTTP/1.1 200 OK\r\n");
        Common { status: StatusCode::OK, route: route.into(), text, content: 17, beside: 17 }
    }

    #[test]
    fn what_is_equal_is_kept_once_and_what_nobody_has_is_forgotten() {
        let mut shared = Shared::default();
        let (one, other) = (shared.share(common("a/b")), shared.share(common("a/b")));
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &shared.share(common("a/c"))));
        for route in 0..10 * SWEEP_AFTER {
            shared.share(common(&route.to_string()));
        }
        assert!(shared.all.len() <= 2 * SWEEP_AFTER, "{} are kept that nobody has", shared.all.len());
        assert!(Arc::ptr_eq(&one, &shared.share(common("a/b"))), "what is in use stays");
    }

    #[test]
    fn there_are_only_so_many() {
        let mut shared = Shared::default();
        let held: Vec<_> =
            (0..SHARED_MOST + 10).map(|route| shared.share(common(&route.to_string()))).collect();
        assert_eq!(shared.all.len(), SHARED_MOST);
        drop(held);
        for route in 0..2 * SHARED_MOST {
            shared.share(common(&format!("later/{route}")));
        }
        assert!(shared.all.len() < SHARED_MOST, "there is room again");
    }
}
