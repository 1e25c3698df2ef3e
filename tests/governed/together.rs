//! Many visitors of one stale page.

use tokio::task::JoinSet;

use crate::support::{
    Answer, Gate, Origin, PATIENCE, Proxy, Response, eventually, get, let_the_interval_end,
};
use crate::{governed, page};

const CROWD: usize = 100;

async fn crowd(proxy: &Proxy) -> JoinSet<Response> {
    let mut visits = JoinSet::new();
    for _ in 0..CROWD {
        let mut client = proxy.client().await;
        visits.spawn(async move { client.get("/page").await });
    }
    visits
}

/// Waits until all of them wait: the proxy counts its keys under way, not its visitors, so that only time tells.
async fn all_have_asked(origin: &Origin) {
    origin.received(2).await;
    crate::support::let_time_pass(std::time::Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_crowd_before_an_expired_page_costs_one_request() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        // The time in which the door is closed is age (RFC 9111 §4.2.3): the second page must stay fresh all the same.
        let answer = page(request.nth, if request.nth == 1 { "s-maxage=1" } else { "s-maxage=60" });
        if request.nth == 1 { answer } else { answer.when(&door) }
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    let_the_interval_end().await;
    let visits = crowd(&proxy).await;
    all_have_asked(&origin).await;
    gate.open();
    let pages = visits.join_all().await;
    assert!(pages.iter().all(|page| page.text() == "v2"), "everybody gets the new page");
    assert_eq!(origin.count(), 2, "for one request");
    // Whoever comes when it has just arrived finds it stored.
    let told = |page: &&crate::support::Response| {
        ["; collapsed", "; hit"].iter().any(|how| page.header("cache-status").contains(how))
    };
    assert_eq!(pages.iter().filter(told).count(), CROWD - 1, "all but one are told so (RFC 9211 §2.6)");
}

#[tokio::test]
async fn a_leader_who_leaves_takes_nothing_along() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        // The time in which the door is closed is age (RFC 9111 §4.2.3): the second page must stay fresh all the same.
        let answer = page(request.nth, if request.nth == 1 { "s-maxage=1" } else { "s-maxage=60" });
        if request.nth == 1 { answer } else { answer.when(&door) }
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    let_the_interval_end().await;
    let mut leader = proxy.client().await;
    leader.write(&get("/page").bytes()).await;
    origin.received(2).await;
    let visits = crowd(&proxy).await;
    all_have_asked(&origin).await;
    drop(leader);
    gate.open();
    assert!(visits.join_all().await.iter().all(|page| page.text() == "v2"), "the others get the page");
    assert_eq!(origin.count(), 2, "that was asked for once");
}

#[tokio::test]
async fn a_failing_origin_is_asked_once_by_a_crowd() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| match request.nth {
        1 => page(1, "max-age=1, stale-if-error=600"),
        _ => Answer::status(503).body("closed").when(&door),
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    let_the_interval_end().await;
    let visits = crowd(&proxy).await;
    all_have_asked(&origin).await;
    gate.open();
    let pages = visits.join_all().await;
    assert!(pages.iter().all(|page| page.text() == "v1"), "everybody gets the last good page (RFC 5861 §4)");
    assert_eq!(origin.count(), 2, "for one request");
}

#[tokio::test]
async fn what_turns_out_to_be_private_is_fetched_by_each_for_themselves() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::start(move |request| {
        let who = request.headers.get("cookie").unwrap_or("nobody").to_owned();
        match request.nth {
            1 => page(1, "s-maxage=1"),
            2 => Answer::page(who).header("cache-control", "private").when(&door),
            _ => Answer::page(who).header("cache-control", "private"),
        }
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    let_the_interval_end().await;
    let mut visits = JoinSet::new();
    for visitor in 0..CROWD {
        let mut client = proxy.client().await;
        visits.spawn(async move {
            let me = format!("visitor={visitor}");
            (client.send(&get("/page").header("Cookie", &me)).await.text(), me)
        });
    }
    all_have_asked(&origin).await;
    gate.open();
    for (got, me) in visits.join_all().await {
        assert_eq!(got, me, "each gets their own");
    }
}

#[tokio::test]
async fn a_background_refresh_is_nobodys() {
    let origin = Origin::start(|request| match request.nth {
        1 => page(1, "max-age=1, stale-while-revalidate=600"),
        nth => page(nth, "max-age=3600"),
    })
    .await;
    let proxy = governed(&origin).await;
    assert_eq!(proxy.get("/page").await.text(), "v1", "stored");
    let_the_interval_end().await;
    let request = get("/page").header("Cookie", "anna").header("Authorization", "anna");
    let stale = proxy.send(&request.header("Cache-Control", "no-store")).await;
    assert_eq!(stale.text(), "v1", "the stale page at once");
    origin.received(2).await;
    let asked = origin.last();
    for name in ["cookie", "authorization", "cache-control"] {
        assert_eq!(asked.headers.get(name), None, "{name} stays with its visitor");
    }
    let what = "a visitor's no-store drops nothing of what others share";
    let renewed = eventually(what, PATIENCE, async || {
        let again = proxy.get("/page").await;
        (again.text() == "v2").then_some(again)
    })
    .await;
    assert_eq!(renewed.cache(), "HIT", "the refreshed page is stored");
    assert_eq!(origin.count(), 2, "one refresh");
}

#[tokio::test]
async fn an_origin_in_trouble_takes_no_stale_page_away() {
    for status in [429, 500, 503] {
        let origin = Origin::start(move |request| match request.nth {
            1 => page(1, "max-age=1, stale-while-revalidate=600"),
            _ => Answer::status(status).header("cache-control", "no-store"),
        })
        .await;
        let proxy = governed(&origin).await;
        proxy.get("/page").await;
        let_the_interval_end().await;
        for _ in 0..10 {
            assert_eq!(proxy.get("/page").await.text(), "v1", "the page survives a {status}");
        }
        assert_eq!(origin.count(), 2, "and the origin is not asked again and again");
    }
}
