use std::collections::BTreeMap;
use std::net::SocketAddr;

use isr_api::IsrRouteStatus;
use isr_routes::ObjectRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use super::super::{find, mean_the_same, news, status};
use super::*;
use crate::acknowledge::{Answer, FailingPage, Purged, Unfinished};

const TABLE: Table<'_> = Table { generation: 7, digest: "table-7" };

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

fn report(accepted: bool) -> Report {
    Report { object: ObjectRef::route("shop", "blog"), accepted, problems: Vec::new() }
}

fn route(failing: usize) -> UnfinishedRoute {
    let such_as =
        FailingPage { page: "shop.example.com/1".into(), why: "the application answered 500".into() };
    UnfinishedRoute { pages: 132, failing, such_as: (failing > 0).then_some(such_as) }
}

/// What a proxy says of these routes, and of how many more that fail and that it is rendering.
fn unfinished(routes: &[(&str, usize)], more_failing: usize, more_rendering: usize) -> Unfinished {
    let routes = routes.iter().map(|(name, failing)| ((*name).to_owned(), route(*failing)));
    Unfinished { routes: routes.collect(), more_failing, more_rendering }
}

fn answers(said: Vec<Result<Option<Unfinished>, &str>>) -> Answers {
    at_generations(said.into_iter().map(|said| (7, said)).collect())
}

fn at_generations(said: Vec<(u64, Result<Option<Unfinished>, &str>)>) -> Answers {
    let answers = said.into_iter().zip(1_u8..).map(|((generation, said), number)| {
        let address = SocketAddr::from(([10, 0, 0, number], 9090));
        let answer = said.map_err(ToOwned::to_owned).map(|prerendering| Answer {
            generation,
            digest: format!("table-{generation}"),
            rejected: Vec::new(),
            purges: Purged::default(),
            prerendering,
        });
        (Pod { address, name: Some(format!("proxy-{number}")) }, answer)
    });
    Answers(answers.collect())
}

fn pages(answers: &Answers) -> Pages {
    Pages::of("shop/blog", answers, TABLE, 7)
}

fn made(pages: &Pages, before: Option<&IsrRouteStatus>) -> IsrRouteStatus {
    status(Some(3), &report(true), &Acknowledgement::Served { ready: 2 }, Some(pages), before, &time(100))
}

/// `Status Reason: message` of the condition.
fn said(status: &IsrRouteStatus) -> String {
    let found = find(status, condition::PRERENDERED).expect("it is there");
    format!("{} {}: {}", found.status, found.reason, found.message)
}

fn failing_in_proxy_2() -> Pages {
    pages(&answers(vec![Ok(Some(Unfinished::default())), Ok(Some(unfinished(&[("shop/blog", 3)], 0, 0)))]))
}

fn rendering() -> Pages {
    Pages::Rendering { pod: "proxy-1 (10.0.0.1)".into() }
}

#[test]
fn it_says_what_the_proxies_say() {
    let done = || Ok(Some(Unfinished::default()));
    let other = || Ok(Some(unfinished(&[("shop/other", 1)], 0, 0)));
    let failing = || Ok(Some(unfinished(&[("shop/blog", 3)], 0, 0)));
    let still = || Ok(Some(unfinished(&[("shop/blog", 0)], 0, 0)));
    let may_not = "Unknown Pending: Its pages may not all be there: ";
    let table = [
        (vec![done(), other()], "True Prerendered: No proxy has a page left to render.".to_owned()),
        (
            vec![still(), failing()],
            "False PagesFailing: proxy-2 (10.0.0.2) could not render 3 of 132 pages, such as shop.example.com/1: the application answered 500. It tries again, visitors get the old pages meanwhile, and its admin path /routes says how it is now.".to_owned(),
        ),
        (
            vec![failing(), failing(), failing()],
            "False PagesFailing: proxy-1 (10.0.0.1) (and 2 other proxies) could not render 3 of 132 pages, such as shop.example.com/1: the application answered 500. It tries again, visitors get the old pages meanwhile, and its admin path /routes says how it is now.".to_owned(),
        ),
        (vec![done(), still()], format!("{may_not}proxy-2 (10.0.0.2) is rendering them.")),
        (vec![done(), Ok(None)], format!("{may_not}proxy-2 (10.0.0.2) does not say how far it is.")),
        (
            vec![Ok(Some(unfinished(&[], 0, 4)))],
            format!("{may_not}proxy-1 (10.0.0.1) is rendering 4 more routes than it names."),
        ),
        (
            vec![still(), Ok(Some(unfinished(&[], 2, 4)))],
            format!("{may_not}pages of 2 more routes fail in proxy-2 (10.0.0.2) than it names."),
        ),
    ];
    for (answers_, expected) in table {
        let status = made(&pages(&answers(answers_)), None);
        assert_eq!(said(&status), expected);
        let ready = find(&status, condition::READY).expect("it is there");
        assert_eq!(ready.status, "True", "the old pages are served");
    }
    let names: Vec<_> = made(&rendering(), None).conditions.into_iter().map(|known| known.type_).collect();
    assert_eq!(names, ["Accepted", "ResolvedRefs", "Programmed", "Prerendered", "Ready"]);
    let without = status(Some(3), &report(true), &Acknowledgement::Served { ready: 2 }, None, None, &time(1));
    assert_eq!(find(&without, condition::PRERENDERED), None, "a route that wants no page says nothing of it");
}

#[test]
fn of_another_form_of_the_route_nothing_counts() {
    let failing = || Ok(Some(unfinished(&[("shop/blog", 3)], 0, 0)));
    let said = at_generations(vec![(6, failing()), (7, Ok(Some(Unfinished::default())))]);
    assert_eq!(Pages::of("shop/blog", &said, TABLE, 7), Pages::There, "the one that fails has another form");
    assert!(matches!(Pages::of("shop/blog", &said, TABLE, 6), Pages::Failing { others: 0, .. }));
}

#[test]
fn what_is_rendered_anew_is_no_news() {
    let there = made(&Pages::There, None);
    let anew = made(&rendering(), Some(&there));
    assert_eq!(said(&anew), said(&there));
    assert!(mean_the_same(&there, &anew), "a purge, or a new proxy");
    let untold = Pages::NotYetTold { why: "proxy-2 (10.0.0.2) does not say how far it is".into() };
    for before in [&there, &made(&failing_in_proxy_2(), None), &made(&rendering(), None)] {
        assert!(mean_the_same(before, &made(&untold, Some(before))), "nothing is known to have changed");
    }
    let may_fail = Pages::Untold { why: "pages of 2 more routes fail".into() };
    assert!(said(&made(&may_fail, Some(&there))).starts_with("Unknown Pending"), "true would be a guess");
    let failing = made(&failing_in_proxy_2(), Some(&there));
    assert!(
        said(&made(&rendering(), Some(&failing))).starts_with("Unknown Pending"),
        "nothing fails any more"
    );
    let lagging = Acknowledgement::Pending { ready: 2, serving: 1, example: "proxy-2 lags".into() };
    let lagging = status(Some(3), &report(true), &lagging, Some(&Pages::There), Some(&failing), &time(100));
    assert_eq!(said(&lagging), said(&failing), "who does not serve the route cannot say");
    let next = |pages: &Pages| {
        let served = Acknowledgement::Served { ready: 2 };
        status(Some(4), &report(true), &served, Some(pages), Some(&there), &time(100))
    };
    assert!(said(&next(&rendering())).starts_with("Unknown Pending"), "another generation, other pages");
    assert!(said(&next(&Pages::There)).starts_with("True"));
}

#[test]
fn a_route_in_no_table_has_no_pages() {
    let refused = report(false);
    let nobody = Acknowledgement::NoReadyProxies;
    let status = status(Some(3), &refused, &nobody, Some(&Pages::There), None, &time(100));
    assert!(said(&status).starts_with("Unknown NotAccepted"), "{}", said(&status));
    let status = super::super::status(Some(3), &report(true), &nobody, Some(&Pages::There), None, &time(100));
    assert!(said(&status).starts_with("Unknown NoReadyProxies"), "{}", said(&status));
}

#[test]
fn more_pages_that_fail_are_no_reason_to_write_and_transitions_are_events() {
    let failing = |failing| Pages::Failing { pod: "proxy-1".into(), others: 0, route: route(failing) };
    let told = |before: Option<&IsrRouteStatus>, status: &IsrRouteStatus| {
        news(before, status).iter().map(|told| told.type_.clone()).collect::<Vec<_>>()
    };
    let first = made(&failing(3), None);
    assert_eq!(told(None, &first), ["Prerendered", "Ready"]);
    let second = made(&failing(4), Some(&first));
    assert!(mean_the_same(&first, &second) && told(Some(&first), &second).is_empty());
    let unknown = made(&rendering(), Some(&second));
    assert!(!mean_the_same(&second, &unknown) && told(Some(&second), &unknown).is_empty());
    assert_eq!(told(Some(&unknown), &made(&Pages::There, Some(&unknown))), ["Prerendered"]);
    let mut moved = first.clone();
    moved.conditions.reverse();
    assert!(mean_the_same(&first, &moved), "the API server may order them otherwise");
}

fn any_pages() -> impl Strategy<Value = Pages> {
    prop_oneof![
        Just(Pages::There),
        Just(rendering()),
        "[a-b]".prop_map(|pod| Pages::Failing { pod, others: 1, route: route(2) }),
        "[a-b]".prop_map(|why| Pages::Untold { why }),
        "[a-b]".prop_map(|why| Pages::NotYetTold { why }),
    ]
}

proptest! {
    #[test]
    fn whatever_was_said_the_same_is_not_written_twice_and_truth_is_never_guessed(
        history in prop::collection::vec((any_pages(), 1_i64..3), 1..8),
    ) {
        let served = Acknowledgement::Served { ready: 2 };
        let mut before: Option<IsrRouteStatus> = None;
        let mut were_there = BTreeMap::new();
        for (pages, generation) in history {
            let make = |before: Option<&IsrRouteStatus>| {
                status(Some(generation), &report(true), &served, Some(&pages), before, &time(1))
            };
            let now = make(before.as_ref());
            prop_assert!(mean_the_same(&now, &make(Some(&now))));
            let says = find(&now, condition::PRERENDERED).expect("it is there").status.clone();
            *were_there.entry(generation).or_insert(false) |= pages == Pages::There;
            match pages {
                Pages::There => prop_assert_eq!(says, "True"),
                Pages::Failing { .. } => prop_assert_eq!(says, "False"),
                Pages::Untold { .. } => prop_assert_eq!(says, "Unknown"),
                _ if says == "True" => prop_assert!(were_there[&generation]),
                _ => {}
            }
            before = Some(now);
        }
    }
}
