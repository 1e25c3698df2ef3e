//! The Service `kube-isr` in the namespaces that ask for it.
//!
//! The backend of an Ingress must be in the Ingress's own namespace, and the proxies are not. So each namespace with the
//! label `kube-isr.dev/ingress-service: "true"` gets a Service without a selector, and `EndpointSlice`s that mirror the
//! ready proxies. Both are compared with what is there and written when they differ; a Service of that name that is
//! not ours is left alone.

mod desired;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use tokio::sync::watch;

use crate::Context;
use crate::config::{FIELD_MANAGER, INGRESS_LABEL};
use crate::failure::{Class, describe};
use crate::metrics::StateLabel;
use crate::world::{LabelledNamespaces, ProxySlices};
use desired::{Family, INSTALLATION_LABEL, SERVICE};

/// How often everything is compared although nothing happened: what somebody changed by hand heals within it.
const COMPARE_EVERY: Duration = Duration::from_mins(5);
/// How often labels are looked at where namespaces may not be watched.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The pause after something failed.
const AGAIN: Duration = Duration::from_secs(2);
/// Changes in quick succession, such as proxies that roll, are taken together.
const QUIET: Duration = Duration::from_millis(100);
/// Namespaces attended to at a time.
const AT_ONCE: usize = 8;

/// What is there in a namespace in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Ours, as it should be.
    Kept,
    /// Somebody else's Service has the name.
    Foreign,
    /// Not as it should be.
    Failed,
    /// Nothing, as it should be.
    Gone,
}

/// Mirrors for ever, while this process leads.
pub(crate) async fn run(
    context: Context,
    mut proxies: watch::Receiver<ProxySlices>,
    mut namespaces: watch::Receiver<LabelledNamespaces>,
) {
    let is_watched = context.config.watch_namespaces.is_empty();
    let mut complaint = BTreeSet::new();
    loop {
        let slices = proxies.borrow_and_update().clone();
        let labelled = namespaces.borrow_and_update().clone();
        let asking = if is_watched {
            Ok(labelled.map(|labelled| (*labelled).clone()))
        } else {
            ask(&context).await.map(Some)
        };
        let mut pause = if is_watched { COMPARE_EVERY } else { LOOK_EVERY };
        match (slices, asking) {
            (Some(slices), Ok(Some(asking))) => {
                let mirror = Mirror { context: &context, slices: &slices };
                match mirror.attend(&asking, &mut complaint).await {
                    Ok(true) => {}
                    Ok(false) => pause = AGAIN,
                    Err(error) => {
                        tracing::warn!(error, "the ingress Services cannot be looked at; trying again");
                        pause = AGAIN;
                    }
                }
            }
            (_, Err(error)) => {
                tracing::warn!(error, "the labels of the namespaces cannot be read; trying again");
                pause = AGAIN;
            }
            // Not known yet.
            _ => {}
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = proxies.changed() => if changed.is_err() { return },
            changed = namespaces.changed(), if is_watched => if changed.is_err() { return },
        }
        tokio::time::sleep(QUIET).await;
    }
}

/// The watched namespaces that carry the label, one by one: a Role allows no more.
async fn ask(context: &Context) -> Result<BTreeSet<String>, String> {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let mut asking = BTreeSet::new();
    for name in &context.config.watch_namespaces {
        match namespaces.get_opt(name).await {
            Ok(Some(namespace))
                if namespace.labels().get(INGRESS_LABEL).is_some_and(|value| value == "true") =>
            {
                asking.insert(name.clone());
            }
            Ok(_) => {}
            Err(error) => return Err(describe(&error)),
        }
    }
    Ok(asking)
}

struct Mirror<'a> {
    context: &'a Context,
    slices: &'a [EndpointSlice],
}

impl Mirror<'_> {
    /// Makes every namespace what it should be; whether all of them are.
    async fn attend(
        &self,
        asking: &BTreeSet<String>,
        complaint: &mut BTreeSet<String>,
    ) -> Result<bool, String> {
        let ours = self.ours().await?;
        let namespaces: Vec<String> = asking.union(&ours).cloned().collect();
        let attended = futures::stream::iter(namespaces).map(|namespace| async {
            let result = if asking.contains(&namespace) {
                self.keep(&namespace).await
            } else {
                self.remove(&namespace).await.map(|()| State::Gone)
            };
            (namespace, result)
        });
        let attended: Vec<_> = attended.buffer_unordered(AT_ONCE).collect().await;
        let mut is_well = true;
        let mut states = Vec::with_capacity(attended.len());
        let mut foreign = BTreeSet::new();
        for (namespace, result) in attended {
            match result {
                Ok(State::Foreign) => {
                    if !complaint.contains(&namespace) {
                        tracing::warn!(
                            namespace,
                            "a Service {SERVICE} is there and not ours: rename or delete it, or remove the label {INGRESS_LABEL} from the namespace"
                        );
                    }
                    foreign.insert(namespace);
                    states.push(State::Foreign);
                }
                Ok(state) => states.push(state),
                Err(error) => {
                    tracing::warn!(
                        namespace,
                        error,
                        "the ingress Service is not what it should be; trying again"
                    );
                    is_well = false;
                    states.push(State::Failed);
                }
            }
        }
        *complaint = foreign;
        for (label, state) in [("kept", State::Kept), ("foreign", State::Foreign), ("failed", State::Failed)]
        {
            let count = states.iter().filter(|one| **one == state).count();
            let gauge = self.context.metrics.ingress_services.get_or_create(&StateLabel { state: label });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        Ok(is_well)
    }

    /// The namespaces that have our Service.
    async fn ours(&self) -> Result<BTreeSet<String>, String> {
        let selector = format!("{INSTALLATION_LABEL}={}", self.context.names.installation);
        let parameters = ListParams::default().labels(&selector);
        let client = || self.context.client.clone();
        let watched = &self.context.config.watch_namespaces;
        let apis: Vec<Api<Service>> = if watched.is_empty() {
            vec![Api::all(client())]
        } else {
            watched.iter().map(|namespace| Api::namespaced(client(), namespace)).collect()
        };
        let mut ours = BTreeSet::new();
        for api in apis {
            let listed = api.list(&parameters).await.map_err(|error| describe(&error))?;
            ours.extend(
                listed
                    .into_iter()
                    .filter(|service| service.name_any() == SERVICE)
                    .filter_map(|service| service.namespace()),
            );
        }
        Ok(ours)
    }

    /// Writes what differs.
    async fn keep(&self, namespace: &str) -> Result<State, String> {
        let installation = &self.context.names.installation;
        let services: Api<Service> = Api::namespaced(self.context.client.clone(), namespace);
        let present = services.get_opt(SERVICE).await.map_err(|error| describe(&error))?;
        if present.as_ref().is_some_and(|service| !desired::is_ours(service.labels(), installation)) {
            return Ok(State::Foreign);
        }
        let owner = self.context.ingress_owner(namespace).await.map_err(|error| error.to_string())?;
        let wanted = desired::service(namespace, installation, owner);
        let service = match present.filter(|present| desired::is_service_kept(present, &wanted)) {
            Some(present) => present,
            None => self.apply(&services, SERVICE, &wanted).await?,
        };
        let api: Api<EndpointSlice> = Api::namespaced(self.context.client.clone(), namespace);
        for family in Family::ALL {
            let name = family.slice();
            let present = api.get_opt(name).await.map_err(|error| describe(&error))?;
            match desired::slice(family, self.slices, &service, installation) {
                None if present.is_some() => self.delete(&api, name).await?,
                None => {}
                Some(wanted)
                    if present.as_ref().is_some_and(|present| desired::is_slice_kept(present, &wanted)) => {}
                Some(wanted) => {
                    self.apply(&api, name, &wanted).await?;
                }
            }
        }
        Ok(State::Kept)
    }

    /// Removes what is ours.
    async fn remove(&self, namespace: &str) -> Result<(), String> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.context.client.clone(), namespace);
        for family in Family::ALL {
            self.delete(&slices, family.slice()).await?;
        }
        let services: Api<Service> = Api::namespaced(self.context.client.clone(), namespace);
        self.delete(&services, SERVICE).await
    }

    async fn apply<K>(&self, api: &Api<K>, name: &str, object: &K) -> Result<K, String>
    where
        K: serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
    {
        self.check()?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(name, &parameters, &Patch::Apply(object)).await.map_err(|error| describe(&error))
    }

    async fn delete<K>(&self, api: &Api<K>, name: &str) -> Result<(), String>
    where
        K: serde::de::DeserializeOwned + Clone + std::fmt::Debug,
    {
        self.check()?;
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(Class::of(&error), Class::NotFound) => Ok(()),
            Err(error) => Err(describe(&error)),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.context.leadership.is_leader() { Ok(()) } else { Err("the Lease is not held".to_owned()) }
    }
}
