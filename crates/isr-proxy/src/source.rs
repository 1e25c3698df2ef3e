//! Where the routes come from, followed as they change.
//!
//! Outside a cluster they are a [`folder`] of manifests, compiled here. In a cluster the operator has compiled them, and
//! they are read in their published form from [`kubernetes`]; the [`last_good`] table is kept on disk, so that a proxy
//! starts without an API server too. Whatever comes in, the table in force is swapped whole, and the last good one
//! stays until there is a better one.

mod folder;
mod kubernetes;
mod last_good;
mod published;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::active::Active;
use crate::config::{Config, Routes};
use crate::metrics::ResultLabel;
use crate::state::Proxy;

use folder::Folder;
use kubernetes::Kubernetes;

/// Why there are no routes at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder or file.
    #[error("the routes in {path} cannot be read: {cause}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error(
        "--routes kubernetes needs an API server: {0}; run in a pod with a service account, or set KUBECONFIG"
    )]
    NoCluster(#[from] kube::config::InferConfigError),
    /// What the kubeconfig says cannot be used.
    #[error("the API server cannot be spoken to: {0}")]
    Client(#[from] kube::Error),
}

/// Until a look at who still has a table that was replaced.
const RETIRE_AFTER: Duration = Duration::from_secs(1);

/// Where the routes come from.
pub(crate) enum Source {
    Folder(Folder),
    Kubernetes(Box<Kubernetes>),
}

impl Source {
    /// Finds the source, without asking it anything yet.
    pub(crate) async fn find(config: &Config) -> Result<Self, SourceError> {
        Ok(match &config.routes {
            Routes::Path(path) => Self::Folder(Folder::new(path.clone())),
            Routes::Kubernetes(published) => {
                Self::Kubernetes(Box::new(Kubernetes::find(published, config.state_dir.as_deref()).await?))
            }
        })
    }

    /// Puts in force what is there without waiting for anybody: the folder, or the last good table.
    pub(crate) fn begin(&mut self, proxy: &Proxy) -> Result<(), SourceError> {
        match self {
            Self::Folder(folder) => folder.update(proxy),
            Self::Kubernetes(kubernetes) => {
                kubernetes.begin(proxy);
                Ok(())
            }
        }
    }

    /// Follows the source for ever.
    pub(crate) async fn follow(self, proxy: Arc<Proxy>) {
        match self {
            Self::Folder(folder) => folder::follow(proxy, folder).await,
            Self::Kubernetes(kubernetes) => kubernetes.follow(proxy).await,
        }
    }
}

fn put_in_force(proxy: &Proxy, active: Active, result: &'static str) {
    let metrics = &proxy.metrics;
    let routes = active.table.routes().count();
    metrics.reloads.get_or_create(&ResultLabel { result }).inc();
    metrics.generation.set(i64::try_from(active.generation).unwrap_or(i64::MAX));
    metrics.routes.set(i64::try_from(routes).unwrap_or(i64::MAX));
    metrics.problems.set(i64::try_from(active.problems.len()).unwrap_or(i64::MAX));
    let seconds = proxy.clock.now().since(isr_cache::Timestamp(0)).as_secs_f64();
    metrics.reloaded_at.set(seconds);
    let active = Arc::new(active);
    let before = proxy.active.swap(Arc::clone(&active));
    proxy.prerendering.reloaded();
    let backends: HashSet<&str> = active.table.routes().map(|route| route.backend.name.as_str()).collect();
    proxy.slots.keep_only(|backend| backends.contains(backend));
    tracing::info!(
        generation = active.generation,
        routes,
        digest = active.digest,
        "the route table is in force"
    );
    proxy.background.spawn(retire(before));
}

/// Lets go of a table when no request has it any more. To take 100,000 routes apart takes tens of milliseconds, for which the
/// last request's thread would stand still.
async fn retire(table: Arc<Active>) {
    while Arc::strong_count(&table) > 1 {
        tokio::time::sleep(RETIRE_AFTER).await;
    }
    // The process ends, or it is gone.
    let _ = tokio::task::spawn_blocking(move || drop(table)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_table_is_taken_apart_behind_the_back_of_the_last_request_that_had_it() {
        let table = Arc::new(Active::none());
        let (request, kept) = (Arc::clone(&table), Arc::downgrade(&table));
        let retiring = tokio::spawn(retire(table));
        tokio::time::sleep(10 * RETIRE_AFTER).await;
        assert!(!retiring.is_finished(), "a request has it");
        drop(request);
        assert!(kept.upgrade().is_some(), "the request did not take it apart");
        retiring.await.expect("its end");
        assert!(kept.upgrade().is_none());
    }
}
