//! The control plane: it turns the `IsrRoute`s of a cluster into the table that the proxies serve, and says in their
//! status what is in force.
//!
//! ```text
//! watches ─▶ world ─▶ reconcile ── compile ─▶ publish ─▶ ConfigMaps, one Secret ─▶ proxies
//!                        ▲  │                                                       │
//!            secrets ────┘  └─▶ Declared ─▶ settle ◀─────── /configz ───────────────┘
//!                                             └─▶ status, events
//! ```
//!
//! * [`watches`] says which objects are watched, [`follow`] watches them, [`world`] keeps of them what is needed.
//! * [`reconcile`] looks at the whole world whenever anything changed: it reads the [`secrets`] that routes name, compiles
//!   with the function that `kube-isr check` uses, and [`publish`]es.
//! * [`settle`] asks every ready proxy what it serves, and writes conditions and events from the answers.
//! * [`purges`] hands `IsrPurge`s to the proxies in a list of their own, asks what became of them, and says it.
//! * [`rollouts`] watches which versions of a backend serve, where a route asks for it.
//! * [`ingress`] keeps a Service of the proxies in namespaces that ask for one.
//! * [`lease`] says who of several replicas may write. All of them watch, so that a standby takes over at once, and one that has lost
//!   the Lease is a standby again.
//! * [`events`] tells what changed for the better or the worse to who looks at an object with kubectl.
//! * [`owner`] says with what the written objects are deleted.
//!
//! What is to be done is decided by pure functions with tables of tests: `publish::plan`, `publish::leftovers`,
//! `secrets::schedule`, `purges::judge`, `purges::rollout`, `debounce`, `conditions`, the decision in `lease`. Start reading at [`reconcile`].
//!
//! **Invariants.** Nothing is published from a world that is not completely known. Nothing is written that would change
//! nothing. Nothing is written by a process that does not hold the Lease at that moment. What cannot be read, reached or
//! written leaves in force what is in force. Tokens are in memory and in the one Secret that is for them, nowhere else.

mod acknowledge;
mod admin;
mod conditions;
mod config;
mod debounce;
mod declared;
mod events;
mod failure;
mod follow;
mod ingress;
mod lease;
mod metrics;
mod object;
mod owner;
mod publish;
mod purges;
mod reconcile;
mod rollouts;
mod secrets;
mod settle;
mod watches;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use config::Config;
pub use owner::{NoOwner, Owner};

use crate::config::Names;
pub(crate) use crate::declared::{Declared, DeclaredRoute};
use crate::lease::{Leadership, Lease};
use crate::metrics::Metrics;
use crate::world::World;

/// What every task of the operator is given. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) config: Arc<Config>,
    pub(crate) names: Arc<Names>,
    pub(crate) leadership: Leadership,
    pub(crate) metrics: Arc<Metrics>,
}

/// An operator whose admin address is bound.
pub struct Operator {
    context: Context,
    admin: TcpListener,
}

/// Why an operator does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No kubeconfig and no service account.
    #[error("no API server is known: {0}; set KUBECONFIG, or run in a pod with a service account")]
    Infer(#[source] kube::config::InferConfigError),
    /// What the kubeconfig says cannot be used.
    #[error("the API server cannot be spoken to: {0}")]
    Client(#[source] kube::Error),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A defect of ours: half an operator would report a cluster that it no longer follows.
    #[error("a task of the operator ended, so all of it does; the log above says why")]
    Ended,
}

impl Operator {
    /// Finds the API server, without asking it anything, and binds the admin address.
    pub async fn bind(config: Config) -> Result<Self, OperatorError> {
        let cluster = isr_cluster::infer().await.map_err(OperatorError::Infer)?;
        let namespace = config.namespace.clone().unwrap_or_else(|| cluster.default_namespace.clone());
        let client = Client::try_from(cluster).map_err(OperatorError::Client)?;
        let admin = TcpListener::bind(config.admin)
            .await
            .map_err(|cause| OperatorError::Bind { address: config.admin, cause })?;
        let names = Names { namespace, installation: config.installation.clone() };
        let context = Context {
            client,
            config: Arc::new(config),
            names: Arc::new(names),
            leadership: Leadership::none(),
            metrics: Arc::new(Metrics::new()),
        };
        Ok(Self { context, admin })
    }

    /// Where the admin endpoints are; with port 0 the system has chosen.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Works until `shutdown`, then stops writing and releases the Lease. Without the Lease it watches and writes nothing.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), OperatorError> {
        let Self { context, admin } = self;
        let mut watching = JoinSet::new();
        let world = watches::begin(&context, &mut watching);
        watching.spawn(admin::serve(context.clone(), Arc::clone(&world), admin));
        let mut lease = Lease::new(&context);
        tokio::pin!(shutdown);
        loop {
            let taken = async {
                // Who does not know everything yet takes no Lease from who does.
                world.listed().await;
                lease.take().await;
            };
            tokio::select! {
                () = taken => {}
                _ = watching.join_next() => return Err(OperatorError::Ended),
                () = &mut shutdown => return Ok(()),
            }
            let mut leading = lead(&context, &world);
            let end = tokio::select! {
                why = lease.keep() => End::Lost(why),
                _ = leading.join_next() => End::Defect,
                _ = watching.join_next() => End::Defect,
                () = &mut shutdown => End::Shutdown,
            };
            // Nothing may write once the Lease is somebody else's, and nothing of this term once there is another.
            leading.shutdown().await;
            match end {
                End::Lost(why) => {
                    tracing::warn!(lease = lease.name(), why, "the Lease is lost; standing by");
                }
                End::Defect => return Err(OperatorError::Ended),
                End::Shutdown => {
                    lease.release().await;
                    return Ok(());
                }
            }
        }
    }
}

/// How a term ends.
enum End {
    /// The Lease could not be kept, for this reason.
    Lost(String),
    /// A task ended.
    Defect,
    /// The process is to end.
    Shutdown,
}

/// Begins everything that writes. It ends with what is returned.
fn lead(context: &Context, world: &Arc<World>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (sender, declared) = watch::channel(None);
    tasks.spawn(reconcile::run(context.clone(), Arc::clone(world), sender));
    let (versions, backends) = watch::channel(rollouts::Backends::default());
    tasks.spawn(rollouts::run(context.clone(), Arc::clone(world), declared.clone(), versions));
    tasks.spawn(purges::run(context.clone(), Arc::clone(world), declared.clone(), backends));
    tasks.spawn(settle::run(context.clone(), declared, world.proxies()));
    tasks.spawn(ingress::run(context.clone(), world.proxies(), world.namespaces()));
    tasks
}
