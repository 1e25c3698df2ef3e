//! A new build of the application: pages of the old one ask for files that are gone.

use std::collections::BTreeSet;

use serde_json::json;

use crate::browser::Visitor;
use crate::framework::{Data, Framework};
use crate::site::Site;
use crate::support::{Response, TOKEN, post};

/// A deployment that ends with an invalidation of everything leaves nobody with a page whose files are gone, and the time before
/// leaves nothing behind: neither that a file is not there is stored, nor that data is of another build.
pub async fn another_build(framework: &Framework) {
    let mut site = Site::start(framework, "1h").await;
    let (path, name) = (framework.post("1"), framework.name);
    let old = site.get(&path).await;
    let files = files_of(&old, framework.assets);
    assert!(files.len() > 2, "{name}: a page with files: {files:?}");
    assert_eq!(missing(&site, &files).await, [""; 0], "{name}: they are there");
    let (old_data, data) = (site.data_request(&path), site.data(&path).await);
    let other_data = site.data_request(&framework.post("2"));

    site.deploy_second().await;
    let still = site.get(&path).await;
    assert_eq!((still.cache(), still.text()), ("HIT", old.text()), "{name}: the page of the old build");
    assert_ne!(missing(&site, &files).await, [""; 0], "{name}: whose files are gone");
    let still = site.send(&old_data).await;
    assert_eq!((still.cache(), still.text()), ("HIT", data.text()), "{name}: and its data, which is its own");

    invalidate_everything(&site).await;
    let new = site.get(&path).await;
    assert_eq!((new.status, new.cache()), (200, "MISS"), "{name}: rendered by the new build");
    assert!(new.text().contains("All the posts"), "{name}: by the new build: {}", new.text());
    let files = files_of(&new, framework.assets);
    assert_eq!(missing(&site, &files).await, [""; 0], "{name}: whose files are there");
    let data_now = site.data(&path).await;
    assert_eq!((data_now.status, data_now.cache()), (200, "MISS"), "{name}: and so is its data");
    assert!(framework.generation(&data_now) > framework.generation(&data), "{name}: {data_now:?}");
    if matches!(framework.data, Data::NextPages) {
        for request in [&old_data, &other_data] {
            let asked = site.tap.count_of(&request.target);
            for times in 1..=2 {
                let gone = site.send(request).await;
                assert_eq!(gone.status, 404, "{name}: data of the old build: {:?}", gone.headers);
                assert_eq!(site.tap.count_of(&request.target), asked + times, "{name}: which is not stored");
            }
        }
    }
}

/// Who has a page of the old build open and follows a link gets the page of the new build, by one full load, or goes on with
/// the code that is there.
pub async fn an_open_page_of_the_old_build(framework: &Framework) {
    let mut site = Site::start(framework, "1h").await;
    let (path, name) = (framework.post("1"), framework.name);
    let visitor = Visitor::open(site.proxy.address(), framework.list, &path).await;
    site.deploy_second().await;
    invalidate_everything(&site).await;
    let seen = visitor.follow().await;
    let is_new = seen.by_link.contains("All the posts");
    if is_new || !framework.goes_on {
        assert!(is_new, "{name}: by the new build: {:?}", seen.by_link);
        assert_eq!(seen.documents, [framework.list, &*path], "{name}: one full load: {:?}", seen.complaints);
    } else {
        assert!(seen.by_link.contains("Pages that are never rebuilt"), "{name}: {:?}", seen.by_link);
        assert_eq!(seen.documents, [framework.list], "{name}: nothing is loaded anew");
    }
}

async fn invalidate_everything(site: &Site<'_>) {
    let everything = post(
        "/.well-known/kube-isr/v1/invalidate",
        json!({ "everything": true, "mode": "hard" }).to_string(),
    );
    let done = site.send(&everything.revalidate(TOKEN)).await;
    assert_eq!(done.status, 200, "{}: {}", site.framework.name, done.text());
}

/// The files that a page names, as paths.
fn files_of(page: &Response, assets: &str) -> BTreeSet<String> {
    let text = page.text();
    let named = text.split('"').filter_map(|quoted| quoted.find(assets).map(|at| quoted[at..].to_owned()));
    named.filter(|file| matches!(file.rsplit('.').next(), Some("js" | "css"))).collect()
}

/// Those of them that are not there.
async fn missing(site: &Site<'_>, files: &BTreeSet<String>) -> Vec<String> {
    let mut missing = Vec::new();
    for file in files {
        let answer = site.get(file).await;
        assert_eq!(answer.cache(), "BYPASS", "{file}: files are the application's own");
        assert!(matches!(answer.status, 200 | 404), "{file}: {}", answer.status);
        if answer.status == 404 {
            missing.push(file.clone());
        }
    }
    missing
}
