//! What is missing, damaged, or newer than its reader.

use super::*;

fn written(count: usize) -> Snapshot {
    let routes: Vec<IsrRoute> = (0..count).map(typical).collect();
    write(&compiled(&routes).table, false, &SALT)
}

/// The snapshot with its only shard changed, and everything named accordingly.
fn edited(snapshot: &Snapshot, edit: impl Fn(&mut Value)) -> Snapshot {
    let mut shard: Value =
        serde_json::from_slice(snapshot.shards.values().next().expect("a shard")).expect("JSON");
    edit(&mut shard);
    let bytes = serde_json::to_vec(&shard).expect("JSON");
    let name = shard_name(&bytes);
    let index = Index { shards: vec![name.clone()], ..snapshot.index.clone() };
    Snapshot {
        index,
        shards: [(name, bytes)].into(),
        origin_tokens: snapshot.origin_tokens.clone(),
        fingerprints: HashMap::new(),
    }
}

#[test]
fn an_incomplete_table_is_none() {
    let snapshot = written(10);
    let shards = shards(&snapshot);
    let token = |name: &str| snapshot.origin_tokens.get(name).cloned();
    let shard = snapshot.index.shards[0].clone();
    let missing = assemble(&RouteTable::default(), &snapshot.index, |_| None, token).expect_err("no shard");
    assert_eq!(missing, Missing { shards: vec![shard], origin_tokens: Vec::new() });
    let name = snapshot.index.origin_tokens[0].clone();
    let missing =
        assemble(&RouteTable::default(), &snapshot.index, |name| shards.get(name), |_| None::<OriginToken>)
            .expect_err("no token");
    assert_eq!(missing, Missing { shards: Vec::new(), origin_tokens: vec![name] });
}

#[test]
fn a_changed_byte_makes_a_shard_nobody_has() {
    let snapshot = written(10);
    let (name, bytes) = snapshot.shards.first_key_value().expect("a shard");
    assert_eq!(Shard::parse(bytes).name(), name);
    for place in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1;
        assert_ne!(Shard::parse(&bytes).name(), name);
    }
}

#[test]
fn an_index_is_whole_or_refused() {
    let mut index = written(10).index;
    index.generation = 7;
    assert_eq!(Index::parse(&index.to_bytes()).expect("whole"), index);
    let mut damaged = index.clone();
    damaged.shards.pop();
    assert!(matches!(Index::parse(&damaged.to_bytes()), Err(BadIndex::Damaged)));
    let newer = br#"{"format":2,"anything":"else"}"#;
    let said = Index::parse(newer).expect_err("newer").to_string();
    assert!(said.contains("format 2") && said.contains("update this program"), "{said}");
    assert!(matches!(Index::parse(b"{}"), Err(BadIndex::Unreadable(_))));
}

#[test]
fn a_route_of_a_newer_writer_is_left_out_alone() {
    let snapshot = written(10);
    let changes: [(&str, Value, &str); 4] = [
        ("sampling", json!(0.5), "unknown field `sampling`"),
        ("framework", json!("Remix"), "Remix is not known"),
        ("path", json!("blog"), "blog"),
        ("tokens", json!(["abc"]), "digest of its tokens"),
    ];
    for (field, value, said) in changes {
        let read = assembled(&edited(&snapshot, |shard| shard["routes"][3][field] = value.clone()));
        assert_eq!(read.table.routes().count(), 9, "{field}");
        let [rejected] = &read.rejected[..] else { panic!("{:?}", read.rejected) };
        let object = rejected.object.as_ref().expect("a name");
        assert!(object.name.starts_with("route-"), "{object}");
        assert!(!read.table.routes().any(|route| *route.id == *format!("shop/{}", object.name)));
        assert!(rejected.message.contains(said), "{}", rejected.message);
    }
}

#[test]
fn a_shard_of_a_newer_format_is_reported() {
    let read = assembled(&edited(&written(10), |shard| shard["format"] = json!(2)));
    assert_eq!(read.table.routes().count(), 0);
    assert!(read.rejected[0].message.contains("format 2"), "{}", read.rejected[0].message);
}
