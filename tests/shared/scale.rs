//! What agreeing costs. `make bench-replicas` runs this in a release build.

use std::time::{Duration, Instant};

use crate::support::{Origin, TOKEN, head, route};
use crate::{Store, replicas};

const PURGES: usize = 1_000;

/// From the request to every replica bound to the new page, the render included: the budget is for what comes after it.
const BUDGET: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make bench-replicas"]
async fn shared_a_thousand_purges_seen_by_three_replicas() {
    let origin = Origin::counting().await;
    let store = Store::start().await;
    let proxies = replicas::<3>(&store, &origin, &[route("/page").interval("Never").token(TOKEN)]).await;
    let mut clients = Vec::new();
    for proxy in &proxies {
        clients.push(proxy.client().await);
    }
    let mut times = Vec::with_capacity(PURGES);
    for purge in 0..PURGES {
        let began = Instant::now();
        let answer = clients[purge % 3].send(&head("/page").revalidate(TOKEN)).await;
        times.push(began.elapsed());
        assert_eq!(answer.status, 200);
        let expected = format!("v{}", purge + 1);
        for client in &mut clients {
            assert_eq!(client.get("/page").await.text(), expected, "no replica has an older page");
        }
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)];
    println!(
        "{PURGES} purges, 3 replicas, from the request to the word of all: median {:.1?}, p99 {:.1?}, most {:.1?}",
        at(500),
        at(990),
        at(1000)
    );
    assert!(at(990) < BUDGET, "p99 {:?}", at(990));
}
