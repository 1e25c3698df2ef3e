use std::net::SocketAddr;

use serde_json::{Value, json};

use super::*;
use crate::acknowledge::Purged;

fn stored(spec: &Value, status: &Value) -> Arc<Stored<IsrPurge>> {
    let object = json!({
        "metadata": { "namespace": "shop", "name": "news", "uid": "u-1", "generation": 1 },
        "spec": spec, "status": status,
    });
    Arc::new(serde_json::from_value(object).expect("an object"))
}

fn log(uids: &[&str]) -> PurgeLog {
    let mut log = PurgeLog::new("log".into());
    for uid in uids {
        let everything = stored(&json!({ "everything": true }), &Value::Null);
        let purge = compile_purge(&everything.object, &RouteTable::default(), Severity::Error).1;
        log.append(Purge { uid: (*uid).into(), ..purge.expect("it makes sense") });
    }
    log
}

/// What a proxy answered: log, position, problem; or why it did not.
type Saying<'a> = Result<(&'a str, u64, Option<&'a str>), &'a str>;

fn answers(said: &[Saying<'_>]) -> Answers {
    let answers = said.iter().zip(1_u8..).map(|(said, number)| {
        let address = SocketAddr::from(([10, 0, 0, number], 9090));
        let pod = Pod { address, name: Some(format!("proxy-{number}")) };
        let answer = said.map_err(ToOwned::to_owned).map(|(log, position, problem)| Answer {
            generation: 1,
            digest: String::new(),
            rejected: Vec::new(),
            purges: Purged { log: log.into(), position, problem: problem.map(ToOwned::to_owned) },
            prerendering: None,
        });
        (pod, answer)
    });
    Answers(answers.collect())
}

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

/// A condition as `Status Reason: message`.
fn said(status: &IsrPurgeStatus, name: &str) -> String {
    let found = status.conditions.iter().find(|known| known.type_ == name).expect("all are there");
    format!("{} {}: {}", found.status, found.reason, found.message)
}

#[test]
fn it_is_complete_when_every_ready_proxy_says_so() {
    let log = log(&["u-0", "u-1"]);
    for (answers, expected, counts) in [
        (
            answers(&[Ok(("log", 2, None)), Ok(("log", 7, None))]),
            "True Complete: Done by all 2 ready proxies.",
            (2, 2),
        ),
        (answers(&[Ok(("log", 2, None))]), "True Complete: Done by the one ready proxy.", (1, 1)),
        (
            answers(&[Ok(("log", 2, None)), Ok(("log", 1, None))]),
            "False Pending: 1 of 2 ready proxies have done it; proxy-2 (10.0.0.2) has not yet.",
            (2, 1),
        ),
        (
            answers(&[Ok(("other", 9, None))]),
            "False Pending: 0 of 1 ready proxies have done it; proxy-1 (10.0.0.1) has not yet.",
            (1, 0),
        ),
        (
            answers(&[Ok(("log", 1, Some("the disk tier does not work")))]),
            "False Pending: 0 of 1 ready proxies have done it; proxy-1 (10.0.0.1) cannot, and tries again: the disk tier does not work.",
            (1, 0),
        ),
        (
            answers(&[Err("no answer within 1s")]),
            "False Pending: 0 of 1 ready proxies have done it; proxy-1 (10.0.0.1) does not say whether it has: no answer within 1s.",
            (1, 0),
        ),
        (
            answers(&[]),
            "Unknown NoReadyProxies: No proxy is ready, so none was asked: look at the proxies' pods.",
            (0, 0),
        ),
    ] {
        let purge = stored(&json!({ "everything": true }), &Value::Null);
        let judged = judge(&purge, None, Some(&log), &RouteTable::default());
        assert_eq!(judged.is_done(Some(&log), &answers), expected.starts_with("True"), "{expected}");
        let status = judged.change(Some(&log), &answers, &time(100)).expect("a first status");
        assert_eq!(said(&status, "Complete"), expected);
        assert_eq!(said(&status, "Ready").split(' ').next(), expected.split(' ').next());
        assert_eq!((status.replicas, status.done_replicas), (Some(counts.0), Some(counts.1)));
        assert_eq!(status.observed_generation, Some(1));
        let again = judge(&purge, Some(&status), Some(&log), &RouteTable::default());
        assert_eq!(again.change(Some(&log), &answers, &time(200)), None, "nothing new is not written");
        let news = judged.news(&status).map(|told| told.status.clone() + " " + &told.type_);
        let is_told = !expected.starts_with("Unknown");
        assert_eq!(news.is_some(), is_told, "{expected}: {news:?}");
        assert_eq!(again.news(&status), None, "and not told");
    }
}

#[test]
fn what_is_complete_stays_so_and_is_issued_once() {
    let purge = stored(&json!({ "everything": true }), &Value::Null);
    let mut new = judge(&purge, None, None, &RouteTable::default());
    assert!(new.issue().is_some_and(|purge| purge.uid == "u-1"));
    assert!(new.issue().is_none(), "once");
    let log = log(&["u-1"]);
    assert!(judge(&purge, None, Some(&log), &RouteTable::default()).issue().is_none(), "it is there");
    let complete = new.change(Some(&log), &answers(&[Ok(("log", 1, None))]), &time(100)).expect("complete");
    let mut judged = judge(&purge, Some(&complete), None, &RouteTable::default());
    assert!(judged.issue().is_none(), "not even when the list is gone");
    assert_eq!(judged.change(None, &answers(&[Err("away")]), &time(101)), None);
}

#[test]
fn what_makes_no_sense_is_said_and_issued_when_it_does() {
    for (spec, expected) in [
        (
            json!({}),
            "False Invalid: spec: nothing is named: write paths, prefixes, tags, hosts, or everything: true.",
        ),
        (
            json!({ "paths": ["https://shop.example.com/x"] }),
            "False Invalid: spec.paths[0]: `https://shop.example.com/x` is no page of an IsrRoute.",
        ),
        (
            json!({ "routes": ["blog"], "everything": true }),
            "False Invalid: spec.routes[0]: `blog` is no IsrRoute in force in namespace shop: write the name of one, such as blog-posts.",
        ),
        (json!({ "tags": "news" }), "False Invalid: spec.tags: cannot be read"),
    ] {
        let mut judged = judge(&stored(&spec, &Value::Null), None, None, &RouteTable::default());
        assert!(judged.issue().is_none() && judged.is_done(None, &Answers::default()), "{spec}");
        let status = judged.change(None, &Answers::default(), &time(100)).expect("a status");
        assert!(said(&status, "Accepted").starts_with(expected), "{}", said(&status, "Accepted"));
        assert_eq!(
            said(&status, "Complete"),
            "False NotAccepted: Nothing was done, because the purge is not accepted."
        );
        assert_eq!((status.replicas, status.done_replicas), (None, None));
        assert_eq!(
            judged.news(&status).map(|told| &*told.type_),
            Some("Accepted"),
            "why is worth more than what of it"
        );
    }
}

#[test]
fn what_is_finished_goes_after_its_time() {
    let after = |spec: Value, done: bool| {
        let purge = stored(&spec, &Value::Null);
        let log = log(&["u-1"]);
        let first = judge(&purge, None, done.then_some(&log), &RouteTable::default());
        let status =
            first.change(Some(&log), &answers(&[Ok(("log", 1, None))]), &time(1000)).expect("a status");
        assert_eq!(first.gone_at(), None, "nobody has said anything yet");
        let judged = judge(&purge, Some(&status), done.then_some(&log), &RouteTable::default());
        judged.gone_at().map(|at| at.as_second() - 1000)
    };
    assert_eq!(after(json!({ "everything": true }), true), Some(24 * 3600));
    assert_eq!(after(json!({ "everything": true, "ttlAfterFinished": "90s" }), true), Some(90));
    assert_eq!(after(json!({ "everything": true, "ttlAfterFinished": "Never" }), true), None);
    assert_eq!(after(json!({ "ttlAfterFinished": "1m" }), false), Some(60), "nothing was named");
}
