//! A new build of the application: pages of the old one ask for files that are gone.

use std::collections::BTreeSet;

use serde_json::json;

use crate::build::second;
use crate::framework::{Framework, NUXT, SVELTE_KIT};
use crate::site::Site;
use crate::support::{Response, TOKEN, post};

#[tokio::test]
async fn e2e_framework_sveltekit_deploy() {
    deploy(&SVELTE_KIT, "/_app/immutable/").await;
}

#[tokio::test]
async fn e2e_framework_nuxt_deploy() {
    deploy(&NUXT, "/_nuxt/").await;
}

/// A deployment that ends with an invalidation of everything leaves nobody with a page whose files are gone, and the time before
/// leaves nothing behind: that a file is not there is never stored.
async fn deploy(framework: &Framework, assets: &str) {
    let mut site = Site::start(framework, "1h").await;
    let (path, name) = (framework.post("1"), framework.name);
    let old = site.get(&path).await;
    let files = files_of(&old, assets);
    assert!(files.len() > 2, "{name}: a page with files: {files:?}");
    assert_eq!(missing(&site, &files).await, [""; 0], "{name}: they are there");
    let data = framework.generation(&site.data(&path).await);

    site.replace_application(second(framework).await).await;
    let still = site.get(&path).await;
    assert_eq!((still.cache(), still.text()), ("HIT", old.text()), "{name}: the page of the old build");
    assert_ne!(missing(&site, &files).await, [""; 0], "{name}: whose files are gone");

    let everything = post(
        "/.well-known/kube-isr/v1/invalidate",
        json!({ "everything": true, "mode": "hard" }).to_string(),
    );
    let done = site.send(&everything.revalidate(TOKEN)).await;
    assert_eq!(done.status, 200, "{name}: {}", done.text());
    let new = site.get(&path).await;
    assert_eq!((new.status, new.cache()), (200, "MISS"), "{name}: rendered by the new build");
    assert!(new.text().contains("All the posts"), "{name}: by the new build: {}", new.text());
    let files = files_of(&new, assets);
    assert_eq!(missing(&site, &files).await, [""; 0], "{name}: whose files are there");
    let data_now = site.data(&path).await;
    assert_eq!((data_now.status, data_now.cache()), (200, "MISS"), "{name}: and so is its data");
    assert!(framework.generation(&data_now) > data, "{name}: {data_now:?}");
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
