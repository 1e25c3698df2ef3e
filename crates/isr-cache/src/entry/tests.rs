mod model;

use super::*;
use crate::Why;

fn stale() -> Standing {
    Standing::Stale { by: Duration::ZERO, why: Why::Age }
}

fn request(entry: &mut Entry, now: Timestamp, standing: Standing) -> Verdict {
    entry.on_request(now, standing, Watermark::default(), Epoch(0))
}

#[test]
fn a_thousand_requests_for_a_missing_page_begin_one_render() {
    let mut entry = Entry::default();
    let first = request(&mut entry, Timestamp(0), Standing::Missing);
    assert!(matches!(first, Verdict::Wait { number: 1, render: Some(_) }), "{first:?}");
    for _ in 1..1000 {
        let verdict = request(&mut entry, Timestamp(1), Standing::Missing);
        assert_eq!(verdict, Verdict::Wait { number: 1, render: None });
    }
}

#[test]
fn a_failed_render_elects_exactly_one_successor() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), Standing::Missing);
    let landed = entry.on_landed(Timestamp(5), Outcome::Failed, Standing::Missing, Epoch(0), 0.5);
    assert_eq!(landed, Landed { store: Store::Keep, next: None });
    let successors = (0..10)
        .filter(|_| {
            let verdict = request(&mut entry, Timestamp(6), Standing::Missing);
            matches!(verdict, Verdict::Wait { render: Some(_), .. })
        })
        .count();
    assert_eq!(successors, 1, "with no page to serve there is no back-off, and still one render at a time");
}

#[test]
fn a_failing_page_is_asked_for_after_30_s_doubling_to_5_min() {
    let mut entry = Entry::default();
    let mut now = Timestamp(0);
    for wait in [30, 60, 120, 240, 300, 300] {
        let verdict = request(&mut entry, now, stale());
        assert!(matches!(verdict, Verdict::ServeStale { render: Some(_) }), "{verdict:?} at {now:?}");
        entry.on_landed(now, Outcome::Failed, stale(), Epoch(0), 0.0);
        let early = now.after(Duration::from_secs(wait - 1));
        assert_eq!(request(&mut entry, early, stale()), Verdict::ServeStale { render: None }, "{wait} s");
        now = now.after(Duration::from_secs(wait));
    }
    request(&mut entry, now, stale());
    entry.on_landed(now, Outcome::Rendered, stale(), Epoch(0), 0.0);
    assert_eq!(entry.failure(), None, "a success forgets the failures");
}

#[test]
fn on_demand_waits_for_a_render_that_begins_after_it() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), stale());
    for _ in 0..3 {
        assert_eq!(entry.on_demand(Epoch(1)), Verdict::Wait { number: 2, render: None });
    }
    let landed = entry.on_landed(Timestamp(1), Outcome::Failed, stale(), Epoch(2), 0.0);
    let next = Flight { number: 2, trigger: Trigger::OnDemand, began: Epoch(2) };
    assert_eq!(landed.next, Some(Next::Now(next)), "one render for the three, whatever became of the first");
}

#[test]
fn who_comes_after_a_purge_does_not_join_a_render_from_before_it() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), Standing::Missing);
    let purged = Watermark { hard: Epoch(1), soft: Epoch(0) };
    let verdict = entry.on_request(Timestamp(1), Standing::Missing, purged, Epoch(1));
    assert_eq!(verdict, Verdict::Wait { number: 2, render: None });
}

#[test]
fn a_page_is_prerendered_when_a_visitor_would_wait_or_it_was_invalidated_and_never_for_its_age() {
    let by = Duration::ZERO;
    for (standing, renders) in [
        (Standing::Missing, true),
        (Standing::Expired { why: Why::Age }, true),
        (Standing::Expired { why: Why::Invalidated }, true),
        (Standing::Stale { by, why: Why::Invalidated }, true),
        (Standing::Stale { by, why: Why::Outdated }, true),
        (Standing::Stale { by, why: Why::Age }, false),
        (Standing::Stale { by, why: Why::BornStale }, false),
        (Standing::Fresh { ttl: None }, false),
    ] {
        let mut entry = Entry::default();
        let verdict = entry.on_prerender(Timestamp(0), standing, Epoch(3));
        let flight = Flight { number: 1, trigger: Trigger::Prerender, began: Epoch(3) };
        let expected =
            if renders { Verdict::Wait { number: 1, render: Some(flight) } } else { Verdict::Serve };
        assert_eq!(verdict, expected, "{standing:?}");
    }
}

#[test]
fn who_prerenders_joins_the_render_that_a_visitor_began_and_the_other_way_round() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), Standing::Missing);
    let joined = Verdict::Wait { number: 1, render: None };
    assert_eq!(entry.on_prerender(Timestamp(1), Standing::Missing, Epoch(0)), joined);
    let mut entry = Entry::default();
    entry.on_prerender(Timestamp(0), Standing::Missing, Epoch(0));
    assert_eq!(request(&mut entry, Timestamp(1), Standing::Missing), joined);
}

#[test]
fn an_opt_out_drops_the_page_and_is_remembered_for_a_while() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), stale());
    let landed = entry.on_landed(Timestamp(0), Outcome::OptedOut, stale(), Epoch(0), 0.0);
    assert_eq!(landed.store, Store::Drop);
    let soon = Timestamp(0).after(OPT_OUT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(request(&mut entry, soon, Standing::Missing), Verdict::Pass);
    let verdict = request(&mut entry, Timestamp(0).after(OPT_OUT), Standing::Missing);
    assert!(matches!(verdict, Verdict::Wait { render: Some(_), .. }), "{verdict:?}");
}

#[test]
fn a_stale_copy_of_the_origin_is_asked_for_again_and_never_replaces_a_page() {
    let mut entry = Entry::default();
    let mut now = Timestamp(0);
    request(&mut entry, now, stale());
    for seconds in [1, 2, 4] {
        let landed = entry.on_landed(now, Outcome::AlreadyStale, stale(), Epoch(0), 0.0);
        let after = Duration::from_secs(seconds);
        assert_eq!(landed, Landed { store: Store::Keep, next: Some(Next::After(after)) });
        assert_eq!(request(&mut entry, now, stale()), Verdict::ServeStale { render: None }, "not at once");
        assert_eq!(entry.ask_again(now, Epoch(0)), None, "not before its time");
        now = now.after(after);
        assert!(entry.ask_again(now, Epoch(0)).is_some());
    }
    let landed = entry.on_landed(now, Outcome::AlreadyStale, stale(), Epoch(0), 0.0);
    assert_eq!(landed.next, None);
    assert_eq!(entry.failure().map(|failure| failure.count), Some(1), "three times is a failure");
}

#[test]
fn an_entry_is_forgotten_only_when_it_remembers_nothing() {
    let mut entry = Entry::default();
    assert!(entry.is_idle(Timestamp(0)));
    request(&mut entry, Timestamp(0), Standing::Missing);
    assert!(!entry.is_idle(Timestamp(0)), "a render is under way");
    entry.on_landed(Timestamp(0), Outcome::Failed, Standing::Missing, Epoch(0), 0.0);
    assert!(!entry.is_idle(Timestamp(0).after(RETRY_FIRST)), "the next failure has to wait longer");
    assert!(entry.is_idle(Timestamp(0).after(RETRY_FIRST + RETRY_MOST + ASK_AGAIN)));
}

#[test]
fn a_demand_in_line_is_not_forgotten_for_a_visitor_in_line() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), Standing::Missing);
    entry.on_demand(Epoch(5));
    let purged = Watermark { hard: Epoch(9), soft: Epoch(0) };
    let visitor = entry.on_request(Timestamp(0), Standing::Missing, purged, Epoch(9));
    assert_eq!(visitor, Verdict::Wait { number: 2, render: None }, "both wait for the same render");
    let landed = entry.on_landed(Timestamp(0), Outcome::Rendered, Standing::Missing, Epoch(10), 0.0);
    let next = Flight { number: 2, trigger: Trigger::OnDemand, began: Epoch(10) };
    assert_eq!(
        landed.next,
        Some(Next::Now(next)),
        "which outdates the page's companions as the demand asked"
    );
}

#[test]
fn a_demand_ends_an_opt_out() {
    let mut entry = Entry::default();
    request(&mut entry, Timestamp(0), Standing::Missing);
    entry.on_landed(Timestamp(0), Outcome::OptedOut, Standing::Missing, Epoch(0), 0.0);
    assert!(entry.passes(Timestamp(0)));
    entry.on_demand(Epoch(1));
    assert!(!entry.passes(Timestamp(0)), "whether it still opts out is being asked");
    let visitor = request(&mut entry, Timestamp(0), Standing::Missing);
    assert_eq!(
        visitor,
        Verdict::Wait { number: 2, render: None },
        "visitors wait for what the demand finds out"
    );
}

#[test]
fn pages_that_failed_together_are_not_asked_for_together() {
    for (count, whole) in [(1, RETRY_FIRST), (2, 2 * RETRY_FIRST), (100, RETRY_MOST)] {
        assert_eq!(retry_after(count, 0.0), whole);
        assert_eq!(retry_after(count, 1.0), whole * 9 / 10, "up to a tenth earlier");
        assert_eq!(retry_after(count, 7.0), whole * 9 / 10, "and never more");
        let between = retry_after(count, 0.5);
        assert!(between < whole && between > whole * 9 / 10, "the jitter decides where between: {between:?}");
    }
}

/// Data whose page is newer is waited for, and served as it is when nothing newer can be had.
#[test]
fn outdated_data_is_rendered_before_it_is_served() {
    let outdated = Standing::Fresh { ttl: None }.outdated();
    let mut entry = Entry::default();
    let Verdict::Wait { number, render: Some(_) } = request(&mut entry, Timestamp(0), outdated) else {
        panic!("the first to ask begins a render");
    };
    assert_eq!(request(&mut entry, Timestamp(0), outdated), Verdict::Wait { number, render: None });
    entry.on_landed(Timestamp(1), Outcome::Failed, stale(), Epoch(0), 0.0);
    assert_eq!(
        request(&mut entry, Timestamp(1), outdated),
        Verdict::ServeStale { render: None },
        "until it is time to try again"
    );
    let later = Timestamp(1).after(RETRY_FIRST);
    assert!(matches!(request(&mut entry, later, outdated), Verdict::Wait { render: Some(_), .. }));

    // A render that began before the page's counts for nobody who comes after it.
    let led = Watermark { hard: Epoch(1), soft: Epoch(0) };
    let verdict = entry.on_request(later, outdated, led, Epoch(1));
    assert_eq!(verdict, Verdict::Wait { number: number + 2, render: None });
    assert_eq!(Standing::Missing.outdated(), Standing::Missing);
}
