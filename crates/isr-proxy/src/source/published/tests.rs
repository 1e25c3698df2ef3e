use super::*;

/// An empty table's shard under another spelling, and an index that names it.
fn named(shard: &str) -> Index {
    Index::of(1, false, vec![shard_name(shard.as_bytes())], Vec::new())
}

const SHARD: &str = r#"{"format":1,"routes":[]}"#;

#[test]
fn a_shard_is_there_as_long_as_one_object_holds_it() {
    let mut published = Published::default();
    published.shard("one".into(), SHARD);
    published.shard("other".into(), SHARD);
    published.gone("one");
    published.index(&named(SHARD).to_bytes()).expect("an index");
    assert!(published.complete(&RouteTable::default()).is_ok());

    let mut published = Published::default();
    published.shard("one".into(), SHARD);
    published.shard("one".into(), "changed by hand");
    published.index(&named(SHARD).to_bytes()).expect("an index");
    let missing = published.complete(&RouteTable::default()).err().expect("nobody holds it");
    assert_eq!(missing.shards, named(SHARD).shards);
}

#[test]
fn a_table_stays_whole_when_its_objects_go() {
    let mut published = Published::default();
    published.shard("one".into(), SHARD);
    published.index(&named(SHARD).to_bytes()).expect("an index");
    assert!(published.complete(&RouteTable::default()).is_ok());
    published.gone("one");
    assert!(published.complete(&RouteTable::default()).is_ok(), "it was read already");
    let (shards, _) = published.parts(&named(SHARD));
    assert!(shards.is_empty(), "but cannot be saved");
}

#[test]
fn only_another_table_is_wanted() {
    let mut published = Published::default();
    assert!(published.wanted(&(0, String::new())).is_none(), "there is no index");
    let index = named(SHARD);
    published.index(&index.to_bytes()).expect("an index");
    assert!(published.wanted(&(0, String::new())).is_some());
    assert!(published.wanted(&(1, index.digest.clone())).is_none());
    assert!(published.wanted(&(2, index.digest)).is_some(), "an older one too");
}
