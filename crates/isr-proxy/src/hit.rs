//! Answering a hit the short way.
//!
//! What a hit needs of HTTP is little: the target, the host, and that nothing in the request asks for more than a page. So
//! the most frequent request of all is answered here, and everything else goes the long way ([`crate::respond`]) untouched.
//! The rule is to say no: only a GET without a body, whose every part is spelled the plain way, is looked at.
//!
//! What is decided about it is decided here once ([`fresh`]), by the same functions of `isr-routes` and `isr-cache` as on the
//! long way. How it is read and answered depends on what is spoken: over HTTP/1.1 from the bytes as they arrive ([`http1`]),
//! over HTTP/2 from what hyper has read, which it has to because heads are compressed there ([`http2`]).

pub(crate) mod http1;
pub(crate) mod http2;

use std::cell::RefCell;
use std::sync::Arc;

use isr_cache::{
    CacheStatus, Handling, Policy, Representation, RequestFields, Standing, StoredResponse, XIsrCache,
    negotiate,
};
use isr_routes::{Found, Route, Target, write_bare_key};
use memchr::memchr;

use crate::active::Active;
use crate::encode;
use crate::interval::ttl_of;
use crate::page::belongs;
use crate::state::Proxy;

/// A plain GET.
struct Plain<'r, F> {
    /// As it came.
    host: &'r [u8],
    /// Path and query, as they came.
    target: &'r str,
    fields: F,
}

/// A page that is stored and fresh, and what its answer says about it.
struct Fresh<'p> {
    stored: &'p StoredResponse,
    /// What suits the request best.
    representation: Representation<'p>,
    /// Seconds since it was rendered.
    age: u64,
    status: CacheStatus<'static>,
}

thread_local! {
    /// Room for a key: a hit allocates none.
    static KEY: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(256));
}

/// What `write` makes of the page that is asked for, if it is stored and fresh; then it counts as a hit.
fn fresh<F: RequestFields, A>(
    proxy: &Arc<Proxy>,
    request: &Plain<'_, F>,
    write: impl FnOnce(&Fresh<'_>) -> Option<A>,
) -> Option<A> {
    let fields = &request.fields;
    let active = proxy.active.load();
    KEY.with_borrow_mut(|key| {
        let found = known(proxy, &active, request, key).or_else(|| find(proxy, &active, request, key));
        let Page { stored, route, place } = found?;
        let Policy::Interval(policy) = &route.policy else { return None };
        if route.is_draft(fields) || route.bypasses(fields) {
            return None;
        }
        let now = proxy.clock.now();
        let Standing::Fresh { ttl } = proxy.pages.standing(&stored, route, policy, now) else { return None };
        let choice = negotiate::choose(fields, &stored);
        let (handling, ttl) = (Handling::Hit, ttl_of(ttl));
        let answer = write(&Fresh {
            stored: &stored,
            representation: choice.representation,
            age: stored.render.age(now).as_secs(),
            status: CacheStatus { handling, ttl, stored: false, collapsed: false, detail: None },
        })?;
        active.count_at(place, XIsrCache::Hit);
        if let Some(coding) = choice.missing {
            encode::make(proxy, key, &stored, coding);
        }
        Some(answer)
    })
}

/// A stored page, and its route, which is at this place of the table.
struct Page<'a> {
    stored: Arc<StoredResponse>,
    route: &'a Arc<Route>,
    place: u32,
}

/// The page that is asked for, if it was asked for by the very same host and path under the same table before: which route that
/// is stands with the page, and need not be looked up. The key tells that host and path are in their normal form, and it is the
/// key of this request if nothing else of it is part of one.
fn known<'a, F: RequestFields>(
    proxy: &Proxy,
    active: &'a Active,
    request: &Plain<'_, F>,
    key: &mut Vec<u8>,
) -> Option<Page<'a>> {
    let target = request.target;
    let path = memchr(b'?', target.as_bytes()).map_or(target, |mark| &target[..mark]);
    key.clear();
    write_bare_key(request.host, path.as_bytes(), key);
    let stored = proxy.pages.get(key)?;
    let (place, route) = active.noted(&stored)?;
    let has_query = path.len() < target.len();
    if has_query && (!route.ignores_query() || split(target).is_none())
        || route.has_key_header(&request.fields)
    {
        return None;
    }
    Some(Page { stored, route, place })
}

/// The page that is asked for, by its route.
fn find<'a, F: RequestFields>(
    proxy: &Proxy,
    active: &'a Active,
    request: &Plain<'_, F>,
    key: &mut Vec<u8>,
) -> Option<Page<'a>> {
    let fields = &request.fields;
    let target = request.target()?;
    let Found::Route { route, page } = active.table.find(&target.host, &target.path) else { return None };
    key.clear();
    route.write_key(&target, fields, key);
    let stored = proxy.pages.get(key).filter(|stored| belongs(stored, route))?;
    // Data whose page is newer waits for a render.
    if stored.is_before_its_page() && route.is_data(&target.path, &page, fields) {
        return None;
    }
    let place = active.place(route)?;
    if active.noted(&stored).is_none() && page == target.path {
        active.note(&stored, place);
    }
    Some(Page { stored, route, place })
}

impl<'r, F> Plain<'r, F> {
    /// What is asked for in its normal form, if it is spelled the plain way.
    fn target(&self) -> Option<Target<'r>> {
        let (path, query) = split(self.target)?;
        Target::of(std::str::from_utf8(self.host).ok()?, path, query).ok()
    }
}

/// The path and the query of a target, if it is spelled the plain way.
fn split(target: &str) -> Option<(&str, &str)> {
    let is_of_path = |byte: u8| PLAIN[usize::from(byte)];
    let Some(end) = target.bytes().position(|byte| !is_of_path(byte)) else { return Some((target, "")) };
    let query = target[end..].strip_prefix('?')?;
    query.bytes().all(|byte| is_of_path(byte) || byte == b'?').then_some((&target[..end], query))
}

/// The characters of a path (RFC 3986 §3.3), which are also those of a query but for the `?` (§3.4), and no others. Much else is
/// accepted from visitors, by hyper and by [`Target`]; who sends it gets there by the longer way.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'%' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'
                    ..=b',' | b';' | b'=' | b':' | b'@'
            );
        byte += 1;
    }
    table
};

/// Fields with which a request is more than a GET of a page: it has a body, wants another protocol, or speaks to us.
const MEAN_MORE: [&str; 7] = [
    "content-length",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "trailer",
    "x-prerender-revalidate",
];

/// One of 64 bits for each field's name, whatever its case: of twenty names few have the same. Most fields that are looked for
/// are not there, and one bit says so.
#[derive(Clone, Copy, Default)]
struct Marks(u64);

const MARKS_OF_MORE: Marks = {
    let (mut marks, mut at) = (Marks(0), 0);
    while at < MEAN_MORE.len() {
        marks = marks.with(MEAN_MORE[at]);
        at += 1;
    }
    marks
};

impl Marks {
    const fn with(self, name: &str) -> Self {
        Self(self.0 | mark(name))
    }

    /// Whether a field of this name may be there.
    fn may_have(self, name: &str) -> bool {
        self.0 & mark(name) != 0
    }

    /// Whether one of those may be there that mean more than a page.
    fn may_mean_more(self) -> bool {
        self.0 & MARKS_OF_MORE.0 != 0
    }
}

const fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let first = if bytes.is_empty() { 0 } else { bytes[0] | 0x20 };
    1 << ((first as usize * 5 + bytes.len()) % 64)
}

#[cfg(test)]
mod tests;
