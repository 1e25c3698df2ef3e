//! Groups, found by name and kept only while somebody holds them.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use isr_cache::Group;

/// Below this many names a sweep is not worth its time.
const SWEEP_AT_LEAST: usize = 1024;

/// The groups that stored responses and renders under way belong to.
///
/// Asked when a render begins or a page is invalidated, never on a hit: a stored response holds its group itself.
#[derive(Debug, Default)]
pub struct Groups {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashSet<Named>,
    sweep_at: usize,
}

/// A group, found by its name, of which there is one copy.
#[derive(Debug)]
struct Named(Arc<Group>);

impl Groups {
    /// The group of this name: the same one for everybody as long as anybody holds it.
    pub fn get(&self, name: &str) -> Arc<Group> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // One that nobody holds begins anew: its marks and tags belong to responses that are gone.
        if let Some(Named(group)) = table.groups.get(name).filter(|known| known.is_held()) {
            return Arc::clone(group);
        }
        table.sweep();
        let group = Arc::new(Group::new(name.into()));
        table.groups.replace(Named(Arc::clone(&group)));
        group
    }

    /// The group of this name, if anything of it is in memory or being rendered.
    pub fn find(&self, name: &str) -> Option<Arc<Group>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.groups.get(name).filter(|known| known.is_held()).map(|Named(group)| Arc::clone(group))
    }

    /// How many names are remembered, forgotten ones included.
    pub fn len(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).groups.len()
    }

    /// Whether no name is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// Forgets the names nobody holds any more, once there may be as many of them as of the others: constant time per
    /// name on average, and never more than twice the names in use.
    fn sweep(&mut self) {
        if self.groups.len() >= self.sweep_at.max(SWEEP_AT_LEAST) {
            self.groups.retain(Named::is_held);
            self.sweep_at = self.groups.len() * 2;
        }
    }
}

impl Named {
    /// Whether anybody beside the table has it. Nobody gets it but from the table, whose lock whoever asks has.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Named {}

#[cfg(test)]
mod tests {
    use super::*;
    use isr_cache::{Epoch, Mode};

    #[test]
    fn everybody_in_a_group_holds_the_same_marks() {
        let groups = Groups::default();
        let page = groups.get("shop.example.com/blog");
        let data = groups.get("shop.example.com/blog");
        let other = groups.get("shop.example.com/about");
        page.invalidate(Mode::Hard, Epoch(1));
        assert_eq!(data.watermark().hard, Epoch(1));
        assert_eq!(other.watermark().hard, Epoch(0), "another page is not touched");
        assert!(groups.find("shop.example.com/blog").is_some());
        drop((page, data));
        assert!(groups.find("shop.example.com/blog").is_none(), "nothing is left to invalidate");
    }

    #[test]
    fn names_nobody_holds_are_forgotten() {
        let groups = Groups::default();
        let _held = groups.get("held");
        for page in 0..100_000 {
            groups.get(&format!("/{page}"));
        }
        assert!(groups.len() <= 2 * SWEEP_AT_LEAST, "{} names", groups.len());
        assert!(groups.find("held").is_some());
    }
}
