//! Watches: the API server's objects, followed for ever.
//!
//! A watch that fails keeps what it knows and is begun anew after a pause, of seconds however long the API server was
//! away; what it missed meanwhile it learns from the next list. It says what is wrong once, not once a try.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::failure::{self, Class};
use crate::metrics::{Metrics, ResourceLabel};
use crate::world::{Key, World};

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// The resource in plural, as in a role: `isrroutes`.
    pub(crate) resource: &'static str,
    /// The namespace; `None` is all of them.
    pub(crate) namespace: Option<String>,
}

/// Where watched objects go.
pub(crate) trait Collect<K> {
    /// An object is there, with these fields.
    fn apply(&self, object: K);
    /// An object is gone.
    fn remove(&self, key: &Key);
    /// Of a namespace, or of all, there are exactly these.
    fn keep_only(&self, namespace: Option<&str>, listed: &BTreeSet<Key>);
}

impl Watched {
    /// As people say it.
    pub(crate) fn name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} in namespace {namespace}", self.resource),
            None => format!("{} in all namespaces", self.resource),
        }
    }

    /// What a failure means and what to do about it.
    fn explain(&self, error: &watcher::Error) -> String {
        let (watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause)) = error
        else {
            return error.to_string();
        };
        let detail = failure::describe(cause);
        match (Class::of(cause), error) {
            (Class::Forbidden, error) => {
                let verb =
                    if matches!(error, watcher::Error::InitialListFailed(_)) { "list" } else { "watch" };
                format!(
                    "the operator may not {verb} {}: grant its service account the verbs list and watch for {} ({detail})",
                    self.name(),
                    self.resource
                )
            }
            (Class::NotFound, _) => format!(
                "the API server knows no {}: install the CustomResourceDefinition, as with `kube-isr crd | kubectl apply --server-side -f -` ({detail})",
                self.resource
            ),
            _ => detail,
        }
    }
}

/// Follows the objects of one resource for ever.
pub(crate) async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    watched: Watched,
    world: Arc<World>,
    metrics: Arc<Metrics>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    World: Collect<K>,
{
    let namespace = watched.namespace.as_deref();
    let mut events = isr_cluster::watch(api, config).map_err(|error| watched.explain(&error));
    let mut listed = BTreeSet::new();
    let mut complaint = None;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let resource = watched.resource;
                metrics.watch_restarts.get_or_create(&ResourceLabel { resource }).inc();
                if complaint.as_ref() != Some(&error) {
                    tracing::warn!(
                        watch = watched.name(),
                        error,
                        "a watch failed; what it knew stays, and it is tried again"
                    );
                    complaint = Some(error);
                }
                continue;
            }
        };
        // These come only from an API server that answered.
        let works = matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(key(&object));
                world.apply(object);
            }
            Event::InitDone => {
                Collect::<K>::keep_only(&*world, namespace, &listed);
                listed.clear();
                world.is_listed(&watched.name());
            }
            Event::Apply(object) => world.apply(object),
            Event::Delete(object) => Collect::<K>::remove(&*world, &key(&object)),
        }
        if works && complaint.take().is_some() {
            tracing::info!(watch = watched.name(), "the watch works again");
        }
    }
}

/// Namespace and name of an object; of one without a namespace the former is empty.
pub(crate) fn key(object: &impl Resource<DynamicType = ()>) -> Key {
    (object.meta().namespace.clone().unwrap_or_default(), object.name_any())
}
