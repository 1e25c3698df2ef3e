//! Which versions of a backend there are: the pods behind the Services whose rollouts make pages stale.
//!
//! `EndpointSlice`s tell which pods stand behind a Service, and whether they are ready. Of which version a pod is, says a label
//! that its controller gives it; it is read of each pod once. Nothing is watched before a route asks for it. What follows from
//! all this is decided in `purges`.

pub(crate) mod slice;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::failure::{Class, describe};
use crate::watches;
use crate::world::{Key, World};
use crate::{Context, Declared};
use slice::PodRef;

/// Labels by which a controller says of which version a pod is: those of `Deployment`s, and of `StatefulSet`s and `DaemonSet`s.
const VERSION_LABELS: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// Pods read at a time: as many as a modest API server answers without queueing.
const AT_A_TIME: usize = 8;
/// After a pod could not be read.
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than any API server that works takes for one object.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The versions behind a Service at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// Those with a ready pod.
    pub(crate) ready: BTreeSet<String>,
    /// Those with any pod, also one that is ending: connections to it may still be open.
    pub(crate) present: BTreeSet<String>,
}

/// The versions behind each Service, as far as all of its pods are known.
pub(crate) type Backends = Arc<BTreeMap<Key, Versions>>;

/// The Services whose rollouts make pages stale: over how long, and of which routes.
pub(crate) fn wanted(declared: &Declared) -> BTreeMap<Key, BTreeMap<Duration, Vec<Box<str>>>> {
    let mut wanted: BTreeMap<Key, BTreeMap<Duration, Vec<Box<str>>>> = BTreeMap::new();
    for route in declared.routes.iter().filter(|route| route.report.accepted) {
        let spec = &route.object.spec;
        let rollout = spec.invalidate_on.as_ref().and_then(|on| on.backend_rollout.as_ref());
        let Some(Ok(over)) = rollout.map(isr_routes::rollout_over) else { continue };
        let object = &route.report.object;
        let service = (object.namespace.clone(), spec.backend_ref.name.clone());
        let id = format!("{}/{}", object.namespace, object.name);
        wanted.entry(service).or_default().entry(over).or_default().push(id.into());
    }
    wanted
}

/// Follows them for ever, while this process leads, from when the first route asks.
pub(crate) async fn run(
    context: Context,
    world: Arc<World>,
    mut declared: watch::Receiver<Option<Arc<Declared>>>,
    backends: watch::Sender<Backends>,
) {
    // Since another term nobody has watched them.
    world.forget_backends();
    let mut news = world.backend_changes();
    let mut watching = JoinSet::new();
    let mut watches = 0;
    let mut versions = HashMap::new();
    loop {
        news.borrow_and_update();
        let latest = declared.borrow_and_update().clone();
        let services: BTreeSet<Key> = latest.iter().flat_map(|latest| wanted(latest).into_keys()).collect();
        if !services.is_empty() && watches == 0 {
            watches = watches::begin_backends(&context, &world, &mut watching);
        }
        let mut is_whole = true;
        if let Some(pods) = world.backends(watches) {
            let pods: BTreeMap<&Key, &Vec<PodRef>> =
                pods.iter().filter(|(service, _)| services.contains(*service)).collect();
            is_whole = read(&context.client, &pods, &mut versions).await;
            let known =
                pods.into_iter().filter_map(|(service, pods)| Some((service.clone(), of(pods, &versions)?)));
            let known: BTreeMap<Key, Versions> = known.collect();
            backends.send_if_modified(|before| {
                let is_new = **before != known;
                if is_new {
                    *before = Arc::new(known);
                }
                is_new
            });
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN), if !is_whole => {}
            changed = news.changed() => if changed.is_err() { return },
            changed = declared.changed() => if changed.is_err() { return },
        }
    }
}

/// The version of each pod by its uid; `None` of one that has none.
type Known = HashMap<String, Option<String>>;

/// The versions of these pods; nothing while one of them is not known.
fn of(pods: &[PodRef], known: &Known) -> Option<Versions> {
    let mut versions = Versions::default();
    for pod in pods {
        let Some(version) = known.get(&pod.uid)? else { continue };
        versions.present.insert(version.clone());
        if pod.is_ready {
            versions.ready.insert(version.clone());
        }
    }
    Some(versions)
}

/// Reads the pods that are not known, and forgets those that are gone. Tells whether all are known.
async fn read(client: &Client, pods: &BTreeMap<&Key, &Vec<PodRef>>, known: &mut Known) -> bool {
    let all = || {
        pods.iter().flat_map(|(service, pods)| pods.iter().map(move |pod| (service.0.clone(), pod.clone())))
    };
    let present: BTreeSet<String> = all().map(|(_, pod)| pod.uid).collect();
    known.retain(|uid, _| present.contains(uid));
    let new: Vec<(String, PodRef)> = all().filter(|(_, pod)| !known.contains_key(&pod.uid)).collect();
    let mut reading = futures::stream::iter(new)
        .map(|(namespace, pod)| read_one(client.clone(), namespace, pod))
        .buffer_unordered(AT_A_TIME);
    let mut is_whole = true;
    while let Some((uid, outcome)) = reading.next().await {
        match outcome {
            Ok(version) => {
                known.insert(uid, version);
            }
            Err(()) => is_whole = false,
        }
    }
    is_whole
}

async fn read_one(client: Client, namespace: String, pod: PodRef) -> (String, Result<Option<String>, ()>) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let outcome = match tokio::time::timeout(TIMEOUT, pods.get_metadata(&pod.name)).await {
        // Another pod of this name: the slices are about to tell.
        Ok(Ok(found)) if found.uid().as_deref() != Some(&*pod.uid) => Ok(None),
        Ok(Ok(found)) => Ok(VERSION_LABELS.iter().find_map(|label| found.labels().get(*label).cloned())),
        Ok(Err(error)) if Class::of(&error) == Class::NotFound => Ok(None),
        Ok(Err(error)) => {
            let name = pod.name;
            tracing::warn!(
                namespace,
                name,
                error = describe(&error),
                "the version of a pod cannot be read; trying again"
            );
            Err(())
        }
        Err(_) => Err(()),
    };
    (pod.uid, outcome)
}
