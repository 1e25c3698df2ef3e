//! One target, one page: a request's host and path are matched, keyed and forwarded as the same bytes, or refused.

use crate::support::message::latin1;
use crate::support::{Answer, Client, Folder, HOST, Origin, Proxy, get, manifest, route};

/// The statuses that refuse a request without asking the origin.
const REFUSED: [u16; 3] = [400, 404, 421];

#[tokio::test]
async fn the_same_path_on_two_hosts_is_two_pages() {
    let origin = Origin::start(|request| Answer::page(request.url())).await;
    let routes = [
        route("/page").named("shop").host("shop.example.com").interval("60s"),
        route("/page").named("blog").host("blog.example.com").interval("60s"),
        route("/page").named("rest").host("*.example.com").interval("60s"),
    ];
    let proxy = Proxy::serving(&origin, routes).await;
    for cache in ["MISS", "HIT"] {
        for host in ["shop.example.com", "blog.example.com", "any.example.com", "two.levels.example.com"] {
            let page = proxy.send(&get("/page").host(host)).await;
            page.is(200, cache, &format!("{host}/page"), "a host has its own page");
        }
    }
    assert_eq!(origin.count(), 4, "one render for each host");
}

#[tokio::test]
async fn spellings_of_one_host_are_one_page() {
    let origin = Origin::start(|request| Answer::page(request.url())).await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    let own = format!("{HOST}/page");
    proxy.get("/page").await.is(200, "MISS", &own, "the first visitor renders");
    let spellings = [
        ("/page", "SHOP.Example.COM"),
        ("/page", "shop.example.com:80"),
        ("/page", "shop.example.com."),
        ("/page", "SHOP.example.com.:80"),
        ("http://shop.example.com/page", "shop.example.com"),
        ("http://SHOP.example.com:80/page", "shop.example.com"),
        ("HTTP://shop.example.com/page", "shop.example.com"),
        ("http://shop.example.com/page", "evil.example.com"),
    ];
    for (target, host) in spellings {
        let page = proxy.send(&get(target).host(host)).await;
        if page.status != 400 {
            page.is(200, "HIT", &own, &format!("{target} at {host} is the same page, or refused with 400"));
        }
    }
    for (target, host) in &spellings[..2] {
        let page = proxy.send(&get(target).host(host)).await;
        page.is(
            200,
            "HIT",
            &own,
            &format!("{host}: letter case and default port are no difference (RFC 9110 §4.2.3)"),
        );
    }
    let page = proxy.send(&get("http://shop.example.com/page")).await;
    page.is(200, "HIT", &own, "a server accepts the absolute form (RFC 9112 §3.2.2)");
    assert_eq!(origin.count(), 1, "one page, one render");

    let h2 = proxy.h2().await;
    h2.send(&get("/page")).await.is(200, "HIT", &own, "HTTP/2 asks for the same page");
    h2.send(&get("/page").host("SHOP.EXAMPLE.COM")).await.is(200, "HIT", &own, "in any letter case");
    let crossed = h2.try_send(&get("/page").header("host", "evil.example.com")).await;
    if let Ok(page) = crossed {
        let refused = REFUSED.contains(&page.status);
        assert!(refused || page.text() == own, ":authority decides, not a second host: {page:?}");
    }
}

/// Spellings of paths that some server, somewhere, takes for another path.
const PATHS: [&str; 44] = [
    "/a/b",
    "/a/b/",
    "/a//b",
    "//a/b",
    "/a/./b",
    "/a/../b",
    "/a/b/..",
    "/a/b/.",
    "/../a/b",
    "/a/%2e/b",
    "/a/%2E%2e/b",
    "/a/.%2e/b",
    "/a%2Fb",
    "/a%2fb",
    "/%61/b",
    "/a/%62",
    "/A/b",
    "/a;x=1/b",
    "/a/b;x=1",
    "/a/;/b",
    "/a/..;/b",
    "/a/b%3Bx=1",
    "/a/b%3Fx=1",
    "/a/b%23x",
    "/a/b%00",
    "/a/b%0a",
    "/a/b%0d%0aX-Evil:%201",
    "/a/b%20",
    "/a/b+",
    "/a/b%2",
    "/a/b%zz",
    "/a/%5c/b",
    "/a\\b",
    "/a/b%5C..%5Cc",
    "/a/%C3%A9",
    "/a/%c3%a9",
    "/a/%e9",
    "/a/%ff",
    "/a/b%25",
    "/a/%2525",
    "/a/b~",
    "/a/b%7E",
    "/a/b'(1)*!",
    "/a/b:@&=$,",
];

#[tokio::test]
async fn every_spelling_gets_the_page_it_would_get_alone() {
    // The page says which bytes the origin saw. A spelling that is served another one's page shows here as a
    // difference between what it gets from a host of its own and what it gets where all others came before it.
    let origin = Origin::start(|request| Answer::page(request.target.clone())).await;
    let all = route("/[...rest]").host("*.example.com").interval("60s");
    let proxy = Proxy::serving(&origin, [all]).await;
    let mut refused = Vec::new();
    for (index, path) in PATHS.iter().enumerate() {
        let alone = proxy.send(&get(path).host(&format!("n{index}.example.com"))).await;
        let among = proxy.send(&get(path).host("all.example.com")).await;
        let again = proxy.send(&get(path).host("all.example.com")).await;
        assert_eq!(alone.status, among.status, "{path}: judged alike whoever came before");
        assert_eq!(alone.text(), among.text(), "{path}: never another spelling's page");
        assert_eq!(among.text(), again.text(), "{path}: the same page the second time");
        match alone.status {
            200 => {
                let seen = alone.text();
                assert!(
                    !seen.contains("/../") && !seen.ends_with("/.."),
                    "{path}: dots are not the origin's to resolve"
                );
                assert!(seen.bytes().all(|byte| byte.is_ascii_graphic()), "{path}: forwarded as {seen:?}");
            }
            400 => refused.push(*path),
            status => panic!("{path}: served or refused with 400, not {status}"),
        }
    }
    for path in ["/a/b%00", "/a/b%0a", "/a/b%0d%0aX-Evil:%201", "/a/b%2", "/a/b%zz", "/a/%2E%2e/b", "/a/../b"]
    {
        assert!(refused.contains(&path), "{path} is refused");
    }
    for path in ["/a/b", "/%61/b", "/a/%62", "/a;x=1/b", "/a/%C3%A9", "/a/b~", "/a/b%7E", "/A/b"] {
        assert!(!refused.contains(&path), "{path} is an ordinary path");
    }
    let seen = |path: &str| origin.requests().iter().any(|request| request.target == path);
    assert!(!seen("/%61/b") && !seen("/a/b%7E"), "an unreserved character is forwarded as itself");
}

#[tokio::test]
async fn a_path_cannot_smuggle_itself_into_a_cached_route() {
    // Under /static/ pages are shared; everything else tells the visitor their own name.
    let origin = Origin::start(|request| {
        Answer::page(format!("{} {}", request.target, request.headers.get("cookie").unwrap_or("nobody")))
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/static/[...file]").interval("60s")]).await;
    let attempts = [
        "/account",
        "/account/static/x.css",
        "/account%2f..%2fstatic%2fx.css",
        "/account%2F..%2Fstatic/x.css",
        "/account/..%2fstatic/x.css",
        "/account/../static/x.css",
        "/account;/../static/x.css",
        "/account;x.css",
        "/account%3bx.css",
        "/account%23/static/x.css",
        "/account%3f/static/x.css",
        "/account%00/static/x.css",
        "/account%0a/static/x.css",
        "/account\\..\\static\\x.css",
        "/account%5c..%5cstatic/x.css",
        "/static/../account",
        "/static/%2e%2e/account",
        "/static/..%2faccount",
        "/static%2f..%2faccount",
        "/static/..;/account",
        "/static//../account",
        "/static/x.css/../../account",
        "//account/static/x.css",
        "/static",
        "/staticx",
        "/STATIC/x.css",
    ];
    for path in attempts {
        let victim = proxy.send(&get(path).header("Cookie", "victim=1")).await;
        let attacker = proxy.get(path).await;
        assert!(
            !attacker.text().contains("victim"),
            "{path}: the attacker sees the victim's page: {}",
            attacker.text()
        );
        if matches!(attacker.cache(), "HIT" | "STALE") {
            let seen = attacker.text();
            let file = seen.split(' ').next().and_then(|target| target.strip_prefix("/static/"));
            let decoded = file
                .unwrap_or_else(|| panic!("{path}: only /static/ is shared, not {seen:?}"))
                .to_lowercase();
            let decoded = decoded.replace("%2f", "/").replace("%5c", "/").replace("%2e", ".");
            let climbs = decoded.split('/').any(|segment| segment == ".." || segment.starts_with("..;"));
            assert!(!climbs, "{path}: no origin may take a shared page for another: {seen:?}");
        }
        if victim.status == 200 {
            assert!(victim.text().starts_with('/'), "{path}: answered by the origin");
        }
    }
    assert_eq!(
        proxy.get("/static/x.css").await.text(),
        "/static/x.css nobody",
        "after all that, a clean page"
    );
}

#[tokio::test]
async fn hosts_that_are_not_hosts_are_refused() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    let page = "GET /page HTTP/1.1\r\n";
    let cases = [
        ("no Host", format!("{page}Connection: close\r\n\r\n")),
        ("two Hosts", format!("{page}Host: {HOST}\r\nHost: evil.example.com\r\n\r\n")),
        ("the same Host twice", format!("{page}Host: {HOST}\r\nHost: {HOST}\r\n\r\n")),
        ("an empty Host", format!("{page}Host: \r\n\r\n")),
        ("userinfo", format!("{page}Host: evil@{HOST}\r\n\r\n")),
        ("a path in Host", format!("{page}Host: {HOST}/evil\r\n\r\n")),
        ("a space in Host", format!("{page}Host: {HOST} evil\r\n\r\n")),
        ("a list in Host", format!("{page}Host: {HOST}, evil.example.com\r\n\r\n")),
        ("a port that is none", format!("{page}Host: {HOST}:80x\r\n\r\n")),
        (
            "userinfo in the absolute form",
            format!("GET http://a@{HOST}/page HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        ("a raw byte in the path", format!("GET /p\u{e9}ge HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        ("a fragment", format!("GET /page#top HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        ("a space in the target", format!("GET /pa ge HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        ("no slash", format!("GET page HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
    ];
    for (name, bytes) in cases {
        let bytes: Vec<u8> =
            bytes.chars().map(|c| u8::try_from(u32::from(c)).expect("one byte each")).collect();
        let mut client = proxy.client().await;
        client.write(&bytes).await;
        let answer = client.read().await;
        let lenient = name == "a fragment" || name == "a raw byte in the path";
        let served = lenient && matches!(answer.status, 200 | 404);
        assert!(answer.status == 400 || served, "{name}: {} {}", answer.status, answer.text());
    }
    let strays: Vec<_> = origin.requests().into_iter().filter(|r| r.headers.mention("evil")).collect();
    assert!(strays.is_empty(), "nothing of a bad host reaches the origin: {strays:?}");
}

#[tokio::test]
async fn an_unknown_host_is_explained_and_goes_nowhere() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    let address = origin.address().to_string();
    for host in [
        "unknown.example.org",
        "169.254.169.254",
        "kubernetes.default",
        "localhost",
        "[::1]",
        address.as_str(),
    ] {
        let problem = proxy.send(&get("/page").host(host)).await.problem(421, host);
        let says = problem["detail"].as_str().unwrap_or_default();
        assert!(
            says.contains(host.split(':').next().unwrap_or(host)) || host.starts_with('['),
            "{host}: {problem}"
        );
    }
    let absolute = format!("http://{address}/page");
    let answer = proxy.send(&get(&absolute)).await;
    assert_eq!(answer.status, 421, "the absolute form chooses the host, not the upstream");
    assert_eq!((origin.count(), origin.connections()), (0, 0), "no request of an unknown host goes anywhere");
}

#[tokio::test]
async fn an_unmatched_path_of_a_host_with_several_backends_is_explained() {
    let (one, two) =
        (Origin::start(|_| Answer::page("one")).await, Origin::start(|_| Answer::page("two")).await);
    let folder = Folder::new();
    folder.write("one.yaml", &manifest::service("one", one.address()));
    folder.write("two.yaml", &manifest::service("two", two.address()));
    let backend =
        |name: &str, origin: &Origin| serde_json::json!({ "name": name, "port": origin.address().port() });
    let blog = route("/blog/[slug]").interval("60s").set("backendRef", backend("one", &one));
    let docs = route("/docs/[...page]").interval("60s").set("backendRef", backend("two", &two));
    folder.write("blog.yaml", &blog.yaml(0));
    folder.write("docs.yaml", &docs.yaml(0));
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/blog/1").await.is(200, "MISS", "one", "each route goes to its own backend");
    proxy.get("/docs/a/b").await.is(200, "MISS", "two", "each route goes to its own backend");
    for path in ["/", "/blog", "/elsewhere", "/docs"] {
        let problem = proxy.get(path).await.problem(404, path).to_string();
        for pattern in ["/blog/[slug]", "/docs/[...page]"] {
            assert!(
                problem.contains(pattern),
                "{path}: the answer says which routes the host has: {problem}"
            );
        }
    }
    assert_eq!((one.count(), two.count()), (1, 1), "an unmatched path goes to neither backend");
}

#[tokio::test]
async fn the_most_specific_route_answers() {
    let origin = Origin::start(|request| {
        Answer::page(request.headers.get("x-prerender-revalidate").unwrap_or("pass").to_owned())
    })
    .await;
    // Each route's origin token is its own path, padded: the page says which route rendered it.
    let token = |path: &str| format!("{path:-<32}");
    let patterns = ["/a", "/a/b", "/a/[x]", "/a/[x]/c", "/a/[...rest]", "/opt/[[...rest]]", "/[page]"];
    let routes = patterns.iter().enumerate().map(|(index, path)| {
        route(path).named(&format!("r{index}")).interval("60s").origin_token(&token(path))
    });
    let proxy = Proxy::serving(&origin, routes).await;
    let cases = [
        ("/a", "/a"),
        ("/a/b", "/a/b"),
        ("/a/x", "/a/[x]"),
        ("/a/x/c", "/a/[x]/c"),
        ("/a/b/c", "/a/[x]/c"),
        ("/a/b/d", "/a/[...rest]"),
        ("/a/x/y/z", "/a/[...rest]"),
        ("/opt", "/opt/[[...rest]]"),
        ("/opt/x", "/opt/[[...rest]]"),
        ("/z", "/[page]"),
    ];
    for (path, pattern) in cases {
        let page = proxy.get(path).await;
        assert_eq!(page.text(), token(pattern), "{path} is answered by {pattern}");
    }
    assert_eq!(proxy.get("/").await.text(), "pass", "no pattern matches the root here");
    assert_eq!(proxy.get("/y/z").await.text(), "pass", "one segment is not two");
}

#[tokio::test]
async fn tunnels_and_traces_are_refused() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/page").interval("60s")]).await;
    let cases = [
        format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"),
        format!("CONNECT {} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", origin.address()),
        format!("TRACE /page HTTP/1.1\r\nHost: {HOST}\r\nCookie: a=1\r\n\r\n"),
    ];
    for bytes in cases {
        let mut client = Client::connect(proxy.address()).await;
        client.write(bytes.as_bytes()).await;
        let answer = client.read().await;
        assert!((400..=501).contains(&answer.status) && answer.status != 500, "{bytes:?}: {}", answer.status);
        assert!(!latin1(&answer.body).contains("a=1"), "nothing is echoed");
    }
    assert_eq!(origin.connections(), 0, "no tunnel, no trace");
}
