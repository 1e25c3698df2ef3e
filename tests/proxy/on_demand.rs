//! Revalidation on demand: one header, one page, done when the answer says so.

use std::time::Duration;

use crate::support::answer::Step;
use crate::support::{
    Answer, Folder, Gate, HOST, Origin, Proxy, TOKEN, get, head, let_the_interval_end, let_time_pass, route,
};

#[tokio::test]
async fn the_token_renders_now_by_get_and_by_head() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/blog-posts").interval("Never").token(TOKEN)]).await;
    proxy.get("/blog-posts").await.is(200, "MISS", "v1", "the first visitor renders");

    let answer = proxy.send(&get("/blog-posts").revalidate(TOKEN)).await;
    answer.is_revalidated(200, "GET with the token");
    assert_eq!(answer.text(), "v2", "a GET is answered with the new page");
    proxy.get("/blog-posts").await.is(200, "HIT", "v2", "the new page is in place when the answer arrives");

    let mut client = proxy.client().await;
    let answer = client.send(&head("/blog-posts").revalidate(TOKEN)).await;
    answer.is_revalidated(200, "HEAD with the token");
    assert_eq!(origin.last().method, "GET", "a HEAD renders the page with a GET");
    client.get("/blog-posts").await.is(200, "HIT", "v3", "and the connection stays in step");
    assert_eq!(origin.count(), 3, "each demand is one render");
}

#[tokio::test]
async fn a_cold_page_is_rendered_and_stored_on_demand() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/blog-posts").interval("60s").token(TOKEN)]).await;
    proxy.send(&head("/blog-posts").revalidate(TOKEN)).await.is_revalidated(200, "a page never seen before");
    proxy.get("/blog-posts").await.is(200, "HIT", "v1", "the demanded page is stored");
}

#[tokio::test]
async fn visitors_wait_for_a_demanded_render_and_the_demand_answers_when_it_is_done() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let page = Answer::page(format!("v{}", request.nth));
        if request.nth == 1 { page } else { page.when(&door) }
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    let mut demand = proxy.client().await;
    demand.write(&get("/p").revalidate(TOKEN).bytes()).await;
    origin.received(2).await;
    let early = tokio::time::timeout(Duration::from_millis(300), demand.read_head()).await;
    assert!(early.is_err(), "no answer before the render is done");
    gate.open();
    demand.read().await.is_revalidated(200, "the answer after the render");
    proxy.get("/p").await.is(200, "HIT", "v2", "bound to the new page when the answer is there");
}

/// A page, how its render fails, and what the problem must name.
type Case = (&'static str, fn() -> Answer, &'static str);

#[tokio::test]
async fn a_failed_demand_says_so_and_keeps_the_page() {
    let origin = Origin::counting().await;
    let folder = Folder::of(&origin, [route("/[page]").interval("Never").token(TOKEN)]);
    let proxy = Proxy::with(folder).option("--first-byte-timeout", "500ms").start().await;
    let cases: [Case; 5] = [
        ("/500", || Answer::status(500).body("broken"), "500"),
        ("/403", || Answer::status(403).body("no"), "403"),
        ("/torn", || Answer::page("torn").claiming(500), ""),
        ("/hangs", || Answer::raw([Step::Pass(Gate::new())]), ""),
        ("/reset", || Answer::raw([Step::Reset]), ""),
    ];
    for (page, ..) in cases {
        proxy.get(page).await.is(200, "MISS", "v1", "the first visitor renders");
    }
    origin.answer(move |request| {
        let (_, answer, _) = cases.iter().find(|(page, ..)| *page == request.target).expect("a case");
        answer()
    });
    for (page, _, named) in cases {
        let answer = proxy.send(&get(page).revalidate(TOKEN)).await;
        let problem = answer.problem(502, &format!("a demand whose render fails: {page}"));
        assert!(
            problem.to_string().contains(named),
            "the problem names the origin's status {named}: {problem}"
        );
        assert_ne!(answer.cache(), "REVALIDATED", "a failed demand does not claim success");
        assert_eq!(proxy.send(&head(page).revalidate(TOKEN)).await.status, 502, "the same by HEAD: {page}");
        let kept = proxy.get(page).await;
        assert_eq!((kept.status, kept.text().as_str()), (200, "v1"), "{page}: the last good page stays");
    }
    origin.answer(|_| Answer::page("mended"));
    for (page, ..) in cases {
        let answer = proxy.send(&get(page).revalidate(TOKEN)).await;
        answer.is_revalidated(200, "a demand does not wait for the back-off of the failure before it");
        proxy.get(page).await.is(200, "HIT", "mended", "the mended page is in place");
    }
}

#[tokio::test]
async fn the_answer_has_the_pages_own_status() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/[page]").interval("Never").token(TOKEN)]).await;
    for status in [404, 410, 301, 302, 307, 308] {
        let page = format!("/{status}");
        proxy.get(&page).await.is(200, "MISS", "v1", "the first visitor renders");
        origin.answer(move |_| Answer::status(status).header("location", "/new").body("moved or gone"));
        let answer = proxy.send(&head(&page).revalidate(TOKEN)).await;
        answer.is_revalidated(status, "a page that is now something else was revalidated all the same");
        proxy.get(&page).await.is(status, "HIT", "moved or gone", "and that is what is stored");
        origin.answer(|request| Answer::page(format!("v{}", request.nth)));
    }
}

#[tokio::test]
async fn only_the_named_page_changes() {
    let origin = Origin::counting().await;
    let routes =
        [route("/blog-posts/[slug]").interval("Never").token(TOKEN), route("/blog-posts").interval("Never")];
    let proxy = Proxy::serving(&origin, routes).await;
    for page in ["/blog-posts/1", "/blog-posts/2", "/blog-posts"] {
        proxy.get(page).await.is(200, "MISS", "v1", "the first visitor renders");
    }
    proxy.send(&get("/blog-posts/1").revalidate(TOKEN)).await.is_revalidated(200, "the actual path");
    proxy.get("/blog-posts/1").await.is(200, "HIT", "v2", "the named page is new");
    proxy.get("/blog-posts/2").await.is(200, "HIT", "v1", "another page of the route is as it was");
    proxy.get("/blog-posts").await.is(200, "HIT", "v1", "another route is as it was");
}

#[tokio::test]
async fn companions_and_queries_change_with_their_page() {
    let origin = Origin::start(|request| {
        let kind = if request.headers.get("rsc") == Some("1") { "rsc" } else { "html" };
        Answer::page(format!("{kind} {} v{}", request.target, request.nth))
    })
    .await;
    let page =
        route("/blog-posts/[slug]").interval("Never").token(TOKEN).framework("NextJs").allow_query(&["page"]);
    let proxy = Proxy::serving(&origin, [page]).await;
    let companions = [
        get("/_next/data/build-1/blog-posts/1.json"),
        get("/blog-posts/1").header("RSC", "1"),
        get("/blog-posts/1?page=2"),
    ];
    let bystanders = [
        get("/_next/data/build-1/blog-posts/2.json"),
        get("/blog-posts/2").header("RSC", "1"),
        get("/blog-posts/2?page=2"),
        get("/blog-posts/1").host("shop.example.com").header("Accept-Language", "de"),
    ];
    let mut before = Vec::new();
    for request in [&companions[..], &bystanders[..3]].concat() {
        let first = proxy.send(&request).await;
        assert_eq!(first.cache(), "MISS", "{request:?}");
        assert_eq!(
            proxy.send(&request).await.cache(),
            "HIT",
            "companions are stored like pages: {request:?}"
        );
        before.push(first.text());
    }
    let html = proxy.get("/blog-posts/1").await;
    assert!(html.text().starts_with("html /blog-posts/1 v"), "HTML is not data: {:?}", html.text());

    let demand = proxy.send(&get("/blog-posts/1").revalidate(TOKEN)).await;
    demand.is_revalidated(200, "the page");
    assert!(demand.text().starts_with("html "), "the demanded page is the HTML");
    proxy.send(&bystanders[3]).await.is(200, "HIT", &demand.text(), "the demanded page is in place");
    for (request, old) in companions.iter().zip(&before) {
        let now = proxy.send(request).await;
        assert_ne!(&now.text(), old, "HTML and data never mix generations: {request:?}");
        assert_eq!(now.text().split(' ').next(), old.split(' ').next(), "data stays data: {request:?}");
    }
    for (request, old) in bystanders[..3].iter().zip(&before[3..]) {
        proxy.send(request).await.is(200, "HIT", old, "the companions of another page are as they were");
    }
}

#[tokio::test]
async fn a_render_that_began_before_the_demand_does_not_undo_it() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| match request.nth {
        1 => Answer::page("first"),
        2 => Answer::page("read before the demand").when(&door),
        _ => Answer::page("demanded"),
    })
    .await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("1s").token(TOKEN)]).await;
    proxy.get("/p").await.is(200, "MISS", "first", "the first visitor renders");
    let_the_interval_end().await;
    proxy.get("/p").await.is(200, "STALE", "first", "a background render begins");
    origin.received(2).await;
    let mut demand = proxy.client().await;
    demand.write(&get("/p").revalidate(TOKEN).bytes()).await;
    // Both orders are tried by time: the demand has arrived long before the older render ends.
    let_time_pass(Duration::from_millis(300)).await;
    gate.open();
    let demand = demand.read().await;
    demand.is_revalidated(200, "the demand beside an older render");
    assert_eq!(demand.text(), "demanded", "a render that began before the demand does not answer it");
    let mut client = proxy.client().await;
    for _ in 0..30 {
        assert_eq!(client.get("/p").await.text(), "demanded", "an older render never replaces a newer page");
        let_time_pass(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_demand_is_answered_although_an_older_render_hangs() {
    let origin = Origin::start(|request| match request.nth {
        1 => Answer::page("first"),
        2 => Answer::raw([Step::Pass(Gate::new())]),
        _ => Answer::page("demanded"),
    })
    .await;
    let folder = Folder::of(&origin, [route("/p").interval("1s").token(TOKEN)]);
    let proxy = Proxy::with(folder).option("--first-byte-timeout", "2s").start().await;
    proxy.get("/p").await.is(200, "MISS", "first", "the first visitor renders");
    let_the_interval_end().await;
    proxy.get("/p").await.is(200, "STALE", "first", "a background render begins, and hangs");
    origin.received(2).await;
    let demand = proxy.send(&get("/p").revalidate(TOKEN)).await;
    demand.is_revalidated(200, "the demand outlives the older render");
    assert_eq!(demand.text(), "demanded", "the demand outlives the older render");
    assert_eq!(proxy.get("/p").await.text(), "demanded", "and its page is in place");
}

#[tokio::test]
async fn a_demand_renders_without_its_senders_request() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    let demand = get("/p?utm=1").header("Cookie", "session=admin").header("Authorization", "Bearer x");
    proxy.send(&demand.revalidate(TOKEN)).await.is_revalidated(200, "a demand from a logged-in admin");
    let seen = origin.last();
    assert_eq!(seen.target, "/p", "the query that is not allowed stays outside");
    assert_eq!(seen.headers.get("host"), Some(HOST), "the host is the page's");
    for name in ["cookie", "authorization", "x-prerender-revalidate"] {
        assert_eq!(seen.headers.get(name), None, "{name} does not reach a render");
    }
}

#[tokio::test]
async fn demands_for_one_page_at_once_all_end_with_a_page_at_least_that_new() {
    let origin =
        Origin::start(|r| Answer::page(format!("v{}", r.nth)).after(Duration::from_millis(100))).await;
    let proxy = Proxy::serving(&origin, [route("/p").interval("Never").token(TOKEN)]).await;
    proxy.get("/p").await.is(200, "MISS", "v1", "the first visitor renders");
    let mut demands = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut client = proxy.client().await;
        demands.spawn(async move { client.send(&get("/p").revalidate(TOKEN)).await });
    }
    for answer in demands.join_all().await {
        answer.is_revalidated(200, "each demand is answered");
        assert_ne!(answer.text(), "v1", "with a page rendered after it was asked for");
    }
    let now = proxy.get("/p").await;
    assert_eq!(now.text(), format!("v{}", origin.count()), "the newest render is the page in place");
}

#[tokio::test]
async fn a_demand_that_got_a_copy_changes_nothing() {
    let origin = Origin::start(|request| {
        Answer::page(format!("{} {}", request.target, request.nth)).header("x-nextjs-cache", "HIT")
    })
    .await;
    let page = route("/[page]").interval("1h").framework("NextJs").token(TOKEN);
    let proxy = Proxy::serving(&origin, [page]).await;
    let data = "/_next/data/build/page.json";
    let before = proxy.get(data).await;
    let problem = proxy.send(&get("/page").revalidate(TOKEN)).await.problem(502, "a copy is no render");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("originToken"), "it says what to write: {problem}");
    let after = proxy.get(data).await;
    assert_eq!((after.cache(), after.text()), ("HIT", before.text()), "the data of the page stays");
}
