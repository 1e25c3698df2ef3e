use std::collections::BTreeSet;

use proptest::prelude::*;

use super::position::{Holds, Position, Step};
use super::*;

fn purge(uid: u64) -> Purge {
    Purge {
        cause: format!("IsrPurge shop/{uid}"),
        uid: uid.to_string(),
        mode: if uid.is_multiple_of(2) { Mode::Soft } else { Mode::Hard },
        realms: vec![Realm::Namespace("shop".into())],
        groups: vec!["shop.example.com/blog".into()],
        pages: vec![
            Pages::All,
            Pages::Host("shop.example.com".into()),
            Pages::Prefix { host: None, path: "/blog".into() },
            Pages::Tag("news".into()),
        ],
        spread: None,
    }
}

fn log(id: &str, purges: u64) -> PurgeLog {
    let mut log = PurgeLog::new(id.into());
    for uid in 1..=purges {
        log.append(purge(uid));
    }
    log
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut written = log("a", 3);
    let routes = vec![Realm::Route("shop/blog".into()), Realm::Route("shop/about".into())];
    let spread = Spread { begins: isr_cache::Timestamp(7), over: std::time::Duration::from_mins(5) };
    written.append(Purge { realms: routes, spread: Some(spread), ..purge(4) });
    written.served.insert("shop/web".into(), ["5d4f9c7b8".to_owned()].into());
    let bytes = written.to_bytes();
    assert_eq!(PurgeLog::parse(&bytes).expect("a log"), written);
    let text = String::from_utf8(bytes).expect("JSON");
    for (damage, expected) in [
        (text.replace("shop/3", "shop/5"), "damaged"),
        (text.replace("\"first\":1", "\"first\":2"), "damaged"),
        (text.replace("5d4f9c7b8", "6d4f9c7b8"), "damaged"),
        (text.replace("\"format\":1", "\"format\":2"), "update this program first"),
        (text[..text.len() / 2].to_owned(), "unreadable"),
    ] {
        let error = PurgeLog::parse(damage.as_bytes()).expect_err("it is damaged").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_list_is_bounded_in_number_and_bytes_and_numbers_go_on() {
    let many = log("a", 500);
    assert_eq!((many.first(), many.last()), (301, 500));
    assert_eq!(many.get(301).map(|purge| &*purge.uid), Some("301"));
    assert_eq!((many.get(300), many.get(501), many.number_of("300")), (None, None, None));
    assert_eq!(many.number_of("400"), Some(400));

    let mut heavy = PurgeLog::new("a".into());
    for uid in 0..10 {
        let groups = vec!["g".repeat(1024); 100];
        heavy.append(Purge { groups, ..purge(uid) });
    }
    assert!(heavy.to_bytes().len() <= BYTES_MOST, "{}", heavy.to_bytes().len());
    assert_eq!((heavy.first(), heavy.last()), (9, 10));
}

#[test]
fn a_purge_covers_each_kind_within_each_realm() {
    let realms = vec![Realm::Route("shop/a".into()), Realm::Route("shop/b".into())];
    let purge = Purge { realms, pages: vec![Pages::All, Pages::Tag("t".into())], ..purge(1) };
    let selectors: BTreeSet<Selector> = purge.selectors().collect();
    assert_eq!(selectors.len(), 4);
}

#[test]
fn what_comes_next() {
    let begun = Position { log: "a".into(), done: 2, begun: Some(77) };
    let at = |done| Position { log: "a".into(), done, begun: None };
    let carry_out =
        |number, epoch: Option<u64>| Step::CarryOut { number, begun: epoch.map(isr_cache::Epoch) };
    let new = Position::default;
    for (position, log, holds, expected) in [
        (new(), log("a", 3), Holds::Nothing, Step::Skip),
        (new(), log("a", 3), Holds::Own, carry_out(1, None)),
        (new(), log("a", 0), Holds::Own, Step::Skip),
        (new(), log("a", 300), Holds::Own, Step::DoubtAll),
        (new(), log("a", 300), Holds::SharedAlone, carry_out(101, None)),
        (at(0), log("a", 0), Holds::Own, Step::Rest),
        (at(3), log("a", 3), Holds::Nothing, Step::Rest),
        (at(2), log("a", 3), Holds::Nothing, carry_out(3, None)),
        (begun, log("a", 3), Holds::Own, carry_out(3, Some(77))),
        (at(100), log("a", 300), Holds::Own, carry_out(101, None)),
        (at(99), log("a", 300), Holds::Own, Step::DoubtAll),
        (at(4), log("a", 3), Holds::Own, Step::DoubtAll),
        (at(3), log("b", 3), Holds::Own, Step::DoubtAll),
    ] {
        assert_eq!(position.next(&log, holds), expected, "{position:?}, {} to {}", log.first(), log.last());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a proxy sees of a growing log, and however often it ends in the middle: every purge is carried out exactly once
    /// while it can be seen, always in one epoch, and what it did not see makes everything stale.
    #[test]
    fn none_is_lost_and_none_repeated(
        steps in proptest::collection::vec((0_u64..150, 0_u64..4, any::<bool>()), 1..20),
    ) {
        let mut published = PurgeLog::new("a".into());
        let mut position = Position::default();
        let (mut uid, mut epoch) = (0, 0);
        // The epoch of each purge that is done, and up to where everything was taken for stale.
        let mut done = std::collections::BTreeMap::<u64, u64>::new();
        let mut doubted = 0;
        for (new, work, crash) in steps {
            for _ in 0..new {
                uid += 1;
                published.append(purge(uid));
            }
            for _ in 0..work {
                match position.next(&published, Holds::Own) {
                    Step::Rest => break,
                    Step::Skip => position = Position::at_end(&published),
                    Step::DoubtAll => {
                        doubted = published.first() - 1;
                        position = Position::before_first(&published);
                    }
                    Step::CarryOut { number, begun } => {
                        let begun = begun.map_or_else(|| { epoch += 1; epoch }, |begun| begun.0);
                        position = Position { log: "a".into(), done: number - 1, begun: Some(begun) };
                        let before = done.insert(number, begun);
                        prop_assert!(before.is_none_or(|before| before == begun), "{number} in two epochs");
                        if !crash {
                            position = Position { log: "a".into(), done: number, begun: None };
                        }
                    }
                }
                for number in 1..=position.done {
                    prop_assert!(done.contains_key(&number) || number <= doubted, "{number} is lost");
                }
            }
        }
    }
}
