//! When the data service or the application is gone: the last good page.

use std::time::{Duration, Instant};

use crate::framework::Framework;
use crate::site::Site;
use crate::support::{PATIENCE, TOKEN, eventually, get};

/// A failed render is tried again after 30 seconds; a machine may be busy.
const RECOVERY: Duration = Duration::from_mins(1);

/// Renders fail; pages and data stay as they were, and become new when there is data again.
pub async fn without_its_data(framework: &Framework) {
    let site = Site::start(framework, "1s").await;
    let (path, name) = (framework.post("1"), framework.name);
    let page = site.get(&path).await;
    let data = site.data(&path).await;
    assert_eq!((page.status, data.status), (200, 200), "{name}");
    let (page, data) = (framework.generation(&page), framework.generation(&data));
    site.data_fails().await;
    // Data first: what SvelteKit answers with 200 is an error in truth.
    for request in [site.data_request(&path), get(&path)] {
        let why = format!("{name}, {}", request.target);
        let before = failures(&site).await;
        eventually(&format!("{why}: a render fails"), PATIENCE, async || {
            let answer = site.send(&request).await;
            assert_eq!(answer.status, 200, "{why}: always an answer");
            (failures(&site).await > before).then_some(())
        })
        .await;
    }
    for _ in 0..3 {
        let (now, its) = (site.get(&path).await, site.data(&path).await);
        assert_eq!(
            (now.status, framework.generation(&now)),
            (200, page.clone()),
            "{name}: the last good page"
        );
        assert_eq!((its.status, framework.generation(&its)), (200, data.clone()), "{name}: and its data");
    }
    for request in [get(&path), site.data_request(&path)] {
        site.send(&request.clone().revalidate(TOKEN))
            .await
            .problem(502, &format!("{name}: {}", request.target));
    }
    let now = site.get(&path).await;
    assert_eq!(
        (now.status, framework.generation(&now)),
        (200, page.clone()),
        "{name}: a demand costs no page"
    );
    let cold = framework.post("2");
    for request in [get(&cold), site.data_request(&cold)] {
        let answer = site.send(&request).await;
        assert_eq!(answer.cache(), "ERROR", "{name}: {} was never there: {}", request.target, answer.status);
    }

    let version = site.edit(1, "After the failure").await;
    site.data_works().await;
    let begun = Instant::now();
    for request in [get(&path), site.data_request(&path)] {
        let left = RECOVERY.saturating_sub(begun.elapsed());
        eventually(&format!("{name}: {} recovers by itself", request.target), left, async || {
            let answer = site.send(&request).await;
            assert_eq!(answer.status, 200, "{name}: always an answer");
            (framework.generation(&answer).version == version).then_some(())
        })
        .await;
    }
    for request in [get(&cold), site.data_request(&cold)] {
        let answer = site.send(&request).await;
        assert_eq!((answer.status, answer.cache()), (200, "MISS"), "{name}: the error was not stored");
        framework.generation(&answer);
    }
}

async fn failures(site: &Site<'_>) -> f64 {
    site.proxy.metric("isr_refresh_total", &["result=\"failed\""]).await
}

/// The application is killed: everything that was good is still there.
pub async fn without_the_application(framework: &Framework) {
    let mut site = Site::start(framework, "1s").await;
    let paths =
        [framework.list.to_owned(), framework.post("1"), framework.post("99"), framework.post("latest")];
    let mut requests = Vec::new();
    for path in &paths {
        requests.extend([get(path), site.data_request(path)]);
    }
    let mut good = Vec::new();
    for request in &requests {
        good.push(site.send(request).await);
    }
    site.kill_application();
    for (request, good) in requests.iter().zip(&good) {
        let why = format!("{}, {}", framework.name, request.target);
        assert!(matches!(good.status, 200 | 307 | 404), "{why}: there was an answer: {}", good.status);
        eventually(&format!("{why} is stale"), PATIENCE, async || {
            let now = site.send(request).await;
            assert_eq!((now.status, now.text()), (good.status, good.text()), "{why}: the last good answer");
            (now.cache() == "STALE").then_some(())
        })
        .await;
    }
    site.get(&framework.post("2")).await.problem(502, "a page that was never there");
}
