//! The cluster that `tests/kind/up` has brought up, and the release in it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use crate::support::{Client, Request, Response, eventually};

/// For what happens in a cluster: pods that are scheduled, images that are unpacked, on a machine that does all of it.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// The namespace of the release.
pub const SYSTEM: &str = "kube-isr-system";

/// The namespaces of the tests' applications, whose `HTTPRoute`s may lead to the proxies.
const NAMESPACES: [&str; 9] =
    ["shop", "steady", "upgraded", "removed", "changing", "rotating", "owner", "rival", "purged"];

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

/// Applies manifests, each of which must be accepted.
pub fn apply(manifests: &str) {
    apply_with(manifests, &[]).unwrap_or_else(|error| panic!("{error}"));
}

/// Applies manifests with further arguments of kubectl.
pub fn apply_with(manifests: &str, further: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("manifests.yaml");
    std::fs::write(&file, manifests).expect("the manifests");
    attempt("kubectl", &[&["apply", "--filename", &file.display().to_string()], further].concat())
}

/// A file of `examples/kubernetes/`.
pub fn manifest(name: &str) -> String {
    std::fs::read_to_string(example(name)).expect("an example")
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

/// Gives the release this many proxies, and waits for them.
pub fn proxies(count: usize) {
    let chart = repository("charts/kube-isr").display().to_string();
    let set = format!("proxy.replicas={count}");
    helm(&[
        "upgrade",
        "kube-isr",
        &chart,
        "-n",
        SYSTEM,
        "--reuse-values",
        "--wait",
        "--timeout=10m",
        "--set",
        &set,
    ]);
}

async fn install() {
    // What an earlier run has left.
    let _ = attempt("helm4", &["uninstall", "kube-isr", "--namespace", SYSTEM, "--wait"]);
    kubectl(&[&["delete", "namespace", SYSTEM, "--ignore-not-found"], &NAMESPACES[..]].concat());
    kubectl(&["delete", "crd", "isrroutes.kube-isr.dev", "isrpurges.kube-isr.dev", "--ignore-not-found"]);
    kubectl(&["create", "namespace", SYSTEM]);
    kubectl(&["label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted"]);
    release("helm4", "install", Chart::Present, &[]);
}

/// Which chart a release is made of, and which images.
#[derive(Clone, Copy, Debug)]
pub enum Chart {
    /// Of this checkout.
    Present,
    /// The one before, packaged, with the same program under another tag.
    Previous,
}

impl Chart {
    fn path(self) -> PathBuf {
        repository(match self {
            Self::Present => "charts/kube-isr",
            Self::Previous => "tests/e2e/releases/kube-isr-0.1.0.tgz",
        })
    }

    /// The tag of its images.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Present => ":dev",
            Self::Previous => ":previous",
        }
    }
}

/// Installs or upgrades the release by a version of Helm, and waits until all of it is ready.
pub fn release(version: &str, verb: &str, chart: Chart, further: &[&str]) {
    let path = chart.path().display().to_string();
    let values = [
        &format!("image.repository=kube-isr,image.tag={},image.pullPolicy=Never", &chart.tag()[1..]),
        // So that a test of new tokens need not wait for a minute.
        "operator.secretPeriod=2s",
        &format!("gateway.referenceGrant.namespaces={{{}}}", NAMESPACES.join(",")),
    ];
    // The shared tier of the release's own, from what this machine has; the nodes have no storage that outlives a pod.
    let valkey = "valkey.enabled=true,valkey.persistence.enabled=false,valkey.image.repository=kube-isr-valkey,\
                  valkey.image.tag=dev,valkey.image.pullPolicy=Never";
    let valkey = matches!(chart, Chart::Present).then_some(valkey);
    let set = values.into_iter().chain(valkey).flat_map(|values| ["--set", values]);
    let arguments = [verb, "kube-isr", &path, "--namespace", SYSTEM, "--wait", "--timeout=10m"];
    let arguments: Vec<&str> = arguments.into_iter().chain(set).chain(further.iter().copied()).collect();
    attempt(version, &arguments).unwrap_or_else(|error| panic!("{error}"));
}

/// The example application in a namespace of its own, led to by an Ingress for this host.
pub fn application(namespace: &str, host: &str) {
    let own = |name: &str| manifest(name).replace("namespace: shop", &format!("namespace: {namespace}"));
    apply(&own("application").replace("  name: shop\n", &format!("  name: {namespace}\n")));
    apply(&own("ingress").replace("shop.example.com", host));
    kubectl(&["rollout", "status", "deployment/web", "--namespace", namespace, "--timeout=10m"]);
}

/// A route of the example application with an interval, and with these further lines of `spec`.
pub fn route(namespace: &str, name: &str, hostnames: &str, path: &str, further: &str) -> String {
    format!(
        "apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  hostnames: [{hostnames}]
  path: '{path}'
  backendRef: {{ name: web, port: 3000 }}
  {further}
"
    )
}

/// Status, reason and message of a condition of a route, if it is about the route's present generation.
pub fn condition(namespace: &str, name: &str, kind: &str) -> Option<[String; 3]> {
    let route = kubectl(&["get", "isrroute", name, "--namespace", namespace, "--output", "json"]);
    let route: Value = serde_json::from_str(&route).expect("JSON");
    let conditions = route["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    let is_present = found["observedGeneration"] == route["metadata"]["generation"];
    is_present.then(|| [text("status"), text("reason"), text("message")])
}

/// Waits until a condition of a route says this; returns its message.
pub async fn says(namespace: &str, name: &str, kind: &str, status: &str, reason: &str) -> String {
    let what = format!("{kind} of {namespace}/{name} is {status}/{reason}");
    eventually(&what, PATIENCE, async || {
        let [found, why, message] = condition(namespace, name, kind)?;
        (found == status && why == reason).then_some(message)
    })
    .await
}

/// The objects of this kind in a namespace.
pub fn listed(namespace: &str, kinds: &str, further: &[&str]) -> Vec<Value> {
    let arguments = ["get", kinds, "--namespace", namespace, "--output", "json"];
    let found: Value = serde_json::from_str(&kubectl(&[&arguments, further].concat())).expect("JSON");
    found["items"].as_array().expect("a list").clone()
}

/// Waits until each Deployment of a namespace has the pods that it should, and no pod of before is left.
pub async fn settled(namespace: &str) {
    // Pods drain one after another.
    eventually(&format!("{namespace} is settled"), PATIENCE * 4, async || {
        listed(namespace, "deployments,pods", &[]).iter().all(is_settled).then_some(())
    })
    .await;
}

fn is_settled(object: &Value) -> bool {
    if object["kind"] == "Pod" {
        return object["metadata"]["deletionTimestamp"].is_null();
    }
    let status = &object["status"];
    let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let pods = ["replicas", "updatedReplicas", "availableReplicas"];
    status["observedGeneration"] == object["metadata"]["generation"]
        && pods.iter().all(|kind| status[kind].as_u64().unwrap_or_default() == wanted)
}

/// The pods of the proxies, with how often their containers were restarted.
pub fn proxy_pods() -> Vec<(String, u64)> {
    let pods = listed(SYSTEM, "pods", &["--selector", "app.kubernetes.io/component=proxy"]);
    // One that is on its way out serves nobody any more.
    let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let described = staying.map(|pod| {
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        (pod["metadata"]["name"].as_str().expect("a name").to_owned(), restarts)
    });
    described.collect()
}

/// What a proxy says at an admin path.
pub fn admin(pod: &str, path: &str) -> Value {
    let raw = format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:9090/proxy{path}");
    serde_json::from_str(&kubectl(&["get", "--raw", &raw])).expect("JSON")
}

/// Waits until a request through Traefik is answered like this. While nothing leads anywhere, connections may break.
pub async fn answered(what: &str, request: &Request, is: impl Fn(&Response) -> bool) -> Response {
    let mut last = String::new();
    eventually(what, PATIENCE, async || {
        let response = Client::connect(traefik()).await.try_send(request).await;
        let now = match &response {
            Ok(response) => format!("{} {}", response.status, response.cache()),
            Err(error) => error.to_string(),
        };
        if now != last {
            eprintln!("{what}: {now}");
            last = now;
        }
        response.ok().filter(|response| is(response))
    })
    .await
}
