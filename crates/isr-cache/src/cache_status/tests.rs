use http::StatusCode;
use proptest::prelude::*;

use super::{CacheStatus, Forward, Handling, XIsrCache};
use crate::control::list::unquote;

fn written(status: &CacheStatus<'_>) -> String {
    let mut out = b"origin; hit, ".to_vec();
    status.write(&mut out);
    String::from_utf8(out.split_off(b"origin; hit, ".len())).unwrap()
}

const HIT: CacheStatus<'static> =
    CacheStatus { handling: Handling::Hit, ttl: None, stored: false, collapsed: false, detail: None };

fn forward(reason: Forward, status: Option<StatusCode>) -> CacheStatus<'static> {
    CacheStatus { handling: Handling::Forward { reason, status }, ..HIT }
}

#[test]
fn members() {
    let miss = forward(Forward::UriMiss, Some(StatusCode::OK));
    let table = [
        ("§2.1", HIT, "kube-isr; hit"),
        ("§2.4", CacheStatus { ttl: Some(7), ..HIT }, "kube-isr; hit; ttl=7"),
        ("§2.4 stale", CacheStatus { ttl: Some(-12), ..HIT }, "kube-isr; hit; ttl=-12"),
        ("§2.4 zero", CacheStatus { ttl: Some(0), ..HIT }, "kube-isr; hit; ttl=0"),
        ("§2.2", forward(Forward::Bypass, None), "kube-isr; fwd=bypass"),
        ("§2.2", forward(Forward::Method, None), "kube-isr; fwd=method"),
        ("§2.2", forward(Forward::VaryMiss, None), "kube-isr; fwd=vary-miss"),
        ("§2.2", forward(Forward::Miss, None), "kube-isr; fwd=miss"),
        ("§2.2", forward(Forward::Request, None), "kube-isr; fwd=request"),
        ("§2.2", forward(Forward::Stale, None), "kube-isr; fwd=stale"),
        ("§2.2", forward(Forward::Partial, None), "kube-isr; fwd=partial"),
        ("§2.3", miss, "kube-isr; fwd=uri-miss; fwd-status=200"),
        (
            "§2.5",
            CacheStatus { stored: true, ttl: Some(60), ..miss },
            "kube-isr; fwd=uri-miss; fwd-status=200; ttl=60; stored",
        ),
        (
            "§2.6",
            CacheStatus { stored: true, collapsed: true, ..miss },
            "kube-isr; fwd=uri-miss; fwd-status=200; stored; collapsed",
        ),
        (
            "§2.8",
            CacheStatus { detail: Some("no-store"), ..miss },
            "kube-isr; fwd=uri-miss; fwd-status=200; detail=\"no-store\"",
        ),
        (
            "§2.8 escaped",
            CacheStatus { detail: Some("a\"b\\c\u{e9}\n"), ..HIT },
            "kube-isr; hit; detail=\"a\\\"b\\\\c??\"",
        ),
        ("RFC 9651 §3.3.1", CacheStatus { ttl: Some(i64::MAX), ..HIT }, "kube-isr; hit; ttl=999999999999999"),
        (
            "RFC 9651 §3.3.1",
            CacheStatus { ttl: Some(i64::MIN), ..HIT },
            "kube-isr; hit; ttl=-999999999999999",
        ),
    ];
    for (rule, status, expected) in table {
        assert_eq!(written(&status), expected, "RFC 9211 {rule}");
    }
}

#[test]
fn short_values() {
    use XIsrCache::{Bypass, Error, Hit, Miss, Revalidated, Stale};
    let values = [Hit, Stale, Miss, Revalidated, Bypass, Error].map(XIsrCache::as_str);
    assert_eq!(values, ["HIT", "STALE", "MISS", "REVALIDATED", "BYPASS", "ERROR"]);
}

proptest! {
    #[test]
    fn numbers_and_details_are_read_back(ttl in -999_999_999_999_999_i64..=999_999_999_999_999, detail in "[ -~]{0,20}", junk: String) {
        let text = written(&CacheStatus { ttl: Some(ttl), detail: Some(&detail), ..HIT });
        let rest = text.strip_prefix("kube-isr; hit; ttl=").unwrap();
        let (number, string) = rest.split_once("; detail=").unwrap();
        prop_assert_eq!(number.parse(), Ok(ttl));
        let content = unquote(string.as_bytes()).unwrap();
        prop_assert_eq!(&*content, detail.as_bytes());
        let any = written(&CacheStatus { detail: Some(&junk), ..HIT });
        prop_assert!(any.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}
