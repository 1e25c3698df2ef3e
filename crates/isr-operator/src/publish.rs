//! Writes the table into the cluster: origin tokens first, then shards, then the index that names them.
//!
//! A proxy applies only what an index names and what is complete, so whoever is interrupted anywhere in between leaves the
//! old table in force, and the next attempt carries on. What has to be written is decided by [`plan`]; here it is done,
//! each write only while this process leads, and the index only over the version that the plan has seen: two operators
//! that both believe to lead cannot mix their tables.

mod leftovers;
mod origin_tokens;
mod plan;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use isr_routes::snapshot::{Index, Snapshot};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};

use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::failure::Class;
use crate::world::{INDEX_KEY, IndexContent, PresentIndex, PresentShard, Published, SHARD_KEY, World};
use leftovers::Leftovers;
pub(crate) use origin_tokens::OriginTokens;
use plan::{Last, Plan, Shard, Write};
pub(crate) use request::PublishError;

/// Shards written at a time: a hundred thousand routes are converged in a second, and the API server hardly notices.
const AT_A_TIME: usize = 4;

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
        let plan =
            plan::plan(published, snapshot, &index, &names, |is_owned| self.context.must_own(is_owned));

        self.origin_tokens.put(&snapshot.origin_tokens, now).await?;
        if plan != Plan::default() {
            self.carry_out(plan, snapshot, &index).await?;
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
        // A proxy that looks for such a one keeps its table.
        let is_left = |name: &String, shard: &PresentShard| {
            self.context.must_own(shard.is_owned) && !used.contains(name)
        };
        let left = present.iter().filter(|(name, shard)| is_left(name, shard)).map(|(name, _)| name.clone());
        let unused = self.unused_shards.sweep(present.keys(), &used, now);
        for name in unused.into_iter().chain(left).collect::<BTreeSet<_>>() {
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

    async fn carry_out(&self, plan: Plan, snapshot: &Snapshot, index: &Index) -> Result<(), PublishError> {
        let owner = self.context.owner().await?;
        futures::stream::iter(plan.shards)
            .map(|(digest, shard)| self.write_shard(snapshot, digest, shard, owner.as_ref()))
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await?;
        if let Some(write) = plan.index {
            self.write_index(index, &write, owner.as_ref()).await?;
            let Index { generation, digest, shards, .. } = index;
            tracing::info!(generation, digest, shards = shards.len(), "the table is published");
        }
        Ok(())
    }

    async fn write_shard(
        &self,
        snapshot: &Snapshot,
        digest: String,
        shard: Shard,
        owner: Option<&OwnerReference>,
    ) -> Result<(), PublishError> {
        let Some(bytes) = snapshot.shards.get(&digest) else { return Ok(()) };
        let name = self.context.names.shard(&digest);
        if let Shard::Replace { resource_version } = shard {
            self.delete(&name, &resource_version).await?;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let object = ConfigMap { immutable: Some(true), ..self.config_map(&name, SHARD_KEY, text, owner) };
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

    async fn write_index(
        &self,
        index: &Index,
        write: &Write,
        owner: Option<&OwnerReference>,
    ) -> Result<(), PublishError> {
        let name = self.context.names.index();
        let text = String::from_utf8_lossy(&index.to_bytes()).into_owned();
        let mut object = self.config_map(&name, INDEX_KEY, text, owner);
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

    fn config_map(&self, name: &str, key: &str, text: String, owner: Option<&OwnerReference>) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.context.names.namespace.clone()),
                labels: Some(self.context.names.labels()),
                owner_references: owner.map(|owner| vec![owner.clone()]),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(key.to_owned(), text)])),
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
