//! From watched objects to what is kept of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isr_api::{IsrPurge, IsrRoute, IsrRouteSpec};
use isr_routes::Service as Target;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::PartialObjectMeta;

use super::published::{PresentIndex, PresentLog, PresentShard, Published, is_older};
use super::{Key, Known, State, World};
use crate::follow::{Collect, key};
use crate::object::{Stored, Unreadable};
use crate::rollouts::slice::BackendSlice;

impl Collect<Stored<IsrRoute>> for World {
    fn apply(&self, object: Stored<IsrRoute>) {
        let key = key(&object);
        let Stored { object, unreadable } = object;
        let known = Known { object: Arc::new(object), unreadable: unreadable.map(Arc::new) };
        let mut state = self.state();
        let before = state.routes.get(&key);
        let same_meaning = before.is_some_and(|before| before.means(&known));
        // Also of what changes nothing but its version: who writes a status says for which version it is meant.
        let same_version = before.is_none_or(|before| {
            before.object.metadata.resource_version == known.object.metadata.resource_version
        });
        if !same_meaning {
            if let Some(Unreadable { field, message }) = known.unreadable.as_deref() {
                let (namespace, name) = &key;
                tracing::warn!(namespace, name, field, "an IsrRoute {message}; all others stand");
            }
            let secrets = secrets(&key.0, &known.object.spec).map(|(secret, _)| secret);
            state.touched.extend(secrets);
        }
        state.routes.insert(key, known);
        drop(state);
        self.revision.send_if_modified(|revision| {
            revision.meaning += u64::from(!same_meaning);
            revision.versions += u64::from(!same_version);
            !same_meaning || !same_version
        });
    }

    fn remove(&self, key: &Key) {
        self.change(|state| state.routes.remove(key).is_some());
    }

    fn keep_only(&self, namespace: Option<&str>, listed: &BTreeSet<Key>) {
        self.change(|state| retain(&mut state.routes, namespace, listed));
    }
}

impl Collect<Stored<IsrPurge>> for World {
    fn apply(&self, object: Stored<IsrPurge>) {
        let key = key(&object);
        self.change_purges(|state| {
            let version = |purge: &Stored<IsrPurge>| purge.object.metadata.resource_version.clone();
            let before = state.purges.insert(key, Arc::new(object.clone()));
            before.is_none_or(|before| version(&before) != version(&object))
        });
    }

    fn remove(&self, key: &Key) {
        self.change_purges(|state| state.purges.remove(key).is_some());
    }

    fn keep_only(&self, namespace: Option<&str>, listed: &BTreeSet<Key>) {
        self.change_purges(|state| retain(&mut state.purges, namespace, listed));
    }
}

impl Collect<Service> for World {
    fn apply(&self, object: Service) {
        let key = key(&object);
        let spec = object.spec.unwrap_or_default();
        let is_external = spec.type_.as_deref() == Some("ExternalName");
        let target = Target {
            external_name: spec.external_name.filter(|_| is_external),
            ports: spec.ports.unwrap_or_default().iter().map(|port| port.port).collect(),
        };
        self.change(|state| {
            let same = state.services.get(&key) == Some(&target);
            if !same {
                state.services.insert(key, target);
            }
            !same
        });
    }

    fn remove(&self, key: &Key) {
        self.change(|state| state.services.remove(key).is_some());
    }

    fn keep_only(&self, namespace: Option<&str>, listed: &BTreeSet<Key>) {
        self.change(|state| retain(&mut state.services, namespace, listed));
    }
}

/// Only where Secrets are watched. What is in a Secret is read when a route names it, and never comes this way.
impl Collect<PartialObjectMeta<Secret>> for World {
    fn apply(&self, object: PartialObjectMeta<Secret>) {
        Collect::<PartialObjectMeta<Secret>>::remove(self, &key(&object));
    }

    fn remove(&self, key: &Key) {
        self.change(|state| state.touched.insert(key.clone()));
    }

    fn keep_only(&self, namespace: Option<&str>, _: &BTreeSet<Key>) {
        // Those that are gone are not listed, so all are looked at again.
        self.change(|state| {
            let State { routes, touched, .. } = state;
            for ((of, _), known) in &*routes {
                if namespace.is_none_or(|namespace| namespace == of) {
                    touched.extend(secrets(of, &known.object.spec).map(|(secret, _)| secret));
                }
            }
            true
        });
    }
}

impl Collect<ConfigMap> for World {
    fn apply(&self, object: ConfigMap) {
        let name = object.name_any();
        if name == self.names.index() {
            let present = PresentIndex::of(&object);
            self.change_published(|published| published.see_index(present));
        } else if name == self.names.purges() {
            self.see_purge_log(Some(PresentLog::of(&object)));
        } else {
            let present = PresentShard::of(&object);
            self.change_published(|published| published.see_shard(name, present));
        }
    }

    fn remove(&self, (_, name): &Key) {
        if *name == self.names.purges() {
            return self.see_purge_log(None);
        }
        let is_index = *name == self.names.index();
        self.change_published(|published| {
            if is_index { published.index.take().is_some() } else { published.shards.remove(name).is_some() }
        });
    }

    fn keep_only(&self, _: Option<&str>, listed: &BTreeSet<Key>) {
        let is_listed = |name: &str| listed.contains(&(self.names.namespace.clone(), name.to_owned()));
        if !is_listed(&self.names.purges()) {
            self.see_purge_log(None);
        }
        self.change_published(|published| {
            let before = published.shards.len();
            published.shards.retain(|name, _| is_listed(name));
            let lost_index = !is_listed(&self.names.index()) && published.index.take().is_some();
            lost_index || published.shards.len() != before
        });
    }
}

impl Published {
    /// Takes in what a watch says of the index. The watch may be behind what was written since.
    fn see_index(&mut self, seen: PresentIndex) -> bool {
        if self.index.as_ref().is_some_and(|known| is_older(&seen.resource_version, &known.resource_version))
        {
            return false;
        }
        let changed = self.index.as_ref().is_none_or(|known| known.content != seen.content);
        self.index = Some(seen);
        changed
    }

    /// Takes in what a watch says of a shard.
    fn see_shard(&mut self, name: String, seen: PresentShard) -> bool {
        let known = self.shards.get(&name);
        if known.is_some_and(|known| is_older(&seen.resource_version, &known.resource_version)) {
            return false;
        }
        let changed = known.is_none_or(|known| known.digest != seen.digest);
        self.shards.insert(name, seen);
        changed
    }
}

impl Collect<EndpointSlice> for World {
    fn apply(&self, mut object: EndpointSlice) {
        object.metadata.managed_fields = None;
        self.state().slices.insert(key(&object), object);
        self.tell_proxies(false);
    }

    fn remove(&self, key: &Key) {
        self.state().slices.remove(key);
        self.tell_proxies(false);
    }

    fn keep_only(&self, _: Option<&str>, listed: &BTreeSet<Key>) {
        self.state().slices.retain(|key, _| listed.contains(key));
        self.tell_proxies(true);
    }
}

impl Collect<BackendSlice> for World {
    fn apply(&self, object: BackendSlice) {
        self.change_backends(|state| {
            let before = state.backends.insert(key(&object), object.clone());
            before.is_none_or(|before| (before.service, before.pods) != (object.service, object.pods))
        });
    }

    fn remove(&self, key: &Key) {
        self.change_backends(|state| state.backends.remove(key).is_some());
    }

    fn keep_only(&self, namespace: Option<&str>, listed: &BTreeSet<Key>) {
        self.change_backends(|state| {
            let is_first = state.backends_listed.insert(namespace.unwrap_or_default().to_owned());
            retain(&mut state.backends, namespace, listed) || is_first
        });
    }
}

impl Collect<PartialObjectMeta<Namespace>> for World {
    fn apply(&self, object: PartialObjectMeta<Namespace>) {
        self.state().namespaces.insert(object.name_any());
        self.tell_namespaces(false);
    }

    fn remove(&self, (_, name): &Key) {
        self.state().namespaces.remove(name);
        self.tell_namespaces(false);
    }

    fn keep_only(&self, _: Option<&str>, listed: &BTreeSet<Key>) {
        self.state().namespaces.retain(|name| listed.contains(&(String::new(), name.clone())));
        self.tell_namespaces(true);
    }
}

impl World {
    /// Changes the state, and tells if that changed what anything means.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state()) {
            self.revision.send_modify(|revision| revision.meaning += 1);
        }
    }

    fn change_backends(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state()) {
            self.backends.send_modify(|changes| *changes += 1);
        }
    }

    fn change_purges(&self, change: impl FnOnce(&mut State) -> bool) {
        if change(&mut self.state()) {
            self.purges.send_modify(|changes| *changes += 1);
        }
    }

    /// Takes in what a watch says of the list of purges. The watch may be behind what was written since.
    fn see_purge_log(&self, seen: Option<PresentLog>) {
        self.change_purges(|state| {
            let (known, new) = (state.purge_log.as_ref(), seen.as_ref());
            if let (Some(known), Some(new)) = (known, new)
                && is_older(&new.resource_version, &known.resource_version)
            {
                return false;
            }
            let changed = known != new;
            state.purge_log = seen;
            changed
        });
    }

    fn change_published(&self, change: impl FnOnce(&mut Published) -> bool) {
        if change(&mut self.state().published) {
            self.revision.send_modify(|revision| revision.published += 1);
        }
    }

    /// Hands on the proxies, unless the first list of them is still coming in.
    fn tell_proxies(&self, listed: bool) {
        let slices: Vec<_> = self.state().slices.values().cloned().collect();
        self.proxies.send_if_modified(|known| {
            let told = listed || known.is_some();
            let changed = told && known.as_deref() != Some(&slices);
            if changed {
                *known = Some(Arc::new(slices));
            }
            changed
        });
    }

    /// Hands on the namespaces, unless the first list of them is still coming in.
    fn tell_namespaces(&self, listed: bool) {
        let namespaces = self.state().namespaces.clone();
        self.namespaces.send_if_modified(|known| {
            let told = listed || known.is_some();
            let changed = told && known.as_deref() != Some(&namespaces);
            if changed {
                *known = Some(Arc::new(namespaces));
            }
            changed
        });
    }
}

impl Known {
    /// Whether the other asks for the same, as the same object.
    fn means(&self, other: &Self) -> bool {
        let identity = |object: &IsrRoute| {
            let metadata = &object.metadata;
            (metadata.uid.clone(), metadata.generation, metadata.creation_timestamp.clone())
        };
        self.object.spec == other.object.spec
            && self.unreadable == other.unreadable
            && identity(&self.object) == identity(&other.object)
    }
}

/// The Secrets that a route names, each with the key that it names in it.
pub(crate) fn secrets<'s>(
    namespace: &'s str,
    spec: &'s IsrRouteSpec,
) -> impl Iterator<Item = (Key, &'s str)> + 's {
    let bypass = spec.bypass_token.iter();
    let bypass =
        bypass.flat_map(|token| std::iter::once(&token.secret_key_ref).chain(&token.previous_secret_key_ref));
    let origin = spec.origin_token.iter().map(|token| &token.secret_key_ref);
    bypass.chain(origin).map(move |at| ((namespace.to_owned(), at.name.clone()), at.key.as_str()))
}

/// Drops what a list of the namespace, or of all of them, leaves out; tells whether there was any.
fn retain<V>(objects: &mut BTreeMap<Key, V>, namespace: Option<&str>, listed: &BTreeSet<Key>) -> bool {
    let before = objects.len();
    objects.retain(|key, _| namespace.is_some_and(|namespace| namespace != key.0) || listed.contains(key));
    objects.len() < before
}
