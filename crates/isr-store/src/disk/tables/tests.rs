use std::collections::HashMap;

use isr_cache::{Coding, Compressed};
use redb::backends::InMemoryBackend;

use super::*;
use crate::testing::page;

fn database() -> Database {
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("memory");
    open(&database).expect("a new file");
    database
}

/// A page with this body, and one variant for each of these letters.
fn with_variants(group: &Arc<Group>, body: &str, letters: &str, began: u64) -> StoredResponse {
    let mut made = StoredResponse::clone(&page(group, body, began));
    let codings = [Coding::Gzip, Coding::Brotli].into_iter().zip(letters.chars());
    let variant = |(coding, letter): (Coding, char)| Compressed {
        coding,
        body: letter.to_string().repeat(body.len() / 2).into(),
        etag: None,
    };
    made.extra.get_or_insert_default().compressed = codings.map(variant).collect();
    made
}

fn bodies(response: &StoredResponse) -> Vec<(Coding, Bytes)> {
    response.representations().map(|one| (one.coding, one.body.clone())).collect()
}

/// How many rows there are, and what the records weigh.
fn rows(database: &Database) -> (u64, u64, u64, u64) {
    let transaction = database.begin_read().expect("a read");
    let heads = transaction.open_table(HEADS).expect("heads");
    let weights = heads.iter().expect("rows").map(|row| Row::parse(row.expect("a row").1.value()).weight);
    let bodies = transaction.open_table(BODIES).expect("bodies").len().expect("a number");
    let order = transaction.open_table(ORDER).expect("order").len().expect("a number");
    (heads.len().expect("a number"), order, bodies, weights.sum())
}

#[test]
fn whatever_is_put_is_read_and_nothing_else_stays() {
    for seed in 0..20 {
        let (database, mut random) = (database(), fastrand::Rng::with_seed(seed));
        let groups = ["a/1", "a/2"].map(|name| Arc::new(Group::new(name.into())));
        let mut model = HashMap::<(usize, u8), StoredResponse>::new();
        for began in 1..80 {
            let (of, key) = (random.usize(..2), random.u8(..4));
            let group = &groups[of];
            let all = random.u8(..16) == 0;
            change(&database, |batch| {
                match random.u8(..8) {
                    0 => {
                        batch.remove(&place(group.name(), &[key]))?;
                        model.remove(&(of, key));
                    }
                    1 if all => {
                        batch.invalidate(group.name(), Mode::Hard, Epoch(began))?;
                        model.retain(|(other, _), _| *other != of);
                    }
                    2 => batch.invalidate(group.name(), Mode::Soft, Epoch(began))?,
                    _ => {
                        // Often the body that is there, with other variants.
                        let length = [0, 5, 1_024, 1_025, 16_384, 50_000][random.usize(..6)];
                        let body = ["x", "y"][random.usize(..2)].repeat(length);
                        let variants = ["", "g", "gb", "hb", "gc"][random.usize(..5)];
                        let put = with_variants(group, &body, variants, began);
                        batch.put(&[key], &put)?;
                        model.insert((of, key), put);
                    }
                }
                batch.seal(Epoch(began), None)
            })
            .expect("it works");
            let mut pieces = 0;
            for ((of, key), put) in &model {
                let found = read(&database, &[*key], &groups[*of]).expect("it works").expect("sound");
                assert_eq!(found.as_ref().map(bodies), Some(bodies(put)), "seed {seed}, {began}");
                pieces += put.representations().map(|one| row::cut(one.body.len()).0.len()).sum::<usize>();
            }
            let (heads, order, bodies, weight) = rows(&database);
            assert_eq!(
                (heads, order, bodies),
                (model.len() as u64, heads, pieces as u64),
                "seed {seed}, {began}"
            );
            assert_eq!(usage(&database).expect("it works"), (heads, weight));
        }
        change(&database, |batch| batch.evict(0, &|_| true)).expect("it works");
        assert_eq!(rows(&database), (0, 0, 0, 0), "seed {seed}");
    }
}

#[test]
fn a_file_of_another_form_is_of_no_use() {
    for other in [u64::from(record::FORMAT), FORMAT_NOW + 1] {
        let database = database();
        change(&database, |batch| {
            batch.numbers.insert(FORMAT, other)?;
            Ok(())
        })
        .expect("it works");
        assert!(open(&database).expect_err("it is not read").is_damage());
    }
}
