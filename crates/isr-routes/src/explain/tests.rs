use std::time::Duration;

use isr_api::IsrRoute;
use isr_cache::{Interval, NoStore, Policy};
use serde_json::json;

use super::{Answer, BadRequest, Explanation, describe_policy, explain};
use crate::bad_target::BadTarget;
use crate::compile::{Backends, Options, compile};
use crate::testing::{references, resource};

fn explained(routes: &[IsrRoute], url: &str) -> Explanation {
    let options = Options { backends: Backends::Standalone, shared_hosts: false };
    explain(routes, &compile(routes, &references(), &options), url, &[]).expect("a URL")
}

/// Who lost and why, one line each.
fn losers(routes: &[IsrRoute], url: &str) -> Vec<String> {
    explained(routes, url)
        .others
        .iter()
        .map(|other| format!("{}: {}", other.object.name, other.why))
        .collect()
}

#[test]
fn each_loser_has_its_reason() {
    let host = "shop.example.com";
    let next = json!({ "framework": "NextJs" });
    let routes = [
        resource("shop/post", host, "/blog/[slug]", &next),
        resource("shop/all", host, "/[[...path]]", &json!({})),
        resource("shop/wide", "*.example.com", "/blog/first", &json!({})),
        resource("shop/zz-twin", host, "/blog/[id]", &json!({})),
        resource("shop/bad", host, "/blog/first", &json!({ "interval": "soon" })),
        resource("shop/other", host, "/shop", &json!({})),
        resource("shop/elsewhere", "www.example.com", "/blog/first", &json!({})),
        resource("rival/wide", "*.com", "/[...path]", &json!({})),
    ];
    let lost = losers(&routes, "http://shop.example.com/blog/first");
    let starts = [
        "all: its path is less specific than /blog/[slug]",
        "wide: its hostname *.example.com is wider than shop.example.com",
        "zz-twin: not in force: spec.hostnames[0]: IsrRoute shop/post already answers",
        "bad: not in force: spec.interval: `soon` is not a duration",
        "wide: its hostname *.com is wider than shop.example.com",
    ];
    assert_eq!(lost.len(), starts.len(), "{lost:#?}");
    for (lost, start) in lost.iter().zip(starts) {
        assert!(lost.starts_with(start), "{lost}");
    }
    let data = losers(&routes, "http://shop.example.com/_next/data/build/blog/1.json");
    assert!(data.iter().any(|lost| lost.starts_with("all: ")), "{data:?}");
}

#[test]
fn a_wildcard_of_another_namespace_is_named() {
    let routes = [
        resource("shop/home", "shop.example.com", "/", &json!({})),
        resource("rival/wide", "*.example.com", "/[...path]", &json!({})),
    ];
    let explanation = explained(&routes, "shop.example.com/blog");
    assert!(matches!(explanation.answer, Answer::Pass { .. }), "{explanation:?}");
    assert_eq!(
        losers(&routes, "shop.example.com/blog"),
        ["wide: *.example.com and shop.example.com belong to different namespaces"]
    );
}

#[test]
fn what_cannot_be_explained() {
    let options = Options { backends: Backends::Standalone, shared_hosts: false };
    let compiled = compile::<IsrRoute>(&[], &references(), &options);
    let explain =
        |url: &str, header: &[String]| explain(&[], &compiled, url, header).map(|_| ()).expect_err(url);
    assert_eq!(explain("http://", &[]), BadRequest::Url("http://".into()));
    assert_eq!(explain("http://a/../b", &[]), BadRequest::Target(BadTarget::DotSegment));
    assert_eq!(explain("http://u@a/", &[]), BadRequest::Target(BadTarget::Userinfo));
    assert_eq!(explain("http://a/", &["RSC".into()]), BadRequest::Header("RSC".into()));
    assert_eq!(explain("http://a/", &["a b: c".into()]), BadRequest::Header("a b: c".into()));
}

#[test]
fn policies_in_words() {
    let words = |every, stale_for, no_store| {
        describe_policy(&Policy::Interval(Interval { every, stale_for, no_store }))
    };
    let millis = |millis| Some(Duration::from_millis(millis));
    assert_eq!(describe_policy(&Policy::Origin), "the origin's Cache-Control decides");
    assert_eq!(
        words(millis(5_401_500), millis(86_400_000), NoStore::Honor),
        "rendered again when older than 1h30m1s500ms, served stale for at most 24h; no-store opts a page out"
    );
    assert_eq!(
        words(None, None, NoStore::Override),
        "kept until it is renewed on demand, served stale for as long as it takes; stored even if the origin says no-store"
    );
}
