//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use crate::active::Active;
use crate::clock::Clock;
use crate::config::{Config, Scheme};
use crate::entries::Entries;
use crate::metrics::Metrics;
use crate::origin_governed;
use crate::pages::Pages;
use crate::slots::Slots;
use crate::upstream::Upstream;

/// The state of the data plane.
pub(crate) struct Proxy {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// The routes in force. Swapped whole; a request keeps the one it began with.
    pub(crate) active: ArcSwap<Active>,
    pub(crate) pages: Pages,
    pub(crate) entries: Entries,
    pub(crate) upstream: Upstream,
    pub(crate) slots: Slots,
    /// Room for bodies that are read before they are stored.
    pub(crate) reading: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) draining: watch::Sender<Draining>,
}

/// How far the end of the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Draining {
    /// Serving.
    No,
    /// Still accepting, but not ready: load balancers are to go elsewhere.
    Announced,
    /// No longer accepting; open requests are finished.
    Closing,
    /// What is still open is cut.
    Over,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    pub(crate) peer: SocketAddr,
    /// The scheme that they use, as far as is known here.
    pub(crate) scheme: Scheme,
}

impl Proxy {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let limits = &config.limits;
        Arc::new(Self {
            clock: Clock::start(),
            active: ArcSwap::from_pointee(Active::none()),
            pages: Pages::new(&config),
            entries: Entries::new(),
            upstream: Upstream::new(limits),
            slots: Slots::new(limits),
            reading: origin_governed::room(limits.memory_bytes),
            metrics: Metrics::new(),
            draining: watch::Sender::new(Draining::No),
            config,
        })
    }

    /// Whether visitors may be sent here.
    pub(crate) fn is_ready(&self) -> bool {
        *self.draining.borrow() == Draining::No && self.active.load().generation > 0
    }
}
