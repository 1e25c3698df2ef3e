//! Hits: answered from the bytes as they arrive, or by way of the HTTP library when there is more to a request. Nobody can
//! tell which, and the two share connections in any order.

use std::time::Duration;

use crate::support::{
    Answer, HOST, Origin, PATIENCE, Proxy, Request, Response, TOKEN, eventually, get, head, let_time_pass,
    post, route,
};

/// Names a field of this hop only, which says nothing to a cache and keeps the request from being answered the short way.
fn the_long_way(request: Request) -> Request {
    request.header("Connection", "keep-alive, x-nothing")
}

/// The same over HTTP/2, where no field is of one hop.
fn the_long_way_over_http2(request: Request) -> Request {
    request.header("Trailer", "x-nothing")
}

fn said(answer: &Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let varies = ["age", "cache-status"];
    let mut fields: Vec<_> =
        answer.headers.0.iter().filter(|(name, _)| !varies.contains(&name.as_str())).cloned().collect();
    fields.sort();
    (answer.status, fields, answer.body.clone())
}

#[tokio::test]
async fn a_hit_is_the_same_either_way() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/moved" => Answer::status(308).header("location", "/page"),
        "/gone" => Answer::status(410).body("gone"),
        _ => Answer::page("<p>a line of the page</p>\n".repeat(200))
            .header("link", "</a.css>; rel=preload")
            .header("link", "</b.css>; rel=preload")
            .header("last-modified", "Tue, 18 Aug 2026 02:01:18 GMT"),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("1h")]).await;
    for page in ["/page", "/moved", "/gone"] {
        proxy.get(page).await;
    }
    let gzip = || get("/page").header("Accept-Encoding", "gzip");
    let brotli = || get("/page").header("Accept-Encoding", "br;q=1, gzip;q=0.5");
    for (request, coding) in [(gzip(), "gzip"), (brotli(), "br")] {
        eventually("the page is compressed", PATIENCE, async || {
            (proxy.send(&request).await.header("content-encoding") == coding).then_some(())
        })
        .await;
    }
    let etag = proxy.get("/page").await.header("etag").to_owned();
    let requests = [
        get("/page"),
        get("/page?ignored=1"),
        get("/moved"),
        get("/gone"),
        gzip(),
        brotli(),
        get("/page").header("If-None-Match", &*etag),
        get("/page").header("If-None-Match", "\"another\""),
        gzip().header("If-None-Match", "*"),
        get("/page").header("If-Modified-Since", "Tue, 18 Aug 2026 02:01:18 GMT"),
        get("/gone").header("If-None-Match", "*"),
        get("/page").header("Cookie", "a=b; __prerender_bypass=guessed"),
    ];
    let (mut client, h2) = (proxy.client().await, proxy.h2().await);
    for request in requests {
        let short = client.send(&request).await;
        let long = proxy.send(&the_long_way(request.clone())).await;
        let (short2, long2) =
            (h2.send(&request).await, h2.send(&the_long_way_over_http2(request.clone())).await);
        assert_eq!(short.cache(), "HIT", "{request:?}: {short:?}");
        assert!(short.headers.list("cache-status").starts_with("kube-isr; hit; ttl="), "{short:?}");
        assert_eq!(said(&short), said(&long), "{request:?}");
        assert_eq!(said(&short2), said(&long2), "over HTTP/2: {request:?}");
        assert_eq!(said(&short2), said(&short), "over both: {request:?}");
        assert!(short2.headers.list("cache-status").starts_with("kube-isr; hit; ttl="), "{short2:?}");
    }
    assert_eq!(origin.count(), 3, "each page was rendered once");
}

#[tokio::test]
async fn what_tells_requests_apart_does_so_also_when_the_page_is_known() {
    let origin = Origin::start(|request| {
        let asked = request.headers.get("accept-language").unwrap_or("none").to_owned();
        Answer::page(format!("{} in {asked}", request.target))
    })
    .await;
    let page = route("/page").interval("1h").token(TOKEN).vary_by(&["Accept-Language"]).allow_query(&["q"]);
    let proxy = Proxy::serving(&origin, [page, route("/plain").interval("1h")]).await;
    let is_hit = async |request: Request, body: &str| {
        let answer = proxy.send(&request).await;
        assert_eq!((answer.cache(), &*answer.text()), ("HIT", body), "{request:?}");
    };
    let german = || get("/page").header("Accept-Language", "de");
    for request in [get("/page"), german(), get("/page?q=1"), get("/plain")] {
        assert_eq!(proxy.send(&request).await.cache(), "MISS", "{request:?}");
    }
    for _ in 0..3 {
        is_hit(get("/plain"), "/plain in none").await;
        is_hit(get("/plain?q=1&utm_source=a"), "/plain in none").await;
        is_hit(get("/page"), "/page in none").await;
        is_hit(get("/page?r=1"), "/page in none").await;
        is_hit(get("/%70age"), "/page in none").await;
        is_hit(german(), "/page in de").await;
        is_hit(get("/page?q=1"), "/page?q=1 in none").await;
    }
    // A target that no URI is, whatever page its beginning means.
    for request in [get("/plain?<a>"), get("/plain?a\"b")] {
        assert_eq!(proxy.send(&request).await.status, 400, "{request:?}");
    }
    let draft = get("/page").header("Cookie", &*format!("__prerender_bypass={TOKEN}"));
    assert_eq!(proxy.send(&draft).await.cache(), "BYPASS");
    is_hit(get("/page"), "/page in none").await;
}

#[tokio::test]
async fn hits_and_other_requests_share_a_connection_in_any_order_and_any_pieces() {
    const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
    let origin = Origin::start(|request| {
        Answer::page(format!("{} {} {}", request.method, request.target, request.body.len()))
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/hot/[page]").interval("1h")]).await;
    proxy.get("/hot/1").await.is(200, "MISS", "GET /hot/1 0", "the first visitor renders");
    let chunked = format!(
        "POST /pass/chunks HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n",
        SMUGGLED.len()
    );
    let body = SMUGGLED.len();
    let kinds: [(Vec<u8>, String); 7] = [
        (get("/hot/1").bytes(), "GET /hot/1 0".into()),
        (get("/hot/1?x").header("Cookie", "a=b").bytes(), "GET /hot/1 0".into()),
        (post("/pass/post", SMUGGLED).bytes(), format!("POST /pass/post {body}")),
        (chunked.into_bytes(), format!("POST /pass/chunks {body}")),
        (get("/pass/get").bytes(), "GET /pass/get 0".into()),
        (the_long_way(get("/hot/1")).bytes(), "GET /hot/1 0".into()),
        (get("/hot/1").header("Content-Length", "0").bytes(), "GET /hot/1 0".into()),
    ];
    // Every two kinds meet in both orders, sent in pieces that end anywhere.
    for size in [1, 7, 100, 100_000] {
        let mut client = proxy.client().await;
        let pairs = kinds.iter().flat_map(|first| kinds.iter().map(move |second| [first, second]));
        let requests: Vec<_> = pairs.flatten().collect();
        // A piece of one byte takes its time; a few pairs of each kind show the same.
        let requests = if size == 1 { &requests[..14] } else { &requests[..] };
        let sent: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let writing = async {
            for piece in sent.chunks(size) {
                client.write(piece).await;
                tokio::task::yield_now().await;
            }
        };
        writing.await;
        for (number, (_, expected)) in requests.iter().enumerate() {
            let answer = client.read().await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, expected.clone()),
                "answer {number} in pieces of {size}"
            );
        }
    }
    assert_eq!(origin.count_of("/smuggled"), 0, "a body is never taken for a request");
    assert_eq!(origin.count_of("/hot/1"), 1, "and every hit was one");
}

#[tokio::test]
async fn streams_that_are_answered_together_get_each_their_own_page() {
    // Sizes around those of frames and of what is held: shorter, equal, longer by one, and several times as long.
    const SIZES: [usize; 8] = [1, 255, 4_096, 16_383, 16_384, 16_385, 65_536, 300_000];
    let page = |index: usize| format!("{index:07} ").repeat(SIZES[index] / 8 + 1)[..SIZES[index]].to_owned();
    let origin = Origin::start(move |request| {
        let index = request.target.rsplit('/').next().and_then(|index| index.parse().ok());
        Answer::page(page(index.expect("the number of a page"))).header("content-type", "image/x-page")
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/hot/[page]").interval("1h")]).await;
    for index in 0..SIZES.len() {
        proxy.get(&format!("/hot/{index}")).await;
    }
    let h2 = proxy.h2().await;
    for round in 0..20 {
        let asked = (0..100).map(|number| {
            let index = (number * 7 + round) % SIZES.len();
            let folder = if number % 5 == 0 { "pass" } else { "hot" };
            let (h2, request) = (h2.clone(), get(&format!("/{folder}/{index}")));
            (index, folder, tokio::spawn(async move { h2.send(&request).await }))
        });
        for (index, folder, answer) in asked.collect::<Vec<_>>() {
            let answer = answer.await.expect("an answer");
            assert!(answer.text() == page(index), "/{folder}/{index}: {} bytes", answer.body.len());
            assert_eq!(answer.cache(), if folder == "hot" { "HIT" } else { "BYPASS" });
        }
    }
    assert_eq!(origin.count_of("/hot/0"), 1, "and every hit was one");
}

#[tokio::test]
async fn a_visitor_who_reads_slowly_gets_the_whole_page_and_the_next_one() {
    let numbers: Vec<_> = (0..400_000).map(|number| format!("{number:07} ")).collect();
    let page = numbers.concat();
    let served = page.clone();
    let origin =
        Origin::start(move |_| Answer::page(served.clone()).header("content-type", "image/x-page")).await;
    let mut proxy = Proxy::serving(&origin, [route("/[page]").interval("1h")]).await;
    proxy.get("/long").await;
    let mut slow = proxy.client().await;
    slow.write(&[get("/long").bytes(), get("/long").bytes()].concat()).await;
    let_time_pass(Duration::from_millis(200)).await;
    proxy.get("/long").await.is(200, "HIT", &page, "nobody else waits for who reads slowly");
    proxy.terminate();
    // The second request had arrived before.
    for which in ["first", "second"] {
        let answer = slow.read().await;
        assert_eq!(
            (answer.status, answer.cache(), answer.text() == page),
            (200, "HIT", true),
            "the {which} is not torn, not short"
        );
    }
    assert!(proxy.ended(PATIENCE).await.success(), "it ends when the visitor has both");
}

#[tokio::test]
async fn a_drain_ends_connections_that_only_hit() {
    let origin = Origin::counting().await;
    let mut proxy = Proxy::serving(&origin, [route("/[page]").interval("1h")]).await;
    proxy.get("/page").await;
    let (mut hit, mut fresh) = (proxy.client().await, proxy.client().await);
    hit.get("/page").await.is(200, "HIT", "v1", "a connection that only hits");
    fresh.write(b"").await;
    let _ = proxy.send(&head("/page")).await;
    proxy.terminate();
    assert!(hit.read_to_end().await.is_empty(), "it is closed while it is idle");
    assert!(fresh.read_to_end().await.is_empty(), "as is one that never said anything");
    assert!(proxy.ended(PATIENCE).await.success(), "and nobody is waited for");
}

#[tokio::test]
async fn visitors_threads_go_before_all_others() {
    let origin = Origin::start(|_| Answer::page("a page\n".repeat(500))).await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("1h")]).await;
    // A render, a write to the disk, a compressed variant: every kind of thread that works behind a visitor's back.
    proxy.get("/page").await;
    eventually("the page is compressed", PATIENCE, async || {
        let answer = proxy.send(&get("/page").header("Accept-Encoding", "gzip")).await;
        (answer.header("content-encoding") == "gzip").then_some(())
    })
    .await;
    // A thread steps back when it begins; 19 is as far as one can.
    eventually("every other thread stands back", PATIENCE, async || {
        let (visitors, others): (Vec<_>, Vec<_>) =
            proxy.threads().into_iter().partition(|(name, _)| name.starts_with("visitors"));
        assert!(!visitors.is_empty() && others.iter().any(|(name, _)| name == "disk"), "{others:?}");
        let most = visitors.iter().map(|(_, nice)| *nice).max().unwrap_or_default();
        // The first thread waits for the end.
        let mut others = others.iter().filter(|(name, _)| name != "kube-isr");
        others.all(|(_, nice)| *nice > most || *nice == 19).then_some(())
    })
    .await;
}
