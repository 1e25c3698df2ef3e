//! What all requests share.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use isr_cache::{Flight, Group, Timestamp};
use isr_routes::Route;
use isr_store::SharedError;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::active::Active;
use crate::clock::Clock;
use crate::config::{Config, Routes, Scheme};
use crate::entries::Entries;
use crate::metrics::Metrics;
use crate::origin::Renderer;
use crate::pages::Pages;
use crate::prerender::known::Prerendering;
use crate::purges::Purges;
use crate::room;
use crate::slots::Slots;
use crate::upstream::Upstream;

/// How long a start waits for the invalidations before it. Pages are worth having without them.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);

/// The state of the data plane.
pub(crate) struct Proxy {
    pub(crate) config: Config,
    /// Where everything is done that no visitor's thread should be kept busy with: renders, connections to backends.
    pub(crate) background: Handle,
    pub(crate) clock: Clock,
    /// The routes in force. Swapped whole; a request keeps the one it began with.
    pub(crate) active: ArcSwap<Active>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) purges: Purges,
    /// What tells its numbers from those of every other process, and of itself before a restart.
    pub(crate) identity: u64,
    /// When it began.
    pub(crate) started: Timestamp,
    pub(crate) entries: Entries,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) renderer: Arc<dyn Renderer>,
    pub(crate) slots: Slots,
    /// Room for bodies that are read before they are stored.
    pub(crate) reading: Arc<Semaphore>,
    /// Room for variants that are being made.
    pub(crate) compressing: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) prerendering: Prerendering,
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
    /// To be called within the runtime that is to be the background.
    pub(crate) fn new(config: Config) -> Result<Arc<Self>, SharedError> {
        let clock = Clock::start();
        let pages = Pages::new(&config, clock.now())?;
        let upstream = Arc::new(Upstream::new(&config.limits));
        Ok(Self::of(config, clock, pages, Arc::clone(&upstream), upstream))
    }

    /// Of these parts.
    pub(crate) fn of(
        config: Config,
        clock: Clock,
        pages: Pages,
        upstream: Arc<Upstream>,
        renderer: Arc<dyn Renderer>,
    ) -> Arc<Self> {
        let limits = &config.limits;
        Arc::new(Self {
            started: clock.now(),
            clock,
            identity: fastrand::u64(..),
            active: ArcSwap::from_pointee(Active::none()),
            pages: Arc::new(pages),
            purges: Purges::new(matches!(config.routes, Routes::Kubernetes(_))),
            entries: Entries::new(),
            upstream,
            renderer,
            slots: Slots::new(limits),
            reading: room::for_reading(limits.memory_bytes),
            compressing: room::for_compressing(),
            metrics: Metrics::new(),
            prerendering: Prerendering::new(),
            draining: watch::Sender::new(Draining::No),
            background: Handle::current(),
            config,
        })
    }

    /// The last invalidation that may concern a render, as the application is told ([`crate::origin::SINCE`]).
    pub(crate) fn since(&self, flight: &Flight, group: &Group, route: &Route) -> String {
        format!("{:016x}.{:016x}", self.identity, self.pages.concerning(flight, group, route).0)
    }

    /// Whether visitors may be sent here.
    pub(crate) fn is_ready(&self) -> bool {
        *self.draining.borrow() == Draining::No && self.active.load().generation > 0 && self.has_caught_up()
    }

    /// Whether it knows what was invalidated while it was away, or has waited for that long enough.
    pub(crate) fn has_caught_up(&self) -> bool {
        (self.pages.have_caught_up() && self.purges.have_caught_up())
            || self.clock.now().since(self.started) > CATCH_UP_WITHIN
    }
}

/// Whether the proxy no longer accepts connections, for a task that asks at every step.
pub(crate) struct Closing {
    begins: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_begun: bool,
    /// Wakes the task for `begins`, once it is known which.
    bell: Option<Arc<Bell>>,
}

/// Wakes a task, and remembers that it did.
struct Bell {
    task: Waker,
    has_rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Closing {
    pub(crate) fn of(proxy: &Proxy) -> Self {
        let mut draining = proxy.draining.subscribe();
        let begins = Box::pin(async move {
            // An error is the end of the proxy itself.
            let _ = draining.wait_for(|state| *state >= Draining::Closing).await;
        });
        Self { begins, has_begun: false, bell: None }
    }

    /// Whether it has; if not, the task is woken when it does. All calls come from one task.
    pub(crate) fn has_begun(&mut self, context: &mut Context<'_>) -> bool {
        // The channel is asked when it has called, and not when its value is new: it calls a moment after its value has
        // changed, so that whoever looks in between and waits again may sleep through the next change.
        let ring = || Bell { task: context.waker().clone(), has_rung: AtomicBool::new(true) };
        let bell = self.bell.get_or_insert_with(|| Arc::new(ring()));
        if !self.has_begun
            && bell.has_rung.load(Ordering::Relaxed)
            && bell.has_rung.swap(false, Ordering::Acquire)
        {
            let waker = Waker::from(Arc::clone(bell));
            self.has_begun = self.begins.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        }
        self.has_begun
    }
}
