//! Writing the list of purges and their statuses, and deleting what has had its time.

use std::collections::{BTreeMap, HashMap};

use futures::future::join_all;
use isr_api::{IsrPurge, IsrPurgeStatus};
use isr_routes::purges::PurgeLog;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::judge::Judged;
use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::events::Events;
use crate::failure::Class;
use crate::publish::PublishError;
use crate::world::{PURGES_KEY, PresentLog, World};

/// Requests under way at a time: an API server serves them in parallel and has other clients.
const AT_ONCE: usize = 8;

/// A status that was written.
pub(super) struct Written {
    /// The version of the object that was seen when it was written. As long as that is what is seen, the write is not.
    version: Option<String>,
    /// The version that the write made.
    made: Option<String>,
    status: IsrPurgeStatus,
}

impl Written {
    /// The status, if the object that is seen does not show it.
    pub(super) fn status_of(&self, object: &IsrPurge) -> Option<&IsrPurgeStatus> {
        (self.version == object.metadata.resource_version).then_some(&self.status)
    }
}

/// 128 random bits: no two lists are taken for one.
pub(super) fn name_of_log() -> Result<String, PublishError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(PublishError::Random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Writes the list over the version that is present, or makes it.
pub(super) async fn list(
    context: &Context,
    world: &World,
    present: Option<&PresentLog>,
    log: &PurgeLog,
) -> Result<(), PublishError> {
    let name = context.names.purges();
    if present.is_some_and(|present| present.is_newer) {
        let name = format!("{}/{name}", context.names.namespace);
        return Err(PublishError::NewerFormat { name, format: isr_routes::purges::FORMAT + 1 });
    }
    let owner = context.owner().await?;
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(context.names.namespace.clone()),
            labels: Some(context.names.labels()),
            owner_references: owner.map(|owner| vec![owner]),
            resource_version: present.map(|present| present.resource_version.clone()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            PURGES_KEY.to_owned(),
            String::from_utf8_lossy(&log.to_bytes()).into_owned(),
        )])),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.names.namespace);
    let what = format!("write the ConfigMap {name}");
    let written = if present.is_some() {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        context.write(what, api.patch(&name, &parameters, &Patch::Apply(&object))).await?
    } else {
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        context.write(what, api.create(&parameters, &object)).await?
    };
    world.wrote_purge_log(PresentLog::of(&written));
    Ok(())
}

/// Writes statuses, each over the version of the object that it was made for, and tells what is new.
pub(super) async fn statuses(
    context: &Context,
    events: &mut Events,
    changes: Vec<(&Judged, IsrPurgeStatus)>,
    written: &mut HashMap<String, Written>,
) -> Result<(), PublishError> {
    let mut failure = None;
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let batch: Vec<_> = changes.by_ref().take(AT_ONCE).collect();
        let mut requests = Vec::with_capacity(batch.len());
        for (judged, status) in &batch {
            let expected = match written.get(judged.uid()) {
                Some(written) if written.status_of(&judged.stored.object).is_some() => written.made.clone(),
                _ => judged.stored.object.metadata.resource_version.clone(),
            };
            requests.push(write_status(context, judged, status, expected));
        }
        let outcomes = join_all(requests).await;
        for ((judged, status), outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Ok(object) => {
                    if let Some(condition) = judged.news(&status) {
                        events.make_room(1);
                        events.tell(isr_api::PURGE_KIND, &object.metadata, condition).await;
                    }
                    let version = judged.stored.object.metadata.resource_version.clone();
                    let made = object.metadata.resource_version;
                    written.insert(judged.uid().to_owned(), Written { version, made, status });
                }
                // It is not what it was, or gone; the watch tells.
                Err(PublishError::Request { cause, .. })
                    if matches!(Class::of(&cause), Class::Conflict | Class::NotFound) => {}
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn write_status(
    context: &Context,
    judged: &Judged,
    status: &IsrPurgeStatus,
    expected: Option<String>,
) -> Result<IsrPurge, PublishError> {
    let metadata = &judged.stored.object.metadata;
    let (namespace, name) =
        (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let patch = json!({
        "apiVersion": isr_api::API_VERSION,
        "kind": isr_api::PURGE_KIND,
        "metadata": { "name": name, "namespace": namespace, "uid": metadata.uid, "resourceVersion": expected },
        "status": status,
    });
    let api: Api<IsrPurge> = Api::namespaced(context.client.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let what = format!("write the status of IsrPurge {namespace}/{name}");
    context.write(what, api.patch_status(name, &parameters, &Patch::Apply(&patch))).await
}

/// Deletes these, each as that object and no other of its name. One that is gone is as good as deleted.
pub(super) async fn delete(context: &Context, due: &[&Judged]) -> Result<(), PublishError> {
    for judged in due {
        let metadata = &judged.stored.object.metadata;
        let (namespace, name) =
            (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        let api: Api<IsrPurge> = Api::namespaced(context.client.clone(), namespace);
        let preconditions = Some(Preconditions { uid: metadata.uid.clone(), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        let what = format!("delete the finished IsrPurge {namespace}/{name}");
        match context.write(what, api.delete(name, &parameters)).await {
            Ok(_) => {}
            Err(PublishError::Request { cause, .. })
                if matches!(Class::of(&cause), Class::Conflict | Class::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
