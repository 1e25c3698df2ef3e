use isr_routes::ObjectRef;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use super::*;

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

fn problem(severity: Severity, condition: Judged, reason: &'static str, message: &str) -> Problem {
    Problem { severity, condition, reason, field: "spec.path".into(), message: message.into(), other: None }
}

fn report(accepted: bool, problems: Vec<Problem>) -> Report {
    Report { object: ObjectRef::route("shop", "blog"), accepted, problems }
}

fn served(ready: usize) -> Acknowledgement {
    Acknowledgement::Served { ready }
}

fn pending(example: &str) -> Acknowledgement {
    Acknowledgement::Pending { ready: 2, serving: 1, example: example.into() }
}

/// `status reason` of one condition.
fn says(status: &IsrRouteStatus, name: &str) -> String {
    let condition = find(status, name).expect("all four are there");
    format!("{} {}", condition.status, condition.reason)
}

fn message(status: &IsrRouteStatus, name: &str) -> String {
    find(status, name).expect("all four are there").message.clone()
}

fn made(report: &Report, acknowledgement: &Acknowledgement) -> IsrRouteStatus {
    status(Some(3), report, acknowledgement, None, None, &time(100))
}

#[test]
fn a_route_is_ready_when_every_ready_proxy_serves_it() {
    let good = report(true, Vec::new());
    let table = [
        (served(3), "True Programmed", "True Ready", "Served by all 3 ready proxies."),
        (
            pending("p-2 (10.0.0.7) still serves generation 6"),
            "False Pending",
            "False Pending",
            "1 of 2 ready proxies serve it; p-2 (10.0.0.7) still serves generation 6.",
        ),
        (
            Acknowledgement::NoReadyProxies,
            "Unknown NoReadyProxies",
            "Unknown NoReadyProxies",
            "No proxy is ready, so none was asked: look at the proxies' pods.",
        ),
        (
            Acknowledgement::Rejected { pod: "p-2 (10.0.0.7)".into(), message: "update the proxy.".into() },
            "False RejectedByProxy",
            "False RejectedByProxy",
            "p-2 (10.0.0.7) cannot put it in force: update the proxy.",
        ),
    ];
    for (acknowledgement, programmed, ready, said) in table {
        let status = made(&good, &acknowledgement);
        assert_eq!(says(&status, condition::ACCEPTED), "True Accepted");
        assert_eq!(says(&status, condition::RESOLVED_REFS), "True ResolvedRefs");
        assert_eq!(says(&status, condition::PROGRAMMED), programmed);
        assert_eq!(says(&status, condition::READY), ready);
        assert_eq!(message(&status, condition::READY), said);
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    }
}

#[test]
fn what_is_wrong_is_said_first_and_counted() {
    let invalid =
        problem(Severity::Error, Judged::Accepted, reason::INVALID, "`blog` is no path: write /blog");
    let status = made(&report(false, vec![invalid.clone(), invalid]), &Acknowledgement::NoReadyProxies);
    assert_eq!(says(&status, condition::ACCEPTED), "False Invalid");
    assert_eq!(
        message(&status, condition::ACCEPTED),
        "spec.path: `blog` is no path: write /blog. (And 1 more: see `kube-isr check`.)"
    );
    assert_eq!(says(&status, condition::RESOLVED_REFS), "Unknown Pending");
    assert_eq!(says(&status, condition::PROGRAMMED), "False NotAccepted");
    assert_eq!(says(&status, condition::READY), "False Invalid", "the first that is not true");

    // In force without its token: the route is served, and not ready.
    let missing = problem(Severity::Error, Judged::ResolvedRefs, reason::SECRET_NOT_FOUND, "no such Secret");
    let status = made(&report(true, vec![missing]), &served(2));
    assert_eq!(says(&status, condition::PROGRAMMED), "True Programmed");
    assert_eq!(says(&status, condition::READY), "False SecretNotFound");

    let warning =
        problem(Severity::Warning, Judged::Accepted, reason::ACCEPTED, "is listed twice: remove one");
    let status = made(&report(true, vec![warning]), &served(2));
    assert_eq!(says(&status, condition::READY), "True Ready");
    assert_eq!(message(&status, condition::ACCEPTED), "spec.path: is listed twice: remove one.");
}

#[test]
fn the_time_of_a_transition_is_kept_until_the_next() {
    let good = report(true, Vec::new());
    let first = status(Some(1), &good, &pending("p-2 lags"), None, None, &time(100));
    let second = status(Some(2), &good, &pending("p-1 lags"), None, Some(&first), &time(200));
    let third = status(Some(2), &good, &served(2), None, Some(&second), &time(300));
    let since =
        |status: &IsrRouteStatus, name| find(status, name).map(|known| known.last_transition_time.clone());
    assert_eq!(since(&second, condition::PROGRAMMED), Some(time(100)), "still False");
    assert_eq!(since(&third, condition::PROGRAMMED), Some(time(300)));
    assert_eq!(since(&third, condition::ACCEPTED), Some(time(100)));
}

#[test]
fn counting_proxies_alone_is_no_reason_to_write() {
    let good = report(true, Vec::new());
    let before = made(&good, &served(2));
    assert!(mean_the_same(&before, &made(&good, &served(3))));
    assert!(!mean_the_same(&before, &made(&good, &pending("p-3 lags"))));
    assert!(mean_the_same(&made(&good, &pending("p-3 lags")), &made(&good, &pending("p-4 lags"))));
    let rejected = |message: &str| Acknowledgement::Rejected { pod: "p".into(), message: message.into() };
    assert!(!mean_the_same(&made(&good, &rejected("one.")), &made(&good, &rejected("other."))));
    assert!(!mean_the_same(&before, &status(Some(4), &good, &served(2), None, Some(&before), &time(100))));
    assert!(!mean_the_same(&before, &IsrRouteStatus::default()));
}

#[test]
fn a_message_has_an_end() {
    let long = problem(Severity::Error, Judged::Accepted, reason::INVALID, &"é".repeat(10_000));
    let status = made(&report(false, vec![long]), &served(1));
    assert_eq!(message(&status, condition::ACCEPTED).chars().count(), MESSAGE_MOST);
}

fn any_acknowledgement() -> impl Strategy<Value = Acknowledgement> {
    prop_oneof![
        Just(Acknowledgement::NoReadyProxies),
        (1_usize..4).prop_map(served),
        "[a-c]".prop_map(|example| pending(&example)),
        "[a-c]".prop_map(|message| Acknowledgement::Rejected { pod: "p".into(), message }),
    ]
}

fn any_report() -> impl Strategy<Value = Report> {
    let one = prop_oneof![
        Just(problem(Severity::Error, Judged::Accepted, reason::CONFLICTED, "taken")),
        Just(problem(Severity::Error, Judged::ResolvedRefs, reason::BACKEND_NOT_FOUND, "gone")),
        Just(problem(Severity::Warning, Judged::Accepted, reason::ACCEPTED, "odd")),
    ];
    (any::<bool>(), prop::collection::vec(one, 0..3))
        .prop_map(|(accepted, problems)| report(accepted, problems))
}

proptest! {
    #[test]
    fn the_same_knowledge_is_never_written_twice(
        report in any_report(), acknowledgement in any_acknowledgement(), generation in 1_i64..3,
    ) {
        let first = status(Some(generation), &report, &acknowledgement, None, None, &time(1));
        let again = status(Some(generation), &report, &acknowledgement, None, Some(&first), &time(2));
        prop_assert!(mean_the_same(&first, &again));
        prop_assert_eq!(&first, &again, "not even a time moves");
    }

    #[test]
    fn ready_is_all_of_the_others(report in any_report(), acknowledgement in any_acknowledgement()) {
        let status = made(&report, &acknowledgement);
        let is_true = |name| find(&status, name).is_some_and(|known| known.status == "True");
        let others = [condition::ACCEPTED, condition::RESOLVED_REFS, condition::PROGRAMMED];
        prop_assert_eq!(is_true(condition::READY), others.into_iter().all(is_true));
        if is_true(condition::PROGRAMMED) {
            let is_served = matches!(acknowledgement, Acknowledgement::Served { .. });
            prop_assert!(is_served && report.accepted);
        }
    }
}
