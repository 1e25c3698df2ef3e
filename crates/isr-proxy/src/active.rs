//! The routes in force.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use isr_cache::{StoredResponse, XIsrCache};
use isr_routes::{Backends, Options, Route, RouteTable, unhurried};
use serde::Serialize;

use crate::metrics::{Metrics, RouteCounters};

/// A folder of manifests stands for one installation, whose namespaces keep their hosts to themselves.
pub(crate) const STANDALONE: Options = Options { backends: Backends::Standalone, shared_hosts: false };

/// Stands for the route of requests that none answers; no namespace and name have this form.
const NO_ROUTE: &str = "none";

/// A table that was put in force, with what belongs to it.
pub(crate) struct Active {
    /// Where it came from: `folder` or `kubernetes`.
    pub(crate) source: &'static str,
    /// Which table it is. 0 before any, when every host is unknown.
    pub(crate) generation: u64,
    /// What tells it from other tables: in a cluster, the digest of the published index.
    pub(crate) digest: String,
    pub(crate) table: RouteTable,
    /// What is wrong with the manifests that it was made of.
    pub(crate) problems: Vec<Problem>,
    /// Of requests that none answers.
    unrouted: Option<RouteCounters>,
    /// Of the requests of each route, in the order of the table.
    counters: Vec<RouteCounters>,
    places: Places,
    /// Tells it from all others that this process puts in force.
    number: NonZero<u32>,
}

/// Where each route is in the table, by the address of its identity in memory, which stays as long as the table does.
type Places = HashMap<usize, u32, BuildHasherDefault<Address>>;

/// The number of the last table. One for the process: numbers are only told apart.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Which table it is, of which source.
pub(crate) struct Origin {
    pub(crate) source: &'static str,
    pub(crate) generation: u64,
    pub(crate) digest: String,
}

/// A problem in the manifests, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// `error` or `warning`.
    pub(crate) severity: &'static str,
    /// Where it stands, as `file:line` or the name of a shard.
    pub(crate) location: String,
    /// Whose it is, as `IsrRoute namespace/name`.
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) message: String,
    /// Whether the object is out of force because of it.
    pub(crate) rejected: bool,
}

impl Active {
    /// No routes.
    pub(crate) fn none() -> Self {
        Self {
            source: "none",
            generation: 0,
            digest: String::new(),
            table: RouteTable::default(),
            problems: Vec::new(),
            unrouted: None,
            counters: Vec::new(),
            places: Places::default(),
            number: next_number(),
        }
    }

    pub(crate) fn new(origin: Origin, table: RouteTable, problems: Vec<Problem>, metrics: &Metrics) -> Self {
        let Origin { source, generation, digest } = origin;
        let of = |route: &Arc<Route>| RouteCounters::of(metrics, Arc::clone(&route.id));
        let counters = unhurried(256, table.routes()).map(of).collect();
        let places = unhurried(256, table.routes()).map(|route| address(&route.id)).zip(0..).collect();
        let unrouted = Some(RouteCounters::of(metrics, NO_ROUTE));
        let number = next_number();
        Self { source, generation, digest, table, problems, unrouted, counters, places, number }
    }

    /// The place of a route in this table.
    pub(crate) fn place(&self, route: &Route) -> Option<u32> {
        self.places.get(&address(&route.id)).copied()
    }

    /// Notes which route answers the host and the path that a response is stored under.
    pub(crate) fn note(&self, stored: &StoredResponse, place: u32) {
        stored.routed.note(self.number, place);
    }

    /// The place of the route that was noted, and the route.
    pub(crate) fn noted(&self, stored: &StoredResponse) -> Option<(u32, &Arc<Route>)> {
        let place = stored.routed.place(self.number)?;
        Some((place, self.table.route(place as usize)?))
    }

    /// Counts a request of a route of this table.
    pub(crate) fn count(&self, route: &Route, kind: XIsrCache) {
        if let Some(place) = self.place(route) {
            self.count_at(place, kind);
        }
    }

    /// Counts a request of the route at this place.
    pub(crate) fn count_at(&self, place: u32, kind: XIsrCache) {
        if let Some(counters) = self.counters.get(place as usize) {
            counters.count(kind);
        }
    }

    /// Counts a request that no route answers.
    pub(crate) fn count_unrouted(&self, kind: XIsrCache) {
        if let Some(counters) = &self.unrouted {
            counters.count(kind);
        }
    }
}

/// After the last of all, the first again: no page is so old.
fn next_number() -> NonZero<u32> {
    NonZero::new(LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1)).unwrap_or(NonZero::<u32>::MIN)
}

fn address(id: &Arc<str>) -> usize {
    Arc::as_ptr(id).cast::<u8>() as usize
}

/// The hash of an address.
#[derive(Default)]
struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // 2^64 over the golden ratio: every bit of the address moves the upper ones, and the turn, for a table that looks at
        // both ends, brings them down as well.
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
