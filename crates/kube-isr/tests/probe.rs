//! `kube-isr probe`, as `helm test` runs it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::thread;

/// A server that gives these answers, one to a connection, and the last one from then on.
fn server(statuses: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for (at, connection) in listener.incoming().enumerate() {
            let mut connection = connection.expect("a connection");
            let mut lines = BufReader::new(connection.try_clone().expect("a second handle")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let status = statuses[at.min(statuses.len() - 1)];
            write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .expect("an answer");
        }
    });
    address
}

fn probe(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_kube-isr")).arg("probe").args(args).output().expect("kube-isr runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn asks_until_all_have_answered() {
    let slow = format!("http://{}/readyz", server(&["503 Service Unavailable", "200 OK"]));
    let quick = format!("http://{}", server(&["204 No Content"]));
    let (code, out, error) = probe(&[&slow, &quick]);
    assert_eq!(out, format!("{slow} answers 200 OK\n{quick} answers 204 No Content\n"), "{error}");
    assert_eq!(code, Some(0));
}

#[test]
fn says_what_was_answered_last() {
    let url = format!("http://{}/readyz", server(&["503 Service Unavailable"]));
    let (code, out, error) = probe(&["--timeout", "1s", &url]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(error.contains(&format!("{url} answers 503 Service Unavailable")), "{error}");
}

#[test]
fn says_that_nobody_answers() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let (code, _, error) = probe(&["--timeout", "1s", &format!("http://{address}/readyz")]);
    assert_eq!(code, Some(1));
    assert!(error.contains("does not answer"), "{error}");
}

#[test]
fn refuses_what_it_cannot_ask_at_once() {
    for (url, says) in
        [("https://localhost:1/", "write http://HOST:PORT/PATH"), ("http://localhost/", "has no port")]
    {
        let (code, _, error) = probe(&[url]);
        assert_eq!(code, Some(64));
        assert!(error.contains(says), "{error}");
    }
}
