//! A changed `IsrRoute` is served by all proxies within seconds, and says so only then.

use std::time::{Duration, Instant};

use crate::cluster::{
    PATIENCE, admin, application, apply, condition, installed, kubectl, proxies, proxy_pods, route,
};
use crate::support::eventually;

/// For one change, on a machine that is busy with everything else.
const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn e2e_a_changed_route_is_served_by_all_proxies_within_seconds() {
    installed().await;
    proxies(2);
    application("changing", "changing.example.com");
    apply(&route("changing", "page", "changing.example.com", "/page", "interval: 1h"));

    let mut times = Vec::new();
    for seconds in 1..=20 {
        let patch = format!(r#"{{"spec":{{"interval":"{seconds}s"}}}}"#);
        let began = Instant::now();
        kubectl(&["patch", "isrroute", "page", "--namespace", "changing", "--type=merge", "--patch", &patch]);
        eventually("the change is in force", PATIENCE, async || {
            let [status, ..] = condition("changing", "page", "Programmed")?;
            (status == "True").then_some(())
        })
        .await;
        times.push(began.elapsed());
        let pods = proxy_pods();
        assert_eq!(pods.len(), 2, "{pods:?}");
        for (pod, _) in pods {
            let routes = admin(&pod, "/routes");
            let page =
                routes.as_array().expect("routes").iter().find(|route| route["route"] == "changing/page");
            assert_eq!(
                page.expect("the route")["interval"],
                format!("{seconds}s"),
                "{pod}: True means that it is served"
            );
        }
    }
    times.sort_unstable();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("from a change to Programmed=True: median {median:.2?}, most {most:.2?}, of {}", times.len());
    assert!(most < WITHIN, "{times:?}");
}
