//! Where the shared tier may be: behind TLS, in a cluster, under a name that Sentinels know.

use std::path::Path;

use crate::store::{Store, command, free_port};
use crate::support::proxy::Launch;
use crate::support::tls::Certificate;
use crate::support::{Folder, Origin, PATIENCE, Proxy, TOKEN, eventually, head, route};

/// Two replicas whose shared tier is at this URL, with these further options.
async fn two(url: &str, origin: &Origin, further: impl Fn(Launch) -> Launch) -> [Proxy; 2] {
    let start = async |name: &str| {
        let folder = Folder::of(origin, [route("/[page]").interval("Never").token(TOKEN)]);
        further(Proxy::with(folder).option("--shared", url).option("--replica", name)).start().await
    };
    [start("one").await, start("two").await]
}

/// Pages of one are the other's, and purges of one reach the other.
async fn agree(origin: &Origin, [one, two]: &[Proxy; 2], pages: usize) {
    let before = origin.count();
    for page in 0..pages {
        let page = format!("/{page}");
        let text = one.get(&page).await.text();
        assert_eq!(two.get(&page).await.text(), text, "one render for both");
        assert_eq!(one.send(&head(&page).revalidate(TOKEN)).await.status, 200);
        assert_ne!(one.get(&page).await.text(), text);
        assert_eq!(two.get(&page).await.text(), one.get(&page).await.text(), "one purge for both");
    }
    assert_eq!(origin.count() - before, 2 * pages, "nothing was rendered twice");
}

#[tokio::test]
async fn shared_over_tls_with_a_certificate_of_ones_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (trusted, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    Certificate::new("localhost").write(&trusted, &key);
    let password = folder.path().join("password");
    std::fs::write(&password, "example-password").expect("the password");
    let port = free_port();
    let text = |path: &Path| path.display().to_string();
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &text(&trusted),
        "--tls-key-file",
        &text(&key),
        "--user",
        "default",
        "off",
        "--user",
        "isr",
        "on",
        ">example-password",
        "~isr:*",
        "+@all",
    ]
    .map(str::to_owned);
    let _store = Store::launch(port, &arguments).await;
    let origin = Origin::counting().await;
    let url = format!("rediss://isr@localhost:{port}");
    let proxies = two(&url, &origin, |launch| {
        launch.option("--shared-ca-file", &trusted).option("--shared-password-file", &password)
    })
    .await;
    agree(&origin, &proxies, 3).await;
}

#[tokio::test]
async fn shared_in_a_cluster_of_three() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        // The port beside it is the cluster's own.
        let (port, bus) = (free_port(), free_port().to_string());
        let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus].map(str::to_owned);
        nodes.push(Store::launch(port, &arguments).await);
    }
    let hosts: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let all: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let created =
        command(nodes[0].port(), &[&["--cluster", "create"], &all[..], &["--cluster-yes"]].concat());
    assert!(created.contains("All 16384 slots covered"), "{created}");
    eventually("all nodes know of it", PATIENCE, async || {
        let knows = |node: &Store| command(node.port(), &["cluster", "info"]).contains("cluster_state:ok");
        nodes.iter().all(knows).then_some(())
    })
    .await;
    let origin = Origin::counting().await;
    let proxies = two(&format!("redis+cluster://{}", hosts.join(",")), &origin, |launch| launch).await;
    agree(&origin, &proxies, 12).await;
    let holding = nodes.iter().filter(|node| command(node.port(), &["keys", "*group*"]).contains("group"));
    assert!(holding.count() >= 2, "the pages are spread");
}

#[tokio::test]
async fn shared_under_a_name_that_sentinels_know_over_a_failover() {
    let first = Store::launch(free_port(), &[]).await;
    let replica = ["--replicaof", "127.0.0.1", &first.port().to_string()].map(str::to_owned);
    let second = Store::launch(free_port(), &replica).await;
    let port = free_port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sentinel.conf");
    let settings = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor pages 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds pages 1000\nsentinel failover-timeout pages 5000\n",
        first.port()
    );
    std::fs::write(&file, settings).expect("the settings");
    let _sentinel = Store::launch(port, &[file.display().to_string(), "--sentinel".to_owned()]).await;
    eventually("the Sentinel knows the second", PATIENCE, async || {
        command(port, &["sentinel", "replicas", "pages"]).contains(&second.port().to_string()).then_some(())
    })
    .await;
    let origin = Origin::counting().await;
    let url = format!("redis+sentinel://127.0.0.1:{port}/pages");
    let proxies = two(&url, &origin, |launch| launch).await;
    agree(&origin, &proxies, 3).await;

    drop(first);
    eventually("purges work on the second", PATIENCE * 3, async || {
        let status = proxies[0].send(&head("/0").revalidate(TOKEN)).await.status;
        (status == 200).then_some(())
    })
    .await;
    eventually("both are there again", PATIENCE, async || {
        let text = async |proxy: &Proxy| proxy.get("/0").await.text();
        let purged = proxies[1].send(&head("/0").revalidate(TOKEN)).await.status == 200;
        (purged && text(&proxies[0]).await == text(&proxies[1]).await).then_some(())
    })
    .await;
    assert_eq!(command(second.port(), &["role"]).lines().next(), Some("master"));
}
