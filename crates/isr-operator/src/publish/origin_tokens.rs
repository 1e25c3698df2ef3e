//! The Secret that carries origin tokens to the proxies.
//!
//! It only grows while tables that name its tokens may be in use: a token is written before the index that names it, and
//! goes ten minutes after the last one did. The salt that the names are made with is made once and kept beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isr_routes::OriginToken;
use isr_routes::snapshot::Salt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};

use super::leftovers::Leftovers;
use super::request::PublishError;
use crate::Context;
use crate::config::FIELD_MANAGER;
use crate::failure::Class;
use crate::owner::is_owned;

/// The key of the salt.
const SALT_KEY: &str = "salt";

/// The Secret, as far as it is known.
pub(crate) struct OriginTokens {
    context: Context,
    /// Survives a Secret that somebody deletes: another salt would rename every token.
    salt: Option<Salt>,
    stored: Option<Stored>,
    unused: Leftovers,
}

/// The Secret as it is in the cluster.
struct Stored {
    /// Absent where there is none.
    resource_version: Option<String>,
    has_salt: bool,
    /// Whether it says whose it is.
    is_owned: bool,
    tokens: BTreeMap<String, Vec<u8>>,
    /// When it was read or written.
    at: Duration,
}

impl OriginTokens {
    pub(super) fn new(context: Context) -> Self {
        Self { context, salt: None, stored: None, unused: Leftovers::default() }
    }

    /// The salt; made up, and put into the Secret by the next [`Self::put`], if there is none.
    pub(crate) async fn salt(&mut self, now: Duration) -> Result<Salt, PublishError> {
        if self.stored.is_none() {
            self.load(now).await?;
        }
        if let Some(salt) = self.salt {
            return Ok(salt);
        }
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(PublishError::Random)?;
        Ok(*self.salt.insert(Salt(salt)))
    }

    /// When the Secret should be looked at again, in case somebody changed it; `None` if it is not in use.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let stored = self.stored.as_ref().filter(|stored| !stored.tokens.is_empty())?;
        Some(stored.at + self.context.config.secret_period)
    }

    /// Forgets what the Secret holds, so that it is read when it is next needed.
    pub(crate) fn forget(&mut self) {
        self.stored = None;
    }

    /// Makes the Secret hold these tokens besides those that it has.
    pub(super) async fn put(
        &mut self,
        tokens: &BTreeMap<String, OriginToken>,
        now: Duration,
    ) -> Result<(), PublishError> {
        if tokens.is_empty() {
            return Ok(());
        }
        self.salt(now).await?;
        let Some(stored) = &self.stored else { return Ok(()) };
        let holds = |(name, token): (&String, &OriginToken)| {
            stored.tokens.get(name).is_some_and(|value| value == token.expose().as_bytes())
        };
        if stored.has_salt && !self.context.must_own(stored.is_owned) && tokens.iter().all(holds) {
            return Ok(());
        }
        let mut all = stored.tokens.clone();
        all.extend(tokens.iter().map(|(name, token)| (name.clone(), token.expose().as_bytes().to_vec())));
        self.write(all, now).await
    }

    /// Removes tokens that no table has named for long enough.
    pub(super) async fn sweep(&mut self, used: &[String], now: Duration) -> Result<(), PublishError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let used: BTreeSet<String> = used.iter().cloned().collect();
        let gone = self.unused.sweep(stored.tokens.keys(), &used, now);
        if gone.is_empty() {
            return Ok(());
        }
        let mut left = stored.tokens.clone();
        left.retain(|name, _| !gone.contains(name));
        self.write(left, now).await
    }

    pub(super) fn next_sweep(&self, now: Duration) -> Option<Duration> {
        self.unused.next(now)
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.context.client.clone(), &self.context.names.namespace)
    }

    async fn load(&mut self, now: Duration) -> Result<(), PublishError> {
        let (api, name) = (self.api(), self.context.names.origin_tokens());
        let what = format!("read the Secret {name}");
        let secret = match self.context.ask(what, api.get(&name)).await {
            Ok(secret) => secret,
            Err(PublishError::Request { cause, .. }) if Class::of(&cause) == Class::NotFound => {
                Secret::default()
            }
            Err(error) => return Err(error),
        };
        let mut data: BTreeMap<String, Vec<u8>> =
            secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        let salt: Option<[u8; 32]> = data.remove(SALT_KEY).and_then(|salt| salt.try_into().ok());
        if let Some(salt) = salt {
            self.salt = Some(Salt(salt));
        }
        let is_owned = is_owned(&secret.metadata);
        let resource_version = secret.metadata.resource_version;
        self.stored =
            Some(Stored { resource_version, has_salt: salt.is_some(), is_owned, tokens: data, at: now });
        Ok(())
    }

    async fn write(&mut self, tokens: BTreeMap<String, Vec<u8>>, now: Duration) -> Result<(), PublishError> {
        let (api, name) = (self.api(), self.context.names.origin_tokens());
        let Some(salt) = self.salt else { return Ok(()) };
        let owner = self.context.owner().await?;
        // Whatever comes of this, the Secret is not as it was known to be.
        let known = self.stored.take();
        let values = tokens.iter().map(|(name, value)| (name.clone(), ByteString(value.clone())));
        let object = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(self.context.names.namespace.clone()),
                labels: Some(self.context.names.labels()),
                owner_references: owner.map(|owner| vec![owner]),
                resource_version: known.and_then(|known| known.resource_version),
                ..ObjectMeta::default()
            },
            data: Some(values.chain([(SALT_KEY.to_owned(), ByteString(salt.0.to_vec()))]).collect()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let (params, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&object));
        let what = format!("write the Secret {name}");
        let written = self.context.write(what, api.patch(&name, &params, &patch)).await?;
        let resource_version = written.metadata.resource_version;
        self.stored = Some(Stored { resource_version, has_salt: true, is_owned: true, tokens, at: now });
        Ok(())
    }
}
