//! Transitions, told as events. Events are for people, and may get lost.

use isr_api::API_VERSION;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::Context;
use crate::conditions::TRUE;
use crate::config::FIELD_MANAGER;
use crate::failure::describe;
use crate::lease::Leadership;

/// Events that are remembered so that one which repeats is counted and not written again. Each takes some 3 KiB for minutes, and
/// a start may tell of every route.
const REMEMBERED: usize = 1_000;
/// Characters of a note, at most: the API's limit is 1 KiB.
const NOTE_MOST: usize = 900;

/// Who tells them.
pub(crate) struct Events {
    client: Client,
    leadership: Leadership,
    reporter: Reporter,
    recorder: Recorder,
    /// How many the recorder remembers, at most.
    told: usize,
}

impl Events {
    pub(crate) fn new(context: &Context) -> Self {
        let reporter =
            Reporter { controller: FIELD_MANAGER.into(), instance: Some(context.config.identity.clone()) };
        Self {
            client: context.client.clone(),
            leadership: context.leadership.clone(),
            recorder: Recorder::new(context.client.clone(), reporter.clone()),
            reporter,
            told: 0,
        }
    }

    /// Forgets what was told so far, if with so many more it would be too much.
    pub(crate) fn make_room(&mut self, more: usize) {
        if self.told + more > REMEMBERED {
            self.recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            self.told = 0;
        }
        self.told += more;
    }

    /// Tells what a condition of an object says now.
    pub(crate) async fn tell(&self, kind: &str, object: &ObjectMeta, condition: &Condition) {
        if !self.leadership.is_leader() {
            return;
        }
        let event = Event {
            type_: if condition.status == TRUE { EventType::Normal } else { EventType::Warning },
            reason: condition.reason.clone(),
            note: Some(condition.message.chars().take(NOTE_MOST).collect()),
            action: "Report".to_owned(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(kind.to_owned()),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            let ObjectMeta { namespace, name, .. } = object;
            tracing::debug!(kind, namespace, name, error = describe(&error), "an event got lost");
        }
    }
}
