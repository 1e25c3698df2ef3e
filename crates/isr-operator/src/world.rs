//! What the operator knows of the cluster: every object that matters, reduced to what is needed of it.
//!
//! Watches write here (`collect`), `reconcile` takes a [`View`] of it. The revision says whether anything has changed
//! that could change the table, so that whatever else happens to objects costs nothing.

mod collect;
mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isr_api::{IsrPurge, IsrRoute};
use isr_routes::{References, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;

use crate::config::Names;
use crate::object::{Stored, Unreadable};
use crate::rollouts::slice::{BackendSlice, PodRef};

pub(crate) use collect::secrets;
pub(crate) use published::{
    INDEX_KEY, IndexContent, PURGES_KEY, PresentIndex, PresentLog, PresentShard, Published, SHARD_KEY,
};

/// Namespace and name of an object; of one without a namespace the former is empty.
pub(crate) type Key = (String, String);

/// The `EndpointSlice`s of the proxy Service, without `managedFields`; `None` until they have been listed.
pub(crate) type ProxySlices = Option<Arc<Vec<EndpointSlice>>>;

/// The namespaces with the label that asks for the ingress Service; `None` until they have been listed, and in
/// namespaced mode, where namespaces are not watched.
pub(crate) type LabelledNamespaces = Option<Arc<BTreeSet<String>>>;

/// What the operator knows of the cluster.
pub(crate) struct World {
    names: Arc<Names>,
    state: Mutex<State>,
    revision: watch::Sender<Revision>,
    /// Counts what changes of purges and of their list.
    purges: watch::Sender<u64>,
    /// Counts what changes of the pods behind Services.
    backends: watch::Sender<u64>,
    proxies: watch::Sender<ProxySlices>,
    namespaces: watch::Sender<LabelledNamespaces>,
    /// The watches that have not been listed yet.
    unlisted: watch::Sender<BTreeSet<String>>,
}

#[derive(Default)]
struct State {
    routes: BTreeMap<Key, Known>,
    purges: BTreeMap<Key, Arc<Stored<IsrPurge>>>,
    purge_log: Option<PresentLog>,
    backends: BTreeMap<Key, BackendSlice>,
    /// The namespaces of which all of these are known; an empty name for all.
    backends_listed: BTreeSet<String>,
    services: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, EndpointSlice>,
    namespaces: BTreeSet<String>,
    published: Published,
    /// Secrets that may have changed: named by a changed route, or, where Secrets are watched, changed themselves.
    touched: BTreeSet<Key>,
}

/// An `IsrRoute` without the parts that nobody here reads. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Metadata, spec and status as last seen.
    pub(crate) object: Arc<IsrRoute>,
    /// Why its spec does not parse, if it does not.
    pub(crate) unreadable: Option<Arc<Unreadable>>,
}

/// How often what has changed. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    /// Something that the table depends on.
    pub(crate) meaning: u64,
    /// The published objects, perhaps by our own hand.
    pub(crate) published: u64,
    /// The version of a route: its status, or what nobody here reads.
    pub(crate) versions: u64,
}

/// The world at one moment.
pub(crate) struct View {
    /// Which moment it is.
    pub(crate) revision: Revision,
    /// Every route, in the order of namespace and name.
    pub(crate) routes: Vec<Known>,
    /// The Services that routes name. The Secrets are elsewhere.
    pub(crate) references: References,
    /// The published objects.
    pub(crate) published: Published,
    /// The Secrets that may have changed since the last view.
    pub(crate) touched: BTreeSet<Key>,
}

impl World {
    /// A world of which nothing is known, until each of these watches has been listed.
    pub(crate) fn new(names: Arc<Names>, watches: BTreeSet<String>) -> Self {
        Self {
            names,
            state: Mutex::default(),
            revision: watch::Sender::default(),
            purges: watch::Sender::default(),
            backends: watch::Sender::default(),
            proxies: watch::Sender::default(),
            namespaces: watch::Sender::default(),
            unlisted: watch::Sender::new(watches),
        }
    }

    /// The world at this moment.
    pub(crate) fn view(&self) -> View {
        let mut state = self.state();
        let mut references = References::default();
        for known in state.routes.values() {
            let metadata = &known.object.metadata;
            let namespace = metadata.namespace.clone().unwrap_or_default();
            let name = (namespace, known.object.spec.backend_ref.name.clone());
            if let Some(service) = state.services.get(&name) {
                references.services.entry(name).or_insert_with(|| service.clone());
            }
        }
        View {
            revision: *self.revision.borrow(),
            routes: state.routes.values().cloned().collect(),
            references,
            published: state.published.clone(),
            touched: std::mem::take(&mut state.touched),
        }
    }

    /// Tells of changes.
    pub(crate) fn revisions(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Tells of changes of purges and of their list.
    pub(crate) fn purge_changes(&self) -> watch::Receiver<u64> {
        self.purges.subscribe()
    }

    /// Tells of changes of the pods behind Services.
    pub(crate) fn backend_changes(&self) -> watch::Receiver<u64> {
        self.backends.subscribe()
    }

    /// The pods behind each Service, each once; nothing until so many watches have been listed.
    pub(crate) fn backends(&self, watches: usize) -> Option<BTreeMap<Key, Vec<PodRef>>> {
        let state = self.state();
        if watches == 0 || state.backends_listed.len() < watches {
            return None;
        }
        let mut found: BTreeMap<Key, Vec<PodRef>> = BTreeMap::new();
        for ((namespace, _), slice) in &state.backends {
            let pods = found.entry((namespace.clone(), slice.service.clone())).or_default();
            pods.extend(slice.pods.iter().cloned());
        }
        for pods in found.values_mut() {
            // Of a pod in two slices the ready one, which comes last.
            pods.sort();
            pods.reverse();
            pods.dedup_by(|one, other| one.uid == other.uid);
        }
        Some(found)
    }

    /// Forgets the pods behind Services.
    pub(crate) fn forget_backends(&self) {
        let mut state = self.state();
        state.backends.clear();
        state.backends_listed.clear();
    }

    /// Every purge, in the order of namespace and name, and their list. Those of namespaces that could not be listed yet are
    /// not among them.
    pub(crate) fn purges(&self) -> (Vec<Arc<Stored<IsrPurge>>>, Option<PresentLog>) {
        let state = self.state();
        (state.purges.values().cloned().collect(), state.purge_log.clone())
    }

    /// Notes the list that was written, before the watch tells of it.
    pub(crate) fn wrote_purge_log(&self, log: PresentLog) {
        self.state().purge_log = Some(log);
    }

    /// Tells of the proxies.
    pub(crate) fn proxies(&self) -> watch::Receiver<ProxySlices> {
        self.proxies.subscribe()
    }

    /// Tells of the namespaces that ask for the ingress Service.
    pub(crate) fn namespaces(&self) -> watch::Receiver<LabelledNamespaces> {
        self.namespaces.subscribe()
    }

    /// Notes that everything of a watch is known.
    pub(crate) fn is_listed(&self, watch: &str) {
        self.unlisted.send_if_modified(|unlisted| unlisted.remove(watch));
    }

    /// The watches that are not known yet.
    pub(crate) fn unlisted(&self) -> BTreeSet<String> {
        self.unlisted.borrow().clone()
    }

    /// Waits until every watch has been listed: a table made before that would lack routes.
    pub(crate) async fn listed(&self) {
        // The other end lives as long as this one.
        let _ = self.unlisted.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// The published objects at this moment.
    pub(crate) fn published(&self) -> Published {
        self.state().published.clone()
    }

    /// Notes what was written, so that nothing is written twice before the watch tells of it.
    pub(crate) fn wrote(&self, write: impl FnOnce(&mut Published)) {
        write(&mut self.state().published);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment: it is whole whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
