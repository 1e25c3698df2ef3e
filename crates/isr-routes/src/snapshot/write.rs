//! From a table to its written form.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::bucket::{self, Item};
use super::form::Form;
use super::{Index, SPLIT_ABOVE, hex, shard_name};
use crate::table::RouteTable;
use crate::token::OriginToken;

/// What stands before the routes of a shard, and after them.
const HEAD: &[u8] = b"{\"format\":1,\"routes\":[";
const TAIL: &[u8] = b"]}";

/// 32 random bytes, made once for an installation and kept with its origin tokens. Whoever cannot read it cannot tell
/// from the name of an origin token whether a guess at its value is right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(redacted)")
    }
}

/// Stands for the written form of one route: two are the same exactly if the forms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a route with this written form.
    pub(super) fn of(form: &[u8]) -> Self {
        Self(Sha256::digest(form).into())
    }
}

/// A table in its written form.
#[derive(Debug)]
pub struct Snapshot {
    /// What the table consists of. Its generation is 0: who publishes it counts.
    pub index: Index,
    /// The bytes of each shard, by name.
    pub shards: BTreeMap<String, Vec<u8>>,
    /// The values of the origin tokens, by name. For a Secret, never for a ConfigMap.
    pub origin_tokens: BTreeMap<String, OriginToken>,
    /// The fingerprint of each route, by `namespace/name`.
    pub fingerprints: HashMap<Arc<str>, Fingerprint>,
}

/// Writes a table. `shared_hosts` is the option that it was compiled with.
pub fn write(table: &RouteTable, shared_hosts: bool, salt: &Salt) -> Snapshot {
    let mut origin_tokens = BTreeMap::new();
    let mut fingerprints = HashMap::new();
    let mut items = Vec::new();
    for route in table.routes() {
        let origin_token = route.origin_token.as_ref().map(|token| {
            let name = name_of(token, salt);
            origin_tokens.entry(name.clone()).or_insert_with(|| token.clone());
            name
        });
        // Strings, numbers and lists of them: cannot fail.
        let bytes = serde_json::to_vec(&Form::of(route, origin_token)).unwrap_or_default();
        fingerprints.insert(Arc::clone(&route.id), Fingerprint::of(&bytes));
        items.push(Item::new(&route.id, bytes));
    }
    let shards: Vec<(String, Vec<u8>)> = bucket::fill(items, SPLIT_ABOVE)
        .into_iter()
        .map(|bucket| {
            let bytes = shard(&bucket);
            (shard_name(&bytes), bytes)
        })
        .collect();
    let names: Vec<String> = shards.iter().map(|(name, _)| name.clone()).collect();
    let tokens: Vec<String> = origin_tokens.keys().cloned().collect();
    let index = Index::of(0, shared_hosts, names, tokens);
    Snapshot { index, shards: shards.into_iter().collect(), origin_tokens, fingerprints }
}

fn shard(bucket: &[Item]) -> Vec<u8> {
    let size: usize = bucket.iter().map(|item| item.bytes.len() + 1).sum();
    let mut bytes = Vec::with_capacity(HEAD.len() + size + TAIL.len());
    bytes.extend_from_slice(HEAD);
    for (place, item) in bucket.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&item.bytes);
    }
    bytes.extend_from_slice(TAIL);
    bytes
}

/// 128 bits of the salted digest: two tokens of one installation never meet by chance.
fn name_of(token: &OriginToken, salt: &Salt) -> String {
    let mut digest = Sha256::new();
    digest.update(salt.0);
    digest.update(token.expose());
    hex(&digest.finalize()[..16])
}
