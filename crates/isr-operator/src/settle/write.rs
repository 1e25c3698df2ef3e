//! Writing statuses, and the events that go with them.

use futures::StreamExt as _;
use isr_api::{IsrRoute, IsrRouteStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::events::Events;
use crate::failure::{Class, describe};
use crate::lease::Leadership;
use crate::metrics::{Metrics, ReasonLabel};
use crate::world::Key;

/// Writes under way at a time: an API server serves them in parallel and has other clients.
const AT_ONCE: usize = 16;
/// How many are written before it is looked whether there is news that matters more.
const BATCH: usize = 256;

/// A status to be written.
pub(super) struct Change {
    pub(super) key: Key,
    /// Which object of that name; another one that took its place is left alone.
    pub(super) uid: Option<String>,
    /// The version of the object that is seen.
    pub(super) version: Option<String>,
    /// The version of the object that the status is made for; of any other one nothing is said.
    pub(super) expected: Option<String>,
    pub(super) status: IsrRouteStatus,
    /// The conditions that changed in a way that is an event.
    pub(super) news: Vec<Condition>,
}

/// What became of a change.
pub(super) enum Outcome {
    /// The API server has it.
    Written { key: Key, version: Option<String>, made: Option<String>, status: IsrRouteStatus },
    /// The object is not what it was: it has been changed, or is gone, and the watch has not told yet.
    Outdated,
    /// It is worth another try. One whose object is gone is not: the watch tells of that.
    Failed {
        key: Key,
        error: String,
        /// Whether it fails because of the API server, which will be well again, and not because of the object.
        is_passing: bool,
    },
    /// There was news.
    NotTried,
}

/// Writes statuses by server-side apply.
pub(super) struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: std::sync::Arc<Metrics>,
    events: Events,
}

impl Writer {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            client: context.client.clone(),
            leadership: context.leadership.clone(),
            metrics: context.metrics.clone(),
            events: Events::new(context),
        }
    }

    /// Writes these, as far as there is no news; one outcome for each that was tried, and one for the rest.
    pub(super) async fn write(&mut self, changes: Vec<Change>, is_news: &impl Fn() -> bool) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            if !outcomes.is_empty() && is_news() {
                outcomes.push(Outcome::NotTried);
                break;
            }
            let batch = changes.by_ref().take(BATCH).collect::<Vec<_>>();
            self.events.make_room(batch.iter().map(|change| change.news.len()).sum());
            let this = &*self;
            let writing = futures::stream::iter(batch).map(|change| this.write_one(change));
            outcomes.extend(writing.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
            // Thousands more would fail as well.
            if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { is_passing: true, .. })) {
                outcomes.push(Outcome::NotTried);
                break;
            }
        }
        outcomes
    }

    async fn write_one(&self, change: Change) -> Outcome {
        if !self.leadership.is_leader() {
            return Outcome::NotTried;
        }
        let Change { key, uid, version, expected, status, news } = change;
        let (namespace, name) = &key;
        let routes: Api<IsrRoute> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({
            "apiVersion": isr_api::API_VERSION,
            "kind": isr_api::KIND,
            // A leader whose watch is late must not say something old about something new.
            "metadata": { "name": name, "namespace": namespace, "uid": uid, "resourceVersion": expected },
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match routes.patch_status(name, &parameters, &Patch::Apply(&patch)).await {
            Ok(object) => {
                for condition in &news {
                    self.events.tell(isr_api::KIND, &object.metadata, condition).await;
                }
                Outcome::Written { key, version, made: object.metadata.resource_version, status }
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Outcome::Outdated,
            Err(error) => {
                self.metrics.reconcile_errors.get_or_create(&ReasonLabel { reason: "status" }).inc();
                let is_passing =
                    matches!(Class::of(&error), Class::Throttled | Class::Server | Class::Unreachable);
                Outcome::Failed { key, error: describe(&error), is_passing }
            }
        }
    }
}
