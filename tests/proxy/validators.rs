//! Validators, ranges and HEAD: all answered from the store (RFC 9110 §8.8, §13, §14).

use crate::support::{
    Answer, Origin, PATIENCE, Proxy, Response, eventually, get, head, let_the_interval_end, route,
};

async fn stored(body: &str) -> (Origin, Proxy, Response) {
    let text = body.to_owned();
    let modified = "Thu, 01 Jan 2026 00:00:00 GMT";
    let origin = Origin::start(move |_| Answer::page(text.clone()).header("last-modified", modified)).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    let page = proxy.get("/page").await;
    (origin, proxy, page)
}

#[tokio::test]
async fn conditional_requests_are_answered_from_the_store() {
    let (origin, proxy, page) = stored("page").await;
    let etag = page.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "a strong entity tag: {etag:?}");
    let weak = format!("W/{etag}");
    let list = format!("\"other\", {etag}, W/\"third\"");
    let none_match = "If-None-Match";
    let since = "If-Modified-Since";
    let cases = [
        (vec![(none_match, etag.as_str())], 304, "the tag"),
        (vec![(none_match, weak.as_str())], 304, "the tag by weak comparison (RFC 9110 §13.1.2)"),
        (vec![(none_match, list.as_str())], 304, "the tag in a list"),
        (vec![(none_match, "*")], 304, "any tag"),
        (vec![(none_match, "\"other\"")], 200, "another tag"),
        (vec![(none_match, "")], 200, "no tag"),
        (vec![(none_match, "garbage")], 200, "no tag at all"),
        (vec![(since, "Thu, 01 Jan 2026 00:00:00 GMT")], 304, "not modified since then"),
        (vec![(since, "Fri, 02 Jan 2026 00:00:00 GMT")], 304, "not modified since later"),
        (vec![(since, "Wed, 31 Dec 2025 00:00:00 GMT")], 200, "modified since then"),
        (vec![(since, "yesterday")], 200, "no date"),
        (
            vec![(none_match, "\"other\""), (since, "Fri, 02 Jan 2026 00:00:00 GMT")],
            200,
            "If-None-Match goes first",
        ),
    ];
    let mut client = proxy.client().await;
    for (fields, status, why) in cases {
        let request = fields.iter().fold(get("/page"), |request, (name, value)| request.header(name, *value));
        let answer = client.send(&request).await;
        assert_eq!(answer.status, status, "{why}: {:?}", answer.headers);
        assert_eq!(answer.cache(), "HIT", "{why}: from the store");
        if status == 304 {
            assert!(answer.body.is_empty(), "{why}: a 304 has no body");
            assert_eq!(answer.header("etag"), etag, "{why}: a 304 repeats the tag (RFC 9110 §15.4.5)");
            assert_eq!(
                answer.header("cache-control"),
                page.header("cache-control"),
                "{why}: and Cache-Control"
            );
            assert!(
                answer.headers.get("content-length").is_none_or(|l| l == "4"),
                "{why}: no length of its own"
            );
        } else {
            assert_eq!(answer.text(), "page", "{why}");
        }
    }
    let by_head = client.send(&head("/page").header(none_match, etag)).await;
    assert_eq!(by_head.status, 304, "HEAD is conditional as well");
    assert_eq!(origin.count(), 1, "no condition reaches the origin");
}

#[tokio::test]
async fn a_condition_on_a_cold_page_does_not_reach_its_render() {
    let origin = Origin::start(|request| {
        let told = request.headers.get("if-none-match").or(request.headers.get("range"));
        if told.is_some() { Answer::status(304) } else { Answer::page("page") }
    })
    .await;
    let routes = [route("/[page]").interval("60s"), route("/clock").interval("1s")];
    let proxy = Proxy::serving(&origin, routes).await;
    proxy.send(&get("/a").header("If-None-Match", "\"x\"")).await.is(200, "MISS", "page", "a cold page");
    let part = proxy.send(&get("/b").header("Range", "bytes=0-1")).await;
    assert!(matches!(part.status, 200 | 206), "a part or the whole of a cold page: {}", part.status);
    for target in ["/a", "/b"] {
        proxy.get(target).await.is(200, "HIT", "page", "what is stored is the whole page");
    }
    let etag = proxy.get("/clock").await.header("etag").to_owned();
    let_the_interval_end().await;
    let stale = proxy.send(&get("/clock").header("If-None-Match", etag)).await;
    assert_eq!((stale.status, stale.cache()), (304, "STALE"), "a stale page is validated by its own tag");
}

#[tokio::test]
async fn the_tag_follows_the_bytes() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("1s"), route("/same").interval("1s")]).await;
    let old = proxy.get("/page").await;
    origin.answer(|request| {
        Answer::page(if request.target == "/same" { "v1".to_owned() } else { "v2".to_owned() })
    });
    let same = proxy.get("/same").await;
    let_the_interval_end().await;
    proxy.get("/same").await;
    let new = proxy.visit_until("/page", "the new page", |page| page.text() == "v2").await;
    assert_ne!(new.header("etag"), old.header("etag"), "other bytes have another tag");
    let answer = proxy.send(&get("/page").header("If-None-Match", old.header("etag"))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "v2"), "who has the old page gets the new one");
    eventually("the same bytes are rendered again", PATIENCE, async || {
        (origin.count_of("/same") >= 2).then_some(())
    })
    .await;
    let again = proxy.visit_until("/same", "the page rendered again", |page| page.cache() == "HIT").await;
    assert_eq!(again.header("etag"), same.header("etag"), "the same bytes keep their tag");
}

#[tokio::test]
async fn a_part_of_a_long_page_is_that_part() {
    // Every five bytes say where they are; a body so long is sent from a file.
    let body = (0..40_000).map(|number| format!("{number:05}")).collect::<Vec<_>>().concat();
    let sent = body.clone();
    let origin = Origin::start(move |_| Answer::page(sent.clone())).await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("1h")]).await;
    assert_eq!(proxy.get("/page").await.text(), body);
    let mut client = proxy.client().await;
    for (first, last) in [(0, 9), (70_002, 150_001), (199_990, 199_999)] {
        let part = client.send(&get("/page").header("Range", format!("bytes={first}-{last}"))).await;
        assert_eq!((part.status, part.header("x-isr-cache")), (206, "HIT"));
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/200000"));
        assert!(part.text() == body[first..=last], "bytes {first} to {last}");
    }
    assert_eq!(client.send(&get("/page")).await.text(), body, "and the whole page is still there");
}

#[tokio::test]
async fn ranges_are_cut_from_the_store() {
    let (origin, proxy, page) = stored("0123456789").await;
    let etag = page.header("etag").to_owned();
    let cases = [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=4-", 206, "456789", "bytes 4-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=8-99", 206, "89", "bytes 8-9/10"),
        ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
        ("bytes=5-2", 200, "0123456789", ""),
        ("lines=0-1", 200, "0123456789", ""),
        ("bytes=x", 200, "0123456789", ""),
        ("bytes=99999999999999999999-", 416, "", "bytes */10"),
    ];
    let mut client = proxy.client().await;
    for (range, status, body, content_range) in cases {
        let answer = client.send(&get("/page").header("Range", range)).await;
        // An over-long number may be read as too far (416) or as no range at all (200).
        let lenient = range.len() > 20 && answer.status == 200;
        assert!(answer.status == status || lenient, "{range}: {} {:?}", answer.status, answer.headers);
        if status != 416 {
            assert_eq!(answer.text(), body, "{range}");
        }
        if !lenient {
            assert_eq!(answer.header("content-range"), content_range, "{range}");
        }
    }
    let several = client.send(&get("/page").header("Range", "bytes=0-1,4-5")).await;
    assert!(several.status == 200 && several.text() == "0123456789", "several ranges may be the whole page");
    let many = (0..2000).map(|index| format!("{index}-{index}")).collect::<Vec<_>>().join(",");
    let hostile = proxy.client().await.try_send(&get("/page").header("Range", format!("bytes={many}"))).await;
    assert!(
        hostile.is_ok_and(|answer| matches!(answer.status, 200 | 416 | 431)),
        "two thousand ranges are no work"
    );

    let same = client.send(&get("/page").header("Range", "bytes=0-1").header("If-Range", etag.clone())).await;
    assert_eq!((same.status, same.text().as_str()), (206, "01"), "If-Range with the page's tag");
    let other = client.send(&get("/page").header("Range", "bytes=0-1").header("If-Range", "\"other\"")).await;
    assert_eq!((other.status, other.text().as_str()), (200, "0123456789"), "If-Range with another tag");
    let weak =
        client.send(&get("/page").header("Range", "bytes=0-1").header("If-Range", format!("W/{etag}"))).await;
    assert_eq!(weak.status, 200, "If-Range compares strongly (RFC 9110 §13.1.5)");
    let both = client.send(&get("/page").header("Range", "bytes=0-1").header("If-None-Match", etag)).await;
    assert_eq!(both.status, 304, "a condition goes before a range (RFC 9110 §13.2.2)");
    client.get("/page").await.is(200, "HIT", "0123456789", "no range has changed the page");
    assert_eq!(origin.count(), 1, "no range reaches the origin");
}

#[tokio::test]
async fn head_is_answered_from_the_page_of_get() {
    let (origin, proxy, page) = stored("page").await;
    let mut client = proxy.client().await;
    let answer = client.send(&head("/page")).await;
    answer.is(200, "HIT", "", "a HEAD is the page without its body");
    for name in ["etag", "content-type", "cache-control", "last-modified"] {
        assert_eq!(answer.header(name), page.header(name), "HEAD has the fields of GET: {name}");
    }
    assert_eq!(answer.header("content-length"), "4", "HEAD tells the length of the page");
    client.send(&head("/cold")).await.is(200, "MISS", "", "a HEAD of a cold page renders it");
    assert_eq!(origin.last().method, "GET", "with a GET");
    client.get("/cold").await.is(200, "HIT", "page", "so that the next GET is a hit");
}

#[tokio::test]
async fn the_first_visitors_encoding_is_not_everyones() {
    let origin = Origin::start(|request| {
        let encoded = request.headers.list("accept-encoding").contains("gzip");
        let page = Answer::page(if encoded { "not really gzip" } else { "page" });
        if encoded { page.header("content-encoding", "gzip") } else { page }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("60s")]).await;
    for (target, accept) in [("/a", "gzip"), ("/b", "br;q=0, gzip;q=1"), ("/c", "identity;q=0, *")] {
        proxy.send(&get(target).header("Accept-Encoding", accept)).await;
        let page = proxy.get(target).await;
        page.is(200, "HIT", "page", &format!("after a visitor with {accept:?} the page is plain"));
        assert_eq!(page.headers.get("content-encoding"), None, "after a visitor with {accept:?}");
    }
}
