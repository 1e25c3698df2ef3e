use std::collections::{BTreeMap, HashMap};

use isr_routes::RouteTable;
use isr_routes::snapshot::{Salt, shard_name, write};

use super::*;
use crate::world::PresentShard;

fn names() -> Names {
    Names { namespace: "kube-isr-system".into(), installation: "kube-isr".into() }
}

/// A snapshot of shards with these texts.
fn snapshot(texts: &[&str]) -> Snapshot {
    let empty = write(&RouteTable::default(), false, &Salt([0; 32]));
    let shards: BTreeMap<String, Vec<u8>> =
        texts.iter().map(|text| (shard_name(text.as_bytes()), text.as_bytes().to_vec())).collect();
    let index = Index { shards: shards.keys().cloned().collect(), ..empty.index };
    Snapshot { index, shards, origin_tokens: BTreeMap::new(), fingerprints: HashMap::new() }
}

fn index(snapshot: &Snapshot, generation: u64) -> Index {
    Index { generation, ..snapshot.index.clone() }
}

/// What the cluster holds after a plan for this snapshot was carried out.
fn published(snapshot: &Snapshot, generation: u64) -> Published {
    let shards = snapshot.shards.keys().map(|digest| {
        let present = PresentShard {
            resource_version: "5".into(),
            digest: digest.clone(),
            is_owned: false,
            routes: [].into(),
        };
        (names().shard(digest), present)
    });
    Published {
        index: Some(present(IndexContent::Sound(index(snapshot, generation)))),
        shards: shards.collect(),
    }
}

fn present(content: IndexContent) -> PresentIndex {
    PresentIndex { resource_version: "7".into(), content, is_owned: false }
}

fn plan_for(published: &Published, snapshot: &Snapshot, generation: u64) -> Plan {
    plan(published, snapshot, &index(snapshot, generation), &names(), |_| false)
}

fn last(generation: u64, digest: &str) -> Last {
    Last { generation, digest: digest.into() }
}

#[test]
fn an_empty_cluster_gets_all_shards_and_the_index() {
    let snapshot = snapshot(&["a", "b"]);
    let plan = plan_for(&Published::default(), &snapshot, 1);
    let all: Vec<_> = snapshot.shards.keys().map(|digest| (digest.clone(), Shard::Create)).collect();
    assert_eq!(plan, Plan { shards: all, index: Some(Write::Create) });
}

#[test]
fn what_does_not_say_whose_it_is_is_written_again_for_its_owner() {
    let snapshot = snapshot(&["a", "b"]);
    let mut present = published(&snapshot, 3);
    let plan_for =
        |present: &Published| plan(present, &snapshot, &index(&snapshot, 3), &names(), |is_owned| !is_owned);
    let replace = |digest: &String| (digest.clone(), Shard::Replace { resource_version: "5".into() });
    let all: Vec<_> = snapshot.shards.keys().map(replace).collect();
    let update = Write::Update { resource_version: "7".into() };
    assert_eq!(plan_for(&present), Plan { shards: all, index: Some(update) });
    present.shards.values_mut().for_each(|shard| shard.is_owned = true);
    present.index.as_mut().unwrap().is_owned = true;
    assert_eq!(plan_for(&present), Plan::default(), "and then no more");
}

#[test]
fn what_is_there_is_not_written_again() {
    let snapshot = snapshot(&["a", "b"]);
    let published = published(&snapshot, 3);
    assert_eq!(plan_for(&published, &snapshot, 3), Plan::default());
    assert!(is_intact(&published, &index(&snapshot, 3), &names()));
}

#[test]
fn a_change_writes_its_shard_and_the_index_over_the_version_that_was_seen() {
    let (before, after) = (snapshot(&["a", "b"]), snapshot(&["a", "c"]));
    let plan = plan_for(&published(&before, 3), &after, 4);
    assert_eq!(plan.shards, [(shard_name(b"c"), Shard::Create)]);
    assert_eq!(plan.index, Some(Write::Update { resource_version: "7".into() }));
}

#[test]
fn whatever_somebody_took_away_is_no_longer_intact_and_is_put_back() {
    let snapshot = snapshot(&["a", "b"]);
    let name = names().shard(&shard_name(b"a"));

    let mut without_shard = published(&snapshot, 3);
    without_shard.shards.remove(&name);
    assert_eq!(plan_for(&without_shard, &snapshot, 3).shards, [(shard_name(b"a"), Shard::Create)]);

    let mut other_content = published(&snapshot, 3);
    other_content.shards.get_mut(&name).expect("it is there").digest = shard_name(b"x");
    let replace = Shard::Replace { resource_version: "5".into() };
    assert_eq!(plan_for(&other_content, &snapshot, 3).shards, [(shard_name(b"a"), replace)]);

    let mut without_index = published(&snapshot, 3);
    without_index.index = None;
    assert_eq!(plan_for(&without_index, &snapshot, 3).index, Some(Write::Create));

    let mut damaged = published(&snapshot, 3);
    damaged.index = Some(present(IndexContent::Damaged { generation: 3 }));
    let update = Write::Update { resource_version: "7".into() };
    assert_eq!(plan_for(&damaged, &snapshot, 3).index, Some(update));

    for published in [without_shard, other_content, without_index, damaged] {
        assert!(!is_intact(&published, &index(&snapshot, 3), &names()), "{published:?}");
    }
}

#[test]
fn the_generation_counts_different_tables() {
    let snapshot = snapshot(&["a"]);
    let digest = snapshot.index.digest.as_str();
    let sound = |generation| present(IndexContent::Sound(index(&snapshot, generation)));
    let damaged = |generation| present(IndexContent::Damaged { generation });
    let cases = [
        ("the first", None, None, digest, 1),
        ("the same", Some(sound(7)), None, digest, 7),
        ("another", Some(sound(7)), None, "other", 8),
        ("another than ours, which somebody replaced", Some(sound(7)), Some(last(9, "mine")), "other", 10),
        ("somebody brought back an older one", Some(sound(7)), Some(last(9, "other")), "other", 10),
        ("deleted, the same", None, Some(last(9, digest)), digest, 9),
        ("deleted, another", None, Some(last(9, digest)), "other", 10),
        ("damaged, the same", Some(damaged(9)), Some(last(9, digest)), digest, 9),
        ("damaged, another", Some(damaged(9)), Some(last(9, digest)), "other", 10),
        ("damaged before our start", Some(damaged(9)), None, digest, 10),
        ("a generation that nobody counted to", Some(damaged(u64::MAX)), Some(last(9, "x")), digest, 10),
        ("such a one in a sound index", Some(sound(u64::MAX)), Some(last(9, digest)), digest, 9),
    ];
    for (what, present, last, digest, expected) in cases {
        assert_eq!(generation(present.as_ref(), last.as_ref(), digest), Ok(expected), "{what}");
    }
}

#[test]
fn the_index_of_a_newer_version_is_left_alone() {
    let newer = present(IndexContent::Newer { format: 2 });
    assert_eq!(generation(Some(&newer), None, "any"), Err(NewerFormat(2)));
}
