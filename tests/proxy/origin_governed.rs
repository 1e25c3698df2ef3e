//! Routes without an interval: a shared cache by the book (RFC 9111, 9211, 9213, 5861).

use std::time::{Duration, SystemTime};

use crate::support::{Answer, Client, Origin, Proxy, Request, get, head, let_the_interval_end, post, route};

/// What the origin says, by page: field name and value.
type Said = (&'static str, Vec<(&'static str, String)>);

fn said(page: &'static str, fields: &[(&'static str, &str)]) -> Said {
    (page, fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
}

/// An origin whose pages count their renders and carry the fields of the table.
async fn saying(table: Vec<Said>) -> Origin {
    Origin::start(move |request| {
        let page = request.target.split('?').next().unwrap_or_default();
        let fields = table
            .iter()
            .find(|(name, _)| *name == page)
            .map(|(_, fields)| fields.clone())
            .unwrap_or_default();
        let answer = Answer::page(format!("v{}", request.nth));
        fields.into_iter().fold(answer, |answer, (name, value)| answer.header(name, value))
    })
    .await
}

async fn governed(origin: &Origin) -> Proxy {
    Proxy::serving(origin, [route("/[[...page]]").allow_query(&["*"])]).await
}

fn date(offset: i64) -> String {
    let shift = Duration::from_secs(offset.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if offset < 0 { now - shift } else { now + shift })
}

#[tokio::test]
async fn what_may_be_reused_is_and_nothing_else() {
    let cc = "cache-control";
    let (later, earlier, old) = (date(3600), date(-3600), date(-864_000));
    let reused = vec![
        said("/max-age", &[(cc, "max-age=60")]),
        said("/s-maxage", &[(cc, "max-age=0, s-maxage=60")]),
        said("/public", &[(cc, "public, max-age=60")]),
        said("/upper", &[(cc, "MAX-AGE=60")]),
        said("/quoted", &[(cc, "max-age=\"60\"")]),
        said("/unknown-directive", &[(cc, "max-age=60, x-new=\"a, no-store\"")]),
        said("/expires", &[("expires", &later)]),
        said("/max-age-over-expires", &[("expires", &earlier), (cc, "max-age=60")]),
        said("/heuristic", &[("last-modified", &old)]),
        said("/cdn", &[("cdn-cache-control", "max-age=60")]),
        said("/cdn-over-cc", &[("cdn-cache-control", "max-age=60"), (cc, "no-store")]),
        said("/cdn-over-expires", &[("cdn-cache-control", "max-age=60"), ("expires", &earlier)]),
        said("/cdn-invalid", &[("cdn-cache-control", "max-age=;;"), (cc, "max-age=60")]),
        said("/pragma", &[("pragma", "no-cache"), (cc, "max-age=60")]),
    ];
    let renewed = vec![
        said("/silent", &[]),
        said("/no-store", &[(cc, "no-store, max-age=60")]),
        said("/private", &[(cc, "private, max-age=60")]),
        said("/no-cache", &[(cc, "no-cache, max-age=60")]),
        said("/zero", &[(cc, "max-age=0")]),
        said("/negative", &[(cc, "max-age=-1")]),
        said("/s-maxage-zero", &[(cc, "max-age=60, s-maxage=0")]),
        said("/least-fresh", &[(cc, "max-age=60"), (cc, "max-age=0")]),
        said("/expired", &[("expires", &earlier)]),
        said("/expires-zero", &[("expires", "0")]),
        said("/vary-star", &[(cc, "max-age=60"), ("vary", "*")]),
        said("/set-cookie", &[(cc, "max-age=60"), ("set-cookie", "a=1")]),
        said("/aged", &[(cc, "max-age=60"), ("age", "61")]),
        said("/cdn-no-store", &[("cdn-cache-control", "no-store"), (cc, "max-age=60")]),
        said("/cdn-no-cache", &[("cdn-cache-control", "no-cache"), (cc, "max-age=60")]),
        said("/cdn-private", &[("cdn-cache-control", "private"), (cc, "max-age=60")]),
        said("/cdn-zero", &[("cdn-cache-control", "max-age=0"), (cc, "max-age=60")]),
    ];
    let origin = saying(reused.iter().chain(&renewed).cloned().collect()).await;
    let proxy = governed(&origin).await;
    let mut client = proxy.client().await;
    for (page, fields) in &reused {
        assert_eq!(client.get(page).await.text(), "v1", "{page}");
        let again = client.get(page).await;
        assert_eq!(again.text(), "v1", "{page} is reused: {fields:?}");
        assert!(
            again.headers.get("age").is_some(),
            "{page}: an answer from the store has an Age (RFC 9111 §5.1)"
        );
        assert!(
            again.headers.list("cache-status").contains("kube-isr; hit"),
            "{page}: and says so (RFC 9211)"
        );
        for (name, value) in fields {
            assert!(again.headers.all(name).any(|v| v == value), "{page}: {name} passes downstream");
        }
    }
    for (page, fields) in &renewed {
        assert_eq!(client.get(page).await.text(), "v1", "{page}");
        assert_eq!(client.get(page).await.text(), "v2", "{page} is not reused without asking: {fields:?}");
    }
}

#[tokio::test]
async fn private_answers_stay_private() {
    let origin = Origin::start(|request| {
        let who = request.headers.get("cookie").or(request.headers.get("authorization")).unwrap_or("nobody");
        let control = match request.target.as_str() {
            "/private" => "private, max-age=60",
            "/shared-by-leave" => "public, max-age=60",
            _ => "max-age=60",
        };
        Answer::page(who).header("cache-control", control).header("vary", "accept-encoding")
    })
    .await;
    let proxy = governed(&origin).await;
    let anna = |target: &str| get(target).header("Authorization", "anna");
    assert_eq!(proxy.send(&anna("/own")).await.text(), "anna", "the origin sees its visitor");
    assert_eq!(
        proxy.get("/own").await.text(),
        "nobody",
        "an answer to Authorization is not shared (RFC 9111 §3.5)"
    );
    assert_eq!(proxy.send(&anna("/shared-by-leave")).await.text(), "anna", "the origin allows it");
    assert_eq!(proxy.get("/shared-by-leave").await.text(), "anna", "public allows it");
    proxy.send(&get("/private").header("Cookie", "anna")).await;
    assert_eq!(proxy.get("/private").await.text(), "nobody", "private is private");
}

#[tokio::test]
async fn ages_add_up() {
    let origin = saying(vec![said("/aged", &[("cache-control", "max-age=3600"), ("age", "1000")])]).await;
    let proxy = governed(&origin).await;
    proxy.get("/aged").await;
    let age: u64 = proxy.get("/aged").await.header("age").parse().expect("an Age");
    assert!((1000..1100).contains(&age), "the age on arrival counts (RFC 9111 §4.2.3): {age}");
}

#[tokio::test]
async fn a_stale_answer_is_validated_and_updated() {
    let origin = Origin::start(|request| {
        let known = request.headers.get("if-none-match") == Some("\"one\"");
        let answer = if known { Answer::status(304) } else { Answer::page(format!("v{}", request.nth)) };
        let answer = answer.header("etag", "\"one\"").header("x-nth", request.nth.to_string());
        let control = if request.target == "/no-cache" { "no-cache" } else { "max-age=1" };
        answer.header("cache-control", control)
    })
    .await;
    let proxy = governed(&origin).await;
    for page in ["/short", "/no-cache"] {
        assert_eq!(proxy.get(page).await.text(), "v1", "{page}");
    }
    let_the_interval_end().await;
    for page in ["/short", "/no-cache"] {
        let validated = proxy.get(page).await;
        assert_eq!((validated.status, validated.text().as_str()), (200, "v1"), "{page}: the stored body");
        assert_eq!(validated.header("x-nth"), "2", "{page}: with the fields of the 304 (RFC 9111 §3.2)");
        let asked =
            origin.requests().into_iter().rfind(|request| request.target == page).expect("a validation");
        assert_eq!(asked.headers.get("if-none-match"), Some("\"one\""), "{page}: the origin is asked by tag");
    }
    assert_eq!(proxy.get("/no-cache").await.text(), "v1", "no-cache is stored, and asked for each time");
    assert_eq!(origin.count_of("/no-cache"), 3, "no-cache is stored, and asked for each time");
    let by_head = proxy.send(&head("/no-cache")).await;
    assert_eq!((by_head.status, by_head.body.len()), (200, 0), "HEAD of what is asked for each time");
}

#[tokio::test]
async fn stale_answers_within_the_origins_windows() {
    let cc = "cache-control";
    let origin = saying(vec![
        said("/swr", &[(cc, "max-age=1, stale-while-revalidate=600")]),
        said("/sie", &[(cc, "max-age=1, stale-if-error=600")]),
        said("/must", &[(cc, "max-age=1, must-revalidate, stale-if-error=600")]),
        said("/proxy", &[(cc, "max-age=1, proxy-revalidate, stale-while-revalidate=600")]),
        said("/short-swr", &[(cc, "max-age=1, stale-while-revalidate=0")]),
    ])
    .await;
    let proxy = governed(&origin).await;
    for page in ["/swr", "/sie", "/must", "/proxy", "/short-swr"] {
        assert_eq!(proxy.get(page).await.text(), "v1", "{page}");
    }
    let_the_interval_end().await;
    assert_eq!(
        proxy.get("/swr").await.text(),
        "v1",
        "stale-while-revalidate serves the stale answer (RFC 5861 §3)"
    );
    let what = "and renews it in the background";
    proxy.visit_until("/swr", what, |page| page.text() != "v1").await;
    for page in ["/proxy", "/short-swr"] {
        assert_eq!(proxy.get(page).await.text(), "v2", "{page} may not be stale");
    }
    origin.answer(|_| Answer::status(503).body("closed"));
    let kept = proxy.get("/sie").await;
    assert_eq!(
        (kept.status, kept.text().as_str()),
        (200, "v1"),
        "stale-if-error keeps the answer (RFC 5861 §4)"
    );
    let refused = proxy.get("/must").await;
    assert!(refused.status >= 500, "must-revalidate forbids it (RFC 9111 §5.2.2.2): {}", refused.status);
}

#[tokio::test]
async fn unsafe_methods_invalidate_when_they_succeed() {
    let origin = Origin::start(|request| {
        let page = Answer::page(format!("v{}", request.nth)).header("cache-control", "max-age=60");
        match request.method.as_str() {
            "GET" | "HEAD" => page,
            _ if request.body == b"fail" => Answer::status(500),
            _ if request.body == b"elsewhere" => Answer::status(201).header("location", "/other"),
            _ if request.body == b"abroad" => {
                Answer::status(201).header("location", "http://evil.example/third")
            }
            _ => Answer::status(204),
        }
    })
    .await;
    let proxy = governed(&origin).await;
    for page in ["/page", "/other", "/third"] {
        assert_eq!(proxy.get(page).await.text(), "v1", "{page}");
    }
    proxy.send(&post("/page", "fail")).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "a failed POST changes nothing (RFC 9111 §4.4)");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let before = proxy.get("/page").await.text();
        proxy.send(&Request { body: b"x".to_vec(), ..Request::new(method, "/page") }).await;
        assert_ne!(proxy.get("/page").await.text(), before, "a successful {method} invalidates its target");
    }
    let before = proxy.get("/third").await.text();
    proxy.send(&post("/form", "elsewhere")).await;
    assert_eq!(proxy.get("/other").await.text(), "v2", "and what its Location names");
    proxy.send(&post("/form", "abroad")).await;
    assert_eq!(proxy.get("/third").await.text(), before, "but not on another host");
}

#[tokio::test]
async fn variants_by_the_origins_vary() {
    let origin = Origin::start(|request| {
        let language = request.headers.get("accept-language").unwrap_or("none");
        Answer::page(format!("{language} {}", request.nth))
            .header("cache-control", "max-age=60")
            .header("vary", "Accept-Language")
    })
    .await;
    let proxy = governed(&origin).await;
    let mut client = proxy.client().await;
    let mut ask =
        async |language: &str| client.send(&get("/page").header("Accept-Language", language)).await.text();
    assert_eq!(ask("de").await, "de 1", "the first German visitor");
    assert_eq!(ask("en").await, "en 2", "the first English visitor");
    assert_eq!(ask("de").await, "de 1", "German is still stored");
    assert_eq!(ask("en").await, "en 2", "English is still stored");
}

#[tokio::test]
async fn the_visitors_own_directives_count() {
    let origin = saying(vec![said("/page", &[("cache-control", "max-age=60")])]).await;
    let proxy = governed(&origin).await;
    let directive = |value: &str| get("/page").header("Cache-Control", value);
    let absent = proxy.send(&get("/absent").header("Cache-Control", "only-if-cached")).await;
    assert_eq!((absent.status, origin.count()), (504, 0), "only-if-cached asks nobody (RFC 9111 §5.2.1.7)");
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    assert_eq!(
        proxy.send(&directive("only-if-cached")).await.text(),
        "v1",
        "only-if-cached is answered if it can be"
    );
    assert_eq!(proxy.send(&directive("max-age=30")).await.text(), "v1", "young enough");
    assert_eq!(proxy.send(&directive("min-fresh=3600")).await.text(), "v2", "not fresh for long enough");
    assert_eq!(proxy.send(&directive("no-cache")).await.text(), "v3", "no-cache asks the origin");
    assert_eq!(proxy.get("/page").await.text(), "v3", "and its answer is stored");
}

#[tokio::test]
async fn errors_parts_and_bodies_are_not_mistaken_for_pages() {
    let origin = Origin::start(|request| {
        let stored = |answer: Answer| answer.header("cache-control", "max-age=60");
        match (request.target.as_str(), request.headers.get("range")) {
            ("/part", Some(_)) => {
                stored(Answer::status(206).header("content-range", "bytes 0-1/4").body("pa"))
            }
            ("/torn", _) if request.nth == 1 => stored(Answer::page("to").claiming(4)),
            _ => stored(Answer::page("page")),
        }
    })
    .await;
    let proxy = governed(&origin).await;
    let part = proxy.send(&get("/part").header("Range", "bytes=0-1")).await;
    assert!(part.status == 206 || part.status == 200, "a part of what is not stored");
    let whole = proxy.get("/part").await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "page"), "a part is not the page");
    let torn = Client::connect(proxy.address()).await.try_send(&get("/torn")).await;
    assert!(torn.is_err() || torn.is_ok_and(|answer| answer.status >= 500), "a torn body is not whole");
    assert_eq!(proxy.get("/torn").await.text(), "page", "a torn body is not stored");
    let fat = Request { body: b"body".to_vec(), ..get("/fat") };
    proxy.send(&fat).await;
    proxy.send(&fat).await;
    assert_eq!(origin.count_of("/fat"), 2, "a GET with a body neither stores nor hits");
    let query = proxy.get("/page?a=1").await.text();
    assert_eq!(proxy.get("/page?a=1").await.text(), query, "allowed queries are keyed");
}
