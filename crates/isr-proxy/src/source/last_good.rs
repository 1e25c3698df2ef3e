//! The last good table on disk, for a start without an API server.
//!
//! One file, replaced as a whole: a line with the SHA-256 of the rest, then JSON with the index, its shards and the
//! origin tokens. Because of those it is readable by its owner alone. Index and shards are checked as if they came
//! from the API server.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use isr_routes::OriginToken;
use isr_routes::snapshot::{Index, shard_name};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The name of the file in the state folder.
const NAME: &str = "routes.json";

/// The format that is written, and the only one that is read: a file of another version is replaced soon enough.
const FORMAT: u32 = 1;

/// Bytes of the file, at most: 100,000 routes take about 40 MB.
const MOST: u64 = 256 * 1024 * 1024;

/// What is kept of a table.
pub(super) struct Saved {
    pub(super) index: Index,
    /// The bytes of the index's shards, in its order.
    pub(super) shards: Vec<Arc<str>>,
    pub(super) origin_tokens: Vec<(String, OriginToken)>,
}

/// Why there is no last good table, although there is a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the last good table cannot be read from {path}: {cause}")]
    Unreadable { path: String, cause: io::Error },
    #[error("{path} is damaged ({why}), so there is no last good table until the API server gives one")]
    Damaged { path: String, why: String },
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

/// Writes the table into the folder: after a crash at any moment the file holds this table or the one before.
pub(super) fn save(folder: &Path, saved: &Saved) -> io::Result<()> {
    let shards = saved.shards.iter().map(|bytes| serde_json::from_str(bytes)).collect::<Result<_, _>>()?;
    let written = Written {
        format: FORMAT,
        index: &saved.index,
        shards,
        origin_tokens: saved.origin_tokens.iter().map(|(name, token)| (&**name, token.expose())).collect(),
    };
    let body = serde_json::to_vec(&written)?;
    std::fs::create_dir_all(folder)?;
    let staged = folder.join(format!("{NAME}.new"));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    writeln!(file, "{}", shard_name(&body))?;
    file.write_all(&body)?;
    file.sync_all()?;
    std::fs::rename(&staged, folder.join(NAME))?;
    // The new name is durable with the folder.
    std::fs::File::open(folder)?.sync_all()
}

/// Reads the table from the folder; nothing if none was ever written.
pub(super) fn load(folder: &Path) -> Result<Option<Saved>, Unusable> {
    let path = folder.join(NAME);
    let Some(bytes) = read(&path).map_err(|cause| Unusable::Unreadable { path: shown(&path), cause })? else {
        return Ok(None);
    };
    let damaged = |why: String| Unusable::Damaged { path: shown(&path), why };
    let text = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    let (sum, body) = text.split_once('\n').ok_or_else(|| damaged("it has no checksum".into()))?;
    if shard_name(body.as_bytes()) != sum {
        return Err(damaged("its checksum is not that of its content".into()));
    }
    let content: Content = serde_json::from_str(body).map_err(|error| damaged(error.to_string()))?;
    if content.format != FORMAT {
        return Err(damaged(format!("it has format {}, not {FORMAT}", content.format)));
    }
    let index = Index::parse(content.index.get().as_bytes()).map_err(|error| damaged(error.to_string()))?;
    let token = |(name, value)| OriginToken::new(value).map(|token| (name, token));
    Ok(Some(Saved {
        index,
        shards: content.shards.iter().map(|shard| shard.get().into()).collect(),
        origin_tokens: content.origin_tokens.into_iter().filter_map(token).collect(),
    }))
}

fn read(path: &PathBuf) -> io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
