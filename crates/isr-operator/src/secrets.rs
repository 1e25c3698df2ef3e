//! The Secrets that routes name, read one by one: the operator may `get` Secrets, never enumerate them.
//!
//! [`Schedule`] decides what is read when; this file reads. Where Secrets are watched (`--watch-namespaces`), the watch
//! tells which have changed, by their metadata alone; their values are read here all the same, so that values nobody
//! names never reach this process.

mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use isr_routes::Secret as Values;
use k8s_openapi::api::core::v1::Secret;
use kube::api::GetParams;
use kube::{Api, Client};

pub(crate) use schedule::{Outcome, Read, Schedule};

use crate::failure::{self, Class};
use crate::world::Key;

/// Secrets read at a time: as many as a modest API server answers without queueing, so that a thousand of them take
/// seconds and nobody else waits.
const AT_A_TIME: usize = 8;

/// Longer than any API server that works takes for one object.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads Secrets, each for itself: what happens to one says nothing about the others.
pub(crate) async fn read(client: &Client, due: Vec<Read>) -> Vec<(Key, Outcome)> {
    futures::stream::iter(due)
        .map(|read| async move {
            let outcome = read_one(client, &read).await;
            (read.secret, outcome)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await
}

async fn read_one(client: &Client, read: &Read) -> Outcome {
    let (namespace, name) = &read.secret;
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    // "0" is answered from the API server's memory, which may be behind by moments.
    let resource_version = (!read.is_exact).then(|| "0".to_owned());
    let get = GetParams { resource_version };
    let Ok(got) = tokio::time::timeout(TIMEOUT, api.get_with(name, &get)).await else {
        return Outcome::Failed(None);
    };
    let error = match got {
        Ok(secret) => return Outcome::Found(values(secret, &read.keys)),
        Err(error) => error,
    };
    match Class::of(&error) {
        Class::NotFound => Outcome::Gone,
        Class::Forbidden => Outcome::Refused(format!(
            "grant the operator's service account the verb get for secrets in namespace {namespace} ({})",
            failure::describe(&error)
        )),
        Class::Unreachable | Class::Throttled => Outcome::Failed(None),
        Class::Server | Class::Refused | Class::Conflict | Class::Exists => {
            Outcome::Failed(Some(failure::describe(&error)))
        }
    }
}

/// The values of the keys that routes name. Of all other keys only the name is kept, so that a message can say which
/// there are.
fn values(secret: Secret, named: &BTreeSet<String>) -> Values {
    let data: BTreeMap<_, _> = secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| {
            let value = if named.contains(&key) { value.0 } else { Vec::new() };
            (key, value)
        })
        .collect();
    Values { data }
}
