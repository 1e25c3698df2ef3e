//! What the proxy is told at its start. Parsed elsewhere; nothing here has a default, so that every start says it all.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use isr_store::SharedOptions;

/// Everything a proxy needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the routes come from.
    pub routes: Routes,
    /// A folder for what should outlive the process, such as the last good table of a cluster.
    pub state_dir: Option<PathBuf>,
    /// The store that replicas share, of which there is none for a replica that is alone.
    pub shared: Option<SharedTier>,
    /// Where visitors connect: HTTP/1.1, and HTTP/2 by prior knowledge.
    pub listen: SocketAddr,
    /// Where visitors connect over TLS.
    pub tls: Option<Tls>,
    /// Where the admin endpoints listen.
    pub admin: SocketAddr,
    /// The scheme that visitors use, told to the origin as `X-Forwarded-Proto` unless a trusted peer knows better.
    pub public_scheme: Scheme,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted: Vec<IpNet>,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Bounds on everything that could grow.
    pub limits: Limits,
}

/// Where the routes come from.
#[derive(Clone, Debug)]
pub enum Routes {
    /// A folder of manifests, or one file of them.
    Path(PathBuf),
    /// What the operator of a cluster publishes.
    Kubernetes(Published),
}

/// Where an operator publishes.
#[derive(Clone, Debug)]
pub struct Published {
    /// The namespace; `None` for that of the service account or the kubeconfig's context.
    pub namespace: Option<String>,
    /// The name of the installation, with which the names of its objects begin.
    pub installation: String,
}

/// The store that replicas share.
#[derive(Clone, Debug)]
pub struct SharedTier {
    /// Where it is.
    pub options: SharedOptions,
    /// What this replica is called in it. No two have the same name at a time.
    pub replica: String,
}

/// A TLS listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where it listens.
    pub listen: SocketAddr,
    /// File of the certificate chain, PEM.
    pub certificate: PathBuf,
    /// File of the private key, PEM.
    pub key: PathBuf,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The bounds. Each one protects something: the reason stands with it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// To open a connection to a backend. Longer, and a visitor waits for a dead address.
    pub connect: Duration,
    /// From the end of a request to the first byte of its response. Longer, and a hanging origin holds renders.
    pub first_byte: Duration,
    /// Between two pieces of a page that is rendered.
    pub idle: Duration,
    /// For a whole render, from its beginning to the last byte. An origin that drips holds a render no longer.
    pub render: Duration,
    /// Between two pieces of a response or upgraded connection that is passed through; server-sent events and
    /// `WebSockets` are silent for longer than pages.
    pub stream_idle: Duration,
    /// Bytes of a page that may be stored; a longer one is streamed to its visitor and not stored.
    pub page_bytes: usize,
    /// Bytes of memory for stored pages.
    pub memory_bytes: u64,
    /// Bytes of disk for stored pages, in the folder for what outlives the process. None: pages are in memory alone.
    pub disk_bytes: u64,
    /// Renders at a time, in all.
    pub renders: usize,
    /// Renders at a time for one backend. Half of them at most are in the background, so that refreshing never keeps
    /// a waiting visitor waiting.
    pub renders_per_backend: usize,
    /// After SIGTERM: how long readiness is false while connections are still accepted, because load balancers learn
    /// of it late.
    pub drain_delay: Duration,
    /// After that: how long open requests may take.
    pub drain: Duration,
}

impl Config {
    /// Whether what `peer` says about the visitor is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|range| range.contains(&peer))
    }
}
