//! An application below a path, in two languages.

use crate::fleet::Fleet;
use crate::page::assert_kind;
use crate::support::{Request, Response, TOKEN, get};

/// Of data of the pages router: the version of what it was made of.
fn version(data: &Response) -> u64 {
    let data: serde_json::Value = serde_json::from_slice(&data.body).expect("JSON");
    data["pageProps"]["version"].as_u64().expect("a version")
}

/// The client of the pages router names the language in the URL of data also where the path of the page names none.
#[tokio::test]
async fn data_goes_with_its_page_in_each_language() {
    let fleet = Fleet::start("1h").await;
    let data = |language: &str| get(&format!("/docs/_next/data/{}/{language}/posts/1.json", fleet.build()));
    let languages = [("/docs/posts/1", data("en"), "(en)"), ("/docs/de/posts/1", data("de"), "(de)")];
    for (page, data, language) in &languages {
        let first = fleet.proxies[0].get(page).await;
        assert_eq!((first.status, first.cache()), (200, "MISS"), "{page}");
        for cache in ["MISS", "HIT"] {
            let answer = fleet.proxies[0].send(data).await;
            assert_eq!(
                (answer.status, answer.cache()),
                (200, cache),
                "{page}: its data: {:?}",
                answer.headers
            );
            assert_kind(&answer, "application/json", page);
            assert!(answer.text().contains(language), "{page}: {}", answer.text());
        }
    }
    for (turn, (page, data, _)) in languages.iter().cycle().take(4).enumerate() {
        let (_, other, _) = &languages[(turn + 1) % 2];
        let before = fleet.proxies[1].send(other).await;
        let new = fleet.edit(1, &format!("Edit {turn}")).await;
        // The page is demanded by its own URL, by that of its data, and by the application.
        let by_data = turn >= 2;
        let demand: Request = if by_data { data.clone() } else { get(page) };
        fleet.proxies[0].send(&demand.revalidate(TOKEN)).await.is_revalidated(200, page);
        for proxy in &fleet.proxies {
            let shown = proxy.get(page).await;
            assert!(shown.text().contains(&format!("Edit {turn}")), "{page}, turn {turn}: {}", shown.text());
            assert_eq!(
                version(&proxy.send(data).await),
                new,
                "{page}, turn {turn}: its data is of its generation"
            );
            let other = proxy.send(other).await;
            assert_eq!(
                version(&other),
                version(&before),
                "{page}, turn {turn}: the other language was not named"
            );
        }
    }
    let new = fleet.edit(1, "By the application").await;
    fleet.revalidate("/docs/posts/1").await;
    for proxy in &fleet.proxies {
        assert_eq!(
            version(&proxy.send(&languages[0].1).await),
            new,
            "res.revalidate reaches the data as well"
        );
    }
}
