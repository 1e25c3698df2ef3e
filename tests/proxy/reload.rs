//! Changes of the manifests: applied soon, atomically, without a lost or misrouted request; never the worse for a
//! broken file.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::proxy::is_optimised;
use crate::support::{
    Answer, Client, Folder, Origin, PATIENCE, Proxy, TOKEN, eventually, get, let_the_interval_end, manifest,
    route,
};

#[tokio::test]
async fn routes_come_change_and_go() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/kept").interval("Never")]).await;
    let port = origin.address().port();
    proxy.get("/kept").await.is(200, "MISS", "v1", "the first visitor renders");
    let passed = proxy.get("/new").await;
    assert_ne!(passed.cache(), "HIT", "an unmatched path passes through");

    let begun = std::time::Instant::now();
    proxy.folder().write("new.yaml", &route("/new").interval("60s").yaml(port));
    let what = "the new route is in force";
    proxy.visit_until("/new", what, |page| page.cache() == "HIT").await;
    // A second is promised; a busy machine gets more.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "a change applies within a second, not {:?}",
        begun.elapsed()
    );
    proxy.get("/kept").await.is(200, "HIT", "v1", "pages outlive a reload");

    proxy.folder().write("new.yaml", &route("/new").interval("1s").yaml(port));
    let_the_interval_end().await;
    let what = "the changed interval is in force, also for what is stored";
    proxy.visit_until("/new", what, |page| page.cache() == "STALE").await;

    proxy.folder().remove("new.yaml");
    let what = "the route is gone, the path passes through";
    proxy.visit_until("/new", what, |page| !matches!(page.cache(), "HIT" | "STALE" | "MISS")).await;
    proxy.get("/kept").await.is(200, "HIT", "v1", "pages outlive a reload");
}

#[tokio::test]
async fn a_page_that_was_hit_belongs_to_the_route_that_the_new_table_has_for_it() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/[page]").named("every-page").interval("Never")]).await;
    let hit_twice = async |version: &str| {
        for time in ["first", "second"] {
            proxy.get("/one").await.is(200, "HIT", version, &format!("the {time} hit under this table"));
        }
    };
    proxy.get("/one").await.is(200, "MISS", "v1", "the first visitor renders");
    hit_twice("v1").await;

    let specific = route("/one").named("one-page").interval("Never");
    proxy.folder().write("one.yaml", &specific.yaml(origin.address().port()));
    let what = "the more specific route answers, with a page of its own";
    proxy.visit_until("/one", what, |page| page.cache() == "MISS").await;
    hit_twice("v2").await;

    proxy.folder().remove("one.yaml");
    let what = "the wider route answers again, with a page of its own";
    proxy.visit_until("/one", what, |page| page.cache() == "MISS").await;
    hit_twice("v3").await;
}

#[tokio::test]
async fn a_broken_file_leaves_the_last_good_table_in_force_and_says_so() {
    let origin = Origin::counting().await;
    let proxy = Proxy::serving(&origin, [route("/kept").interval("Never")]).await;
    let port = origin.address().port();
    proxy.get("/kept").await.is(200, "MISS", "v1", "the first visitor renders");
    let before = proxy.metric("isr_config_reloads_total", &[]).await;
    let good = proxy.admin_json("/configz").await;

    proxy.folder().write("route-0.yaml", "kind: IsrRoute\n  broken: [yaml\n: at all");
    let what = "the broken file is counted";
    eventually(what, PATIENCE, async || {
        (proxy.metric("isr_config_reloads_total", &[]).await > before).then_some(())
    })
    .await;
    let failed = proxy.admin("/metrics").await.text();
    let counted = failed.lines().any(|line| {
        line.starts_with("isr_config_reloads_total{")
            && !line.contains("success")
            && !line.contains("\"ok\"")
            && !line.contains("applied")
            && !line.ends_with(" 0")
    });
    assert!(counted, "the metric tells failures from successes: {failed}");
    let configz = proxy.admin_json("/configz").await;
    assert_eq!(configz["digest"], good["digest"], "the last good table is in force: {configz}");
    assert!(configz.to_string().contains("route-0.yaml"), "configz names the broken file: {configz}");
    let what = "the log names the broken file";
    eventually(what, PATIENCE, async || proxy.log().contains("route-0.yaml").then_some(())).await;
    proxy.get("/kept").await.is(200, "HIT", "v1", "the last good table serves");
    assert_eq!(proxy.admin("/readyz").await.status, 200, "a proxy with a good table stays ready");

    proxy.folder().write("other.yaml", &route("/other").interval("60s").yaml(port));
    proxy.folder().write("route-0.yaml", &route("/kept").interval("Never").yaml(port));
    let what = "the mended folder is in force";
    proxy.visit_until("/other", what, |page| page.cache() == "HIT").await;
    let configz = proxy.admin_json("/configz").await;
    assert!(!configz.to_string().contains("route-0.yaml"), "a mended file is no longer a problem: {configz}");
    proxy.get("/kept").await.is(200, "HIT", "v1", "pages outlive the accident");
}

#[tokio::test]
async fn a_proxy_that_never_had_a_table_is_alive_but_not_ready() {
    let origin = Origin::counting().await;
    let folder = Folder::new();
    folder.write("all.yaml", "{ this is: [not yaml");
    let proxy = Proxy::with(folder).start_unready().await;
    assert_eq!(proxy.admin("/livez").await.status, 200, "it lives");
    let ready = proxy.admin("/readyz").await;
    assert_eq!(ready.status, 503, "it has nothing to serve: {}", ready.text());
    let good = manifest::service(manifest::SERVICE, origin.address());
    let good = good + "---\n" + &route("/page").interval("60s").yaml(origin.address().port());
    proxy.folder().write("all.yaml", &good);
    eventually("ready once there is a table", PATIENCE, async || {
        (proxy.admin("/readyz").await.status == 200).then_some(())
    })
    .await;
    proxy.get("/page").await.is(200, "MISS", "v1", "and it serves");
}

#[tokio::test]
async fn one_file_is_enough() {
    let origin = Origin::counting().await;
    let folder = Folder::new();
    let yaml = |path: &str| {
        let service = manifest::service(manifest::SERVICE, origin.address());
        service + "---\n" + &route(path).interval("60s").token(TOKEN).yaml(origin.address().port())
    };
    folder.write("all.yaml", &yaml("/one"));
    let file = folder.path().join("all.yaml");
    let proxy = Proxy::with(folder).routes(file).start().await;
    proxy.get("/one").await.is(200, "MISS", "v1", "a single file of manifests serves");
    proxy.folder().write("all.yaml", &yaml("/two"));
    proxy.visit_until("/two", "its change is in force", |page| page.cache() == "HIT").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_mounted_volume_changes_by_its_link() {
    // A mounted ConfigMap: files are links into ..data, which is a link to a folder that is replaced as a whole.
    use std::os::unix::fs::symlink;
    let origin = Origin::counting().await;
    let folder = Folder::new();
    let root = folder.path();
    let put = |version: &str, path: &str| {
        let real = root.join(format!("..{version}"));
        std::fs::create_dir(&real).expect("a version of the volume");
        let service = manifest::service(manifest::SERVICE, origin.address());
        let text =
            service + "---\n" + &route(path).named("page").interval("60s").yaml(origin.address().port());
        std::fs::write(real.join("routes.yaml"), text).expect("the manifests");
        let staged = root.join("..data_tmp");
        symlink(format!("..{version}"), &staged).expect("a link");
        std::fs::rename(&staged, root.join("..data")).expect("the link in its place");
    };
    put("first", "/one");
    symlink("..data/routes.yaml", root.join("routes.yaml")).expect("a link");
    let proxy = Proxy::with(folder).start().await;
    proxy.get("/one").await.is(200, "MISS", "v1", "a mounted volume serves");
    put("second", "/two");
    proxy.visit_until("/two", "the replaced volume is in force", |page| page.cache() == "HIT").await;
    let gone = proxy.get("/one").await;
    assert!(!matches!(gone.cache(), "HIT" | "STALE"), "each manifest counts once, from the volume in force");
}

/// Hosts, the routes of each, and how often the manifests change under load.
const HOSTS: usize = 100;
/// Routes of one host; in all there are ten thousand.
const ROUTES: usize = 100;
/// Reloads under load of an optimised program, and of one that is not, which takes a second for each.
const RELOADS: [usize; 2] = [200, 20];
/// Connections that ask without pause, and the time between two requests of one of them. The rate is constant: who
/// waited for an answer sends the next request at once until it is back on time.
const LOAD: (usize, Duration) = (8, Duration::from_millis(20));

fn host(index: usize) -> String {
    format!("h{index}.example.com")
}

/// The manifests of one host: its routes, one of which changes with each version.
fn hosted(index: usize, version: usize, port: u16) -> String {
    let mut text = String::new();
    for page in 0..ROUTES {
        let interval = if page == 0 { 3600 + version } else { 3600 };
        let page = route(&format!("/p{page}/[slug]")).named(&format!("h{index}-p{page}")).host(&host(index));
        let _ = writeln!(text, "{}---", page.interval(&format!("{interval}s")).yaml(port));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_lose_and_misroute_nothing() {
    let reloads = RELOADS[usize::from(!is_optimised())];
    let origin = Origin::start(|request| Answer::page(request.url())).await;
    let port = origin.address().port();
    let folder = Folder::of(&origin, []);
    for index in 0..HOSTS {
        folder.write(&format!("h{index}.yaml"), &hosted(index, 0, port));
    }
    let proxy = Proxy::with(folder).start().await;
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut load = tokio::task::JoinSet::new();
    for worker in 0..LOAD.0 {
        let (address, done, answered) = (proxy.address(), done.clone(), answered.clone());
        load.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut tick = tokio::time::interval(LOAD.1);
            // Worker and count walk over all hosts and routes; a few pages each, so that hits and misses mix.
            for count in worker.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                tick.tick().await;
                let at = count.wrapping_mul(7919);
                let (host, page, slug) = (host(at % HOSTS), at / HOSTS % ROUTES, at % 3);
                let target =
                    if count % 20 == 0 { format!("/pass/{slug}") } else { format!("/p{page}/{slug}") };
                let answer = client.try_send(&get(&target).host(&host)).await;
                let answer = answer.unwrap_or_else(|error| panic!("{host}{target} was lost: {error}"));
                assert_eq!(
                    (answer.status, answer.text()),
                    (200, format!("{host}{target}")),
                    "failed or misrouted"
                );
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut generation = proxy.generation().await;
    for version in 1..=reloads {
        let index = version % HOSTS;
        proxy.folder().write(&format!("h{index}.yaml"), &hosted(index, version, port));
        generation = proxy.newer_than(generation).await;
        if let Some(ended) = load.try_join_next() {
            ended.expect("a visitor who lost nothing");
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("a visitor who lost nothing");
    }
    assert!(generation >= reloads as u64, "each change was a table of its own: {generation}");
    assert!(answered.load(Ordering::Relaxed) > 4 * reloads, "there was load: {answered:?} answers");
    let configz = proxy.admin_json("/configz").await;
    assert_eq!(
        configz["problems"].as_array().map(Vec::len),
        Some(0),
        "the last table has no problems: {configz}"
    );
}
