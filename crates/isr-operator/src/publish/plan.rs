//! What has to be written so that the cluster holds a table. Pure.

use isr_routes::snapshot::{Index, Snapshot};

use crate::config::Names;
use crate::world::{IndexContent, PresentIndex, Published};

/// What has to be written, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Shards, each by its digest.
    pub(crate) shards: Vec<(String, Shard)>,
    /// The index.
    pub(crate) index: Option<Write>,
}

/// What happens to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shard {
    /// It is not there.
    Create,
    /// Something else bears its name, or it does not say whose it is. What is immutable can only be deleted and created anew.
    Replace {
        /// The version that is there.
        resource_version: String,
    },
}

/// How the index is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// There is none.
    Create,
    /// There is one of this version, and nobody may have changed it since.
    Update {
        /// The version that is there.
        resource_version: String,
    },
}

/// The index that was last published, as far as this process knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// Its generation.
    pub(crate) generation: u64,
    /// Its digest.
    pub(crate) digest: String,
}

/// The format of the index in the cluster is newer than the one that this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewerFormat(pub(crate) u32);

/// A generation beyond this is nobody's count: the largest number that every reader of JSON reads exactly.
const GENERATION_MOST: u64 = 1 << 53;

/// The generation that a table with this digest has: that of the same table, or one more than any before.
///
/// An index that was deleted or damaged is written again as it was; its generation counts up only for a different table.
pub(crate) fn generation(
    present: Option<&PresentIndex>,
    last: Option<&Last>,
    digest: &str,
) -> Result<u64, NewerFormat> {
    let believed = |generation: u64| if generation < GENERATION_MOST { generation } else { 0 };
    let (claimed, is_sound) = match present.map(|present| &present.content) {
        None => (0, false),
        Some(IndexContent::Damaged { generation }) => (believed(*generation), false),
        Some(IndexContent::Newer { format }) => return Err(NewerFormat(*format)),
        Some(IndexContent::Sound(index)) => {
            let generation = believed(index.generation);
            if index.digest == digest && generation > 0 {
                return Ok(generation);
            }
            (generation, generation > 0)
        }
    };
    match last {
        Some(last) if last.digest == digest && !is_sound => Ok(last.generation),
        last => Ok(claimed.max(last.map_or(0, |last| last.generation)) + 1),
    }
}

/// What has to be written so that the cluster holds this snapshot under this index. What `must_own`
/// refuses for not saying whose it is ([`Context::must_own`](crate::Context::must_own)) is written again.
pub(crate) fn plan(
    published: &Published,
    snapshot: &Snapshot,
    index: &Index,
    names: &Names,
    must_own: impl Fn(bool) -> bool,
) -> Plan {
    let mut plan = Plan::default();
    for digest in snapshot.shards.keys() {
        match published.shards.get(&names.shard(digest)) {
            Some(present) if present.digest == *digest && !must_own(present.is_owned) => {}
            Some(present) => {
                let resource_version = present.resource_version.clone();
                plan.shards.push((digest.clone(), Shard::Replace { resource_version }));
            }
            None => plan.shards.push((digest.clone(), Shard::Create)),
        }
    }
    plan.index = match &published.index {
        None => Some(Write::Create),
        Some(present)
            if present.content == IndexContent::Sound(index.clone()) && !must_own(present.is_owned) =>
        {
            None
        }
        Some(present) => Some(Write::Update { resource_version: present.resource_version.clone() }),
    };
    plan
}

/// Whether the cluster holds the whole table of this index.
pub(crate) fn is_intact(published: &Published, index: &Index, names: &Names) -> bool {
    let has_index = published
        .index
        .as_ref()
        .is_some_and(|present| matches!(&present.content, IndexContent::Sound(sound) if sound == index));
    let has_shard = |digest: &String| {
        published.shards.get(&names.shard(digest)).is_some_and(|present| present.digest == *digest)
    };
    has_index && index.shards.iter().all(has_shard)
}

#[cfg(test)]
mod tests;
