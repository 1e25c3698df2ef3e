use std::ffi::OsString;

use http::StatusCode;
use serde_json::{Value, json};

use super::direct::admin;
use super::replica::{Answer, Done, NotDone, Replica, read};
use super::report;
use super::token::Token;
use super::wanted::{Route, Wanted};
use crate::output::Output;

const SECRET: &str = "example-token-of-32-characters-00";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn wanted(paths: &[&str], prefixes: &[&str], tags: &[&str], hosts: &[&str]) -> Wanted {
    Wanted {
        paths: texts(paths),
        prefixes: texts(prefixes),
        tags: texts(tags),
        hosts: texts(hosts),
        ..Wanted::default()
    }
}

fn route(hostnames: &[&str]) -> Route {
    Route { id: "shop/blog".to_owned(), hostnames: texts(hostnames) }
}

#[test]
fn what_is_typed_becomes_one_request() {
    let everything = Wanted { everything: true, hard: true, ..Wanted::default() };
    let table = [
        (everything, json!({ "mode": "hard", "everything": true })),
        (wanted(&[], &[], &["a", "b"], &[]), json!({ "mode": "soft", "tags": ["a", "b"] })),
        (wanted(&[], &[], &[], &["a.com"]), json!({ "mode": "soft", "hosts": ["a.com"] })),
        (
            wanted(&["https://a.com/x"], &[], &[], &[]),
            json!({ "mode": "soft", "paths": ["https://a.com/x"] }),
        ),
        (
            wanted(&["/x"], &["/y"], &[], &["a.com", "b.com"]),
            json!({ "mode": "soft", "paths": ["https://a.com/x", "https://b.com/x"],
                "prefixes": ["https://a.com/y", "https://b.com/y"] }),
        ),
        (
            wanted(&["/x", "https://b.com/x"], &[], &[], &["a.com"]),
            json!({ "mode": "soft", "paths": ["https://a.com/x", "https://b.com/x"] }),
        ),
        (wanted(&[], &["/y"], &["t"], &[]), json!({ "mode": "soft", "prefixes": ["/y"], "tags": ["t"] })),
    ];
    for (wanted, expected) in table {
        assert_eq!(wanted.request(None).expect("it makes sense"), expected, "{wanted:?}");
    }
}

#[test]
fn a_route_narrows_what_is_meant_and_knows_the_hosts() {
    let two = route(&["a.com", "b.com"]);
    let many = route(&["a.com", "*.b.com"]);
    let table = [
        (&many, wanted(&[], &[], &[], &[]), json!({ "everything": true })),
        (&many, wanted(&[], &[], &["t"], &[]), json!({ "tags": ["t"] })),
        (&many, wanted(&[], &["/y"], &[], &[]), json!({ "prefixes": ["/y"] })),
        (&many, wanted(&["/x"], &[], &[], &["c.b.com"]), json!({ "paths": ["https://c.b.com/x"] })),
        (&two, wanted(&["/x"], &[], &[], &[]), json!({ "paths": ["https://a.com/x", "https://b.com/x"] })),
        (&two, wanted(&[], &[], &[], &["a.com"]), json!({ "hosts": ["a.com"] })),
    ];
    for (route, wanted, mut expected) in table {
        expected["mode"] = json!("soft");
        expected["routes"] = json!(["shop/blog"]);
        assert_eq!(wanted.request(Some(route)).expect("it makes sense"), expected, "{wanted:?}");
    }
    let refused = wanted(&["/x"], &[], &[], &[]).request(Some(&many)).expect_err("which hosts?");
    assert!(refused.to_string().contains("IsrRoute shop/blog answers *.b.com"), "{refused}");
    assert!(refused.to_string().contains("or --prefix /x"), "{refused}");
}

#[test]
fn what_is_not_clear_is_refused_with_what_to_write() {
    let table = [
        (wanted(&[], &[], &[], &[]), "nothing is named: write --path"),
        (wanted(&["/x"], &[], &[], &[]), "or the URL: https://shop.example.com/x"),
        (wanted(&[], &[], &["t"], &["a.com"]), "leave --host out"),
        (wanted(&["https://a.com/x"], &[], &[], &["b.com"]), "the URLs name their hosts already"),
    ];
    for (wanted, expected) in table {
        let refused = wanted.request(None).expect_err("it is not clear").to_string();
        assert!(refused.contains(expected), "{wanted:?}: {refused}");
    }
}

#[test]
fn an_admin_listener_is_an_address_with_a_port() {
    for good in ["http://127.0.0.1:9090", "http://proxies:9090/", "http://[::1]:9090"] {
        assert!(admin(good).is_ok(), "{good}");
    }
    for bad in [
        "127.0.0.1:9090",
        "https://a:1",
        "http://a",
        "http://a:1/configz",
        "http://a:1/?b",
        "http://a:b@c:1",
        "",
    ] {
        let refused = admin(bad).expect_err("no admin listener");
        assert!(refused.contains("write http://HOST:PORT"), "{bad}: {refused}");
    }
}

#[test]
fn a_token_is_found_and_never_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let variable = Some(OsString::from("example-token-of-the-environment-"));
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    let token = Token::typed(Some(&file), variable.clone()).expect("a token").expect("a token");
    assert_eq!(token.header(), SECRET, "the file goes first, without its line end");
    assert!(!format!("{:?}", token.header()).contains("example"), "whoever logs headers leaves it out");
    let token = Token::typed(None, variable).expect("a token").expect("a token");
    assert_eq!(
        (token.header().to_str().expect("text"), token.source()),
        ("example-token-of-the-environment-", "KUBE_ISR_TOKEN")
    );
    assert!(Token::typed(None, None).expect("no complaint").is_none());

    for (bad, expected) in [
        (" \n".to_owned(), "is empty"),
        (format!("token: {SECRET}"), "holds no token"),
        (format!("{SECRET}\n{SECRET}"), "holds no token"),
        ("t".repeat(5000), "holds no token"),
    ] {
        std::fs::write(&file, &bad).expect("a file");
        let refused = Token::typed(Some(&file), None).err().expect("no token").to_string();
        assert!(refused.contains(expected) && !refused.contains(SECRET), "{bad:?}: {refused}");
    }
    let absent = Token::typed(Some(&folder.path().join("absent")), None).err().expect("no token");
    assert!(absent.to_string().contains("absent cannot be read"), "{absent}");
}

fn done() -> Done {
    Done { mode: "soft".to_owned(), routes: vec!["shop/blog".to_owned()], pages: 1, selectors: 2 }
}

#[test]
fn only_a_proxy_that_says_so_is_done() {
    let said = json!({ "mode": "soft", "routes": ["shop/blog"], "pages": 1, "selectors": 2 }).to_string();
    assert_eq!(read(StatusCode::OK, said.as_bytes(), "token"), Ok(done()));
    let problem = json!({ "title": "Not Certain", "status": 503, "detail": "The disk is full." }).to_string();
    for (status, body, expected) in [
        (503, &*problem, "The disk is full."),
        (401, &*problem, "The disk is full. The token is that of the file."),
        (
            200,
            "<html>Welcome!</html>",
            "It answers 200 OK, and not as a proxy does: is this the admin port of one?",
        ),
        (200, "{}", "It answers 200 OK, and not as a proxy does: is this the admin port of one?"),
        (202, &*said, "It answers 202 Accepted, and not as a proxy does: is this the admin port of one?"),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let expected = NotDone { status: Some(status), message: expected.to_owned() };
        assert_eq!(read(status, body.as_bytes(), "the file"), Err(expected), "{status} {body}");
    }
}

fn printed(answers: &[Answer], output: Output) -> String {
    let mut out = Vec::new();
    report::print(answers, output, &mut out).expect("a vector");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn each_replica_has_one_line() {
    let replica = |name: Option<&str>, address: &str| Replica {
        name: name.map(ToOwned::to_owned),
        address: address.to_owned(),
    };
    let many =
        Done { routes: (0..7).map(|n| format!("shop/{n}")).collect(), pages: 0, selectors: 1, ..done() };
    let refused = NotDone { status: Some(StatusCode::FORBIDDEN), message: "no\r\n\u{1b}[2J".to_owned() };
    let answers = [
        Answer { replica: replica(None, "10.0.0.1:9090"), outcome: Ok(done()) },
        Answer { replica: replica(Some("proxy-2"), "10.0.0.2:9090"), outcome: Ok(many) },
        Answer { replica: replica(None, "10.0.0.3:9090"), outcome: Err(refused) },
    ];
    assert_eq!(
        printed(&answers, Output::Text),
        "10.0.0.1:9090 done: soft, 1 page, 2 marks, of shop/blog\n\
         proxy-2 (10.0.0.2:9090) done: soft, 0 pages, 1 mark, of shop/0, shop/1, shop/2, shop/3, shop/4 and 2 more\n\
         10.0.0.3:9090 not done: no   [2J\n"
    );
    let document: Value = serde_json::from_str(&printed(&answers, Output::Json)).expect("JSON");
    assert_eq!(document["done"], json!(false));
    assert_eq!(
        document["replicas"][0],
        json!({ "name": null, "address": "10.0.0.1:9090", "done": true,
            "answer": { "mode": "soft", "routes": ["shop/blog"], "pages": 1, "selectors": 2 } })
    );
    assert_eq!(document["replicas"][2]["status"], json!(403));
    let all_done: Value = serde_json::from_str(&printed(&answers[..2], Output::Json)).expect("JSON");
    assert_eq!(all_done["done"], json!(true));
}
