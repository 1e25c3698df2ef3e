//! The shared marks of groups, found by name and kept only while somebody holds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use isr_cache::Marks;

/// Below this many names a sweep is not worth its time.
const SWEEP_AT_LEAST: usize = 1024;

/// The groups that stored responses and renders under way belong to.
///
/// Asked when a render begins or a page is invalidated, never on a hit: a stored response holds its marks itself.
#[derive(Debug, Default)]
pub struct Groups {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    marks: HashMap<Arc<str>, Weak<Marks>>,
    sweep_at: usize,
}

impl Groups {
    /// The group's name and marks: the same ones for everybody as long as anybody holds them.
    pub fn get(&self, name: &str) -> (Arc<str>, Arc<Marks>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, marks)) = table.marks.get_key_value(name)
            && let Some(marks) = marks.upgrade()
        {
            return (Arc::clone(known), marks);
        }
        table.sweep();
        let (name, marks) = (Arc::from(name), Arc::new(Marks::default()));
        table.marks.insert(Arc::clone(&name), Arc::downgrade(&marks));
        (name, marks)
    }

    /// The group's marks, if anything of it is stored or being rendered.
    pub fn find(&self, name: &str) -> Option<Arc<Marks>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.marks.get(name).and_then(Weak::upgrade)
    }

    /// How many names are remembered, forgotten ones included.
    pub fn len(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).marks.len()
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
        if self.marks.len() >= self.sweep_at.max(SWEEP_AT_LEAST) {
            self.marks.retain(|_, marks| marks.strong_count() > 0);
            self.sweep_at = self.marks.len() * 2;
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
        let (_, page) = groups.get("shop.example.com/blog");
        let (_, data) = groups.get("shop.example.com/blog");
        let (_, other) = groups.get("shop.example.com/about");
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
        let (_held, _marks) = groups.get("held");
        for page in 0..100_000 {
            groups.get(&format!("/{page}"));
        }
        assert!(groups.len() <= 2 * SWEEP_AT_LEAST, "{} names", groups.len());
        assert!(groups.find("held").is_some());
    }
}
