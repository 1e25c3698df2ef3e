use super::decision::{Observed, Step, decide};
use super::*;

const DURATION: Duration = Duration::from_secs(15);

fn seen(before: Option<Observed>, version: &str, holder: &str, now: Instant) -> Observed {
    let holder = Some(holder.to_owned()).filter(|holder| !holder.is_empty());
    Observed::after(before, version.to_owned(), holder, DURATION, now)
}

#[test]
fn a_lease_is_taken_when_nobody_holds_it() {
    let now = Instant::now();
    assert_eq!(decide(None, "me", now), Step::Take);
    assert_eq!(decide(Some(&seen(None, "1", "", now)), "me", now), Step::Take);
    assert_eq!(decide(Some(&seen(None, "1", "me", now)), "me", now), Step::Renew);
}

#[test]
fn a_lease_is_free_when_it_did_not_change_for_its_duration_by_our_own_clock() {
    let start = Instant::now();
    let first = seen(None, "1", "other", start);
    let wait = |free_in| Step::Wait { holder: "other".into(), free_in: Duration::from_secs(free_in) };
    assert_eq!(decide(Some(&first), "me", start), wait(15));
    let later = start + Duration::from_secs(10);
    let same = seen(Some(first.clone()), "1", "other", later);
    assert_eq!(decide(Some(&same), "me", later), wait(5), "looking again does not make it younger");
    let renewed = seen(Some(first), "2", "other", later);
    assert_eq!(decide(Some(&renewed), "me", later), wait(15), "a renewal does");
    assert_eq!(decide(Some(&same), "me", start + DURATION), Step::Take);
}

#[test]
fn leadership_is_over_before_anybody_else_may_take_the_lease() {
    let leadership = Leadership::none();
    let term = Arc::clone(&leadership.0);
    assert!(!leadership.is_leader(), "nothing is held");
    let asked = Instant::now();
    term.extend_to(asked + DURATION * 2 / 3);
    assert!(leadership.is_leader());
    // Whoever sees our renewal sees it after it was asked for.
    let other = seen(None, "1", "me", asked);
    let times = (0..=15).map(|second| asked + Duration::from_secs(second));
    let end = times.into_iter().find(|now| term.left(*now).is_zero()).expect("it ends");
    assert!(
        matches!(decide(Some(&other), "other", end), Step::Wait { free_in, .. } if free_in >= DURATION / 4)
    );
    term.extend_to(asked);
    assert!(!leadership.is_leader(), "without being told: by the clock alone");
    term.extend_to(asked + DURATION);
    term.end();
    assert!(!leadership.is_leader(), "it was taken by another");
}
