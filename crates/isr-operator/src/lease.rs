//! Who may write: one operator of an installation, the holder of its Lease.
//!
//! Every write to the Lease carries the `resourceVersion` that was read, so that of two who take it one fails. Clocks
//! of other machines are not looked at: a Lease is free when it did not change for its duration by our own clock, and
//! ours is over, by our own clock, before anybody else's patience can be ([`Leadership::is_leader`]). A process that was
//! stopped and goes on thus knows that it may not write, before it has asked anybody.
//!
//! This is our own because the crates for it renew a Lease but do not say at each write whether it is still held.

mod decision;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::failure::{Class, describe};
use crate::owner::is_owned;
use decision::{Observed, Step, decide};

/// Whether this process may write, right now. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    held: watch::Receiver<bool>,
    term: Arc<Term>,
}

/// Until when the Lease is held without being renewed.
#[derive(Debug)]
struct Term {
    start: Instant,
    /// Milliseconds after the start.
    end: AtomicU64,
}

/// Why the Lease is no longer held.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another holder, or an API server that was away for too long.
    #[error("the Lease {name} is lost: {why}; this process ends, so that only its holder writes")]
    Lost {
        /// `namespace/name` of the Lease.
        name: String,
        /// What happened.
        why: String,
    },
}

/// The other end of [`Leadership`].
pub(crate) struct Lease {
    held: watch::Sender<bool>,
    term: Arc<Term>,
}

/// A Lease that is not held yet.
pub(crate) fn new() -> (Lease, Leadership) {
    let (sender, held) = watch::channel(false);
    let term = Arc::new(Term { start: Instant::now(), end: AtomicU64::new(0) });
    (Lease { held: sender, term: Arc::clone(&term) }, Leadership { held, term })
}

impl Leadership {
    /// Whether writing is allowed at this moment.
    pub(crate) fn is_leader(&self) -> bool {
        *self.held.borrow() && self.term.lasts_at(Instant::now())
    }

    /// Waits until writing is allowed.
    pub(crate) async fn acquired(&mut self) {
        // The other end lives as long as the process.
        let _ = self.held.wait_for(|held| *held).await;
    }
}

impl Term {
    fn lasts_at(&self, now: Instant) -> bool {
        now.duration_since(self.start) < self.length()
    }

    fn length(&self) -> Duration {
        Duration::from_millis(self.end.load(Ordering::Acquire))
    }

    fn extend_to(&self, end: Instant) {
        let length = end.duration_since(self.start).as_millis();
        self.end.store(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Release);
    }
}

impl Lease {
    /// Takes the Lease as soon as it is free and keeps it, until `stop`, when it is released, or until it is lost.
    pub(crate) async fn hold(
        self,
        context: Context,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), LeaseError> {
        let mut holding = Holding::new(&context);
        loop {
            let pause = tokio::select! {
                pause = self.step(&mut holding, &context) => pause?,
                _ = &mut stop => break,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = &mut stop => break,
            }
        }
        let was_held = *self.held.borrow();
        self.held.send_replace(false);
        context.metrics.is_leader.set(0);
        if was_held {
            holding.release().await;
        }
        Ok(())
    }

    /// Looks at the Lease once and does what is due; returns how long to wait before the next look.
    async fn step(&self, holding: &mut Holding, context: &Context) -> Result<Duration, LeaseError> {
        let lease_duration = context.config.lease_duration;
        let is_held = *self.held.borrow();
        if is_held && !self.term.lasts_at(Instant::now()) {
            return Err(holding.lost("it could not be renewed in time"));
        }
        // Counted from before the request: whoever sees the result sees it later.
        let asked = Instant::now();
        // While it is held, a request that hangs must not outlast the term.
        let patience = lease_duration / 3;
        let result = tokio::time::timeout(patience, holding.attend(is_held)).await;
        let outcome = result.unwrap_or_else(|_| Err("the API server does not answer".to_owned()));
        match outcome {
            Ok(Attended::Mine) => {
                self.term.extend_to(asked + lease_duration * 2 / 3);
                if !is_held {
                    tracing::info!(
                        lease = holding.name(),
                        identity = holding.identity(),
                        "holding the Lease"
                    );
                    self.held.send_replace(true);
                    context.metrics.is_leader.set(1);
                }
                Ok(jittered(lease_duration / 3))
            }
            Ok(Attended::Theirs { holder, free_in }) => {
                if is_held {
                    return Err(holding.lost(&format!("{holder} holds it")));
                }
                Ok(jittered(free_in.min(lease_duration / 3)))
            }
            Err(error) => {
                tracing::warn!(
                    lease = holding.name(),
                    error,
                    "the Lease cannot be attended to; trying again"
                );
                Ok(jittered(RETRY.min(lease_duration / 10)))
            }
        }
    }
}

/// The pause after a failed request.
const RETRY: Duration = Duration::from_secs(1);

/// Up to a tenth earlier, so that replicas do not ask in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - 0.1 * fastrand::f64())
}

/// What a look at the Lease came to.
enum Attended {
    /// It is ours, as of now.
    Mine,
    /// It is somebody else's.
    Theirs { holder: String, free_in: Duration },
}

/// The Lease as it was last seen, and the way to it.
struct Holding {
    api: Api<Object>,
    context: Context,
    observed: Option<Observed>,
    /// The object that was last read or written.
    present: Option<Object>,
}

impl Holding {
    fn new(context: &Context) -> Self {
        Self {
            api: Api::namespaced(context.client.clone(), &context.names.namespace),
            context: context.clone(),
            observed: None,
            present: None,
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.context.names.namespace, self.context.names.lease())
    }

    fn identity(&self) -> &str {
        &self.context.config.identity
    }

    fn lost(&self, why: &str) -> LeaseError {
        LeaseError::Lost { name: self.name(), why: why.to_owned() }
    }

    /// Takes or renews the Lease if that may be done. While it is held, our own last write is what is known of it.
    async fn attend(&mut self, is_held: bool) -> Result<Attended, String> {
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

    /// Leaves the Lease to whoever waits for it. A failure costs them the Lease's duration.
    async fn release(&mut self) {
        let before = self.present.as_ref().and_then(|object| object.spec.clone()).unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: before.lease_transitions,
            ..LeaseSpec::default()
        };
        match tokio::time::timeout(RETRY, self.put(spec)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name(), "the Lease is released"),
            Ok(Err(error)) => tracing::warn!(lease = self.name(), error, "the Lease is not released"),
            Err(_) => tracing::warn!(lease = self.name(), "the Lease is not released in time"),
        }
    }
}

#[cfg(test)]
mod tests;
