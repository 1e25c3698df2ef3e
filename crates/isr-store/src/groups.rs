//! Groups, found by name and kept only while somebody holds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
    groups: HashMap<Arc<str>, Weak<Group>>,
    sweep_at: usize,
}

impl Groups {
    /// The group of this name: the same one for everybody as long as anybody holds it.
    pub fn get(&self, name: &str) -> Arc<Group> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = table.groups.get(name).and_then(Weak::upgrade) {
            return group;
        }
        table.sweep();
        let name: Arc<str> = Arc::from(name);
        let group = Arc::new(Group::new(Arc::clone(&name)));
        table.groups.insert(name, Arc::downgrade(&group));
        group
    }

    /// The group of this name, if anything of it is in memory or being rendered.
    pub fn find(&self, name: &str) -> Option<Arc<Group>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.groups.get(name).and_then(Weak::upgrade)
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
            self.groups.retain(|_, group| group.strong_count() > 0);
            self.sweep_at = self.groups.len() * 2;
        }
    }
}

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
