//! When a rollout is over, and what follows. Pure.
//!
//! A rollout is over when all pods behind the Service are of one version, and it counts if any other version has served since the
//! last time that was so: forwards, backwards, half way and back, or while this process was away. Only then are pages purged, once.
//! While old pods are there, also ending ones to which connections may be open, a page might be rendered by one of them, and then
//! be good for its whole interval. The versions that have served are kept in the published list, so that they change together with
//! the purge; a Service that is seen for the first time has had no rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isr_routes::purges::{Purge, PurgeLog};

use crate::rollouts::Versions;
use crate::world::Key;

/// Versions of a Service that are remembered, at most; more are at once behind a Service only by mistake.
const VERSIONS_MOST: usize = 16;

/// Takes into the list what is seen of the wanted Services, and a purge for each rollout that is over. `now_ms` is the time in
/// milliseconds since the Unix epoch.
pub(super) fn advance(
    log: &mut PurgeLog,
    wanted: &BTreeMap<Key, BTreeMap<Duration, Vec<Box<str>>>>,
    seen: &BTreeMap<Key, Versions>,
    now_ms: u64,
) {
    let name = |(namespace, service): &Key| format!("{namespace}/{service}");
    let names: BTreeSet<String> = wanted.keys().map(name).collect();
    log.served.retain(|service, _| names.contains(service));
    for (key, by_time) in wanted {
        let Some(versions) = seen.get(key) else { continue };
        let service = name(key);
        let Some((served, is_over)) = step(log.served.get(&service), versions) else { continue };
        log.served.insert(service.clone(), served);
        if !is_over {
            continue;
        }
        for (over, routes) in by_time {
            log.append(Purge::after_rollout(&service, log.last() + 1, routes, now_ms, *over));
        }
    }
}

/// The versions that have served, and whether a rollout is over; nothing if nothing is known of the Service and nobody serves.
fn step(served: Option<&BTreeSet<String>>, versions: &Versions) -> Option<(BTreeSet<String>, bool)> {
    let Versions { ready, present } = versions;
    let Some(served) = served else {
        return (!ready.is_empty()).then(|| (ready.clone(), false));
    };
    let mut all: BTreeSet<String> = served | ready;
    if present.len() == 1 && ready == present && all != *present {
        return Some((present.clone(), true));
    }
    while all.len() > VERSIONS_MOST {
        // Which ones does not matter, as long as it shows that there were others.
        let first = all.iter().find(|version| !present.contains(*version)).or(all.first()).cloned();
        all.remove(&first.unwrap_or_default());
    }
    Some((all, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(versions: &str) -> BTreeSet<String> {
        versions.split_whitespace().map(ToOwned::to_owned).collect()
    }

    /// How many purges follow from what is seen one after the other, as `ready / other pods`.
    fn purges(history: &[&str]) -> usize {
        let key: Key = ("shop".into(), "web".into());
        let wanted = BTreeMap::from([(
            key.clone(),
            BTreeMap::from([(Duration::from_mins(1), vec!["shop/blog".into()])]),
        )]);
        let mut log = PurgeLog::new("log".into());
        for seen in history {
            let (ready, others) = seen.split_once('/').unwrap_or((*seen, ""));
            let versions = Versions { ready: set(ready), present: &set(ready) | &set(others) };
            // Whoever takes over in between has what is written.
            log = PurgeLog::parse(&log.to_bytes()).expect("a log");
            advance(&mut log, &wanted, &BTreeMap::from([(key.clone(), versions)]), 7);
        }
        let number = usize::try_from(log.last()).expect("a number");
        for number in 1..=log.last() {
            let purge = log.get(number).expect("a purge");
            assert_eq!(purge.routes().collect::<Vec<_>>(), ["shop/blog"]);
            assert_eq!(purge.spread.map(|spread| spread.begins.0), Some(7));
        }
        number
    }

    #[test]
    fn a_rollout_is_one_purge_and_nothing_else_is() {
        for (what, history, expected) in [
            ("a first sight", &["a"][..], 0),
            ("a first sight of nobody, then of somebody", &["", "a"], 0),
            ("scaling", &["a", "a/a", "a", "a", ""], 0),
            ("to nothing and back", &["a", "", "/a", "a"], 0),
            ("pods that are not ready for a moment", &["a", "/a", "a"], 0),
            ("a rolling update", &["a", "a/b", "a b", "b/a", "b"], 1),
            ("an old pod that is ending", &["a", "a b", "b/a", "b/a"], 0),
            ("a recreation", &["a", "/a", "", "/b", "b"], 1),
            ("one that nobody saw", &["a", "b"], 1),
            ("and back", &["a", "a b", "b", "a b", "a"], 2),
            ("half way and back", &["a", "a b", "a/b", "a"], 1),
            ("half way, where the new ones never were ready", &["a", "a/b", "a"], 0),
            ("over another one that is under way", &["a", "a b", "a b c", "b c", "c"], 1),
            ("a first sight in the middle", &["a b", "b"], 1),
            ("two versions for ever", &["a b", "a b", "a b/c", "a b c"], 0),
            ("the same twice", &["a", "b", "b", "b/b"], 1),
        ] {
            assert_eq!(purges(history), expected, "{what}");
        }
    }

    #[test]
    fn routes_with_times_of_their_own_have_purges_of_their_own_and_what_nobody_wants_is_forgotten() {
        let key: Key = ("shop".into(), "web".into());
        let by_time = BTreeMap::from([
            (Duration::ZERO, vec!["shop/a".into()]),
            (Duration::from_mins(5), vec!["shop/b".into(), "shop/c".into()]),
        ]);
        let wanted = BTreeMap::from([(key.clone(), by_time)]);
        let seen = |version| {
            BTreeMap::from([(key.clone(), Versions { ready: set(version), present: set(version) })])
        };
        let mut log = PurgeLog::new("log".into());
        advance(&mut log, &wanted, &seen("a"), 1);
        advance(&mut log, &wanted, &seen("b"), 2);
        let routes: Vec<usize> =
            (1..=2).map(|number| log.get(number).expect("a purge").routes().count()).collect();
        assert_eq!((log.last(), routes), (2, vec![1, 2]));
        advance(&mut log, &BTreeMap::new(), &seen("c"), 3);
        assert!(log.served.is_empty());
        advance(&mut log, &wanted, &seen("c"), 4);
        assert_eq!(log.last(), 2, "it is a first sight again");
    }

    #[test]
    fn versions_are_bounded_and_it_still_shows_that_there_were_others() {
        let mut served = set("now");
        for version in 0..100 {
            let both = set(&format!("now {version}"));
            let versions = Versions { ready: both.clone(), present: both };
            served = step(Some(&served), &versions).expect("known").0;
            assert!(served.len() <= VERSIONS_MOST);
        }
        let one = Versions { ready: set("now"), present: set("now") };
        assert_eq!(step(Some(&served), &one), Some((set("now"), true)));
    }
}
