//! A real control plane: etcd and kube-apiserver on loopback, new for each test, with the authorisation, the
//! admission and the audit log of a cluster.
//!
//! There are no nodes and no controllers: Pods stay pending, and what a test wants in an `EndpointSlice` it writes
//! itself. The processes end with the test program, however that ends.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::Client;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::wait::eventually;

/// For a server to start: a machine that is busy building takes its time.
const STARTING: Duration = Duration::from_mins(2);

/// A running control plane.
pub struct ControlPlane {
    // In this order they end.
    processes: Vec<Process>,
    folder: tempfile::TempDir,
    assets: PathBuf,
    server: String,
    /// Where etcd and the API server listen.
    ports: [u16; 2],
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// One request in the audit log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// As a role says it: `get`, `list`, `watch`, `patch`…
    pub verb: String,
    /// Who asked.
    pub user: AuditedUser,
    /// What was asked for; nothing for paths that are no resources.
    #[serde(default)]
    pub object_ref: Option<AuditedObject>,
    /// The path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// What came of it.
    #[serde(default)]
    pub response_status: Option<AuditedStatus>,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditedUser {
    /// The name in the client certificate.
    pub username: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditedObject {
    /// In plural.
    pub resource: String,
    /// Such as `status`.
    pub subresource: Option<String>,
    /// Absent for what has none, and for lists over all.
    pub namespace: Option<String>,
    /// Absent for lists.
    pub name: Option<String>,
    /// Empty for the core group.
    pub api_group: Option<String>,
}

/// What came of a request.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditedStatus {
    /// The HTTP status.
    pub code: u16,
}

/// A child that ends with this program: `sh` watches the pipe that only we hold open, and ends the child when it
/// closes, which the kernel sees to whatever happens to us.
struct Process {
    guard: Child,
    id: u32,
}

impl Process {
    fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let script = r#"log=$1; shift
"$@" >"$log" 2>&1 </dev/null &
child=$!
echo $child
exec 3<&0
# Ends when our standard input does.
cat <&3 >/dev/null
kill -9 $child 2>/dev/null
wait $child 2>/dev/null"#;
        let mut guard = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(log)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut line = String::new();
        let stdout = guard.stdout.take().expect("standard output");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("the process id");
        Self { guard, id: line.trim().parse().expect("a number") }
    }

    /// Whether it has ended: a process that nobody has waited for is still listed, but has no command line.
    fn ended(&self) -> bool {
        // A zombie. The command line would be empty while the program is being loaded, too.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

impl ControlPlane {
    /// Starts one and waits until it is ready.
    pub async fn start() -> Self {
        let assets = assets();
        let folder = tempfile::tempdir().expect("a folder for the control plane");
        let authority = authority();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("ca.crt"), authority.pem()).expect("the authority");
        issue(folder.path(), &authority, "server", "kube-apiserver", None);
        let key = KeyPair::generate().expect("a key");
        std::fs::write(at("sa.key"), key.serialize_pem()).expect("the key of tokens");
        std::fs::write(at("sa.pub"), key.public_key_pem()).expect("the key of tokens");
        std::fs::write(at("audit.yaml"), json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [
                { "level": "Request", "resources": [
                    { "group": "kube-isr.dev" }, { "group": "events.k8s.io" }, { "group": "", "resources": ["configmaps"] }] },
                { "level": "Metadata" },
            ],
        }).to_string()).expect("the audit policy");

        let [client_port, peer_port, port] = free_ports();
        let etcd = Process::start(
            &assets.join("etcd"),
            &[
                format!("--data-dir={}", at("etcd")),
                format!("--listen-client-urls=http://127.0.0.1:{client_port}"),
                format!("--advertise-client-urls=http://127.0.0.1:{client_port}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"),
                "--unsafe-no-fsync".to_owned(),
            ],
            Path::new(&at("etcd.log")),
        );
        let mut plane = Self {
            assets,
            server: format!("https://127.0.0.1:{port}"),
            ports: [client_port, port],
            authority,
            processes: vec![etcd],
            folder,
        };
        plane.write_kubeconfig("admin", Some("system:masters"));
        plane.start_api_server().await;
        plane
    }

    /// Kills the API server. What it has stored stays.
    pub fn stop_api_server(&mut self) {
        drop(self.processes.remove(1));
    }

    /// Starts an API server where it was, and waits until it is ready.
    pub async fn start_api_server(&mut self) {
        let api_server = self.api_server();
        self.processes.push(api_server);
        let client = self.client("admin").await;
        eventually("the API server is ready", STARTING, async || {
            let ended = self.processes[1].ended();
            assert!(!ended, "the API server ended at once: {}", self.log("apiserver.log"));
            let request = http::Request::get("/readyz").body(Vec::new()).expect("a request");
            client.request_text(request).await.ok()
        })
        .await;
    }

    fn api_server(&self) -> Process {
        let [etcd_port, port] = self.ports;
        let at = |name: &str| self.path(name).display().to_string();
        let arguments = [
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--client-ca-file={}", at("ca.crt")),
            format!("--tls-cert-file={}", at("server.crt")),
            format!("--tls-private-key-file={}", at("server.key")),
            format!("--service-account-key-file={}", at("sa.pub")),
            format!("--service-account-signing-key-file={}", at("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            // Pods of service accounts need controllers that are not here.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            format!("--audit-policy-file={}", at("audit.yaml")),
            format!("--audit-log-path={}", at("audit.log")),
        ];
        Process::start(&self.assets.join("kube-apiserver"), &arguments, Path::new(&at("apiserver.log")))
    }

    /// A file of the control plane.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Makes a client certificate for a user and a kubeconfig with it, and returns the path of that.
    pub fn write_kubeconfig(&self, user: &str, group: Option<&str>) -> PathBuf {
        issue(self.folder.path(), &self.authority, user, user, group);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": {
                "server": self.server, "certificate-authority": self.path("ca.crt") } }],
            "users": [{ "name": "test", "user": {
                "client-certificate": self.path(&format!("{user}.crt")), "client-key": self.path(&format!("{user}.key")) } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        let path = self.kubeconfig(user);
        std::fs::write(&path, config.to_string()).expect("the kubeconfig");
        path
    }

    /// The kubeconfig of a user for whom one was written.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.path(&format!("{user}.kubeconfig"))
    }

    /// A client that is this user.
    pub async fn client(&self, user: &str) -> Client {
        let config = kube::config::Kubeconfig::read_from(self.kubeconfig(user)).expect("the kubeconfig");
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await;
        Client::try_from(config.expect("a configuration")).expect("a client")
    }

    /// Runs kubectl as the administrator and returns what it prints; it must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments, None);
        output.unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// Applies manifests; each must be accepted.
    pub fn apply(&self, manifests: &[Value]) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": manifests });
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.try_kubectl(&arguments, Some(&list.to_string())).expect("every manifest is accepted");
    }

    /// Runs kubectl as the administrator, with this as its standard input; what it prints, or what it complains.
    pub fn try_kubectl(&self, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
        use std::io::Write as _;
        let mut child = Command::new(self.assets.join("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig("admin"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut stdin = child.stdin.take().expect("standard input");
        // Manifests of thousands of objects are longer than a pipe: kubectl reads them all before it prints.
        stdin.write_all(input.unwrap_or_default().as_bytes()).expect("kubectl reads");
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// kubectl as this user, with the programs of a folder for plugins.
    pub fn kubectl_with_plugins(&self, user: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.assets.join("kubectl"));
        command.env("KUBECONFIG", self.kubeconfig(user)).env("HOME", self.folder.path()).env("PATH", folder);
        command
    }

    /// The audit log so far, one entry for each request that was answered. Watches stand in it when they end, and when
    /// they begin as a response that started.
    pub fn audit(&self) -> Vec<Audited> {
        self.audit_log().lines().map(|line| serde_json::from_str(line).expect("an audit entry")).collect()
    }

    /// The audit log as text.
    pub fn audit_log(&self) -> String {
        std::fs::read_to_string(self.path("audit.log")).expect("the audit log")
    }

    /// Stops the API server (SIGSTOP) or lets it go on: to its clients it is away, but keeps its connections.
    pub fn freeze(&self, frozen: bool) {
        signal(self.processes[1].id, if frozen { "STOP" } else { "CONT" });
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(id: u32, signal: &str) {
    let status =
        Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &id.to_string()]).status();
    assert!(status.expect("sh").success(), "process {id} was there to get SIG{signal}");
}

/// An address of this machine that is not loopback, as the API server demands of endpoints. Nothing is sent: the system
/// says which address it would use.
pub fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // An address for documentation (RFC 5737).
    socket.connect("192.0.2.1:9").expect("the machine has a route to other machines");
    socket.local_addr().expect("its address").ip()
}

/// The folder with etcd, kube-apiserver and kubectl.
fn assets() -> PathBuf {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cluster/build")).output();
    let output = output.expect("tests/cluster/build");
    assert!(output.status.success(), "tests/cluster/build: {}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Ports that nobody has at this moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "test authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Writes `<file>.crt` and `<file>.key`.
fn issue(
    folder: &Path,
    authority: &CertifiedIssuer<'static, KeyPair>,
    file: &str,
    name: &str,
    group: Option<&str>,
) {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        parameters.distinguished_name.push(DnType::OrganizationName, group);
    }
    parameters.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters.signed_by(&key, authority).expect("a certificate");
    std::fs::write(folder.join(format!("{file}.crt")), certificate.pem()).expect("the certificate");
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("the key");
}
