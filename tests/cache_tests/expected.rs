//! The failures that are accepted, each with its reason.

use std::collections::BTreeMap;

/// `expected.txt`: a reason on lines that begin with `# `, then the tests that it holds for, one on each line.
pub struct Expected<'t> {
    reasons: BTreeMap<&'t str, String>,
}

impl<'t> Expected<'t> {
    /// Reads the list. Panics where a test stands without a reason.
    pub fn read(text: &'t str) -> Self {
        let mut reasons = BTreeMap::new();
        for paragraph in text.split("\n\n") {
            let (comments, ids): (Vec<&str>, Vec<&str>) =
                paragraph.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with('#'));
            let words = comments.iter().map(|line| line.trim_start_matches('#').trim());
            let reason = words.collect::<Vec<_>>().join(" ");
            assert!(ids.is_empty() || !reason.is_empty(), "{ids:?} are accepted without a reason");
            for id in ids {
                let before = reasons.insert(id.trim(), reason.clone());
                assert!(before.is_none(), "{id} is listed twice");
            }
        }
        Self { reasons }
    }

    /// Why a failure of this test is accepted.
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.reasons.get(id).map(String::as_str)
    }

    /// The tests that each reason holds for.
    pub fn by_reason(&self) -> BTreeMap<&str, Vec<&'t str>> {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, reason) in &self.reasons {
            by_reason.entry(reason).or_default().push(id);
        }
        by_reason
    }

    /// All tests in the list.
    pub fn ids(&self) -> impl Iterator<Item = &'t str> {
        self.reasons.keys().copied()
    }
}
