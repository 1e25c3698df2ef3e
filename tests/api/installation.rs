//! kube-isr installed in a control plane: namespaces, roles, operators and proxies.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, own_address, signal};
use crate::support::manifest::Route;
use crate::support::proxy::{Launch, collect, program};
use crate::support::{Client, Folder, PATIENCE, Proxy, eventually, get};

/// The namespace of the installation.
pub const SYSTEM: &str = "kube-isr-system";
/// The namespace of the application, unless a test says otherwise.
pub const SHOP: &str = "shop";

/// A control plane with the resource definition, the roles and an application's namespace.
pub struct Cluster {
    pub plane: ControlPlane,
    /// What every operator of the installation is told.
    arguments: Vec<String>,
}

impl Cluster {
    /// Installs in cluster mode.
    pub async fn new() -> Self {
        Self::installed(&[]).await
    }

    /// Installs for these namespaces, or for all if there are none.
    pub async fn installed(watched: &[&str]) -> Self {
        let plane = ControlPlane::start().await;
        let crd = Command::new(env!("CARGO_BIN_EXE_kube-isr")).arg("crd").output().expect("the CRD").stdout;
        plane
            .try_kubectl(&["apply", "--server-side", "-f", "-"], Some(&String::from_utf8_lossy(&crd)))
            .expect("the CRD is accepted");
        let definitions = ["crd/isrroutes.kube-isr.dev", "crd/isrpurges.kube-isr.dev"];
        plane.kubectl(&[&["wait", "--for=condition=Established"][..], &definitions].concat());
        // What the chart says.
        let arguments: &[&str] = match watched {
            [] => &["--ingress-owner", "clusterrole/kube-isr-system:kube-isr-operator"],
            namespaces => &[
                "--watch-namespaces",
                &namespaces.join(","),
                "--ingress-owner",
                "role/kube-isr-operator-watched",
            ],
        };
        let arguments = arguments.iter().chain(&["--owner", "role/kube-isr-operator"]);
        let arguments = arguments.map(|argument| (*argument).to_owned()).collect();
        let cluster = Self { plane, arguments };
        for namespace in [SYSTEM, SHOP].iter().chain(watched.iter().filter(|name| **name != SHOP)) {
            cluster.namespace(namespace);
        }
        cluster.grant("operator", "operator-namespace", Some(SYSTEM));
        cluster.grant("proxy", "proxy", Some(SYSTEM));
        if watched.is_empty() {
            cluster.grant("operator", "operator-cluster", None);
        }
        for namespace in watched {
            cluster.grant("operator", "operator-watched", Some(namespace));
        }
        cluster.plane.apply(&[json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "kube-isr-proxy", "namespace": SYSTEM },
            "spec": { "ports": [{ "name": "http", "port": 80 }, { "name": "admin", "port": 9090 }] },
        })]);
        cluster
    }

    /// Creates a namespace with the Service `web`.
    pub fn namespace(&self, name: &str) {
        self.plane.apply(&[json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })]);
        self.service(name, "web", 3000);
    }

    /// Creates or changes a Service.
    pub fn service(&self, namespace: &str, name: &str, port: u16) {
        self.plane.apply(&[json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": namespace },
            "spec": { "ports": [{ "port": port }] },
        })]);
    }

    /// Creates or changes a Secret.
    pub fn secret(&self, namespace: &str, name: &str, data: &[(&str, &str)]) {
        let data: serde_json::Map<_, _> =
            data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let metadata = json!({ "name": name, "namespace": namespace });
        self.plane.apply(&[
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data }),
        ]);
    }

    /// Gives a user the rules of a file of `charts/kube-isr/rbac/`, in a namespace or everywhere, by a role of the name
    /// that the chart gives it, and a kubeconfig.
    pub fn grant(&self, user: &str, file: &str, namespace: Option<&str>) {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../charts/kube-isr/rbac/{file}.yaml"));
        let text = std::fs::read_to_string(path).expect("the rules");
        let rules: Value = serde_saphyr::from_str(&text).expect("YAML");
        let (role, binding) =
            if namespace.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
        let group = "rbac.authorization.k8s.io";
        let name = match file {
            "operator-namespace" => "kube-isr-operator",
            "operator-watched" => "kube-isr-operator-watched",
            "operator-cluster" => "kube-isr-system:kube-isr-operator",
            "proxy" => "kube-isr-proxy",
            file => panic!("{file} is no file of rules"),
        };
        let metadata = json!({ "name": name, "namespace": namespace });
        self.plane.apply(&[
            json!({ "apiVersion": format!("{group}/v1"), "kind": role, "metadata": metadata, "rules": rules["rules"] }),
            json!({ "apiVersion": format!("{group}/v1"), "kind": binding, "metadata": metadata,
                "roleRef": { "apiGroup": group, "kind": role, "name": name },
                "subjects": [{ "apiGroup": group, "kind": "User", "name": user }] }),
        ]);
        self.plane.write_kubeconfig(user, None);
    }

    /// Applies a route, with the Secrets that it names.
    pub fn route(&self, route: &Route) {
        self.plane.apply(&route.objects(3000));
    }

    /// What the API server has of a route.
    pub fn get_route(&self, name: &str) -> Value {
        let text = self.plane.kubectl(&["get", "isrroute", name, "-n", SHOP, "-o", "json"]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Waits until a condition of a route of the shop says this, as `Status Reason`, about its present generation;
    /// returns the message.
    pub async fn says(&self, name: &str, condition: &str, expected: &str) -> String {
        let what = format!("{condition} of {name} is {expected}");
        let mut last = Value::Null;
        eventually(&what, PATIENCE * 2, async || {
            let route = self.get_route(name);
            let found = condition_of(&route, condition);
            let says = format!("{} {}", text(&found["status"]), text(&found["reason"]));
            let is_present = found["observedGeneration"] == route["metadata"]["generation"];
            if last != found {
                eprintln!("{name} {condition}: {says}: {}", text(&found["message"]));
                last = found.clone();
            }
            (is_present && says == expected).then(|| text(&found["message"]))
        })
        .await
    }

    /// The events about an object of the shop, each as `Type Reason`, and how often it was told.
    pub fn events(&self, name: &str) -> Vec<(String, u64)> {
        let listed = self.plane.kubectl(&["get", "events.events.k8s.io", "-n", SHOP, "-o", "json"]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        let events = listed["items"].as_array().cloned().unwrap_or_default().into_iter();
        events
            .filter(|event| event["regarding"]["name"] == name)
            .map(|event| {
                let said = format!("{} {}", text(&event["type"]), text(&event["reason"]));
                // One that is told once is in no series.
                (said, event["series"]["count"].as_u64().unwrap_or(1))
            })
            .collect()
    }

    /// Waits until an object of the shop has this event, as `Type Reason`, told once.
    pub async fn tells(&self, name: &str, expected: &str) {
        eventually(&format!("{expected} is told of {name}"), PATIENCE, async || {
            let told: Vec<_> = self.events(name).into_iter().filter(|(said, _)| said == expected).collect();
            assert!(told.len() <= 1 && told.iter().all(|(_, times)| *times == 1), "{name}: {told:?}");
            told.first().cloned()
        })
        .await;
    }

    /// An operator of this installation, started.
    pub fn operator(&self, identity: &str) -> Operator {
        self.operator_with(identity, &[])
    }

    /// An operator of this installation that is told more than others.
    pub fn operator_with(&self, identity: &str, more: &[&str]) -> Operator {
        let arguments: Vec<&str> =
            self.arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Operator::start(&self.plane.kubeconfig("operator"), identity, &arguments)
    }

    /// A proxy of this installation, started and ready, and known to its Service.
    pub async fn proxy(&self, name: &str) -> Proxy {
        let proxy = self.launch(name).start().await;
        self.endpoint(name, proxy.address().port(), proxy.admin_address().port(), true);
        proxy
    }

    /// A proxy of this installation, to be started.
    pub fn launch(&self, name: &str) -> Launch {
        Proxy::with(Folder::new())
            .routes("kubernetes".into())
            .environment("KUBECONFIG", self.plane.kubeconfig("proxy"))
            .option("--namespace", SYSTEM)
            .option("--state-dir", self.plane.path(&format!("state-{name}")))
            .admin_on(own_address())
    }

    /// Says in an `EndpointSlice` where a proxy is, and whether it is ready.
    pub fn endpoint(&self, name: &str, http: u16, admin: u16, ready: bool) {
        self.plane.apply(&[json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": name, "namespace": SYSTEM, "labels": {
                "kubernetes.io/service-name": "kube-isr-proxy",
                // Kubernetes repeats the labels of the Service.
                "app.kubernetes.io/name": "kube-isr", "app.kubernetes.io/component": "proxy" } },
            "ports": [{ "name": "http", "port": http }, { "name": "admin", "port": admin }],
            "endpoints": [{ "addresses": [own_address()], "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": name, "namespace": SYSTEM } }],
        })]);
    }
}

/// A condition of a route.
pub fn condition_of(route: &Value, condition: &str) -> Value {
    let conditions = route["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|found| found["type"] == condition).unwrap_or_default()
}

/// A JSON text, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A running operator. Killed by its process id when dropped.
pub struct Operator {
    pub child: Child,
    pub admin: SocketAddr,
    stderr: Arc<Mutex<String>>,
}

impl Operator {
    /// Starts one and waits until it says where it is.
    pub fn start(kubeconfig: &Path, identity: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(["operator", "--namespace", SYSTEM, "--admin", "127.0.0.1:0", "--identity", identity])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the kube-isr binary");
        let stderr = collect(child.stderr.take().expect("standard error"));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)
            .expect("where it listens");
        let admin = line.trim().rsplit('/').next().and_then(|address| address.parse().ok());
        let Some(admin) = admin else {
            let _ = child.wait();
            panic!("the operator did not start: {line}{}", stderr.lock().expect("standard error"));
        };
        Self { child, admin, stderr }
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.stderr.lock().expect("standard error").clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// The value of one metric: the sum of all samples of `name` whose labels contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let answer = Client::connect(self.admin).await.send(&get("/metrics").host("localhost")).await.text();
        let lines = answer.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until the log says this.
    pub async fn says(&self, text: &str) {
        let what = format!("the operator's log says {text}");
        eventually(&what, PATIENCE * 2, async || self.log().contains(text).then_some(())).await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the operator's log ---\n{}--- end of the operator's log ---", self.log());
        }
    }
}
