//! Which files of the folder count, and what holds while one of them is broken.

use crate::support::{Folder, Origin, Proxy, route};

#[tokio::test]
async fn a_file_that_is_broken_twice_keeps_its_last_good_content() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/kept").interval("Never")]).await;
    let digest = proxy.admin_json("/configz").await["digest"].clone();
    proxy.get("/kept").await.is(200, "MISS", "v1", "the first visitor renders");
    for broken in ["kind: [IsrRoute", "kind: {IsrRoute: ["] {
        let before = proxy.generation().await;
        proxy.folder().write("route-0.yaml", broken);
        proxy.newer_than(before).await;
        let configz = proxy.admin_json("/configz").await;
        assert_eq!(configz["digest"], digest, "{broken}: the last good table is in force: {configz}");
        proxy.get("/kept").await.is(200, "HIT", "v1", "and serves");
    }
}

#[tokio::test]
async fn only_visible_manifest_files_count() {
    let origin = Origin::counting().await;
    let port = origin.address().port();
    let folder = Folder::of(&origin, [route("/shown").interval("Never")]);
    for (name, path) in [(".hidden.yaml", "/hidden"), ("route.yaml.swp", "/swap"), ("notes.txt", "/notes")] {
        folder.write(name, &route(path).interval("Never").yaml(port));
    }
    folder.write("seen.yml", &route("/seen").interval("Never").yaml(port));
    let proxy = Proxy::with(folder).start().await;
    for (path, counts) in
        [("/shown", true), ("/seen", true), ("/hidden", false), ("/swap", false), ("/notes", false)]
    {
        proxy.get(path).await;
        assert_eq!(proxy.get(path).await.cache() == "HIT", counts, "{path}");
    }
}
