//! `kubectl isr purge`, run by kubectl, through the API server, to real proxies.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::control_plane::own_address;
use crate::installation::{Cluster, SHOP, SYSTEM};
use crate::support::{HOST, Proxy, TOKEN, route};

/// What the user may do who purges by the name of a route.
const RIGHTS: [(&str, &str, &str, &str); 4] = [
    (SHOP, "kube-isr.dev", "isrroutes", "get"),
    (SHOP, "", "secrets", "get"),
    (SYSTEM, "discovery.k8s.io", "endpointslices", "list"),
    (SYSTEM, "", "pods/proxy", "create"),
];

/// Gives a new user these rights, and a kubeconfig.
fn user(cluster: &Cluster, name: &str, rights: &[(&str, &str, &str, &str)]) {
    let api_group = "rbac.authorization.k8s.io";
    for namespace in [SHOP, SYSTEM] {
        let rules: Vec<Value> = rights
            .iter()
            .filter(|(right, ..)| *right == namespace)
            .map(|(_, group, resource, verb)| {
                json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] })
            })
            .collect();
        let metadata = json!({ "name": name, "namespace": namespace });
        cluster.plane.apply(&[
            json!({ "apiVersion": format!("{api_group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules }),
            json!({ "apiVersion": format!("{api_group}/v1"), "kind": "RoleBinding", "metadata": metadata,
                "roleRef": { "apiGroup": api_group, "kind": "Role", "name": name },
                "subjects": [{ "apiGroup": api_group, "kind": "User", "name": name }] }),
        ]);
    }
    cluster.plane.write_kubeconfig(name, None);
}

/// A proxy, and the Pod that it would be in: the API server finds its address there.
async fn pod(cluster: &Cluster, name: &str) -> Proxy {
    let proxy = cluster.proxy(name).await;
    cluster.plane.apply(&[json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": SYSTEM },
        "spec": { "containers": [{ "name": "proxy", "image": "kube-isr:dev" }] },
    })]);
    let status =
        json!({ "status": { "podIP": own_address(), "podIPs": [{ "ip": own_address() }] } }).to_string();
    cluster.plane.kubectl(&["patch", "pod", name, "-n", SYSTEM, "--subresource=status", "-p", &status]);
    proxy
}

/// `kubectl isr purge` as a user: exit code, standard output, standard error.
fn purge(
    cluster: &Cluster,
    user: &str,
    token: Option<&str>,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder for plugins");
    symlink(env!("CARGO_BIN_EXE_kube-isr"), folder.path().join("kubectl-isr")).expect("the plugin");
    let output = cluster
        .plane
        .kubectl_with_plugins(user, folder.path())
        .args(["isr", "purge"])
        .args(arguments)
        .env_remove("KUBE_ISR_TOKEN")
        .envs(token.map(|token| ("KUBE_ISR_TOKEN", token)))
        .output()
        .expect("kubectl");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stdout.contains(TOKEN) && !stderr.contains(TOKEN), "the token is not printed: {stdout}{stderr}");
    (output.status.code(), stdout, stderr)
}

/// The line of a proxy that has done it.
fn done(name: &str, proxy: &Proxy, said: &str) -> String {
    format!("{name} ({}) done: {said}\n", proxy.admin_address())
}

#[tokio::test]
async fn api_a_route_is_purged_on_every_proxy_by_its_own_token() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let (one, two) = (pod(&cluster, "proxy-1").await, pod(&cluster, "proxy-2").await);
    cluster.route(&route("/blog/[slug]").named("blog").interval("10s").token(TOKEN));
    cluster.route(&route("/shop").interval("10s").token(TOKEN));
    cluster.route(&route("/open").interval("10s"));
    for name in ["blog", "shop", "open"] {
        cluster.says(name, "Ready", "True Ready").await;
    }
    user(&cluster, "editor", &RIGHTS);

    let both = |said: &str| format!("{}{}", done("proxy-1", &one, said), done("proxy-2", &two, said));
    for (arguments, said) in [
        (&["isrroute/blog", "-n", SHOP][..], "soft, 0 pages, 1 mark, of shop/blog"),
        (&["isr/blog", "-n", SHOP, "--path", "/blog/1", "--hard"], "hard, 1 page, 0 marks, of shop/blog"),
    ] {
        let (code, stdout, stderr) = purge(&cluster, "editor", None, arguments);
        assert_eq!((code, stdout), (Some(0), both(said)), "{arguments:?}: {stderr}");
    }
    // By a token of one's own, for all routes that have it.
    let page = ["--path", "/shop", "--host", HOST];
    let (code, stdout, stderr) = purge(&cluster, "editor", Some(TOKEN), &page);
    assert_eq!((code, stdout), (Some(0), both("soft, 1 page, 0 marks, of shop/blog, shop/shop")), "{stderr}");
    for proxy in [&one, &two] {
        let lines = proxy.log().lines().filter(|line| line.contains("invalidated")).count();
        assert_eq!(lines, 3, "each proxy was asked each time: {}", proxy.log());
    }

    let audit = cluster.plane.audit().into_iter().filter(|entry| entry.user.username == "editor");
    let asked: BTreeSet<String> = audit
        .filter_map(|entry| {
            let object = entry.object_ref?;
            let part = object.subresource.map(|part| format!("/{part}")).unwrap_or_default();
            Some(format!("{} {} {}{part}", object.namespace?, entry.verb, object.resource))
        })
        .collect();
    let rights = RIGHTS.map(|(namespace, _, resource, verb)| format!("{namespace} {verb} {resource}"));
    assert_eq!(asked, BTreeSet::from(rights), "exactly the rights that the help names");
    assert!(!cluster.plane.audit_log().contains(TOKEN), "the token is in no log");

    for (arguments, code, expected) in [
        (&[][..], 64, "nothing is named: write --path"),
        (&["--everything"], 64, "no token: write --token-file FILE"),
        (&["isrroute/absent", "-n", SHOP], 1, "IsrRoute shop/absent: the API server answers 404"),
        (&["isrroute/open", "-n", SHOP], 1, "IsrRoute shop/open has no spec.bypassToken"),
        (&["pod/blog", "-n", SHOP], 64, "write isrroute/NAME"),
    ] {
        let (ended, stdout, stderr) = purge(&cluster, "editor", None, arguments);
        assert_eq!((ended, &*stdout), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn api_a_purge_that_did_not_reach_every_proxy_fails_and_names_it() {
    let cluster = Cluster::new().await;
    let _operator = cluster.operator("operator-1");
    let (one, two) = (pod(&cluster, "proxy-1").await, pod(&cluster, "proxy-2").await);
    cluster.route(&route("/blog/[slug]").named("blog").interval("10s").token(TOKEN));
    cluster.says("blog", "Ready", "True Ready").await;
    user(&cluster, "editor", &RIGHTS);
    let [route_right, secret_right, list, connect] = RIGHTS;
    user(&cluster, "reader", &[route_right, secret_right, list]);
    user(&cluster, "caller", &[route_right, list, connect]);
    let arguments = ["isrroute/blog", "-n", SHOP];

    let (code, stdout, _) = purge(&cluster, "reader", None, &arguments);
    assert_eq!(code, Some(1), "{stdout}");
    for name in ["proxy-1", "proxy-2"] {
        let expected =
            format!("cannot create resource \"pods/proxy\" in API group \"\" in the namespace \"{SYSTEM}\"");
        let line = stdout.lines().find(|line| line.starts_with(name)).expect("a line for each");
        assert!(line.contains("not done: The API server answers 403") && line.contains(&expected), "{line}");
    }
    let (code, stdout, stderr) = purge(&cluster, "caller", None, &arguments);
    assert_eq!((code, &*stdout), (Some(1), ""));
    assert!(
        stderr.contains("Secret shop/blog-token, which IsrRoute shop/blog names, cannot be read"),
        "{stderr}"
    );
    let (code, _, stderr) = purge(&cluster, "caller", Some(TOKEN), &arguments);
    assert_eq!(code, Some(0), "the token may be handed over: {stderr}");
    let wrong = purge(&cluster, "caller", Some("example-token-that-nobody-has-00"), &arguments);
    assert_eq!(wrong.0, Some(1));
    assert!(
        wrong.1.contains(
            "is no route's. Nothing was rendered and nothing changed. The token is that of KUBE_ISR_TOKEN."
        ),
        "{}",
        wrong.1
    );

    let (code, _, stderr) =
        purge(&cluster, "admin", None, &["isrroute/blog", "-n", SHOP, "--system-namespace", "elsewhere"]);
    assert_eq!(code, Some(1), "nobody is not everybody");
    assert!(stderr.contains("no proxy was found"), "{stderr}");

    let (http, admin) = (two.address().port(), two.admin_address());
    drop(two);
    cluster.endpoint("proxy-2", http, admin.port(), false);
    let (code, stdout, stderr) = purge(&cluster, "editor", None, &arguments);
    assert_eq!(code, Some(1), "one of two is not all: {stderr}");
    assert!(stdout.starts_with(&done("proxy-1", &one, "soft, 0 pages, 1 mark, of shop/blog")), "{stdout}");
    let away = format!("proxy-2 ({admin}) not done: It is not ready. The API server answers 503");
    assert!(stdout.contains(&away), "{stdout}");
}
