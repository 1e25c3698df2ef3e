//! The cluster that `tests/kind/up` has brought up, and the release in it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::support::{Client, Request, Response, eventually};

/// For what happens in a cluster: pods that are scheduled, images that are unpacked, on a machine that does all of it.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The namespace of the release.
pub const SYSTEM: &str = "kube-isr-system";

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Where Traefik is.
pub fn traefik() -> SocketAddr {
    let port = std::env::var("KIND_PORT").map_or(30080, |port| port.parse().expect("KIND_PORT is a port"));
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Sends a request to Traefik.
pub async fn ask(request: &Request) -> Response {
    Client::connect(traefik()).await.send(request).await
}

/// Runs a program with the cluster's credentials: what it prints, or what it complains.
pub fn attempt(program: &str, arguments: &[&str]) -> Result<String, String> {
    let kubeconfig =
        std::env::var_os("KUBECONFIG").expect("KUBECONFIG: run `make e2e`, or take it from tests/kind/up");
    let output = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run `make e2e`"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{program} {}: {}{}", arguments.join(" "), text(&output.stdout), text(&output.stderr)))
}

/// Runs kubectl, which must succeed.
pub fn kubectl(arguments: &[&str]) -> String {
    attempt("kubectl", arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs helm, which must succeed.
pub fn helm(arguments: &[&str]) -> String {
    attempt("helm4", arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// Applies a file of `examples/kubernetes/`.
pub fn apply_example(name: &str) {
    kubectl(&["apply", "--filename", &example(name)]);
}

/// Deletes what is in a file of `examples/kubernetes/`.
pub fn delete_example(name: &str) {
    kubectl(&["delete", "--ignore-not-found", "--filename", &example(name)]);
}

fn example(name: &str) -> String {
    repository(&format!("examples/kubernetes/{name}.yaml")).display().to_string()
}

/// The release, installed from nothing by the first test that asks for it.
pub async fn installed() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(install).await;
}

async fn install() {
    // What an earlier run has left.
    let _ = attempt("helm4", &["uninstall", "kube-isr", "--namespace", SYSTEM, "--wait"]);
    kubectl(&["delete", "namespace", SYSTEM, "shop", "--ignore-not-found"]);
    kubectl(&["delete", "crd", "isrroutes.kube-isr.dev", "--ignore-not-found"]);
    kubectl(&["create", "namespace", SYSTEM]);
    kubectl(&["label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted"]);
    let chart = repository("charts/kube-isr").display().to_string();
    helm(&[
        "install",
        "kube-isr",
        &chart,
        "--namespace",
        SYSTEM,
        "--wait",
        "--timeout",
        "3m",
        "--set",
        "image.repository=kube-isr,image.tag=dev,image.pullPolicy=Never",
        "--set",
        "gateway.referenceGrant.namespaces={shop}",
    ]);
}

/// Waits until a request through Traefik is answered like this.
pub async fn answered(what: &str, request: &Request, is: impl Fn(&Response) -> bool) -> Response {
    let mut last = String::new();
    eventually(what, PATIENCE, async || {
        let response = ask(request).await;
        let now = format!("{} {}", response.status, response.cache());
        if now != last {
            eprintln!("{what}: {now}");
            last = now;
        }
        is(&response).then_some(response)
    })
    .await
}
