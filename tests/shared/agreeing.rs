//! A purge that says done is done on every replica.

use serde_json::json;

use crate::support::{
    Answer, Folder, Origin, PATIENCE, Proxy, Request, TOKEN, eventually, get, head, post, route,
};
use crate::{Store, replica, replicas};

fn invalidate(body: &serde_json::Value) -> Request {
    post("/.well-known/kube-isr/v1/invalidate", body.to_string()).revalidate(TOKEN)
}

#[tokio::test]
async fn shared_a_purge_that_says_done_is_done_on_every_replica() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let proxies = replicas::<3>(&store, &origin, &[route("/page").interval("Never").token(TOKEN)]).await;
    for proxy in &proxies {
        assert_eq!(proxy.get("/page").await.text(), "v1");
    }
    for version in 2..30 {
        let purging = &proxies[version % 3];
        purging.send(&head("/page").revalidate(TOKEN)).await.is_revalidated(200, "on demand");
        for proxy in &proxies {
            assert_eq!(
                proxy.get("/page").await.text(),
                format!("v{version}"),
                "there is no older page anywhere"
            );
        }
        assert_eq!(origin.count(), version, "and it was rendered once");
    }
}

#[tokio::test]
async fn shared_tags_prefixes_hosts_and_everything_reach_every_replica_and_those_to_come() {
    let origin = Origin::start(|request| {
        let tag = request.target.rsplit('/').next().unwrap_or_default().to_owned();
        Answer::page(format!("v{} of {}", request.nth, request.target)).header("cache-tag", tag)
    })
    .await;
    let store = Store::start().await;
    let routes = [route("/[...page]").interval("Never").token(TOKEN)];
    let proxies = replicas::<2>(&store, &origin, &routes).await;
    let pages = ["/by/tag", "/by/prefix/a", "/by/path", "/kept"];
    for proxy in &proxies {
        for page in pages {
            assert_eq!(proxy.get(page).await.text(), format!("v1 of {page}"));
        }
    }
    for body in [
        json!({ "tags": ["tag"], "mode": "hard" }),
        json!({ "prefixes": ["/by/prefix"], "mode": "hard" }),
        json!({ "paths": ["/by/path"], "mode": "hard" }),
    ] {
        assert_eq!(proxies[0].send(&invalidate(&body)).await.status, 200, "{body}");
    }
    let new = replica(&store, "three", Folder::of(&origin, routes)).start().await;
    for proxy in [&new, &proxies[1], &proxies[0]] {
        for page in pages {
            let version = if page == "/kept" { 1 } else { 2 };
            assert_eq!(proxy.get(page).await.text(), format!("v{version} of {page}"));
        }
    }
    assert_eq!(origin.count(), 7, "each was rendered once");
    let everything = json!({ "everything": true, "mode": "hard" });
    assert_eq!(proxies[1].send(&invalidate(&everything)).await.status, 200);
    for proxy in [&new, &proxies[1], &proxies[0]] {
        assert_eq!(proxy.get("/kept").await.text(), "v2 of /kept");
    }
}

#[tokio::test]
async fn shared_a_change_by_a_visitor_is_seen_by_the_other_replicas() {
    let origin = Origin::start(|request| {
        Answer::page(format!("{} {}", request.method, request.nth)).header("cache-control", "max-age=3600")
    })
    .await;
    let store = Store::start().await;
    let [one, two] = replicas(&store, &origin, &[route("/cart")]).await;
    let before = [one.get("/cart").await.text(), two.get("/cart").await.text()];
    for (proxy, before) in [&one, &two].into_iter().zip(&before) {
        proxy.get("/cart").await.is(200, "HIT", before, "it is fresh for an hour");
    }
    assert!(one.send(&post("/cart", "apple")).await.text().starts_with("POST"));
    assert!(!before.contains(&one.get("/cart").await.text()), "here at once");
    two.visit_until("/cart", "and there soon", |page| !before.contains(&page.text())).await;
}

#[tokio::test]
async fn shared_a_replica_that_does_not_answer_is_named_and_serves_nothing_old_as_fresh() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let [one, two] = replicas(&store, &origin, &[route("/page").interval("Never").token(TOKEN)]).await;
    for proxy in [&one, &two] {
        assert_eq!(proxy.get("/page").await.text(), "v1");
    }
    let mut waiting = two.client().await;
    two.pause().await;
    waiting.write(&get("/page").bytes()).await;
    let refused = one.send(&get("/page").revalidate(TOKEN)).await;
    let problem = refused.problem(503, "somebody does not answer");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("two") && !detail.contains("one,"), "{detail}");
    eventually("it counts as gone", PATIENCE * 3, async || {
        (one.send(&head("/page").revalidate(TOKEN)).await.status == 200).then_some(())
    })
    .await;
    two.signal("CONT");
    // The request was there before anything that the process could learn.
    let first = waiting.read().await;
    assert_ne!((first.cache(), first.text().as_str()), ("HIT", "v1"), "it knows that it cannot be sure");
    two.visit_until("/page", "it learns what it missed", |page| page.text() != "v1" && page.cache() == "HIT")
        .await;
}

#[tokio::test]
async fn shared_a_replica_that_was_down_knows_on_its_return_what_it_missed() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let routes =
        [route("/page").interval("Never").token(TOKEN), route("/kept").interval("Never").named("kept")];
    let [one, two] = replicas(&store, &origin, &routes).await;
    for proxy in [&one, &two] {
        assert_eq!(proxy.get("/page").await.text(), "v1");
        assert_eq!(proxy.get("/kept").await.text(), "v1");
    }
    eventually("both pages are on the disk", PATIENCE, async || {
        (two.metric("isr_disk_entries", &[]).await > 1.5).then_some(())
    })
    .await;
    // In good order, so that nobody waits for it.
    let folder = two.stop().await;
    one.send(&head("/page").revalidate(TOKEN)).await.is_revalidated(200, "nobody else is there");
    let two = replica(&store, "two", folder).start().await;
    two.get("/kept").await.is(200, "HIT", "v1", "from its disk");
    assert_eq!(two.get("/page").await.text(), "v2", "it has read the log before it was ready");
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn shared_another_installation_on_the_same_server_shares_nothing() {
    let origin = Origin::counting().await;
    let store = Store::start_with(Some("example-password")).await;
    let password = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(password.path(), "example-password\n").expect("the password");
    let start = async |installation: &str| {
        let folder = Folder::of(&origin, [route("/page").interval("Never").token(TOKEN)]);
        let launch =
            Proxy::with(folder).option("--shared", store.url()).option("--installation", installation);
        launch.option("--shared-password-file", password.path()).start().await
    };
    let (one, other) = (start("one").await, start("other").await);
    one.get("/page").await.is(200, "MISS", "v1", "rendered");
    other.get("/page").await.is(200, "MISS", "v2", "rendered by itself");
    one.send(&head("/page").revalidate(TOKEN)).await.is_revalidated(200, "for its own");
    other.get("/page").await.is(200, "HIT", "v2", "nobody else's purge");
    for proxy in [&one, &other] {
        assert!(!proxy.log().contains("example-password"), "no secret is printed");
    }
}
