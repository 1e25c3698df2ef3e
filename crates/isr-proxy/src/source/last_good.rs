//! The last good table on disk, for a start without an API server.
//!
//! JSON with the index, its shards and the origin tokens. Index and shards are checked as if they came from the API server.
//! No route waits for it: a disk that hangs costs a start without an API server, and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use isr_routes::OriginToken;
use isr_routes::snapshot::Index;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::state_file::{self, Unusable};

/// The name of the file in the state folder.
const NAME: &str = "routes.json";

/// The format that is written, and the only one that is read: a file of another version is replaced soon enough.
const FORMAT: u32 = 1;

/// What is kept of a table.
pub(super) struct Saved {
    pub(super) index: Index,
    /// The bytes of the index's shards, in its order.
    pub(super) shards: Vec<Arc<str>>,
    pub(super) origin_tokens: Vec<(String, OriginToken)>,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    index: &'a Index,
    shards: Vec<&'a RawValue>,
    origin_tokens: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
struct Content {
    format: u32,
    index: Box<RawValue>,
    shards: Vec<Box<RawValue>>,
    origin_tokens: BTreeMap<String, String>,
}

/// Keeps each latest table in the folder, until nobody is left to say which it is. Those that are replaced while one is being written
/// are left out.
pub(super) async fn keep(folder: PathBuf, mut latest: watch::Receiver<Option<Arc<Saved>>>) {
    while latest.changed().await.is_ok() {
        let Some(saved) = latest.borrow_and_update().clone() else { continue };
        let to = folder.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || save(&to, &saved)).await {
            tracing::error!(
                "the last good table cannot be kept in {}: {error}; without an API server, the next start has no routes",
                folder.display()
            );
        }
    }
}

/// Writes the table into the folder: after a crash at any moment the file holds this table or the one before.
fn save(folder: &Path, saved: &Saved) -> io::Result<()> {
    let shards = saved.shards.iter().map(|bytes| serde_json::from_str(bytes)).collect::<Result<_, _>>()?;
    let written = Written {
        format: FORMAT,
        index: &saved.index,
        shards,
        origin_tokens: saved.origin_tokens.iter().map(|(name, token)| (&**name, token.expose())).collect(),
    };
    state_file::save(folder, NAME, &serde_json::to_vec(&written)?)
}

/// Reads the table from the folder; nothing if none was ever written.
pub(super) fn load(folder: &Path) -> Result<Option<Saved>, Unusable> {
    state_file::load(folder, NAME, read)
}

fn read(text: &str) -> Result<Saved, String> {
    let content: Content = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if content.format != FORMAT {
        return Err(format!("it has format {}, not {FORMAT}", content.format));
    }
    let index = Index::parse(content.index.get().as_bytes()).map_err(|error| error.to_string())?;
    let token = |(name, value)| OriginToken::new(value).map(|token| (name, token));
    Ok(Saved {
        index,
        shards: content.shards.iter().map(|shard| shard.get().into()).collect(),
        origin_tokens: content.origin_tokens.into_iter().filter_map(token).collect(),
    })
}
