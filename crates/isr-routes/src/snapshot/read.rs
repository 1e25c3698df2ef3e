//! From the written form to a table.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::Form;
use super::write::Fingerprint;
use super::{FORMAT, Index, shard_name};
use crate::report::ObjectRef;
use crate::route::Route;
use crate::table::RouteTable;
use crate::token::OriginToken;
use crate::unhurried;

/// A shard that was read. Kept by who follows an installation, so that only changed shards are read again.
#[derive(Debug)]
pub struct Shard {
    name: String,
    /// The routes, with the name of the origin token of each that has one.
    routes: Vec<Read>,
    rejected: Vec<Rejected>,
}

/// A route, and the name of its origin token.
type Read = (Arc<Route>, Option<String>);

/// The name of a route, as far as it could be read, and why the route could not.
type Unread = (Option<ObjectRef>, String);

/// A route that this version cannot put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The route, if its name could be read.
    pub object: Option<ObjectRef>,
    /// The shard that it stands in.
    pub shard: String,
    /// Why, in a sentence.
    pub message: String,
}

/// A table that was read, and what was left out of it.
#[derive(Debug)]
pub struct Assembled {
    /// The table.
    pub table: RouteTable,
    /// The routes that this version cannot put in force.
    pub rejected: Vec<Rejected>,
}

/// What an index names and nobody has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Names of shards.
    pub shards: Vec<String>,
    /// Names of origin tokens.
    pub origin_tokens: Vec<String>,
}

#[derive(Deserialize)]
struct Whole<'a> {
    format: u32,
    #[serde(borrow)]
    routes: Vec<&'a RawValue>,
}

impl Shard {
    /// Reads a shard. Its name follows from its bytes: damaged ones make another shard, which no index names.
    pub fn parse(bytes: &[u8]) -> Self {
        let name = shard_name(bytes);
        let mut shard = Self { name: name.clone(), routes: Vec::new(), rejected: Vec::new() };
        let reject = |object, message| Rejected { object, shard: name.clone(), message };
        match serde_json::from_slice::<Whole<'_>>(bytes) {
            Ok(whole) if whole.format > FORMAT => {
                let message = format!(
                    "the shard has format {}, and this version reads {FORMAT} at most: update the proxy.",
                    whole.format
                );
                shard.rejected.push(reject(None, message));
            }
            Ok(whole) => {
                for raw in unhurried(64, whole.routes) {
                    match route(raw) {
                        Ok(read) => shard.routes.push(read),
                        Err((object, message)) => shard.rejected.push(reject(object, message)),
                    }
                }
            }
            Err(error) => shard.rejected.push(reject(None, format!("the shard is unreadable: {error}."))),
        }
        shard
    }

    /// The hexadecimal SHA-256 of its bytes.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The fingerprints of the routes of a shard, by `namespace/name`: those that [`write()`](super::write()) gave when it wrote
/// the shard. Whoever begins to publish anew learns from them what is already in force.
pub fn fingerprints(bytes: &[u8]) -> impl Iterator<Item = (Arc<str>, Fingerprint)> {
    let whole: Option<Whole<'_>> = serde_json::from_slice(bytes).ok();
    let routes = whole.into_iter().flat_map(|whole| whole.routes);
    routes.filter_map(|raw| {
        let Named { id } = serde_json::from_str(raw.get()).ok()?;
        Some((id.into(), Fingerprint::of(raw.get().as_bytes())))
    })
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

fn route(raw: &RawValue) -> Result<Read, Unread> {
    let object = || {
        let named: Named = serde_json::from_str(raw.get()).ok()?;
        let (namespace, name) = named.id.split_once('/')?;
        Some(ObjectRef::route(namespace, name))
    };
    let mut form: Form = serde_json::from_str(raw.get()).map_err(|error| {
        (object(), format!("its form is not known to this version ({error}): update the proxy."))
    })?;
    let origin_token = form.origin_token.take();
    match form.into_route() {
        Ok(route) => Ok((Arc::new(route), origin_token)),
        Err(message) => Err((object(), message)),
    }
}

/// Puts the table of an index together. `shard` and `origin_token` give what is there under a name; if something is
/// missing there is no table, because half of one would be a wrong one. It shares with the table `before` what has not
/// changed.
pub fn assemble<'s>(
    before: &RouteTable,
    index: &Index,
    shard: impl Fn(&str) -> Option<&'s Shard>,
    origin_token: impl Fn(&str) -> Option<OriginToken>,
) -> Result<Assembled, Missing> {
    let mut missing = Missing::default();
    let mut shards = Vec::with_capacity(index.shards.len());
    for name in &index.shards {
        match shard(name) {
            Some(found) => shards.push(found),
            None => missing.shards.push(name.clone()),
        }
    }
    missing.origin_tokens =
        index.origin_tokens.iter().filter(|name| origin_token(name).is_none()).cloned().collect();
    if missing != Missing::default() {
        return Err(missing);
    }
    let mut routes = Vec::with_capacity(shards.iter().map(|shard| shard.routes.len()).sum());
    let mut rejected = Vec::new();
    for shard in shards {
        rejected.extend(shard.rejected.iter().cloned());
        for (route, token) in &shard.routes {
            let Some(token) = token else {
                routes.push(Arc::clone(route));
                continue;
            };
            match origin_token(token) {
                Some(token) => {
                    routes.push(Arc::new(Route { origin_token: Some(token), ..Route::clone(route) }));
                }
                None => rejected.push(Rejected {
                    object: route
                        .id
                        .split_once('/')
                        .map(|(namespace, name)| ObjectRef::route(namespace, name)),
                    shard: shard.name.clone(),
                    message: "its origin token is not named by the index.".into(),
                }),
            }
        }
    }
    Ok(Assembled { table: RouteTable::after(before, routes, index.shared_hosts), rejected })
}
