//! What no table in the cluster needs any more. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A proxy that read an index reads its shards next, and is done long before this. It is this long because nothing is
/// lost by it, and because whoever looks into an incident finds the table of a moment ago.
const KEEP: Duration = Duration::from_mins(10);

/// While routes change all the time, leftovers may take no more than this many times 512 KiB of the API server.
const MOST: usize = 64;

/// But a proxy gets at least this long between an index and its shards.
const LEAST: Duration = Duration::from_secs(30);

/// Names that are not in use, since when. Times count from any one moment.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    since: BTreeMap<String, Duration>,
}

impl Leftovers {
    /// Takes in which names there are and which are in use; returns those that may go by now.
    pub(crate) fn sweep<'n>(
        &mut self,
        present: impl Iterator<Item = &'n String>,
        used: &BTreeSet<String>,
        now: Duration,
    ) -> Vec<String> {
        let unused: BTreeSet<&String> = present.filter(|name| !used.contains(*name)).collect();
        self.since.retain(|name, _| unused.contains(name));
        for name in unused {
            self.since.entry(name.clone()).or_insert(now);
        }
        let mut oldest_first: Vec<(&String, Duration)> =
            self.since.iter().map(|(name, since)| (name, *since)).collect();
        oldest_first.sort_by_key(|(_, since)| *since);
        let too_many = oldest_first.len().saturating_sub(MOST);
        let goes = |place: usize, since: Duration| {
            let age = now.saturating_sub(since);
            age >= KEEP || (place < too_many && age >= LEAST)
        };
        oldest_first
            .into_iter()
            .enumerate()
            .filter(|&(place, (_, since))| goes(place, since))
            .map(|(_, (name, _))| name.clone())
            .collect()
    }

    /// When a sweep could next find something, if nothing changes until then.
    pub(crate) fn next(&self, now: Duration) -> Option<Duration> {
        let oldest = *self.since.values().min()?;
        let at = if self.since.len() > MOST { oldest + LEAST } else { oldest + KEEP };
        Some(at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("shard-{number:03}")).collect()
    }

    fn sweep(leftovers: &mut Leftovers, present: &[String], used: &[&str], seconds: u64) -> Vec<String> {
        let used = used.iter().map(ToString::to_string).collect();
        leftovers.sweep(present.iter(), &used, Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_unused_goes_after_ten_minutes() {
        let mut leftovers = Leftovers::default();
        let present = names(0..2);
        assert_eq!(sweep(&mut leftovers, &present, &["shard-000", "shard-001"], 0), names(0..0));
        assert_eq!(leftovers.next(Duration::ZERO), None);
        assert_eq!(sweep(&mut leftovers, &present, &["shard-001"], 100), names(0..0));
        assert_eq!(leftovers.next(Duration::from_secs(101)), Some(Duration::from_secs(700)));
        assert_eq!(sweep(&mut leftovers, &present, &["shard-001"], 699), names(0..0));
        assert_eq!(sweep(&mut leftovers, &present, &["shard-001"], 700), names(0..1));
    }

    #[test]
    fn what_is_used_again_begins_anew() {
        let mut leftovers = Leftovers::default();
        let present = names(0..1);
        assert_eq!(sweep(&mut leftovers, &present, &[], 0), names(0..0));
        assert_eq!(sweep(&mut leftovers, &present, &["shard-000"], 500), names(0..0));
        assert_eq!(sweep(&mut leftovers, &present, &[], 700), names(0..0));
        assert_eq!(sweep(&mut leftovers, &present, &[], 1300), names(0..1));
    }

    #[test]
    fn too_many_go_oldest_first_but_never_at_once() {
        let mut leftovers = Leftovers::default();
        assert_eq!(sweep(&mut leftovers, &names(0..3), &[], 0), names(0..0));
        let present = names(0..MOST + 2);
        assert_eq!(sweep(&mut leftovers, &present, &[], 20), names(0..0));
        assert_eq!(leftovers.next(Duration::from_secs(20)), Some(Duration::from_secs(30)));
        assert_eq!(sweep(&mut leftovers, &present, &[], 30), names(0..2));
    }
}
