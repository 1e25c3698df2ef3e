//! Purges that an operator publishes: carried out once, whatever ends in between.

use isr_cache::{Mode, Pages, Realm};
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
