//! The routes that the operator of a cluster publishes: ConfigMaps, watched.
//!
//! Mounted ConfigMaps lag by a minute; a watch brings a change within milliseconds and keeps what it brought when the
//! API server is away. Of Secrets the proxy may read one, the one with the origin tokens, and asks for it only when an
//! index names a token that it does not know.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use isr_routes::purges::PurgeLog;
use isr_routes::snapshot::{Missing, Rejected};
use isr_routes::{OriginToken, RouteTable};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch;

use super::last_good::{self, Saved};
use super::published::{Complete, INDEX_KEY, Published, SHARD_KEY};
use super::{SourceError, put_in_force};
use crate::active::{Active, Origin, Problem};
use crate::config;
use crate::metrics::ResultLabel;
use crate::state::Proxy;

/// The label that the published ConfigMaps of an installation carry, with its name as value.
const LABEL: &str = "kube-isr.dev/routes";

/// The data key of the list of purges.
const PURGES_KEY: &str = "purges.json";

/// How long to wait before asking again for what an index names and is not there. The operator writes the index last,
/// so this is for a Secret that was not yet visible, or for a person who deleted something.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The published routes of one installation.
pub(crate) struct Kubernetes {
    client: Client,
    namespace: String,
    /// The name of the index; those of the other objects begin with the same word.
    index: String,
    /// The name of the list of purges.
    purges: String,
    secret: String,
    label: String,
    state_dir: Option<PathBuf>,
    /// Where the last good table goes to be kept.
    keeping: watch::Sender<Option<Arc<Saved>>>,
    published: Published,
    /// Generation and digest of the table in force.
    in_force: (u64, String),
    /// What was complained about last, so that it is said once.
    complaint: String,
}

impl Kubernetes {
    /// Finds the API server, without asking it anything yet.
    pub(super) async fn find(at: &config::Published, state_dir: Option<&Path>) -> Result<Self, SourceError> {
        let cluster = isr_cluster::infer().await?;
        let namespace = at.namespace.clone().unwrap_or_else(|| cluster.default_namespace.clone());
        Ok(Self {
            client: Client::try_from(cluster)?,
            namespace,
            index: format!("{}-routes", at.installation),
            purges: format!("{}-purges", at.installation),
            secret: format!("{}-origin-tokens", at.installation),
            label: format!("{LABEL}={}", at.installation),
            state_dir: state_dir.map(Path::to_owned),
            keeping: watch::Sender::default(),
            published: Published::default(),
            in_force: (0, String::new()),
            complaint: String::new(),
        })
    }

    /// Puts the last good table in force, if one was kept.
    pub(super) fn begin(&mut self, proxy: &Proxy) {
        let Some(folder) = &self.state_dir else { return };
        let saved = match last_good::load(folder) {
            Ok(Some(saved)) => saved,
            Ok(None) => return,
            Err(error) => {
                tracing::error!("{error}: there is no last good table until the API server gives one");
                return;
            }
        };
        let mut published = Published::default();
        for (place, bytes) in saved.shards.iter().enumerate() {
            published.shard(place.to_string(), bytes);
        }
        published.origin_tokens(saved.origin_tokens);
        let known = published.index(&saved.index.to_bytes());
        if let (Ok(()), Ok(complete)) = (known, published.complete(&RouteTable::default())) {
            tracing::info!(generation = complete.index.generation, "beginning with the last good table");
            self.apply(proxy, complete);
        } else {
            tracing::error!(
                "the last good table in {} lacks a part, so there is none until the API server gives one",
                folder.display()
            );
        }
    }

    /// Follows the published objects for ever.
    pub(super) async fn follow(mut self: Box<Self>, proxy: Arc<Proxy>) {
        if let Some(folder) = self.state_dir.clone() {
            tokio::spawn(last_good::keep(folder, self.keeping.subscribe()));
        }
        let objects: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = isr_cluster::watch(objects, watcher::Config::default().labels(&self.label));
        let mut events = events.ready_chunks(EVENTS_AT_ONCE);
        // The objects of a list that is not complete yet.
        let mut listing: Option<Vec<ConfigMap>> = None;
        let mut incomplete = false;
        loop {
            let chunk = if incomplete {
                tokio::time::timeout(ASK_AGAIN, events.next()).await.unwrap_or_else(|_| Some(Vec::new()))
            } else {
                events.next().await
            };
            // A watch has no end; this is for the compiler.
            let Some(chunk) = chunk else { return };
            for event in chunk {
                match event {
                    Ok(event) => self.observe(&proxy, event, &mut listing),
                    Err(error) => {
                        let message = watch_failed(&self.label, &self.namespace, &error);
                        self.complain(&proxy, "failure", message);
                    }
                }
            }
            // A table may be put together while a list is under way, of what was known before it.
            incomplete = self.update(&proxy).await.is_err();
        }
    }

    fn observe(&mut self, proxy: &Proxy, event: Event<ConfigMap>, listing: &mut Option<Vec<ConfigMap>>) {
        match event {
            Event::Init => *listing = Some(Vec::new()),
            Event::InitApply(object) => listing.get_or_insert_default().push(object),
            Event::InitDone => {
                let listed = listing.take().unwrap_or_default();
                let is_listed =
                    |name: &String| listed.iter().any(|object| object.metadata.name.as_ref() == Some(name));
                let gone: Vec<String> =
                    self.published.objects().filter(|name| !is_listed(name)).cloned().collect();
                for object in listed {
                    self.learn(proxy, object);
                }
                proxy.purges.see_nothing();
                for name in gone {
                    self.published.gone(&name);
                }
            }
            Event::Apply(object) => self.learn(proxy, object),
            Event::Delete(object) => {
                let name = object.metadata.name.unwrap_or_default();
                if name == self.index {
                    tracing::warn!("the index {name} was deleted; the last good table stays in force");
                }
                self.published.gone(&name);
            }
        }
    }

    fn learn(&mut self, proxy: &Proxy, object: ConfigMap) {
        let name = object.metadata.name.unwrap_or_default();
        let mut data = object.data.unwrap_or_default();
        if name == self.index {
            let index = data.remove(INDEX_KEY).unwrap_or_default();
            if let Err(error) = self.published.index(index.as_bytes()) {
                tracing::error!(
                    "ConfigMap {}/{name}: {error}; the last good table stays in force",
                    self.namespace
                );
            }
        } else if name == self.purges {
            let purges = data.remove(PURGES_KEY).unwrap_or_default();
            match PurgeLog::parse(purges.as_bytes()) {
                Ok(log) => proxy.purges.see(log),
                Err(error) => tracing::error!("ConfigMap {}/{name}: {error}", self.namespace),
            }
        } else if let Some(shard) = data.remove(SHARD_KEY) {
            self.published.shard(name, &shard);
        }
    }

    /// Puts the published table in force, if it is another one and complete.
    async fn update(&mut self, proxy: &Arc<Proxy>) -> Result<(), Missing> {
        if self.published.wanted(&self.in_force).is_none() {
            return Ok(());
        }
        let mut result = self.complete(proxy).await;
        if let Err(missing) = &result
            && !missing.origin_tokens.is_empty()
        {
            match self.ask_for_origin_tokens().await {
                Ok(tokens) => self.published.origin_tokens(tokens),
                Err(error) => self.complain(proxy, "failure", error),
            }
            result = self.complete(proxy).await;
        }
        let complete = match result {
            Ok(complete) => complete,
            Err(missing) => {
                let Missing { shards, origin_tokens } = &missing;
                let message = format!(
                    "the published table lacks {} shards and {} origin tokens that its index names; the last good one stays in force",
                    shards.len(),
                    origin_tokens.len()
                );
                self.complain(proxy, "incomplete", message);
                return Err(missing);
            }
        };
        if complete.index.generation < self.in_force.0 {
            tracing::warn!(
                from = self.in_force.0,
                to = complete.index.generation,
                "the published generation went back: the API server's word counts"
            );
        }
        let (shards, origin_tokens) = self.published.parts(&complete.index);
        let saved = Saved { index: complete.index.clone(), shards, origin_tokens };
        self.apply(proxy, complete);
        // Without a ConfigMap that went after it was read it would be no table; the next one is kept again.
        if saved.shards.len() == saved.index.shards.len() {
            self.keeping.send_replace(Some(Arc::new(saved)));
        }
        Ok(())
    }

    /// Reading takes as long as there are shards that changed: not on a thread that serves visitors.
    async fn complete(&mut self, proxy: &Proxy) -> Result<Complete, Missing> {
        let mut published = std::mem::take(&mut self.published);
        let before = proxy.active.load_full();
        let completing = tokio::task::spawn_blocking(move || {
            let result = published.complete(&before.table);
            (published, result)
        });
        match completing.await {
            Ok((published, result)) => {
                self.published = published;
                result
            }
            // Cancelled, because the process ends.
            Err(_) => Err(Missing::default()),
        }
    }

    async fn ask_for_origin_tokens(&self) -> Result<Vec<(String, OriginToken)>, String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get(&self.secret).await.map_err(|error| {
            format!(
                "Secret {}/{} with the origin tokens cannot be read: {error}",
                self.namespace, self.secret
            )
        })?;
        let values = secret.data.unwrap_or_default().into_iter();
        Ok(values
            .filter_map(|(name, value)| Some((name, OriginToken::new(String::from_utf8(value.0).ok()?)?)))
            .collect())
    }

    fn apply(&mut self, proxy: &Proxy, complete: Complete) {
        let Complete { index, assembled } = complete;
        let problems: Vec<Problem> = assembled.rejected.iter().map(problem).collect();
        for Problem { location, object, message, .. } in &problems {
            tracing::error!(location, object, "{message}");
        }
        let result = if problems.is_empty() { "success" } else { "partial" };
        self.in_force = (index.generation, index.digest.clone());
        let origin = Origin { source: "kubernetes", generation: index.generation, digest: index.digest };
        put_in_force(proxy, Active::new(origin, assembled.table, problems, &proxy.metrics), result);
        self.complaint.clear();
    }

    fn complain(&mut self, proxy: &Proxy, result: &'static str, message: String) {
        if self.complaint != message {
            tracing::error!("{message}");
            proxy.metrics.reloads.get_or_create(&ResultLabel { result }).inc();
            self.complaint = message;
        }
    }
}

/// Events taken together at most: a list of 100,000 routes has some 200 shards.
const EVENTS_AT_ONCE: usize = 1024;

fn watch_failed(label: &str, namespace: &str, error: &watcher::Error) -> String {
    format!(
        "the ConfigMaps labelled {label} in namespace {namespace} cannot be watched: {error}; the last good table stays in force"
    )
}

fn problem(rejected: &Rejected) -> Problem {
    Problem {
        severity: "error",
        location: rejected.shard.clone(),
        object: rejected.object.as_ref().map(ToString::to_string).unwrap_or_default(),
        field: String::new(),
        message: rejected.message.clone(),
        rejected: true,
    }
}
