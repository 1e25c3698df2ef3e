//! The last invalidation that may concern what an application reads for a page.
//!
//! An invalidation of stored pages is one of the data they were made of as well, and an application may keep data of its own.
//! Marks say which stored pages are covered, and are forgotten with these; data of the application is not stored here and may be
//! older than any page. So this is coarser and forgets nothing: for each realm one number, and one for all single pages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::{Epoch, Flight, Group, MARKS_MOST, Reach, Trigger};

/// The last invalidations since the process began. What was before, nobody here knows: who begins anew is to be told so.
#[derive(Debug, Default)]
pub struct Latest {
    /// Of any group.
    group: AtomicU64,
    /// Of everything in all realms.
    all: AtomicU64,
    /// Of something in a realm, by its bytes in a selector. As many as there may be marks; then all are told.
    realms: RwLock<HashMap<Box<[u8]>, Epoch>>,
}

impl Latest {
    /// Takes note of an invalidation.
    pub fn note(&self, reach: &Reach, epoch: Epoch) {
        let selector = match reach {
            Reach::Group(_) => {
                self.group.fetch_max(epoch.0, Ordering::AcqRel);
                return;
            }
            Reach::Selected(selector) => selector,
        };
        // A realm ends with the first byte 0.
        let end = selector.iter().position(|&byte| byte == 0).map_or(selector.len(), |end| end + 1);
        let mut realms = self.realms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = realms.get_mut(&selector[..end]) {
            *known = epoch.max(*known);
        } else if realms.len() < MARKS_MOST {
            realms.insert(selector[..end].into(), epoch);
        } else {
            self.note_all(epoch);
        }
    }

    /// Takes note that anything may have been invalidated.
    pub fn note_all(&self, epoch: Epoch) {
        self.all.fetch_max(epoch.0, Ordering::AcqRel);
    }

    /// The last one that may concern a render of this group for this route. What is stored of the group tells its own marks; the
    /// tags of a page that is not stored, and those that a page is about to get, nobody knows.
    pub fn concerning(&self, flight: &Flight, group: &Group, route: &str) -> Epoch {
        let namespace = route.split('/').next().unwrap_or_default();
        let realms = self.realms.read().unwrap_or_else(PoisonError::into_inner);
        let of = |kind: char, name: &str| {
            let realm = format!("{kind}{name}\0");
            realms.get(realm.as_bytes()).copied().unwrap_or_default()
        };
        let marks = group.watermark();
        let own = match flight.trigger {
            Trigger::Stale => Epoch::default(),
            Trigger::OnDemand => flight.began,
            // The marks of a group go with its last page.
            Trigger::Miss | Trigger::Prerender => Epoch(self.group.load(Ordering::Acquire)),
        };
        let all = Epoch(self.all.load(Ordering::Acquire));
        let found = [own, all, marks.hard, marks.soft, of('i', ""), of('n', namespace), of('r', route)];
        found.into_iter().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Pages, Realm, Selector};

    fn flight(trigger: Trigger) -> Flight {
        Flight { number: 1, trigger, began: Epoch(50) }
    }

    fn selected(realm: Realm, pages: Pages) -> Reach {
        Reach::Selected(Selector { realm, pages }.to_bytes().into())
    }

    fn stale(latest: &Latest, route: &str) -> u64 {
        latest.concerning(&flight(Trigger::Stale), &Group::new("a/x".into()), route).0
    }

    #[test]
    fn whatever_is_invalidated_in_a_realm_concerns_all_its_renders_and_no_others() {
        for pages in [Pages::All, Pages::Tag("posts".into()), Pages::Host("b".into())] {
            for (realm, reached) in [
                (Realm::Installation, &["shop/blog", "shop/other", "rival/blog"][..]),
                (Realm::Namespace("shop".into()), &["shop/blog", "shop/other"]),
                (Realm::Route("shop/blog".into()), &["shop/blog"]),
                (Realm::Route("shop/blo".into()), &[]),
            ] {
                let latest = Latest::default();
                latest.note(&selected(realm.clone(), pages.clone()), Epoch(7));
                latest.note(&selected(realm.clone(), pages.clone()), Epoch(3));
                for route in ["shop/blog", "shop/other", "rival/blog"] {
                    let expected = if reached.contains(&route) { 7 } else { 0 };
                    assert_eq!(stale(&latest, route), expected, "{realm:?} {pages:?} {route}");
                }
            }
        }
    }

    #[test]
    fn a_page_that_is_stored_is_concerned_by_its_own_marks_and_a_missing_one_by_any() {
        let latest = Latest::default();
        let group = Group::new("a/x".into());
        group.invalidate(Mode::Soft, Epoch(5));
        latest.note(&Reach::Group("a/y".into()), Epoch(9));
        let concerning = |trigger| latest.concerning(&flight(trigger), &group, "shop/blog").0;
        assert_eq!(concerning(Trigger::Stale), 5, "another page is another page");
        assert_eq!(concerning(Trigger::Miss), 9, "its own marks may have been forgotten");
        assert_eq!(concerning(Trigger::OnDemand), 50, "what is demanded now is made of what is there now");
        latest.note_all(Epoch(60));
        assert_eq!(concerning(Trigger::OnDemand), 60);
    }
}
