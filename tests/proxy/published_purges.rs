//! Purges that an operator publishes: carried out once, whatever ends in between.

use std::time::{Duration, SystemTime};

use isr_cache::{Mode, Pages, Realm, Spread, Timestamp};
use isr_routes::purges::{Purge, PurgeLog};

use crate::published::{Cluster, says, serves};
use crate::support::{Answer, Origin, PATIENCE, Proxy, eventually, route};

/// A purge of all pages of the shop.
fn purge(uid: &str, mode: Mode) -> Purge {
    Purge {
        cause: format!("IsrPurge shop/{uid}"),
        uid: uid.to_owned(),
        mode,
        realms: vec![Realm::Namespace("shop".into())],
        groups: Vec::new(),
        pages: vec![Pages::All],
        spread: None,
    }
}

fn publish(cluster: &Cluster, log: &PurgeLog) {
    let text = String::from_utf8(log.to_bytes()).expect("JSON");
    cluster.api.put("kube-isr-purges", "purges.json", &text);
}

async fn carries_out(proxy: &Proxy, log: &PurgeLog) {
    let what = format!("purge {} of {} is done", log.last(), log.id);
    eventually(&what, PATIENCE, async || {
        let purges = proxy.admin_json("/configz").await["purges"].clone();
        (purges["log"] == *log.id && purges["position"] == log.last()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_purge_makes_pages_stale_or_takes_them_away() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(1, &origin, [route("/page").interval("Never"), route("/other").interval("Never")]);
    let proxy = cluster.ready_proxy().await;
    for page in ["/page", "/other"] {
        proxy.get(page).await.is(200, "MISS", "v1", "rendered");
    }
    let mut log = PurgeLog::new("first".into());
    let group = "shop.example.com/page".to_owned();
    log.append(Purge { groups: vec![group], pages: Vec::new(), ..purge("soft", Mode::Soft) });
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get("/other").await.is(200, "HIT", "v1", "another page");
    proxy.get("/page").await.is(200, "STALE", "v1", "served once more");
    proxy.visit_until("/page", "it is rendered anew", |page| page.text() == "v2").await;

    log.append(Purge { realms: vec![Realm::Namespace("rival".into())], ..purge("theirs", Mode::Hard) });
    log.append(Purge { realms: vec![Realm::Route("shop/other".into())], ..purge("hard", Mode::Hard) });
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get("/page").await.is(200, "HIT", "v2", "of another route");
    proxy.get("/other").await.is(200, "MISS", "v2", "gone");
    says(&proxy, "IsrPurge shop/hard").await;
}

#[tokio::test]
async fn a_restart_neither_misses_a_purge_nor_repeats_one() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    let routes = || [route("/kept").interval("Never"), route("/missed").interval("Never")];
    cluster.publish(1, &origin, routes());
    let proxy = cluster.ready_proxy().await;
    let mut log = PurgeLog::new("first".into());
    log.append(purge("before", Mode::Hard));
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get("/kept").await.is(200, "MISS", "v1", "rendered after the purge");
    proxy.get("/missed").await.is(200, "MISS", "v1", "rendered after the purge");
    // In good order, so that the pages are on the disk.
    let _folder = proxy.stop().await;

    let proxy = cluster.ready_proxy().await;
    proxy.get("/kept").await.is(200, "HIT", "v1", "it is not purged again");
    let _folder = proxy.stop().await;
    log.append(Purge { realms: vec![Realm::Route("shop/missed".into())], ..purge("meanwhile", Mode::Hard) });
    publish(&cluster, &log);
    let proxy = cluster.ready_proxy().await;
    proxy.get("/missed").await.is(
        200,
        "MISS",
        "v2",
        "a proxy that is ready knows what was purged while it was away",
    );
    proxy.get("/kept").await.is(200, "HIT", "v1", "and nothing else");
}

#[tokio::test]
async fn a_proxy_that_missed_purges_takes_everything_for_stale() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(1, &origin, [route("/page").interval("Never")]);
    let proxy = cluster.ready_proxy().await;
    let mut log = PurgeLog::new("first".into());
    log.append(purge("0", Mode::Soft));
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get("/page").await.is(200, "MISS", "v1", "rendered");
    let _folder = proxy.stop().await;
    for number in 0..300 {
        let realms = vec![Realm::Namespace("rival".into())];
        log.append(Purge { realms, ..purge(&format!("more-{number}"), Mode::Hard) });
    }
    assert!(log.first() > 2, "some are gone");
    publish(&cluster, &log);
    let proxy = cluster.ready_proxy().await;
    carries_out(&proxy, &log).await;
    says(&proxy, "purges are gone that were never seen here").await;
    proxy.get("/page").await.is(200, "STALE", "v1", "it may have been purged");
    proxy.visit_until("/page", "it is rendered anew", |page| page.text() == "v2").await;
    assert!(!proxy.log().contains("\"0\""), "what was done is not done again");
}

#[tokio::test]
async fn a_new_proxy_has_nothing_to_purge_and_a_damaged_list_changes_nothing() {
    let origin = Origin::start(|_| Answer::page("page")).await;
    let cluster = Cluster::new().await;
    let mut log = PurgeLog::new("first".into());
    for number in 0..5 {
        log.append(purge(&number.to_string(), Mode::Hard));
    }
    publish(&cluster, &log);
    cluster.publish(1, &origin, [route("/page").interval("Never")]);
    let proxy = cluster.ready_proxy().await;
    carries_out(&proxy, &log).await;
    assert!(!proxy.log().contains("purged"), "there was nothing to purge: {}", proxy.log());
    proxy.get("/page").await.is(200, "MISS", "page", "rendered");

    let text = String::from_utf8(log.to_bytes()).expect("JSON");
    for (broken, said) in [
        ("{".to_owned(), "the list of purges is unreadable"),
        (text.replace("IsrPurge shop/4", "IsrPurge shop/5"), "the list of purges is damaged"),
        (text.replace("\"format\":1", "\"format\":2"), "update this program first"),
    ] {
        cluster.api.put("kube-isr-purges", "purges.json", &broken);
        says(&proxy, said).await;
    }
    cluster.api.delete("kube-isr-purges");
    cluster.publish(2, &origin, [route("/page").interval("Never"), route("/more").interval("Never")]);
    serves(&proxy, 2).await;
    proxy.get("/page").await.is(200, "HIT", "page", "nothing was purged");
    log.append(purge("next", Mode::Hard));
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get("/page").await.is(200, "MISS", "page", "and now it was");
}

/// Paths of this many pages whose moment comes in the first quarter of a time, and of as many for which it is in the last one.
fn early_and_late(count: usize) -> [Vec<String>; 2] {
    let spread = Spread { begins: Timestamp(0), over: Duration::from_secs(100) };
    let paths = || (0..).map(|page| format!("/page/{page}"));
    let moment = |path: &String| spread.moment(&format!("shop.example.com{path}")).0;
    let early = paths().filter(|path| moment(path) < 25_000).take(count).collect();
    let late = paths().filter(|path| moment(path) > 75_000).take(count).collect();
    [early, late]
}

/// A purge of the route `page` that is half over: a time of a hundred days began fifty days ago.
fn half_over(uid: &str) -> Purge {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the time");
    let day = Duration::from_hours(24);
    let begins =
        Timestamp(u64::try_from(since_epoch.saturating_sub(50 * day).as_millis()).expect("the time"));
    let routes = ["shop/page".into()];
    let purge = Purge::after_rollout("shop/web", 1, &routes, begins.0, 100 * day);
    Purge { uid: uid.to_owned(), ..purge }
}

#[tokio::test]
async fn after_a_rollout_each_page_turns_stale_at_a_moment_of_its_own_also_over_a_restart() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(
        1,
        &origin,
        [route("/page/[number]").named("page").interval("Never"), route("/other").interval("Never")],
    );
    let proxy = cluster.ready_proxy().await;
    let [early, late] = early_and_late(2);
    for page in early.iter().chain(&late).map(String::as_str).chain(["/other"]) {
        proxy.get(page).await.is(200, "MISS", "v1", page);
    }
    let mut log = PurgeLog::new("first".into());
    log.append(half_over("rollout"));
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get(&early[0]).await.is(200, "STALE", "v1", "its moment has come");
    proxy
        .visit_until(&early[0], "it is rendered anew", |page| page.text() == "v2" && page.cache() == "HIT")
        .await;
    proxy.get(&late[0]).await.is(200, "HIT", "v1", "its moment has not");
    proxy.get("/other").await.is(200, "HIT", "v1", "of another route");
    let _folder = proxy.stop().await;

    let proxy = cluster.ready_proxy().await;
    proxy.get(&early[0]).await.is(200, "HIT", "v2", "rendered since");
    proxy.get(&early[1]).await.is(200, "STALE", "v1", "its moment came before the restart");
    proxy.get(&late[0]).await.is(200, "HIT", "v1", "its moment still has not come");

    // One whose time is over is as any other purge.
    let over = Purge {
        uid: "over".into(),
        ..Purge::after_rollout("shop/web", 2, &["shop/page".into()], 0, Duration::ZERO)
    };
    log.append(over);
    publish(&cluster, &log);
    carries_out(&proxy, &log).await;
    proxy.get(&late[1]).await.is(200, "STALE", "v1", "all of them at once");
    let kept = cluster.state().join("purges.json");
    eventually("what is over is kept no longer", PATIENCE, async || {
        let text = std::fs::read_to_string(&kept).ok()?;
        (text.matches("beginsMs").count() == 1).then_some(())
    })
    .await;
}
