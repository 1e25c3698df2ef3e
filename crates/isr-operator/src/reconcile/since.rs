//! Since which generation of the index each route is what it is. Pure.
//!
//! A proxy that serves that generation or a later one serves the route as it is declared, whatever else changed since.

use std::collections::HashMap;
use std::sync::Arc;

use isr_routes::snapshot::{Fingerprint, Snapshot};

use crate::config::Names;
use crate::world::{IndexContent, Published};

/// The written form of each route, by `namespace/name`, and the generation since when.
#[derive(Debug, Default)]
pub(super) struct Since {
    routes: HashMap<Arc<str>, (Fingerprint, u64)>,
}

impl Since {
    /// What a table says that another process published, if it is whole: how much longer its routes are as they are does
    /// not matter, because no proxy is asked for less than was in force when this process began.
    pub(super) fn of(published: &Published, names: &Names) -> Self {
        let Some(IndexContent::Sound(index)) = published.index.as_ref().map(|index| &index.content) else {
            return Self::default();
        };
        let shards = index.shards.iter().filter_map(|digest| {
            published.shards.get(&names.shard(digest)).filter(|shard| shard.digest == *digest)
        });
        let routes = shards.flat_map(|shard| shard.routes.iter());
        let known = routes.map(|(route, fingerprint)| (Arc::clone(route), (*fingerprint, index.generation)));
        Self { routes: known.collect() }
    }

    /// Takes in a table that is published as this generation.
    pub(super) fn publish(&mut self, snapshot: &Snapshot, generation: u64) {
        let mut before = std::mem::take(&mut self.routes);
        let noted = snapshot.fingerprints.iter().map(|(route, fingerprint)| {
            // The name that is kept stays where it is: one from the table would keep the table's memory from being reused.
            let (route, since) = match before.remove_entry(route) {
                // A count that somebody put back begins anew.
                Some((route, (known, since))) if known == *fingerprint => (route, since.min(generation)),
                Some((route, _)) => (route, generation),
                None => (Arc::from(&**route), generation),
            };
            (route, (*fingerprint, since))
        });
        self.routes = noted.collect();
    }

    /// The generation since when a route is as it is; `None` of a route that is not in the table.
    pub(super) fn generation(&self, route: &str) -> Option<u64> {
        self.routes.get(route).map(|(_, generation)| *generation)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use isr_routes::RouteTable;
    use isr_routes::snapshot::{Index, Salt, fingerprints, shard_name, write};

    use super::*;
    use crate::world::{PresentIndex, PresentShard};

    /// A snapshot of one shard with these routes, each with what it says.
    fn snapshot(routes: &[(&str, &str)]) -> Snapshot {
        let forms: Vec<String> =
            routes.iter().map(|(id, path)| format!(r#"{{"id":"{id}","path":"{path}"}}"#)).collect();
        let shard = format!(r#"{{"format":1,"routes":[{}]}}"#, forms.join(",")).into_bytes();
        let empty = write(&RouteTable::default(), false, &Salt([0; 32]));
        let name = shard_name(&shard);
        Snapshot {
            index: Index { shards: vec![name.clone()], ..empty.index },
            fingerprints: fingerprints(&shard).collect(),
            shards: BTreeMap::from([(name, shard)]),
            origin_tokens: BTreeMap::new(),
        }
    }

    #[test]
    fn a_route_keeps_its_generation_until_it_changes() {
        let mut since = Since::default();
        since.publish(&snapshot(&[("shop/a", "/a"), ("shop/b", "/b")]), 3);
        since.publish(&snapshot(&[("shop/a", "/a"), ("shop/b", "/other")]), 4);
        assert_eq!((since.generation("shop/a"), since.generation("shop/b")), (Some(3), Some(4)));
        since.publish(&snapshot(&[("shop/b", "/other")]), 5);
        assert_eq!((since.generation("shop/a"), since.generation("shop/b")), (None, Some(4)));
        since.publish(&snapshot(&[("shop/b", "/other")]), 1);
        assert_eq!(since.generation("shop/b"), Some(1));
    }

    #[test]
    fn who_takes_over_learns_from_the_table_what_is_in_force() {
        let names = Names { namespace: "kube-isr-system".into(), installation: "kube-isr".into() };
        let theirs = snapshot(&[("shop/a", "/a"), ("shop/b", "/b")]);
        let shards = theirs.shards.iter().map(|(digest, bytes)| {
            let routes = fingerprints(bytes).collect();
            (
                names.shard(digest),
                PresentShard { resource_version: "5".into(), digest: digest.clone(), is_owned: true, routes },
            )
        });
        let content = IndexContent::Sound(Index { generation: 7, ..theirs.index.clone() });
        let index = Some(PresentIndex { resource_version: "6".into(), content, is_owned: true });
        let mut since = Since::of(&Published { index, shards: shards.collect() }, &names);
        since.publish(&snapshot(&[("shop/a", "/a"), ("shop/b", "/other")]), 8);
        assert_eq!((since.generation("shop/a"), since.generation("shop/b")), (Some(7), Some(8)));
    }
}
