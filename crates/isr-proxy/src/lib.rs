//! The data plane: it answers visitors from stored pages, renders pages at the origin, and passes the rest through.
//!
//! A request comes in at [`listen`], which knows connections and gives each to one of the [`workers`]. A plain hit is answered
//! from the bytes as they arrive ([`hit`]); everything else goes through [`respond`], which knows routes, from top to bottom: normalise the target, find the route, then one of four ways:
//!
//! * [`interval`]: the page of an ISR route, served from memory or waited for;
//! * [`on_demand`]: a request with the token renders the page now;
//! * [`origin_governed`]: routes without an interval, a shared HTTP cache by RFC 9111;
//! * [`pass`]: everything else, streaming, with nothing stored.
//!
//! What to do is decided by `isr-cache` and `isr-routes`, which know neither sockets nor clocks; this crate asks them and
//! does as they say. A [`render`] is a task of its own that no visitor's connection can stall or cancel; [`judge`] says
//! what its answer means, [`page`] makes a stored response of it. [`prerender`] begins renders before anybody asks.
//! [`source`] follows the manifests, [`purges`] carries out what is purged by resource, [`admin`] tells people what is
//! going on.
//!
//! **Invariant: the cache never costs a response.** When storing, compressing or counting fails, the visitor gets the
//! same bytes, and only their freshness may suffer.

mod active;
mod activity;
mod admin;
mod answer;
mod body;
mod clock;
mod config;
mod connection;
mod eager;
mod encode;
mod entries;
mod fields;
mod forwarded;
mod framing;
mod hit;
mod interval;
mod invalidate;
mod job;
mod judge;
mod landing;
mod listen;
mod log;
mod metrics;
#[cfg(test)]
mod model;
mod on_demand;
mod origin;
mod origin_governed;
mod page;
mod pages;
mod pass;
mod prerender;
mod problem;
mod purges;
mod render;
mod respond;
mod room;
mod slots;
mod source;
mod state;
mod state_file;
mod tls;
mod tunnel;
mod upstream;
mod wire;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;

pub use config::{Config, Limits, Published, Routes, Scheme, SharedTier, Tls};
pub use isr_store::{SharedError, SharedOptions};
pub use source::SourceError;
pub use tls::TlsError;
pub use workers::background;

use crate::source::Source;
use crate::state::{Draining, Proxy};
use crate::workers::Workers;

/// A proxy whose addresses are bound and whose first table is in force.
pub struct Server {
    proxy: Arc<Proxy>,
    source: Source,
    plain: TcpListener,
    tls: Option<(TcpListener, tls::Current)>,
    admin: TcpListener,
    workers: Arc<Workers>,
}

/// The addresses that a server listens on; with port 0 the system has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Visitors, unencrypted.
    pub plain: SocketAddr,
    /// Visitors over TLS.
    pub tls: Option<SocketAddr>,
    /// The admin endpoints.
    pub admin: SocketAddr,
}

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The routes.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The shared tier.
    #[error("--shared: {0}")]
    Shared(#[from] SharedError),
    /// The system.
    #[error("no threads can be started to serve visitors: {0}")]
    Threads(std::io::Error),
}

impl Server {
    /// Reads the manifests and binds the addresses. A folder that does not exist or a broken certificate is an error
    /// here and nowhere later.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let tls = match &config.tls {
            None => None,
            Some(files) => {
                let current = Arc::new(ArcSwap::from_pointee(tls::load(files)?));
                Some((listen::bind(files.listen).await?, current))
            }
        };
        let plain = listen::bind(config.listen).await?;
        let admin = listen::bind(config.admin).await?;
        let mut source = Source::find(&config).await?;
        let proxy = Proxy::new(config)?;
        source.begin(&proxy)?;
        let workers = Arc::new(Workers::start().map_err(ServeError::Threads)?);
        Ok(Self { proxy, source, plain, tls, admin, workers })
    }

    /// Where it listens.
    pub fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            plain: self.plain.local_addr()?,
            tls: self.tls.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
            admin: self.admin.local_addr()?,
        })
    }

    /// Serves until `shutdown`, then drains: not ready, still accepting; then no longer accepting; then over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { proxy, source, plain, tls, admin, workers } = self;
        // These end with the process: health is asked for, and certificates may change, until the last moment.
        tokio::spawn(admin::serve(Arc::clone(&proxy), admin));
        tokio::spawn(source.follow(Arc::clone(&proxy)));
        tokio::spawn(purges::follow::follow(Arc::clone(&proxy)));
        let following = Arc::clone(&proxy);
        let following = tokio::spawn(async move { following.pages.follow(&following.clock).await });
        // Ends by itself when the process drains.
        tokio::spawn(prerender::run(Arc::clone(&proxy)));
        let mut listeners = tokio::task::JoinSet::new();
        listeners.spawn(listen::accept(Arc::clone(&proxy), Arc::clone(&workers), plain, None));
        if let Some((listener, current)) = tls {
            if let Some(files) = proxy.config.tls.clone() {
                tokio::spawn(tls::follow(files, Arc::clone(&current)));
            }
            listeners.spawn(listen::accept(
                Arc::clone(&proxy),
                Arc::clone(&workers),
                listener,
                Some(current),
            ));
        }

        shutdown.await;
        let limits = &proxy.config.limits;
        tracing::info!(delay = ?limits.drain_delay, within = ?limits.drain, "draining");
        proxy.draining.send_replace(Draining::Announced);
        tokio::time::sleep(limits.drain_delay).await;
        proxy.draining.send_replace(Draining::Closing);
        let closed = async { while listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.drain, closed).await.is_err() {
            tracing::warn!("some requests did not end in time and are cut");
        }
        proxy.draining.send_replace(Draining::Over);
        // The last word to the other replicas: nobody is served here any more.
        following.abort();
        proxy.pages.leave().await;
        // Tasks that are still at work hold the pages, so that nothing else would end the disk in good order.
        proxy.pages.close().await;
    }
}
