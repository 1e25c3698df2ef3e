//! How prerendering is counted, and how far it is.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metric;
use crate::prerender::known::Prerendering;
use crate::prerender::progress::{Mapped, Progress};

/// Looks at pages, and how far routes are.
pub(crate) struct PrerenderMetrics {
    looks: Family<LookLabels, Counter>,
    pages: Family<StateLabels, Gauge>,
    urls: Family<UrlLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookLabels {
    route: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    route: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UrlLabels {
    route: String,
    kind: &'static str,
}

impl PrerenderMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            looks: metric(
                registry,
                "prerender_looks",
                "Looks at pages to prerender and at sitemaps, by what came of them",
            ),
            pages: metric(
                registry,
                "prerender_pages",
                "Pages that routes want rendered before anybody asks, by how they stand",
            ),
            urls: metric(
                registry,
                "prerender_sitemap_urls",
                "URLs in the sitemaps of routes at the last reading, by whose they are",
            ),
        }
    }

    /// Counts a look at a page or a sitemap of a route.
    pub(crate) fn looked(&self, route: &str, result: &'static str) {
        self.looks.get_or_create(&LookLabels { route: route.to_owned(), result }).inc();
    }

    /// Takes over how far prerendering is. Routes that are gone are gone from here too.
    pub(super) fn see(&self, prerendering: &Prerendering) {
        self.pages.clear();
        self.urls.clear();
        let value = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        prerendering.each(|route, progress| {
            let Progress { pages, waiting, failing, .. } = *progress;
            let done = pages.saturating_sub(waiting + failing);
            for (state, count) in [("done", done), ("waiting", waiting), ("failing", failing)] {
                let labels = StateLabels { route: route.to_owned(), state };
                self.pages.get_or_create(&labels).set(value(count));
            }
            for (kind, count) in progress.sitemaps.values().flat_map(Mapped::counts) {
                let labels = UrlLabels { route: route.to_owned(), kind };
                self.urls.get_or_create(&labels).inc_by(value(count));
            }
        });
    }
}
