//! Which objects are watched, where, in cluster mode and in namespaced mode.

use std::collections::BTreeSet;
use std::sync::Arc;

use isr_api::{IsrPurge, IsrRoute};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PartialObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::Context;
use crate::config::{INGRESS_LABEL, ROUTES_LABEL};
use crate::follow::{Collect, Watched, follow};
use crate::object::Stored;
use crate::rollouts::slice::BackendSlice;
use crate::world::World;

/// Begins every watch.
pub(crate) fn begin(context: &Context, tasks: &mut JoinSet<()>) -> Arc<World> {
    let watches = all(context);
    // Purges are waited for by who carries them, so that a definition that is not installed yet holds up no route.
    let needed = watches.iter().filter(|(kind, _)| *kind != Kind::Purges);
    let names = needed.map(|(_, watched)| watched.name()).collect::<BTreeSet<_>>();
    let world = Arc::new(World::new(Arc::clone(&context.names), names));
    for (kind, watched) in watches {
        let begin = Begin { context, world: &world, tasks };
        match kind {
            Kind::Routes => begin.namespaced::<Stored<IsrRoute>>(watched, ""),
            Kind::Purges => begin.namespaced::<Stored<IsrPurge>>(watched, ""),
            Kind::Services => begin.namespaced::<Service>(watched, ""),
            Kind::Secrets => begin.namespaced::<PartialObjectMeta<Secret>>(watched, ""),
            Kind::Published => {
                let label = format!("{ROUTES_LABEL}={}", context.names.installation);
                begin.namespaced::<ConfigMap>(watched, &label);
            }
            Kind::Proxies => {
                let label = format!("kubernetes.io/service-name={}", context.config.proxy_service);
                begin.namespaced::<EndpointSlice>(watched, &label);
            }
            Kind::Namespaces => {
                let label = format!("{INGRESS_LABEL}=true");
                let api: Api<PartialObjectMeta<Namespace>> = Api::all(context.client.clone());
                begin.follow(api, watched, &label);
            }
        }
    }
    world
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Routes,
    Purges,
    Services,
    /// Only their metadata, and only in namespaced mode: there a role can be had for it that shows no other Secrets.
    Secrets,
    Published,
    Proxies,
    /// Only in cluster mode: a namespace cannot be watched from within.
    Namespaces,
}

/// Every watch.
fn all(context: &Context) -> Vec<(Kind, Watched)> {
    let own = Some(context.names.namespace.clone());
    let mut watches = vec![
        (Kind::Published, Watched { resource: "configmaps", namespace: own.clone() }),
        (Kind::Proxies, Watched { resource: "endpointslices", namespace: own }),
    ];
    let namespaces = &context.config.watch_namespaces;
    if namespaces.is_empty() {
        watches.push((Kind::Routes, Watched { resource: "isrroutes", namespace: None }));
        watches.push((Kind::Purges, Watched { resource: "isrpurges", namespace: None }));
        watches.push((Kind::Services, Watched { resource: "services", namespace: None }));
        watches.push((Kind::Namespaces, Watched { resource: "namespaces", namespace: None }));
    }
    for namespace in namespaces {
        let within = |resource| Watched { resource, namespace: Some(namespace.clone()) };
        watches.push((Kind::Routes, within("isrroutes")));
        watches.push((Kind::Purges, within("isrpurges")));
        watches.push((Kind::Services, within("services")));
        watches.push((Kind::Secrets, within("secrets")));
    }
    watches
}

/// Begins to watch the pods behind all Services that routes may name; gives the number of watches.
pub(crate) fn begin_backends(context: &Context, world: &Arc<World>, tasks: &mut JoinSet<()>) -> usize {
    let namespaces = &context.config.watch_namespaces;
    let places: Vec<Option<String>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
    let count = places.len();
    for namespace in places {
        let watched = Watched { resource: "endpointslices", namespace };
        Begin { context, world, tasks }.namespaced::<BackendSlice>(watched, "");
    }
    count
}

struct Begin<'b> {
    context: &'b Context,
    world: &'b Arc<World>,
    tasks: &'b mut JoinSet<()>,
}

impl Begin<'_> {
    fn namespaced<K>(self, watched: Watched, labels: &str)
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
        World: Collect<K>,
    {
        let client = self.context.client.clone();
        let api: Api<K> = match &watched.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        self.follow(api, watched, labels);
    }

    fn follow<K>(self, api: Api<K>, watched: Watched, labels: &str)
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
        World: Collect<K>,
    {
        let config = watcher::Config::default();
        let config = if labels.is_empty() { config } else { config.labels(labels) };
        let metrics = Arc::clone(&self.context.metrics);
        self.tasks.spawn(follow(api, config, watched, Arc::clone(self.world), metrics));
    }
}
