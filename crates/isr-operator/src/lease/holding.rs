//! The Lease in the cluster, as it was last seen, and the way to it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::time::Instant;

use super::decision::{Observed, Step, decide};
use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::failure::{Class, describe};
use crate::owner::is_owned;

/// What a look at the Lease came to.
pub(super) enum Attended {
    /// It is ours, as of now.
    Mine,
    /// It is somebody else's.
    Theirs { holder: String, free_in: Duration },
}

/// The Lease as it was last seen, and the way to it.
pub(super) struct Holding {
    api: Api<Object>,
    context: Context,
    observed: Option<Observed>,
    /// The object that was last read or written.
    present: Option<Object>,
}

impl Holding {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            api: Api::namespaced(context.client.clone(), &context.names.namespace),
            context: context.clone(),
            observed: None,
            present: None,
        }
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.context.names.namespace, self.context.names.lease())
    }

    pub(super) fn identity(&self) -> &str {
        &self.context.config.identity
    }

    /// Takes or renews the Lease if that may be done. While it is held, our own last write is what is known of it.
    pub(super) async fn attend(&mut self, is_held: bool) -> Result<Attended, String> {
        if !is_held || self.present.is_none() {
            self.read().await?;
        }
        match decide(self.observed.as_ref(), self.identity(), Instant::now()) {
            Step::Take => self.write(true).await,
            Step::Renew => self.write(false).await,
            Step::Wait { holder, free_in } => Ok(Attended::Theirs { holder, free_in }),
        }
    }

    async fn read(&mut self) -> Result<(), String> {
        let object = match self.api.get_opt(&self.context.names.lease()).await {
            Ok(object) => object,
            Err(error) => return Err(describe(&error)),
        };
        self.observe(object);
        Ok(())
    }

    fn observe(&mut self, object: Option<Object>) {
        self.observed = object.as_ref().map(|object| {
            let spec = object.spec.clone().unwrap_or_default();
            let version = object.metadata.resource_version.clone().unwrap_or_default();
            let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            Observed::after(
                self.observed.take(),
                version,
                spec.holder_identity.filter(|holder| !holder.is_empty()),
                seconds.map_or(self.context.config.lease_duration, Duration::from_secs),
                Instant::now(),
            )
        });
        self.present = object;
    }

    async fn write(&mut self, take: bool) -> Result<Attended, String> {
        self.say_whose_it_is().await?;
        let now = MicroTime(Timestamp::now());
        let before = self.present.as_ref().and_then(|object| object.spec.clone()).unwrap_or_default();
        let seconds = i32::try_from(self.context.config.lease_duration.as_secs()).unwrap_or(i32::MAX).max(1);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity().to_owned()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(now.clone()),
            acquire_time: if take { Some(now) } else { before.acquire_time },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(i32::from(take))),
            ..LeaseSpec::default()
        };
        self.put(spec).await
    }

    /// Has the Lease name its owner, if whoever made it was told of none.
    async fn say_whose_it_is(&mut self) -> Result<(), String> {
        if let Some(present) = &mut self.present
            && self.context.must_own(is_owned(&present.metadata))
        {
            let owner = self.context.owner().await.map_err(|error| error.to_string())?;
            present.metadata.owner_references = owner.map(|owner| vec![owner]);
        }
        Ok(())
    }

    async fn put(&mut self, spec: LeaseSpec) -> Result<Attended, String> {
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let result = if let Some(present) = &self.present {
            let object = Object { metadata: present.metadata.clone(), spec: Some(spec) };
            self.api.replace(&self.context.names.lease(), &parameters, &object).await
        } else {
            let owner = self.context.owner().await.map_err(|error| error.to_string())?;
            let metadata = ObjectMeta {
                name: Some(self.context.names.lease()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            };
            let object = Object { metadata, spec: Some(spec) };
            self.api.create(&parameters, &object).await
        };
        match result {
            Ok(object) => {
                self.observe(Some(object));
                Ok(Attended::Mine)
            }
            Err(error) if matches!(Class::of(&error), Class::Conflict | Class::NotFound) => {
                // Somebody was faster, or it was deleted: the next look shows who holds it.
                self.read().await?;
                match decide(self.observed.as_ref(), self.identity(), Instant::now()) {
                    Step::Wait { holder, free_in } => Ok(Attended::Theirs { holder, free_in }),
                    Step::Take | Step::Renew => Err("it changed while it was written".to_owned()),
                }
            }
            Err(error) => Err(describe(&error)),
        }
    }

    /// Leaves the Lease to whoever waits for it, within `patience`. A failure costs them the Lease's duration.
    pub(super) async fn release(&mut self, patience: Duration) {
        let before = self.present.as_ref().and_then(|object| object.spec.clone()).unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: before.lease_transitions,
            ..LeaseSpec::default()
        };
        match tokio::time::timeout(patience, self.put(spec)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name(), "the Lease is released"),
            Ok(Err(error)) => tracing::warn!(lease = self.name(), error, "the Lease is not released"),
            Err(_) => tracing::warn!(lease = self.name(), "the Lease is not released in time"),
        }
    }
}
