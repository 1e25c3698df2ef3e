//! The routes in force.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use isr_cache::XIsrCache;
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
    counters: Counters,
}

/// The counters of each route, found by the place of its identity in memory, which stays as long as the table does.
type Counters = HashMap<usize, RouteCounters, BuildHasherDefault<Place>>;

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
            counters: Counters::default(),
        }
    }

    pub(crate) fn new(origin: Origin, table: RouteTable, problems: Vec<Problem>, metrics: &Metrics) -> Self {
        let Origin { source, generation, digest } = origin;
        let of = |id: &Arc<str>| (place(id), RouteCounters::of(metrics, Arc::clone(id)));
        let counters = unhurried(256, table.routes()).map(|route| of(&route.id)).collect();
        let unrouted = Some(RouteCounters::of(metrics, NO_ROUTE));
        Self { source, generation, digest, table, problems, unrouted, counters }
    }

    /// Counts a request of a route of this table.
    pub(crate) fn count(&self, route: &Route, kind: XIsrCache) {
        if let Some(counters) = self.counters.get(&place(&route.id)) {
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

fn place(id: &Arc<str>) -> usize {
    Arc::as_ptr(id).cast::<u8>() as usize
}

/// The hash of a place in memory.
#[derive(Default)]
struct Place(u64);

impl Hasher for Place {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, place: usize) {
        // 2^64 over the golden ratio: every bit of the place moves the upper ones, and the turn, for a table that looks at
        // both ends, brings them down as well.
        self.0 = (self.0 ^ place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
