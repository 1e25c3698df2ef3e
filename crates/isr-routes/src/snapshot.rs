//! The form in which a compiled table travels from the operator to the proxies.
//!
//! [`write()`] makes of a table an [`Index`] and a few shards, each named by the SHA-256 of its bytes; [`Shard::parse`] and
//! [`assemble`] make the same table of them again. Whoever has an index and every shard that it names has exactly the
//! table that was written, and nobody who lacks one of them has anything: that is how a table changes as a whole
//! although it is stored in pieces.
//!
//! A shard is a bucket of routes, chosen by the digest of the route's name (`bucket`), so that the change of one route
//! changes one shard whatever else exists. Of bypass tokens a shard holds digests. Origin tokens are not in it at all:
//! they are referred to by names that say nothing about them to those who do not know the salt.
//!
//! The bytes are JSON for people who look into a cluster (`kubectl get configmap -o yaml`). A route that a reader does
//! not understand, because the writer is newer, is left out and reported; all others stand.

mod bucket;
mod form;
mod read;
mod write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use read::{Assembled, Missing, Rejected, Shard, assemble, fingerprints};
pub use write::{Fingerprint, Salt, Snapshot, write};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Bytes of one shard, at most: half of what a ConfigMap holds, so that its metadata and the copies that tools keep of
/// it in annotations fit too. A single route has less than 300 KiB by the limits of its fields.
pub const SHARD_MOST: usize = 512 * 1024;

/// A bucket with more bytes than this is split in two. A change of one route writes one shard to etcd and sends it to
/// every proxy; smaller shards would make the index longer instead.
const SPLIT_ABOVE: usize = 256 * 1024;

/// What a table consists of: the small object that is written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The format of the index and of its shards.
    pub format: u32,
    /// Counts the tables of an installation: one more with each different one.
    pub generation: u64,
    /// SHA-256 over everything else but the generation: the same for the same table.
    pub digest: String,
    /// Whether namespaces share hosts (see `Options::shared_hosts`).
    pub shared_hosts: bool,
    /// The shards, by the hexadecimal SHA-256 of their bytes.
    pub shards: Vec<String>,
    /// The names of the origin tokens that the routes refer to.
    pub origin_tokens: Vec<String>,
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadIndex {
    /// It is no JSON, or lacks a field.
    #[error("the index is unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Its writer is newer.
    #[error(
        "the index has format {found}, and this version reads {FORMAT} at most: update this program first"
    )]
    Newer {
        /// The format that it has.
        found: u32,
    },
    /// Its fields do not belong together.
    #[error("the index is damaged: its digest is not that of its content")]
    Damaged,
}

impl Index {
    /// The index of a table that consists of these.
    pub fn of(generation: u64, shared_hosts: bool, shards: Vec<String>, origin_tokens: Vec<String>) -> Self {
        let digest = digest(FORMAT, shared_hosts, &shards, &origin_tokens);
        Self { format: FORMAT, generation, digest, shared_hosts, shards, origin_tokens }
    }

    /// Reads an index and checks that it is whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadIndex> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        // Asked first, because a newer index may lack what this version needs.
        let Version { format } = serde_json::from_slice(bytes)?;
        if format > FORMAT {
            return Err(BadIndex::Newer { found: format });
        }
        let index: Self = serde_json::from_slice(bytes)?;
        if index.digest == digest(index.format, index.shared_hosts, &index.shards, &index.origin_tokens) {
            Ok(index)
        } else {
            Err(BadIndex::Damaged)
        }
    }

    /// The bytes of the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The digest of an index: over everything that its table depends on.
fn digest(format: u32, shared_hosts: bool, shards: &[String], origin_tokens: &[String]) -> String {
    let mut meaning = Sha256::new();
    meaning.update(format.to_be_bytes());
    meaning.update([u8::from(shared_hosts)]);
    for names in [shards, origin_tokens] {
        meaning.update((names.len() as u64).to_be_bytes());
        for name in names {
            meaning.update((name.len() as u64).to_be_bytes());
            meaning.update(name);
        }
    }
    hex(&meaning.finalize())
}

/// The name of a shard with these bytes.
pub fn shard_name(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests;
