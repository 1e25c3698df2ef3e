//! What is counted, and how it is told (OpenMetrics).

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) reconcile_seconds: Histogram,
    pub(crate) reconcile_errors: Family<ReasonLabel, Counter>,
    pub(crate) queue_depth: Gauge,
    pub(crate) is_leader: Gauge,
    pub(crate) shards: Gauge,
    pub(crate) published_bytes: Gauge,
    pub(crate) generation: Gauge,
    pub(crate) watch_restarts: Family<ResourceLabel, Counter>,
    pub(crate) routes: Family<StateLabel, Gauge>,
    pub(crate) ingress_services: Family<StateLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResourceLabel {
    pub(crate) resource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StateLabel {
    pub(crate) state: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("isr_operator");
        // From a millisecond, a few routes, to half a minute, the longest that a retry waits.
        let reconcile_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register_with_unit(
            "reconcile_duration",
            "Time from a settled change to a published table, reading Secrets and compiling included",
            Unit::Seconds,
            reconcile_seconds.clone(),
        );
        let reconcile_errors =
            metric(&mut registry, "reconcile_errors", "Attempts to publish that failed, by what failed");
        let queue_depth = metric(&mut registry, "queue_depth", "Changes that no published table holds yet");
        let is_leader = metric(&mut registry, "is_leader", "Whether this replica holds the Lease: 1 or 0");
        let shards = metric(&mut registry, "shards", "Shards of the published table");
        let published_bytes =
            metric(&mut registry, "published_bytes", "Size of the published table, index and shards");
        let generation = metric(&mut registry, "generation", "Generation of the published table");
        let watch_restarts = metric(
            &mut registry,
            "watch_restarts",
            "Watches that failed and were begun anew, by what they watch",
        );
        let routes = metric(&mut registry, "routes", "IsrRoutes, by what became of them");
        let ingress_services = metric(
            &mut registry,
            "ingress_services",
            "Namespaces with the ingress Service, by what became of it",
        );
        Self {
            registry,
            reconcile_seconds,
            reconcile_errors,
            queue_depth,
            is_leader,
            shards,
            published_bytes,
            generation,
            watch_restarts,
            routes,
            ingress_services,
        }
    }

    /// Forgets what only the holder of the Lease can say: another one says it now.
    pub(crate) fn stand_by(&self) {
        for gauge in
            [&self.is_leader, &self.queue_depth, &self.shards, &self.published_bytes, &self.generation]
        {
            gauge.set(0);
        }
        self.routes.clear();
        self.ingress_services.clear();
    }

    /// All of it as text.
    pub(crate) fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn metric<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}
