//! A purge at every step of a render, on each of three replicas: afterwards none serves a page from before it as fresh.

use std::time::Duration;

use serde_json::json;

use crate::relay::Relay;
use crate::support::{Answer, Folder, Gate, Origin, Proxy, Request, TOKEN, get, post, route};
use crate::{Store, replica};

/// Long enough for a purge to be told to everybody whose messages are not held back. Some have to wait for what is.
const A_WHILE: Duration = Duration::from_millis(150);

fn invalidate(body: &serde_json::Value) -> Request {
    post("/.well-known/kube-isr/v1/invalidate", body.to_string()).revalidate(TOKEN)
}

/// What purges a page: by its path or by its tag, softly or hard, or with a render.
fn purges(page: &str) -> [Request; 3] {
    [
        invalidate(&json!({ "paths": [page], "mode": "hard" })),
        invalidate(&json!({ "tags": ["of-all"], "mode": "soft" })),
        get(page).revalidate(TOKEN),
    ]
}

/// Messages of a render that finds nothing: looking for the page, an epoch, the lock, the page to store, the lock given back; each
/// script is sent once more when the server does not know it yet.
const MESSAGES: i64 = 7;

/// For so long a server that did not answer is not asked.
const REST: Duration = Duration::from_millis(1100);

/// Three replicas; the messages of the first can be held back.
async fn three(store: &Store, origin: &Origin) -> (Relay, [Proxy; 3]) {
    let relay = Relay::to(store.port()).await;
    let folder = || Folder::of(origin, [route("/[...page]").interval("Never").token(TOKEN)]);
    let first =
        Proxy::with(folder()).option("--shared", relay.url()).option("--replica", "one").start().await;
    let [second, third] =
        [replica(store, "two", folder()).start().await, replica(store, "three", folder()).start().await];
    (relay, [first, second, third])
}

fn version(text: &str) -> usize {
    text.trim_start_matches('v').parse().unwrap_or_else(|_| panic!("no page: {text}"))
}

/// Has a purge made while the first replica renders the page and is held at some step, and then lets go.
async fn purge_while_held(
    origin: &Origin,
    proxies: &[Proxy; 3],
    purging: usize,
    page: &str,
    purge: &Request,
    let_go: impl FnOnce(),
    what: &str,
) {
    let before = origin.count_of(page);
    let mut client = proxies[purging].client().await;
    let request = purge.bytes();
    let mut asking = tokio::spawn(async move {
        client.write(&request).await;
        client.read().await
    });
    let early = tokio::time::timeout(A_WHILE, &mut asking).await;
    let_go();
    let answer = match early {
        Ok(answer) => answer,
        Err(_) => asking.await,
    };
    let is_done = answer.expect("no panic").status == 200;
    for _ in 0..2 {
        for (number, proxy) in proxies.iter().enumerate() {
            let seen = proxy.get(page).await;
            assert_eq!(seen.status, 200, "{what}");
            let is_outdated = version(&seen.text()) <= before;
            assert!(
                !(is_done && seen.cache() == "HIT" && is_outdated),
                "{what}: replica {number} serves {} as fresh, and all up to v{before} was purged",
                seen.text()
            );
        }
    }
}

/// One of three replicas purges while another renders and is held at each of its messages; at how many it was.
async fn purges_at_every_message(purging: usize) -> usize {
    let origin =
        Origin::start(|request| Answer::page(format!("v{}", request.nth)).header("cache-tag", "of-all"))
            .await;
    let store = Store::start().await;
    let (relay, proxies) = three(&store, &origin).await;
    let mut held_steps = 0;
    for step in 0..MESSAGES {
        let kind = (usize::try_from(step).expect("few") + purging) % 3;
        let page = format!("/{step}");
        let mut visitor = proxies[0].client().await;
        relay.hold_after(step);
        visitor.write(&get(&page).bytes()).await;
        let visit = tokio::spawn(async move { visitor.read().await });
        let is_held = tokio::time::timeout(2 * A_WHILE, relay.held()).await.is_ok();
        let what = format!("purge {kind} by replica {purging}, held at message {step}");
        let purge = &purges(&page)[kind];
        purge_while_held(&origin, &proxies, purging, &page, purge, || relay.let_go(), &what).await;
        assert_eq!(visit.await.expect("no panic").status, 200, "{what}");
        if is_held {
            held_steps += 1;
            // A server that was late is not asked for a while.
            tokio::time::sleep(REST).await;
        }
    }
    held_steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_a_purge_at_every_message_of_a_render_reaches_every_replica() {
    let held =
        tokio::join!(purges_at_every_message(0), purges_at_every_message(1), purges_at_every_message(2),);
    let held_steps = held.0 + held.1 + held.2;
    assert!(held_steps > 12, "a render was held at {held_steps} steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_a_purge_while_the_application_answers_reaches_every_replica() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let (_relay, proxies) = three(&store, &origin).await;
    for rendering in 0..proxies.len() {
        for purging in 0..proxies.len() {
            for kind in 0..3 {
                let page = format!("/{rendering}/{purging}/{kind}");
                let gate = Gate::new();
                let closed = gate.clone();
                origin.answer(move |request| {
                    let page = Answer::page(format!("v{}", request.nth)).header("cache-tag", "of-all");
                    if request.nth == 1 { page.when(&closed) } else { page }
                });
                let mut visitor = proxies[rendering].client().await;
                let before = origin.count();
                visitor.write(&get(&page).bytes()).await;
                origin.received(before + 1).await;
                let what = format!("{kind} by replica {purging} while {rendering} renders");
                let purge = &purges(&page)[kind];
                purge_while_held(&origin, &proxies, purging, &page, purge, || gate.open(), &what).await;
                assert_eq!(visitor.read().await.status, 200, "{what}");
            }
        }
    }
}
