use serde_json::{Value, json};

use super::*;

fn pod(number: u8) -> Pod {
    Pod { address: SocketAddr::from(([10, 0, 0, number], 9090)), name: Some(format!("proxy-{number}")) }
}

fn answer(generation: u64) -> Answer {
    let digest = format!("table-{generation}");
    Answer { generation, digest, rejected: Vec::new(), purges: Purged::default(), prerendering: None }
}

fn answers(answers: impl IntoIterator<Item = Result<Answer, String>>) -> Answers {
    Answers((1..).map(pod).zip(answers).collect())
}

const TABLE: Table<'_> = Table { generation: 7, digest: "table-7" };

#[test]
fn a_route_is_served_by_a_proxy_with_any_table_that_has_it() {
    let table: [(&[u64], u64, usize); 5] = [
        (&[7, 7], 7, 2),
        // The route is as it is since generation 5; what changed since is another's.
        (&[5, 6], 5, 2),
        (&[4, 7], 5, 1),
        // Published before a backup was restored.
        (&[9, 7], 5, 1),
        (&[0], 1, 0),
    ];
    for (generations, since, expected) in table {
        let answers = answers(generations.iter().map(|generation| Ok(answer(*generation))));
        let serving = match answers.about("IsrRoute shop/blog", TABLE, since) {
            Acknowledgement::Served { ready } => ready,
            Acknowledgement::Pending { serving, ready, .. } => {
                assert_eq!(ready, generations.len());
                serving
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(serving, expected, "{generations:?} since {since}");
    }
}

#[test]
fn who_lags_is_named_with_what_they_say() {
    let lagging = answers([Ok(answer(7)), Ok(answer(6)), Err("connection refused".into())]);
    let said = lagging.about("IsrRoute shop/blog", TABLE, 7);
    let example = "proxy-2 (10.0.0.2) still serves generation 6".to_owned();
    assert_eq!(said, Acknowledgement::Pending { ready: 3, serving: 1, example });
    let silent = answers([Err("connection refused".into())]);
    let Acknowledgement::Pending { example, .. } = silent.about("IsrRoute shop/blog", TABLE, 7) else {
        panic!()
    };
    assert_eq!(example, "proxy-1 (10.0.0.1) does not say what it serves: connection refused");
}

#[test]
fn a_rejected_route_is_not_served_and_the_others_are() {
    let rejected = Rejected { object: "IsrRoute shop/blog".into(), message: "update the proxy.".into() };
    let mut one = answer(7);
    one.rejected.push(rejected);
    let answers = answers([Ok(answer(7)), Ok(one)]);
    let said = answers.about("IsrRoute shop/blog", TABLE, 7);
    let expected =
        Acknowledgement::Rejected { pod: "proxy-2 (10.0.0.2)".into(), message: "update the proxy.".into() };
    assert_eq!(said, expected);
    assert_eq!(answers.about("IsrRoute shop/other", TABLE, 7), Acknowledgement::Served { ready: 2 });
    assert!(answers.agree(TABLE), "the table is what was published");
}

#[test]
fn nobody_is_not_everybody() {
    assert_eq!(Answers::default().about("IsrRoute shop/blog", TABLE, 7), Acknowledgement::NoReadyProxies);
    assert!(Answers::default().agree(TABLE), "there is nobody to wait for");
    assert!(!answers([Ok(answer(7)), Ok(answer(6))]).agree(TABLE));
    assert!(!answers([Err("timeout".into())]).agree(TABLE));
}

fn slices(slices: Value) -> Vec<EndpointSlice> {
    serde_json::from_value(slices).expect("slices")
}

#[test]
fn each_ready_pod_is_asked_once() {
    let endpoint = |address: &str, name: &str, ready: Value| json!({ "addresses": [address], "conditions": { "ready": ready }, "targetRef": { "kind": "Pod", "name": name } });
    let ports = json!([{ "name": "http", "port": 8080 }, { "name": "admin", "port": 9090 }]);
    let found = pods(&slices(json!([
        { "metadata": {}, "addressType": "IPv6", "ports": ports, "endpoints": [endpoint("fd00::1", "proxy-1", json!(true))] },
        { "metadata": {}, "addressType": "IPv4", "ports": ports, "endpoints": [
            endpoint("10.0.0.1", "proxy-1", json!(true)),
            endpoint("10.0.0.2", "proxy-2", Value::Null),
            endpoint("10.0.0.3", "proxy-3", json!(false)),
        ] },
        { "metadata": {}, "addressType": "IPv4", "ports": [{ "name": "http", "port": 8080 }],
          "endpoints": [endpoint("10.0.0.4", "proxy-4", json!(true))] },
    ])));
    assert_eq!(
        found,
        [pod(1), pod(2)],
        "in whatever family, absent is ready, and without an admin port nobody is asked"
    );
}
