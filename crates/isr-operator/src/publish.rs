//! Writes the table into the cluster: origin tokens first, then shards, then the index that names them.
//!
//! A proxy applies only what an index names and what is complete, so whoever is interrupted anywhere in between leaves the
//! old table in force, and the next attempt carries on. What has to be written is decided by [`plan`]; here it is done,
//! each write only while this process leads, and the index only over the version that the plan has seen: two operators
//! that both believe to lead cannot mix their tables.

mod leftovers;
mod origin_tokens;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use isr_routes::snapshot::{Index, Snapshot};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};

use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::failure::{self, Class};
use crate::world::{INDEX_KEY, IndexContent, PresentIndex, PresentShard, Published, SHARD_KEY, World};
use leftovers::Leftovers;
pub(crate) use origin_tokens::OriginTokens;
use plan::{Last, Plan, Shard, Write};

/// Longer than an API server that works takes for the largest object that is written.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Shards written at a time: a hundred thousand routes are converged in a second, and the API server hardly notices.
const AT_A_TIME: usize = 4;

/// Why a table is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The Lease is not ours, or not for long enough.
    #[error("this replica does not hold the Lease")]
    NotLeading,
    /// The index belongs to a newer version.
    #[error(
        "the index {name} has format {format}, which a newer version of the operator wrote: run that version, or delete the ConfigMap to go back to this one"
    )]
    NewerFormat {
        /// Namespace and name of the index.
        name: String,
        /// Its format.
        format: u32,
    },
    /// A request failed.
    #[error("cannot {what}: {}", failure::describe(cause))]
    Request {
        /// What was to be done, as in `create the ConfigMap kube-isr-system/kube-isr-routes`.
        what: String,
        /// What came of it.
        cause: kube::Error,
    },
    /// A request got no answer.
    #[error("cannot {what}: no answer within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// What was to be done.
        what: String,
    },
    /// The operating system gives no random numbers.
    #[error("cannot make a salt for the origin tokens: {0}")]
    Random(getrandom::Error),
}

impl PublishError {
    /// As a label of metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::NewerFormat { .. } => "newer_format",
            Self::Request { cause, .. } => Class::of(cause).label(),
            Self::Timeout { .. } => "timeout",
            Self::Random(_) => "random",
        }
    }
}

/// Writes tables into the cluster.
pub(crate) struct Publisher {
    context: Context,
    world: Arc<World>,
    /// The Secret of the origin tokens.
    pub(crate) origin_tokens: OriginTokens,
    last: Option<Last>,
    unused_shards: Leftovers,
}

impl Publisher {
    pub(crate) fn new(context: Context, world: Arc<World>) -> Self {
        let origin_tokens = OriginTokens::new(context.clone());
        Self { context, world, origin_tokens, last: None, unused_shards: Leftovers::default() }
    }

    /// Makes the cluster hold this table; writes nothing if it does. Returns the index. `now` counts from any one moment.
    pub(crate) async fn publish(
        &mut self,
        published: &Published,
        snapshot: &Snapshot,
        now: Duration,
    ) -> Result<Index, PublishError> {
        let names = Arc::clone(&self.context.names);
        let digest = &snapshot.index.digest;
        let generation =
            plan::generation(published.index.as_ref(), self.last.as_ref(), digest).map_err(|newer| {
                let name = format!("{}/{}", names.namespace, names.index());
                PublishError::NewerFormat { name, format: newer.0 }
            })?;
        let index = Index { generation, ..snapshot.index.clone() };
        let Plan { shards, index: write } = plan::plan(published, snapshot, &index, &names);

        self.origin_tokens.put(&snapshot.origin_tokens, now).await?;
        let this = &*self;
        futures::stream::iter(shards)
            .map(|(digest, shard)| this.write_shard(snapshot, digest, shard))
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await?;
        if let Some(write) = write {
            self.write_index(&index, &write).await?;
            let Index { generation, digest, .. } = &index;
            tracing::info!(generation, digest, shards = index.shards.len(), "the table is published");
        }
        self.last = Some(Last { generation, digest: index.digest.clone() });
        Ok(index)
    }

    /// Whether the cluster holds the whole table of this index, or somebody took a part of it away.
    pub(crate) fn is_intact(&self, index: &Index) -> bool {
        plan::is_intact(&self.world.published(), index, &self.context.names)
    }

    /// Deletes what neither this index nor any proxy needs.
    pub(crate) async fn sweep(&mut self, index: &Index, now: Duration) -> Result<(), PublishError> {
        let names = &self.context.names;
        let used: BTreeSet<String> = index.shards.iter().map(|digest| names.shard(digest)).collect();
        let present = self.world.published().shards;
        for name in self.unused_shards.sweep(present.keys(), &used, now) {
            if let Some(shard) = present.get(&name) {
                self.delete(&name, &shard.resource_version).await?;
            }
        }
        self.origin_tokens.sweep(&index.origin_tokens, now).await
    }

    /// When [`Self::sweep`] could next find something.
    pub(crate) fn next_sweep(&self, now: Duration) -> Option<Duration> {
        [self.unused_shards.next(now), self.origin_tokens.next_sweep(now)].into_iter().flatten().min()
    }

    async fn write_shard(
        &self,
        snapshot: &Snapshot,
        digest: String,
        shard: Shard,
    ) -> Result<(), PublishError> {
        let Some(bytes) = snapshot.shards.get(&digest) else { return Ok(()) };
        let name = self.context.names.shard(&digest);
        if let Shard::Replace { resource_version } = shard {
            self.delete(&name, &resource_version).await?;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let object = self.config_map(&name, SHARD_KEY, text, true);
        let written = match self.create(&object).await? {
            Some(written) => written,
            // Written before, and the answer was lost; or not one of ours, which the watch does not see.
            None => match self.find(&name).await? {
                Some(found) if PresentShard::of(&found).digest == digest && self.is_labelled(&found) => found,
                found => {
                    let version = found.and_then(|found| found.metadata.resource_version);
                    self.delete(&name, &version.unwrap_or_default()).await?;
                    self.create(&object)
                        .await?
                        .ok_or(PublishError::Timeout { what: format!("replace {name}") })?
                }
            },
        };
        let present = PresentShard::of(&written);
        self.world.wrote(|published| {
            published.shards.insert(name, present);
        });
        Ok(())
    }

    async fn write_index(&self, index: &Index, write: &Write) -> Result<(), PublishError> {
        let name = self.context.names.index();
        let text = String::from_utf8_lossy(&index.to_bytes()).into_owned();
        let mut object = self.config_map(&name, INDEX_KEY, text, false);
        let written = match write {
            Write::Create => match self.create(&object).await? {
                Some(written) => written,
                None => self.adopt_index(&name, object).await?,
            },
            Write::Update { resource_version } => {
                object.metadata.resource_version = Some(resource_version.clone());
                self.apply(&name, &object).await?
            }
        };
        let present =
            PresentIndex { content: IndexContent::Sound(index.clone()), ..PresentIndex::of(&written) };
        self.world.wrote(|published| published.index = Some(present));
        Ok(())
    }

    /// Writes over an index that lacks our label, and that the watch therefore does not see.
    async fn adopt_index(&self, name: &str, mut object: ConfigMap) -> Result<ConfigMap, PublishError> {
        let found = self.find(name).await?;
        object.metadata.resource_version = found.and_then(|found| found.metadata.resource_version);
        self.apply(name, &object).await
    }

    fn config_map(&self, name: &str, key: &str, text: String, is_immutable: bool) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.context.names.namespace.clone()),
                labels: Some(self.context.names.labels()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(key.to_owned(), text)])),
            immutable: is_immutable.then_some(true),
            ..ConfigMap::default()
        }
    }

    fn is_labelled(&self, object: &ConfigMap) -> bool {
        let labels = object.metadata.labels.as_ref();
        self.context
            .names
            .labels()
            .iter()
            .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.context.client.clone(), &self.context.names.namespace)
    }

    /// Creates an object; `None` if one of its name is there.
    async fn create(&self, object: &ConfigMap) -> Result<Option<ConfigMap>, PublishError> {
        let (api, name) = (self.api(), object.metadata.name.as_deref().unwrap_or_default());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let created =
            self.context.write(format!("create the ConfigMap {name}"), api.create(&params, object)).await;
        match created {
            Ok(object) => Ok(Some(object)),
            Err(PublishError::Request { cause, .. }) if Class::of(&cause) == Class::Exists => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn apply(&self, name: &str, object: &ConfigMap) -> Result<ConfigMap, PublishError> {
        let (api, params) = (self.api(), PatchParams::apply(FIELD_MANAGER).force());
        let patch = Patch::Apply(object);
        self.context.write(format!("write the ConfigMap {name}"), api.patch(name, &params, &patch)).await
    }

    /// An object whether or not it is labelled: a list, because that is what the operator may do.
    async fn find(&self, name: &str) -> Result<Option<ConfigMap>, PublishError> {
        let (api, params) = (self.api(), ListParams::default().fields(&format!("metadata.name={name}")));
        let found = self.context.ask(format!("look for the ConfigMap {name}"), api.list(&params)).await?;
        Ok(found.items.into_iter().next())
    }

    /// Deletes a version of an object. One that is gone is as good as deleted.
    async fn delete(&self, name: &str, resource_version: &str) -> Result<(), PublishError> {
        let api = self.api();
        let resource_version = Some(resource_version.to_owned()).filter(|version| !version.is_empty());
        let preconditions = Some(Preconditions { resource_version, uid: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.context.write(format!("delete the ConfigMap {name}"), api.delete(name, &params)).await {
            Ok(_) => {}
            Err(PublishError::Request { cause, .. }) if Class::of(&cause) == Class::NotFound => {}
            Err(error) => return Err(error),
        }
        self.world.wrote(|published| {
            published.shards.remove(name);
        });
        Ok(())
    }
}

impl Context {
    /// A request that changes something: only while this process leads, and not for longer than it should take.
    async fn write<T>(
        &self,
        what: String,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PublishError> {
        if !self.leadership.is_leader() {
            return Err(PublishError::NotLeading);
        }
        self.ask(what, request).await
    }

    /// A request that changes nothing.
    async fn ask<T>(
        &self,
        what: String,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PublishError> {
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(PublishError::Request { what, cause }),
            Err(_) => Err(PublishError::Timeout { what }),
        }
    }
}
