//! What is counted, and how it is told (OpenMetrics). Labels are bounded by the number of routes and by enums, never by
//! paths or hosts that a visitor chooses.

mod prerender;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use isr_cache::{Outcome, Timestamp, Trigger, XIsrCache};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::pages::Pages;
use crate::prerender::known::Prerendering;
use prerender::PrerenderMetrics;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) refreshes: Family<RenderLabels, Counter>,
    /// Pages that another replica has rendered while this one wanted to.
    pub(crate) adopted: Counter,
    pub(crate) upstream_seconds: Histogram,
    pub(crate) reloads: Family<ResultLabel, Counter>,
    pub(crate) reloaded_at: Gauge<f64, AtomicU64>,
    pub(crate) generation: Gauge,
    pub(crate) routes: Gauge,
    pub(crate) problems: Gauge,
    pub(crate) purges_pending: Gauge,
    set_cookie_dropped: Family<RouteLabel, Counter>,
    cache_bytes: Gauge,
    cache_capacity: Gauge,
    cache_entries: Gauge,
    evictions: Counter,
    stale_served: Counter,
    keys_under_way: Gauge,
    pub(crate) connections: Gauge,
    disk: DiskMetrics,
    shared: SharedMetrics,
    pub(crate) prerender: PrerenderMetrics,
}

/// What the disk tier holds and what happened to it; zeros without one.
struct DiskMetrics {
    bytes: Gauge,
    capacity: Gauge,
    entries: Gauge,
    broken: Gauge,
    evictions: Counter,
    errors: Counter,
    damaged: Counter,
    dropped: Counter,
}

/// How the shared tier does; zeros without one.
struct SharedMetrics {
    position: Gauge,
    sure: Gauge,
    errors: Counter,
    damaged: Counter,
    dropped: Counter,
}

/// Requests, by route and by what the cache did.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    route: String,
    cache: &'static str,
}

/// Renders, by route, cause and result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RenderLabels {
    route: String,
    trigger: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabel {
    pub(crate) result: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("isr");
        let requests =
            metric(&mut registry, "requests", "Requests that a route answered, by what the cache did");
        let refreshes = metric(
            &mut registry,
            "refresh",
            "Renders that have ended, by what began them and how they ended",
        );
        let adopted = metric(
            &mut registry,
            "refresh_adopted",
            "Pages that were to be rendered and another replica had rendered",
        );
        // From a millisecond, a page out of the origin's own memory, to half a minute, its time limit.
        let upstream_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register_with_unit(
            "upstream_request_duration",
            "Time from the beginning of a render to the end of the answer, waiting for a slot included",
            Unit::Seconds,
            upstream_seconds.clone(),
        );
        let reloads = metric(
            &mut registry,
            "config_reloads",
            "Times the manifests changed, by whether all of them could be read",
        );
        let reloaded_at = metric(
            &mut registry,
            "config_last_reload_success_timestamp_seconds",
            "When a table was last put in force",
        );
        let generation =
            metric(&mut registry, "config_generation", "Number of the table in force; 0 before the first");
        let routes = metric(&mut registry, "config_routes", "Routes in force");
        let problems =
            metric(&mut registry, "config_problems", "Problems in the manifests, errors and warnings");
        let purges_pending =
            metric(&mut registry, "purges_pending", "Published purges that are not carried out here yet");
        let set_cookie_dropped = metric(
            &mut registry,
            "set_cookie_dropped",
            "Set-Cookie fields that a render brought and no visitor got",
        );
        let cache_bytes = metric(&mut registry, "cache_bytes", "Memory that stored responses take");
        let cache_capacity =
            metric(&mut registry, "cache_capacity_bytes", "Memory that stored responses may take");
        let cache_entries = metric(&mut registry, "cache_entries", "Stored responses");
        let evictions = metric(&mut registry, "evictions", "Stored responses that had to go for others");
        let stale_served =
            metric(&mut registry, "stale_served", "Requests that were answered with a stale page");
        let keys_under_way = metric(
            &mut registry,
            "cache_keys_under_way",
            "Keys with a render, a recent failure or an opt-out",
        );
        let connections = metric(&mut registry, "connections", "Open connections of visitors");
        let disk = DiskMetrics::new(&mut registry);
        let shared = SharedMetrics::new(&mut registry);
        let prerender = PrerenderMetrics::new(&mut registry);
        Self {
            registry,
            requests,
            refreshes,
            adopted,
            upstream_seconds,
            reloads,
            reloaded_at,
            generation,
            routes,
            problems,
            purges_pending,
            set_cookie_dropped,
            cache_bytes,
            cache_capacity,
            cache_entries,
            evictions,
            stale_served,
            keys_under_way,
            connections,
            disk,
            shared,
            prerender,
        }
    }

    /// Counts a `Set-Cookie` that was dropped.
    pub(crate) fn set_cookie_dropped(&self, route: &str) {
        self.set_cookie_dropped.get_or_create(&RouteLabel { route: route.to_owned() }).inc();
    }

    /// All of it as text, with the sizes of now.
    pub(crate) fn encode(
        &self,
        pages: &Pages,
        prerendering: &Prerendering,
        keys_under_way: usize,
        now: Timestamp,
    ) -> String {
        self.prerender.see(prerendering);
        let usage = pages.usage();
        let gauge = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge(&self.cache_bytes, usage.bytes);
        gauge(&self.cache_capacity, usage.capacity);
        gauge(&self.cache_entries, usage.entries as u64);
        gauge(&self.keys_under_way, keys_under_way as u64);
        self.evictions.inner().store(usage.evictions, Ordering::Relaxed);
        if let Some(disk) = pages.disk_usage() {
            gauge(&self.disk.bytes, disk.bytes);
            gauge(&self.disk.capacity, disk.capacity);
            gauge(&self.disk.entries, disk.entries);
            gauge(&self.disk.broken, u64::from(disk.broken.is_some()));
            for (counter, count) in [
                (&self.disk.evictions, disk.evictions),
                (&self.disk.errors, disk.errors),
                (&self.disk.damaged, disk.damaged),
                (&self.disk.dropped, disk.dropped),
            ] {
                counter.inner().store(count, Ordering::Relaxed);
            }
        }
        if let Some(state) = pages.shared_state(now) {
            gauge(&self.shared.position, state.position);
            gauge(&self.shared.sure, u64::from(state.is_sure));
            for (counter, count) in [
                (&self.shared.errors, state.usage.errors),
                (&self.shared.damaged, state.usage.damaged),
                (&self.shared.dropped, state.usage.dropped),
            ] {
                counter.inner().store(count, Ordering::Relaxed);
            }
        }
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

impl DiskMetrics {
    fn new(registry: &mut Registry) -> Self {
        Self {
            bytes: metric(registry, "disk_bytes", "Disk that stored responses take, at most"),
            capacity: metric(registry, "disk_capacity_bytes", "Disk that stored responses may take"),
            entries: metric(registry, "disk_entries", "Stored responses on the disk"),
            broken: metric(registry, "disk_broken", "1 while the disk cannot be written, else 0"),
            evictions: metric(
                registry,
                "disk_evictions",
                "Stored responses that had to go from the disk for others",
            ),
            errors: metric(registry, "disk_errors", "Times that reading or writing the disk failed"),
            damaged: metric(
                registry,
                "disk_damaged",
                "Records on the disk that were not what they should be",
            ),
            dropped: metric(
                registry,
                "disk_dropped",
                "Responses that were not written because the disk is too slow or broken",
            ),
        }
    }
}

impl SharedMetrics {
    fn new(registry: &mut Registry) -> Self {
        Self {
            position: metric(registry, "shared_position", "How far the log of invalidations was followed"),
            sure: metric(
                registry,
                "shared_sure",
                "1 while this replica knows of every acknowledged invalidation, 0 while the log cannot be read",
            ),
            errors: metric(
                registry,
                "shared_errors",
                "Times that the shared tier did not do what it was asked to do",
            ),
            damaged: metric(
                registry,
                "shared_damaged",
                "Records in the shared tier that were not what they should be",
            ),
            dropped: metric(
                registry,
                "shared_dropped",
                "Responses that were not written to the shared tier because it is too slow or away",
            ),
        }
    }
}

fn metric<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The request counters of one route: found once per reload, so that a hit adds to a number and looks up no label.
#[derive(Clone)]
pub(crate) struct RouteCounters {
    route: Arc<str>,
    requests: Family<RequestLabels, Counter>,
    /// Made when they first count: of a hundred thousand routes few see each kind, and each counter is a line for the
    /// one who collects them.
    kinds: [OnceLock<Counter>; KINDS.len()],
    stale_served: Counter,
}

const KINDS: [XIsrCache; 6] = [
    XIsrCache::Hit,
    XIsrCache::Stale,
    XIsrCache::Miss,
    XIsrCache::Revalidated,
    XIsrCache::Bypass,
    XIsrCache::Error,
];

impl RouteCounters {
    pub(crate) fn of(metrics: &Metrics, route: impl Into<Arc<str>>) -> Self {
        let (requests, stale_served) = (metrics.requests.clone(), metrics.stale_served.clone());
        Self { route: route.into(), requests, kinds: Default::default(), stale_served }
    }

    pub(crate) fn count(&self, kind: XIsrCache) {
        if let Some(at) = KINDS.iter().position(|known| *known == kind) {
            let counter = self.kinds[at].get_or_init(|| {
                let labels = RequestLabels { route: self.route.to_string(), cache: label(kind) };
                self.requests.get_or_create_owned(&labels)
            });
            counter.inc();
        }
        if kind == XIsrCache::Stale {
            self.stale_served.inc();
        }
    }
}

impl RenderLabels {
    pub(crate) fn new(route: &str, trigger: Trigger, outcome: Outcome) -> Self {
        Self { route: route.to_owned(), trigger: trigger_name(trigger), result: outcome_name(outcome) }
    }
}

fn label(kind: XIsrCache) -> &'static str {
    match kind {
        XIsrCache::Hit => "hit",
        XIsrCache::Stale => "stale",
        XIsrCache::Miss => "miss",
        XIsrCache::Revalidated => "revalidated",
        XIsrCache::Bypass => "bypass",
        XIsrCache::Error => "error",
    }
}

/// What began a render, as it is written in labels and logs.
pub(crate) fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Miss => "miss",
        Trigger::Stale => "stale",
        Trigger::OnDemand => "on_demand",
        Trigger::Prerender => "prerender",
    }
}

/// How a render ended, as it is written in labels and logs.
pub(crate) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Rendered => "stored",
        Outcome::AlreadyStale => "origin_stale",
        Outcome::OptedOut => "opted_out",
        Outcome::Unstorable => "not_storable",
        Outcome::Failed => "failed",
    }
}
