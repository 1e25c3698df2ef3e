//! A page and its data are of one generation.

use std::time::Duration;

use crate::framework::Framework;
use crate::site::Site;
use crate::support::{PATIENCE, Response, TOKEN, eventually, get, let_time_pass};

/// Demands per framework. They are of several posts at once, between visits to the pages and their data.
const DEMANDS: usize = 1000;
const POSTS: usize = 4;

/// A thousand demands, by the page's URL and by its data's, while others visit both. What is answered after a demand is of its
/// generation, and data is never older than a page that was seen before it.
pub async fn one_generation(framework: &Framework) {
    let site = Site::start(framework, "1h").await;
    let rounds = |post: usize| {
        let site = &site;
        async move {
            let path = framework.post(&(post + 1).to_string());
            let (page, data) = (get(&path), site.data_request(&path));
            let (mut of_pages, mut of_data) = (site.proxy.client().await, site.proxy.client().await);
            let mut demands = site.proxy.client().await;
            let id = u32::try_from(post + 1).expect("a small number");
            for round in 0..DEMANDS / POSTS {
                let why = format!("{}, {path}, round {round}", framework.name);
                site.edit(id, &format!("Round {round}.")).await;
                let demand = if round % 2 == 0 { &page } else { &data }.clone().revalidate(TOKEN);
                let visits = async {
                    let page = of_pages.send(&page).await;
                    let data = of_data.send(&data).await;
                    (round_of(&page), round_of(&data))
                };
                let (demanded, (seen, then)) = tokio::join!(demands.send(&demand), visits);
                demanded.is_revalidated(200, &why);
                assert!(then >= seen, "{why}: data of round {then:?} after a page of round {seen:?}");
                for (what, now) in [("page", of_pages.send(&page).await), ("data", of_data.send(&data).await)]
                {
                    assert_eq!((now.status, round_of(&now)), (200, Some(round)), "{why}: {what}");
                }
            }
        }
    };
    futures::future::join_all((0..POSTS).map(rounds)).await;
}

/// The round in which a post got the title that a page or its data shows; `None` before any.
fn round_of(response: &Response) -> Option<usize> {
    let text = response.text();
    let (_, rest) = text.split_once("Round ")?;
    rest.split_once('.')?.0.parse().ok()
}

/// When the interval brings a new page, data of before is not served beside it, however young it is.
pub async fn one_generation_by_interval(framework: &Framework) {
    let site = Site::start(framework, "3s").await;
    let path = framework.post("1");
    let first = framework.generation(&site.get(&path).await);
    // Data that is younger than the page, and as old in content.
    let_time_pass(Duration::from_millis(1500)).await;
    let data = framework.generation(&site.data(&path).await);
    assert_eq!(data.version, first.version, "{}: nothing has changed yet", framework.name);
    let version = site.edit(1, "A new generation").await;
    let what = format!("{}: the new page", framework.name);
    eventually(&what, PATIENCE, async || {
        let page = framework.generation(&site.get(&path).await);
        (page.version == version).then_some(())
    })
    .await;
    let data = site.data_of_generation(&path).await;
    assert_eq!(data.status, 200, "{}", framework.name);
    assert_eq!(framework.generation(&data).version, version, "{}: {:?}", framework.name, data.headers);
}
