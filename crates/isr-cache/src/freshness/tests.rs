use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::HeaderMap;
use proptest::prelude::*;

use super::{HEURISTIC_MAX, Lifetime, Reuse, assess, current_age, date, initial_age, lifetime, modified_at};
use crate::control::tests::{any_value, headers};
use crate::control::{CacheControl, DELTA_SECONDS_MAX};
use crate::{Mode, Timestamp};

/// Tue, 18 Aug 2026 02:01:18 GMT, and some milliseconds.
const NOW: Timestamp = Timestamp(1_787_018_478_321);

type Lines<'a> = &'a [(&'a str, &'a str)];

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: i64) -> String {
    let secs = NOW.as_secs().saturating_add_signed(seconds);
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(secs))
}

fn request(value: &str) -> CacheControl {
    CacheControl::from_request(&headers(&[("cache-control", value)]))
}

#[test]
fn explicit_lifetimes() {
    let (past, soon, later, old) = (at(-7200), at(10), at(3600), at(-60));
    let table: &[(&str, Lines<'_>, u64)] = &[
        ("§4.2.1 nothing", &[], 0),
        ("§4.2.1 max-age", &[("cache-control", "max-age=3600")], 3600),
        ("§4.2.1 max-age of zero", &[("cache-control", "max-age=0"), ("expires", &later)], 0),
        ("§5.3 max-age over Expires", &[("cache-control", "max-age=3600"), ("expires", &past)], 3600),
        ("§5.3 max-age over a bad Expires", &[("cache-control", "max-age=3600"), ("expires", "0")], 3600),
        ("§5.2.2.10 s-maxage over max-age", &[("cache-control", "max-age=3600, s-maxage=1")], 1),
        (
            "§5.2.2.10 also where longer",
            &[("cache-control", "s-maxage=3600, max-age=0"), ("expires", &past)],
            3600,
        ),
        ("§5.2.2.4 no-cache", &[("cache-control", "max-age=3600, no-cache")], 0),
        ("§5.2.2.4 qualified", &[("cache-control", "max-age=3600, no-cache=\"a\"")], 3600),
        ("§4.2.1 Expires − Date", &[("expires", &soon), ("date", &old)], 70),
        ("§4.2.1 Expires alone", &[("expires", &soon)], 10),
        ("§4.2.1 Expires and a bad Date", &[("expires", &soon), ("date", "foo")], 10),
        ("§4.2.1 Expires before Date, both fast", &[("expires", &soon), ("date", &later)], 0),
        ("§5.3 Expires in the past", &[("expires", &past)], 0),
        ("§5.3 Expires: 0", &[("expires", "0"), ("last-modified", &past)], 0),
        ("§5.3 two of them", &[("expires", &later), ("expires", &later)], 0),
        ("RFC 9213 §2.2 over Expires", &[("cdn-cache-control", "max-age=5"), ("expires", &past)], 5),
        ("RFC 9213 §2.2 Expires not used", &[("cdn-cache-control", "foo"), ("expires", &later)], 0),
        ("RFC 9213 §2.2 no-cache", &[("cdn-cache-control", "no-cache"), ("cache-control", "max-age=100")], 0),
        (
            "§5.4 Pragma means nothing in a response",
            &[("cache-control", "max-age=5"), ("pragma", "no-cache")],
            5,
        ),
    ];
    for (rule, lines, expected) in table {
        // Received at a whole second: what is left until `Expires` is exact to the millisecond.
        let lifetime = lifetime(&headers(lines), StatusCode::OK, Timestamp(NOW.as_secs() * 1000));
        assert_eq!(lifetime.fresh_for, Duration::from_secs(*expected), "{rule}: {lines:?}");
    }
}

#[test]
fn heuristic_lifetimes() {
    let modified = at(-1000);
    let date = at(0);
    let from = |status: u16, extra: &[(&str, &str)]| {
        let mut lines = vec![("last-modified", modified.as_str()), ("date", date.as_str())];
        lines.extend_from_slice(extra);
        lifetime(&headers(&lines), StatusCode::from_u16(status).unwrap(), NOW)
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        let lifetime = from(status, &[]);
        assert_eq!(
            (lifetime.fresh_for, lifetime.heuristic),
            (100 * SECOND, true),
            "RFC 9110 §15.1: {status}"
        );
    }
    for status in [201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599] {
        assert_eq!(from(status, &[]).fresh_for, Duration::ZERO, "RFC 9110 §15.1: {status}");
        assert_eq!(
            from(status, &[("cache-control", "public")]).fresh_for,
            100 * SECOND,
            "§4.2.2 public: {status}"
        );
    }
    let explicit = from(200, &[("cache-control", "max-age=0")]);
    assert_eq!(
        (explicit.fresh_for, explicit.heuristic),
        (Duration::ZERO, false),
        "§4.2.2 never beside an explicit one"
    );
    let ancient = headers(&[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")]);
    assert_eq!(lifetime(&ancient, StatusCode::OK, NOW).fresh_for, HEURISTIC_MAX);
    let future = headers(&[("last-modified", &at(500))]);
    assert_eq!(lifetime(&future, StatusCode::OK, NOW).fresh_for, Duration::ZERO);
}

#[test]
fn stale_windows() {
    let table = [
        ("§4.2.4 nothing said", "max-age=1", None, None, false),
        ("RFC 5861", "max-age=1, stale-while-revalidate=5, stale-if-error=6", Some(5), Some(6), false),
        (
            "§5.2.2.2 wins",
            "max-age=1, must-revalidate, stale-while-revalidate=5, stale-if-error=6",
            None,
            None,
            true,
        ),
        ("§5.2.2.8 wins", "max-age=1, proxy-revalidate, stale-if-error=6", None, None, true),
        ("§5.2.2.4 wins", "no-cache, stale-while-revalidate=5", None, None, true),
        ("§5.2.2.10 forbids", "s-maxage=1", None, None, true),
        ("§5.2.2.10 beside a grant", "s-maxage=1, stale-while-revalidate=5", Some(5), None, true),
        ("§5.2.2.4 qualified", "max-age=1, no-cache=\"a\", stale-if-error=6", None, Some(6), false),
    ];
    for (rule, value, revalidate, error, must_revalidate) in table {
        let lifetime = lifetime(&headers(&[("cache-control", value)]), StatusCode::OK, NOW);
        assert_eq!(lifetime.stale_while_revalidate, revalidate.map(Duration::from_secs), "{rule}: {value}");
        assert_eq!(lifetime.stale_if_error, error.map(Duration::from_secs), "{rule}: {value}");
        assert_eq!(lifetime.must_revalidate, must_revalidate, "{rule}: {value}");
    }
}

#[test]
fn age_on_arrival() {
    let (past, future) = (at(-7200), at(60));
    let requested = Timestamp(NOW.0 - 1500);
    let delay = Duration::from_millis(1500);
    let table: &[(&str, Lines<'_>, Duration)] = &[
        ("§4.2.3 the delay of the response", &[], delay),
        ("§4.2.3 Age and delay", &[("age", "100")], 100 * SECOND + delay),
        ("§4.2.3 apparent age", &[("date", &past)], 7200 * SECOND),
        ("§4.2.3 the greater, Date", &[("date", &past), ("age", "100")], 7200 * SECOND),
        ("§4.2.3 the greater, Age", &[("date", &past), ("age", "8000")], 8000 * SECOND + delay),
        ("§4.2.3 Date of a fast clock", &[("date", &future), ("age", "5")], 5 * SECOND + delay),
        ("§5.1 first of a list", &[("age", "7200, 0")], 7200 * SECOND + delay),
        ("§5.1 first of a list", &[("age", "0,7200")], delay),
        ("§5.1 first line", &[("age", "0"), ("age", "7200")], delay),
        ("§5.1 no number", &[("age", "abc")], delay),
        ("§5.1 negative", &[("age", "-7200")], delay),
        ("§5.1 fraction", &[("age", "7200.0")], delay),
        ("§5.1 with a parameter", &[("age", "7200;foo=1")], delay),
        ("§1.2.2 beyond 31 bits", &[("age", "2147483649")], DELTA_SECONDS_MAX + delay),
        ("§1.2.2 beyond 64 bits", &[("age", "99999999999999999999999")], DELTA_SECONDS_MAX + delay),
    ];
    for (rule, lines, expected) in table {
        assert_eq!(initial_age(&headers(lines), requested, NOW), *expected, "{rule}: {lines:?}");
    }
    // The fraction of the second in which it arrived is no age.
    assert_eq!(initial_age(&headers(&[("date", &at(0))]), NOW, NOW), Duration::ZERO);
    // A clock that went back between request and response makes no negative age.
    assert_eq!(initial_age(&HeaderMap::new(), Timestamp(NOW.0 + 5000), NOW), Duration::ZERO);
    assert_eq!(current_age(5 * SECOND, NOW, NOW.after(2 * SECOND)), 7 * SECOND, "§4.2.3 resident time");
    assert_eq!(current_age(5 * SECOND, NOW, Timestamp(0)), 5 * SECOND);
}

#[test]
fn reuse_of_a_stored_response() {
    let validate = |stale_if_error| Reuse::MustValidate { fresh: false, stale_if_error };
    let demanded = Reuse::MustValidate { fresh: true, stale_if_error: true };
    let fresh = |ttl: u32| Reuse::Fresh { ttl: ttl * SECOND };
    let behind = |stale: u32| Reuse::StaleWhileRevalidate { stale_for: stale * SECOND };
    let stale = |stale: u32| Reuse::Stale { stale_for: stale * SECOND };
    let windows = "max-age=10, stale-while-revalidate=20, stale-if-error=100";
    let table = [
        // rule, response, age, request, expected
        ("§4.2 fresh", "max-age=10", 3, "", fresh(7)),
        ("§4.2 at the end", "max-age=10", 10, "", validate(true)),
        ("§4.2.4 stale, nothing said", "max-age=10", 15, "", validate(true)),
        ("§4.2.4 must-revalidate", "max-age=10, must-revalidate", 15, "", validate(false)),
        ("§4.2.4 proxy-revalidate", "max-age=10, proxy-revalidate", 15, "", validate(false)),
        ("§4.2.4 s-maxage", "s-maxage=10", 15, "", validate(false)),
        ("§5.2.2.4 no-cache", "max-age=10, no-cache", 0, "", validate(false)),
        ("§5.2.2.2 fresh all the same", "max-age=10, must-revalidate", 3, "", fresh(7)),
        ("RFC 5861 §3 begins at expiry", windows, 10, "", behind(0)),
        ("RFC 5861 §3", windows, 15, "", behind(5)),
        ("RFC 5861 §3 ends", windows, 30, "", validate(true)),
        ("RFC 5861 §3 of max-age=0", "max-age=0, stale-while-revalidate=5", 0, "", behind(0)),
        ("RFC 5861 §3 beside s-maxage", "s-maxage=10, stale-while-revalidate=5", 12, "", behind(2)),
        ("RFC 5861 §3 of 0", "max-age=10, stale-while-revalidate=0", 10, "", validate(true)),
        ("RFC 5861 §4 within", windows, 109, "", validate(true)),
        ("RFC 5861 §4 behind", windows, 110, "", validate(false)),
        ("RFC 5861 §4 beside s-maxage", "s-maxage=10, stale-if-error=5", 12, "", validate(true)),
        ("§5.2.1.1 old enough", "max-age=10", 3, "max-age=3", fresh(7)),
        ("§5.2.1.1 too old", "max-age=10", 4, "max-age=3", demanded),
        ("§5.2.1.1 reload", "max-age=10", 0, "max-age=0", demanded),
        ("§5.2.1.1 wants no stale one", windows, 12, "max-age=60", validate(true)),
        ("§5.2.1.1 with max-stale", windows, 12, "max-age=60, max-stale=5", behind(2)),
        ("§5.2.1.2 within", "max-age=10", 15, "max-stale=5", stale(5)),
        ("§5.2.1.2 beyond", "max-age=10", 16, "max-stale=5", validate(true)),
        ("§5.2.1.2 of any age", "max-age=10", 5000, "max-stale", stale(4990)),
        ("§5.2.1.2 forbidden", "max-age=10, must-revalidate", 15, "max-stale", validate(false)),
        ("§5.2.1.2 forbidden by no-cache", "no-cache", 0, "max-stale", validate(false)),
        ("§5.2.1.2 narrows the window", windows, 20, "max-stale=5", validate(true)),
        ("§5.2.1.3 fresh enough", "max-age=10", 3, "min-fresh=7", fresh(7)),
        ("§5.2.1.3 not enough", "max-age=10", 4, "min-fresh=7", demanded),
        ("§5.2.1.3 of a stale one", windows, 12, "min-fresh=0", validate(true)),
        ("§5.2.1.4 no-cache", "max-age=10", 3, "no-cache", demanded),
        ("§5.2.2.2 begins at expiry", "max-age=10, must-revalidate", 3, "no-cache", demanded),
        ("§5.2.1.4 in the window", windows, 12, "no-cache", validate(true)),
        ("§5.2.1.5 is about storing", "max-age=10", 3, "no-store", fresh(7)),
        ("§5.2.1.7 fresh", "max-age=10", 3, "only-if-cached", fresh(7)),
        ("§5.2.1.7 in the window", windows, 15, "only-if-cached", behind(5)),
        ("§5.2.1.7 stale", "max-age=10", 15, "only-if-cached", Reuse::GatewayTimeout),
        ("§5.2.1.7 with no-cache", "max-age=10", 3, "only-if-cached, no-cache", Reuse::GatewayTimeout),
    ];
    for (rule, response, age, asked, expected) in table {
        let lifetime = lifetime(&headers(&[("cache-control", response)]), StatusCode::OK, NOW);
        let reuse = assess(age * SECOND, &lifetime, None, &request(asked));
        assert_eq!(reuse, expected, "{rule}: {response} at {age} s for {asked:?}");
    }
}

#[test]
fn reuse_of_an_invalidated_response() {
    let validate = |stale_if_error| Reuse::MustValidate { fresh: false, stale_if_error };
    let behind = |stale: u32| Reuse::StaleWhileRevalidate { stale_for: stale * SECOND };
    let windows = "max-age=10, stale-while-revalidate=20";
    let (soft, hard) = (Mode::Soft, Mode::Hard);
    let table = [
        // rule, response, age, how, request, expected
        ("§4.4 hard", "max-age=10", 3, hard, "", Reuse::Invalid),
        ("§4.4 no window covers it", windows, 12, hard, "", Reuse::Invalid),
        ("§4.4 nor does the request", "max-age=10", 3, hard, "max-stale", Reuse::Invalid),
        ("§4.4 and only-if-cached", "max-age=10", 3, hard, "only-if-cached", Reuse::GatewayTimeout),
        ("soft: once more", "max-age=10", 3, soft, "", behind(0)),
        ("soft: not once it is old", "max-age=10", 12, soft, "", validate(true)),
        ("soft: within the window", windows, 15, soft, "", behind(5)),
        ("soft: behind the window", windows, 30, soft, "", validate(true)),
        ("soft: not against the origin", "max-age=10, must-revalidate", 12, soft, "", validate(false)),
        ("soft: not against s-maxage", "s-maxage=10", 12, soft, "", validate(false)),
        (
            "soft: with the window beside s-maxage",
            "s-maxage=10, stale-while-revalidate=5",
            3,
            soft,
            "",
            behind(0),
        ),
        ("soft: not against the request", "max-age=10", 3, soft, "no-cache", validate(true)),
        ("soft: nothing is fresh", "max-age=10", 3, soft, "min-fresh=1", validate(true)),
    ];
    for (rule, response, age, how, asked, expected) in table {
        let lifetime = lifetime(&headers(&[("cache-control", response)]), StatusCode::OK, NOW);
        let reuse = assess(age * SECOND, &lifetime, Some(how), &request(asked));
        assert_eq!(reuse, expected, "{rule}: {response} at {age} s for {asked:?}");
    }
}

#[test]
fn the_time_of_change() {
    let (modified, date) = (at(-100), at(-50));
    let seconds = |lines: &[(&str, &str)]| NOW.as_secs() - modified_at(&headers(lines), NOW).as_secs();
    assert_eq!(seconds(&[("last-modified", &modified), ("date", &date)]), 100, "§4.3.2");
    assert_eq!(seconds(&[("last-modified", "junk"), ("date", &date)]), 50, "§4.3.2 Date");
    assert_eq!(seconds(&[]), 0, "§4.3.2 arrival");
}

#[test]
fn dates() {
    let reference = date::parse(b"Thu, 18 Aug 2050 02:01:18 GMT").unwrap();
    assert_eq!(Ok(reference.as_secs()), seconds_of("Thu, 18 Aug 2050 02:01:18 GMT"));
    for same in [
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "Mon, 18 Aug 2050 02:01:18 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "THURSDAY, 18-aug-50 02:01:18 gmt",
        "Thu Aug 18 02:01:18 2050",
    ] {
        assert_eq!(date::parse(same.as_bytes()), Some(reference), "{same}");
    }
    for (text, expected) in [
        ("Thu Aug  8 02:01:18 2050", "Mon, 08 Aug 2050 02:01:18 GMT"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Sun, 21 Nov 2286 04:46:39 GMT", "Thu, 21 Nov 2286 04:46:39 GMT"),
        ("Sat, 29 Feb 2020 00:00:00 GMT", "Sat, 29 Feb 2020 00:00:00 GMT"),
        ("Sat, 31 Dec 2016 23:59:60 GMT", "Sun, 01 Jan 2017 00:00:00 GMT"),
        ("Mon, 01 Jan 1900 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Mon, 01 Jan 0000 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ] {
        let expected = date::parse(expected.as_bytes());
        assert!(expected.is_some() && date::parse(text.as_bytes()) == expected, "{text}");
    }
    for bad in [
        "",
        "0",
        "-1",
        "now",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 2050 02:01:18",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thu, 18 Aug 2050 02:60:18 GMT",
        "Thu, 18 Aug 2050 02:01:61 GMT",
        "Thu, 31 Jun 2050 02:01:18 GMT",
        "Thu, 00 Aug 2050 02:01:18 GMT",
        "Mon, 29 Feb 2100 00:00:00 GMT",
        "Thu, +8 Aug 2050 02:01:18 GMT",
        "Foo, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 Foo 2050 02:01:18 GMT",
        "Thursday, 18-Aug-2050 02:01:18 GMT",
    ] {
        assert_eq!(date::parse(bad.as_bytes()), None, "{bad}");
    }
}

fn seconds_of(text: &str) -> Result<u64, ()> {
    let instant = httpdate::parse_http_date(text).map_err(drop)?;
    Ok(instant.duration_since(SystemTime::UNIX_EPOCH).map_err(drop)?.as_secs())
}

proptest! {
    #[test]
    fn every_date_is_read_back(seconds in 0_u64..253_402_300_800) {
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        prop_assert_eq!(date::parse(text.as_bytes()), Some(Timestamp(seconds * 1000)));
    }

    #[test]
    fn every_date_is_written_as_it_is_to_be(seconds in 1_u32..=u32::MAX) {
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()));
        let written = date::format(Timestamp(u64::from(seconds) * 1000).seconds());
        prop_assert_eq!(std::str::from_utf8(&written), Ok(&*text));
    }

    #[test]
    fn any_response_has_a_lifetime_and_an_age(
        values in proptest::collection::vec(any_value(), 6), status in 200_u16..600, requested: u64, received: u64, later: u64,
    ) {
        let names = ["cache-control", "expires", "date", "last-modified", "age", "cdn-cache-control"];
        let map: HeaderMap = names.iter().map(|name| name.parse().unwrap()).zip(values).collect();
        let (requested, received, later) = (Timestamp(requested), Timestamp(received), Timestamp(later));
        let lifetime = lifetime(&map, StatusCode::from_u16(status).unwrap(), received);
        let initial = initial_age(&map, requested, received);
        let age = current_age(initial, received, later);
        prop_assert!(age >= initial);
        if let Reuse::Fresh { ttl } = assess(age, &lifetime, None, &CacheControl::default()) {
            prop_assert!(age + ttl == lifetime.fresh_for);
        }
        modified_at(&map, received);
    }

    #[test]
    fn age_grows_as_time_does(age: u32, first: u32, second: u32) {
        let initial = Duration::from_secs(age.into());
        let at = |elapsed: u32| current_age(initial, NOW, NOW.after(Duration::from_millis(elapsed.into())));
        prop_assert_eq!(first <= second, at(first) <= at(second));
        prop_assert!(at(first) >= initial);
    }

    #[test]
    fn a_request_only_ever_narrows_unless_it_says_max_stale(
        fresh in 0_u64..100, window in proptest::option::of(0_u64..100), error in proptest::option::of(0_u64..100),
        must_revalidate: bool, age in 0_u64..300, asked in "(max-age=[0-9]{1,2}|min-fresh=[0-9]{1,2}|no-cache|no-store)",
    ) {
        let seconds = Duration::from_secs;
        let lifetime = Lifetime {
            fresh_for: seconds(fresh),
            stale_while_revalidate: window.map(seconds),
            stale_if_error: error.map(seconds),
            must_revalidate,
            heuristic: false,
        };
        let plain = assess(seconds(age), &lifetime, None, &CacheControl::default());
        let narrowed = assess(seconds(age), &lifetime, None, &request(&asked));
        prop_assert!(narrowed == plain || matches!(narrowed, Reuse::MustValidate { .. }), "{:?}", narrowed);
        prop_assert!(!matches!(plain, Reuse::Stale { .. } | Reuse::GatewayTimeout), "{:?}", plain);
        if must_revalidate && window.is_none() && error.is_none() && age >= fresh {
            prop_assert_eq!(assess(seconds(age), &lifetime, None, &request("max-stale")), Reuse::MustValidate { fresh: false, stale_if_error: false });
        }
    }
}
