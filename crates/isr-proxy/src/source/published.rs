//! What is known of an installation's published table: pure, whatever order its objects come in.
//!
//! The objects arrive one by one; the table is there when the index and everything that it names are. What is named by
//! no index is kept as bytes until its ConfigMap goes, because the operator writes shards before the index.

use std::collections::HashMap;
use std::sync::Arc;

use isr_routes::snapshot::{Assembled, BadIndex, Index, Missing, Shard, assemble, shard_name};
use isr_routes::{OriginToken, RouteTable};

/// The data key of an index.
pub(super) const INDEX_KEY: &str = "index.json";
/// The data key of a shard.
pub(super) const SHARD_KEY: &str = "routes.json";

/// What is known of a published table.
#[derive(Debug, Default)]
pub(super) struct Published {
    index: Option<Index>,
    /// The bytes of the shards by name. Shared with who saves them.
    shards: HashMap<String, Arc<str>>,
    /// The shard in each ConfigMap.
    objects: HashMap<String, String>,
    /// The shards of the last table that was put together, so that unchanged ones are not read again.
    parsed: HashMap<String, Shard>,
    origin_tokens: HashMap<String, OriginToken>,
}

/// A table, and everything that it was made of.
pub(super) struct Complete {
    pub(super) index: Index,
    pub(super) assembled: Assembled,
}

impl Published {
    /// Learns the content of the index's object.
    pub(super) fn index(&mut self, bytes: &[u8]) -> Result<(), BadIndex> {
        self.index = Some(Index::parse(bytes)?);
        Ok(())
    }

    /// Learns a shard from the ConfigMap of this name.
    pub(super) fn shard(&mut self, object: String, bytes: &str) {
        let name = shard_name(bytes.as_bytes());
        self.shards.entry(name.clone()).or_insert_with(|| bytes.into());
        if let Some(before) = self.objects.insert(object, name.clone())
            && before != name
        {
            self.forget(&before);
        }
    }

    /// Learns that the ConfigMap of this name is gone. The index stays what it was: a table is replaced by a table.
    pub(super) fn gone(&mut self, object: &str) {
        if let Some(name) = self.objects.remove(object) {
            self.forget(&name);
        }
    }

    /// The ConfigMaps of shards that are known.
    pub(super) fn objects(&self) -> impl Iterator<Item = &String> {
        self.objects.keys()
    }

    /// Learns origin tokens in addition to those known.
    pub(super) fn origin_tokens(&mut self, tokens: impl IntoIterator<Item = (String, OriginToken)>) {
        self.origin_tokens.extend(tokens);
    }

    /// The index, if it is not that of the table in force.
    pub(super) fn wanted(&self, in_force: &(u64, String)) -> Option<&Index> {
        self.index.as_ref().filter(|index| (index.generation, &index.digest) != (in_force.0, &in_force.1))
    }

    /// Puts the table of the present index together, or says what is missing. Reads the shards that changed, and shares with
    /// the table `before` what did not.
    pub(super) fn complete(&mut self, before: &RouteTable) -> Result<Complete, Missing> {
        let Some(index) = &self.index else { return Err(Missing::default()) };
        for name in &index.shards {
            if !self.parsed.contains_key(name)
                && let Some(bytes) = self.shards.get(name)
            {
                self.parsed.insert(name.clone(), Shard::parse(bytes.as_bytes()));
            }
        }
        let assembled = assemble(
            before,
            index,
            |name| self.parsed.get(name),
            |name| self.origin_tokens.get(name).cloned(),
        )?;
        let index = index.clone();
        // A few names for each, in order: no index is long.
        self.parsed.retain(|name, _| index.shards.contains(name));
        self.origin_tokens.retain(|name, _| index.origin_tokens.contains(name));
        Ok(Complete { index, assembled })
    }

    /// What the table of this index is made of, to be saved: the shards' bytes, and the origin tokens.
    pub(super) fn parts(&self, index: &Index) -> (Vec<Arc<str>>, Vec<(String, OriginToken)>) {
        let shards = index.shards.iter().filter_map(|name| self.shards.get(name).cloned()).collect();
        let token = |name: &String| Some((name.clone(), self.origin_tokens.get(name)?.clone()));
        (shards, index.origin_tokens.iter().filter_map(token).collect())
    }

    fn forget(&mut self, name: &str) {
        if !self.objects.values().any(|known| known == name) {
            self.shards.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
