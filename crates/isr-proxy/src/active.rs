//! The routes in force.

use std::collections::HashMap;
use std::sync::Arc;

use isr_cache::XIsrCache;
use isr_routes::{Backends, Options, RouteTable};
use serde::Serialize;

use crate::metrics::{Metrics, RouteCounters};

/// A folder of manifests stands for one installation, whose namespaces keep their hosts to themselves.
pub(crate) const STANDALONE: Options = Options { backends: Backends::Standalone, shared_hosts: false };

/// Stands for the route of requests that none answers; no namespace and name have this form.
pub(crate) const NO_ROUTE: &str = "none";

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
    counters: HashMap<Arc<str>, Arc<RouteCounters>>,
}

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
            counters: HashMap::new(),
        }
    }

    pub(crate) fn new(origin: Origin, table: RouteTable, problems: Vec<Problem>, metrics: &Metrics) -> Self {
        let Origin { source, generation, digest } = origin;
        let ids = table.routes().map(|route| Arc::clone(&route.id)).chain([Arc::from(NO_ROUTE)]);
        let counters = ids.map(|id| (Arc::clone(&id), RouteCounters::of(metrics, &id))).collect();
        Self { source, generation, digest, table, problems, counters }
    }

    /// Counts a request of a route.
    pub(crate) fn count(&self, route: &str, kind: XIsrCache) {
        if let Some(counters) = self.counters.get(route) {
            counters.count(kind);
        }
    }
}
