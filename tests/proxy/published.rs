//! Routes from what an operator publishes: complete tables only, swapped whole, kept when everything else is away.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use isr_routes::manifest::{Manifests, read};
use isr_routes::snapshot::{Salt, Snapshot, write};
use isr_routes::{Backends, Options, compile};

use crate::support::manifest::{Route, SERVICE, service};
use crate::support::{
    Answer, ApiServer, Client, Folder, Origin, PATIENCE, Proxy, eventually, get, let_the_interval_end, route,
};

/// A published installation, and a place for what a proxy of it keeps.
pub struct Cluster {
    pub api: ApiServer,
    folder: Folder,
}

impl Cluster {
    pub async fn new() -> Self {
        let cluster = Self { api: ApiServer::start().await, folder: Folder::new() };
        cluster.api.write_kubeconfig(&cluster.folder.beside("kubeconfig"));
        cluster
    }

    pub fn state(&self) -> PathBuf {
        self.folder.beside("state")
    }

    /// A proxy of this installation, just started.
    async fn proxy(&self) -> Proxy {
        Proxy::with(Folder::new())
            .routes("kubernetes".into())
            .environment("KUBECONFIG", self.folder.beside("kubeconfig"))
            .option("--state-dir", self.state())
            .start_unready()
            .await
    }

    /// A proxy that has put a table in force and kept it ends; returns where the table is.
    async fn kept(&self) -> PathBuf {
        let proxy = self.ready_proxy().await;
        let file = self.state().join("routes.json");
        eventually("the table is kept", PATIENCE, async || file.exists().then_some(())).await;
        drop(proxy);
        file
    }

    pub async fn ready_proxy(&self) -> Proxy {
        let proxy = self.proxy().await;
        ready(&proxy).await;
        proxy
    }

    /// What an operator publishes of these routes.
    pub fn publish(&self, generation: u64, origin: &Origin, routes: impl IntoIterator<Item = Route>) {
        let mut snapshot = snapshot(origin, routes);
        snapshot.index.generation = generation;
        self.put_shards(&snapshot);
        self.put_index(&snapshot);
    }

    fn put_shards(&self, snapshot: &Snapshot) {
        let tokens = snapshot.origin_tokens.iter();
        self.api.set_secret(tokens.map(|(name, token)| (name.clone(), token.expose().to_owned())));
        for (name, bytes) in &snapshot.shards {
            let text = std::str::from_utf8(bytes).expect("JSON");
            self.api.put(&format!("kube-isr-routes-{}", &name[..16]), "routes.json", text);
        }
    }

    fn put_index(&self, snapshot: &Snapshot) {
        let index = String::from_utf8(snapshot.index.to_bytes()).expect("JSON");
        self.api.put("kube-isr-routes", "index.json", &index);
    }
}

fn snapshot(origin: &Origin, routes: impl IntoIterator<Item = Route>) -> Snapshot {
    let mut files = vec![read("service.yaml", &service(SERVICE, origin.address()))];
    for route in routes {
        files.push(read("route.yaml", &route.yaml(origin.address().port())));
    }
    let manifests = Manifests::from_files(files);
    let options = Options { backends: Backends::Standalone, shared_hosts: false };
    let compiled = compile(&manifests.routes, &manifests.references, &options);
    write(&compiled.table, false, &Salt([7; 32]))
}

async fn ready(proxy: &Proxy) {
    eventually("the proxy is ready", PATIENCE, async || {
        (proxy.admin("/readyz").await.status == 200).then_some(())
    })
    .await;
}

pub async fn serves(proxy: &Proxy, generation: u64) {
    let what = format!("generation {generation} is in force");
    eventually(&what, PATIENCE, async || (proxy.generation().await == generation).then_some(())).await;
}

pub async fn says(proxy: &Proxy, text: &str) {
    let what = format!("the log says {text}");
    eventually(&what, PATIENCE, async || proxy.log().contains(text).then_some(())).await;
}

#[tokio::test]
async fn published_routes_come_change_and_go() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(7, &origin, [route("/kept").interval("Never"), route("/gone").interval("Never")]);
    let proxy = cluster.ready_proxy().await;
    let config = proxy.admin_json("/configz").await;
    assert_eq!(
        (&config["source"], &config["generation"], &config["routes"]),
        (&"kubernetes".into(), &7.into(), &2.into())
    );
    proxy.get("/kept").await.is(200, "MISS", "v1", "the first visitor renders");
    proxy.get("/gone").await.is(200, "MISS", "v1", "as on the other page");

    cluster.publish(8, &origin, [route("/kept").interval("1s")]);
    serves(&proxy, 8).await;
    assert_ne!(proxy.get("/gone").await.cache(), "HIT", "it passes through");
    let_the_interval_end().await;
    proxy.visit_until("/kept", "the changed interval is in force", |page| page.cache() == "STALE").await;
    assert_ne!(proxy.admin_json("/configz").await["digest"], config["digest"]);
}

#[tokio::test]
async fn a_table_is_put_in_force_as_a_whole() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(1, &origin, [route("/kept").interval("Never")]);
    let proxy = cluster.ready_proxy().await;

    // The order that no operator writes in: first the index, then what it names.
    let next = route("/new").interval("Never").origin_token("example-origin-token");
    let mut snapshot = snapshot(&origin, [route("/kept").interval("Never"), next]);
    snapshot.index.generation = 2;
    cluster.put_index(&snapshot);
    says(&proxy, "lacks 1 shards and 1 origin tokens").await;
    assert_eq!(proxy.generation().await, 1, "the last good table stays");
    proxy.get("/kept").await.is(200, "MISS", "v1", "and serves");
    cluster.put_shards(&snapshot);
    serves(&proxy, 2).await;
    proxy.get("/new").await.is(200, "MISS", "v1", "the new route is there");
    assert_eq!(origin.last().headers.get("x-prerender-revalidate"), Some("example-origin-token"));
    assert!(!proxy.log().contains("example-origin-token"), "no secret in the log");
    assert_eq!(proxy.log().matches("lacks 1 shards").count(), 1, "said once");
}

#[tokio::test]
async fn an_origin_token_changes_without_a_restart() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    let page = |token: &str| [route("/page").interval("1s").origin_token(token)];
    cluster.publish(1, &origin, page("example-origin-token-1"));
    let proxy = cluster.ready_proxy().await;
    proxy.get("/page").await.is(200, "MISS", "v1", "rendered with the first token");
    cluster.publish(2, &origin, page("example-origin-token-2"));
    serves(&proxy, 2).await;
    let_the_interval_end().await;
    proxy.visit_until("/page", "it is rendered again", |page| page.text() == "v2").await;
    assert_eq!(origin.last().headers.get("x-prerender-revalidate"), Some("example-origin-token-2"));
}

#[tokio::test]
async fn no_request_is_lost_or_misrouted_while_tables_change() {
    let origin = Origin::start(|request| Answer::page(request.target.clone())).await;
    let cluster = Cluster::new().await;
    let always = || route("/always").interval("Never");
    cluster.publish(1, &origin, [always()]);
    let proxy = cluster.ready_proxy().await;
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitor = {
        let (over, served, address) = (Arc::clone(&over), Arc::clone(&served), proxy.address());
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            while !over.load(Ordering::Relaxed) {
                let page = client.send(&get("/always")).await;
                assert_eq!((page.status, page.text()), (200, "/always".to_owned()));
                served.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for generation in 2..=40 {
        let changing = route("/changing").named(&format!("changing-{generation}")).interval("Never");
        cluster.publish(generation, &origin, [always(), changing]);
        serves(&proxy, generation).await;
    }
    over.store(true, Ordering::Relaxed);
    visitor.await.expect("every request was answered");
    assert!(served.load(Ordering::Relaxed) > 39, "there were visitors all the while");
}

#[tokio::test]
async fn without_an_api_server_the_last_good_table_is_served() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    let page = route("/page").interval("Never").origin_token("example-origin-token");
    cluster.publish(3, &origin, [page]);
    let kept = cluster.kept().await;
    let mode = std::fs::metadata(&kept).expect("the table is kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds origin tokens");

    cluster.api.away(true);
    let proxy = cluster.ready_proxy().await;
    assert_eq!(proxy.generation().await, 3);
    proxy.get("/page").await.is(200, "MISS", "v1", "as before");
    assert_eq!(origin.last().headers.get("x-prerender-revalidate"), Some("example-origin-token"));

    cluster.publish(4, &origin, [route("/other").interval("Never")]);
    cluster.api.away(false);
    serves(&proxy, 4).await;
}

#[tokio::test]
async fn a_proxy_without_any_table_waits_and_is_not_ready() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.api.away(true);
    let proxy = cluster.proxy().await;
    says(&proxy, "cannot be watched").await;
    assert_eq!(proxy.admin("/readyz").await.status, 503);
    cluster.api.away(false);
    cluster.publish(1, &origin, [route("/page").interval("Never")]);
    ready(&proxy).await;
    proxy.get("/page").await.is(200, "MISS", "v1", "there it is");
}

#[tokio::test]
async fn a_damaged_last_good_table_is_no_table() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(1, &origin, [route("/page").interval("Never")]);
    let file = cluster.kept().await;
    cluster.api.away(true);
    let whole = std::fs::read(&file).expect("the table is kept");
    for damage in ["flipped", "cut", "empty"] {
        let mut bytes = whole.clone();
        match damage {
            "flipped" => bytes[whole.len() / 2] ^= 1,
            "cut" => bytes.truncate(whole.len() / 2),
            _ => bytes.clear(),
        }
        std::fs::write(&file, bytes).expect("the damage");
        let proxy = cluster.proxy().await;
        says(&proxy, "damaged").await;
        assert_eq!(proxy.admin("/readyz").await.status, 503, "{damage}");
    }
}

#[tokio::test]
async fn cut_and_forgotten_watches_go_on() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(1, &origin, [route("/1").interval("Never")]);
    let proxy = cluster.ready_proxy().await;
    for (generation, forget) in [(2, false), (3, true), (4, true), (5, false)] {
        cluster.api.cut(forget);
        cluster.publish(generation, &origin, [route(&format!("/{generation}")).interval("Never")]);
        serves(&proxy, generation).await;
        assert_eq!(proxy.admin_json("/configz").await["routes"], 1);
    }
}

#[tokio::test]
async fn a_deleted_or_broken_index_leaves_the_last_good_table() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    let page = || [route("/page").interval("Never")];
    cluster.publish(5, &origin, page());
    let proxy = cluster.ready_proxy().await;
    cluster.api.delete("kube-isr-routes");
    says(&proxy, "the index kube-isr-routes was deleted").await;
    proxy.get("/page").await.is(200, "MISS", "v1", "the table is in force");
    for (broken, said) in [("{", "unreadable"), (r#"{"format":9}"#, "update this program first")] {
        cluster.api.put("kube-isr-routes", "index.json", broken);
        says(&proxy, said).await;
        proxy.get("/page").await.is(200, "HIT", "v1", "the table is in force");
    }
    // An API server that was restored from a backup knows an older table, and its word counts.
    cluster.publish(2, &origin, [route("/older").interval("Never")]);
    serves(&proxy, 2).await;
    says(&proxy, "went back").await;
}

#[tokio::test]
async fn a_route_that_is_not_understood_is_reported_and_stands_alone() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    let mut snapshot =
        snapshot(&origin, [route("/good").interval("Never"), route("/newer").interval("Never")]);
    let (_, bytes) = snapshot.shards.pop_first().expect("a shard");
    let text = String::from_utf8(bytes).expect("JSON");
    let newer = text.replace(r#""path":"/newer""#, r#""path":"/newer","sampling":0.5"#);
    assert_ne!(text, newer);
    let name = isr_routes::snapshot::shard_name(newer.as_bytes());
    snapshot.shards.insert(name.clone(), newer.into_bytes());
    let index = isr_routes::snapshot::Index::of(3, false, vec![name], Vec::new());
    cluster.put_shards(&snapshot);
    cluster.put_index(&Snapshot { index, ..snapshot });
    let proxy = cluster.ready_proxy().await;
    let config = proxy.admin_json("/configz").await;
    assert_eq!((&config["generation"], &config["routes"]), (&3.into(), &1.into()));
    let rejected = &config["rejected"][0];
    assert_eq!(rejected["object"], "IsrRoute shop/newer");
    let message = rejected["message"].as_str().expect("a message");
    assert!(message.contains("sampling") && message.contains("update the proxy"), "{message}");
    proxy.get("/good").await.is(200, "MISS", "v1", "the other route is in force");
}

#[tokio::test]
async fn the_api_server_is_asked_for_config_maps_and_one_secret_only() {
    let origin = Origin::counting().await;
    let cluster = Cluster::new().await;
    cluster.publish(1, &origin, [route("/page").interval("Never").origin_token("example-origin-token")]);
    let proxy = cluster.ready_proxy().await;
    cluster.publish(2, &origin, [route("/other").interval("Never")]);
    serves(&proxy, 2).await;
    let allowed = [
        "/api/v1/namespaces/kube-isr-system/configmaps?",
        "/api/v1/namespaces/kube-isr-system/secrets/kube-isr-origin-tokens?",
    ];
    for request in cluster.api.requests() {
        assert!(allowed.iter().any(|path| request.starts_with(path)), "{request}");
    }
}
