//! The product's own binary, in front of an origin.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Request, Response, get};
use super::h2::H2;
use super::manifest::{Route, SERVICE, service};
use super::origin::Origin;
use super::wait::{PATIENCE, eventually};

/// The program under test: the one of this build, or the one that `KUBE_ISR_PROGRAM` names. The image's is optimised.
pub fn program() -> PathBuf {
    std::env::var_os(PROGRAM).map_or_else(|| env!("CARGO_BIN_EXE_kube-isr").into(), PathBuf::from)
}

/// Whether that is not the one of this build.
pub fn is_optimised() -> bool {
    !cfg!(debug_assertions) || std::env::var_os(PROGRAM).is_some()
}

const PROGRAM: &str = "KUBE_ISR_PROGRAM";

/// A folder of manifests. Files appear, change and go atomically, as a careful editor or a mounted volume does it.
pub struct Folder {
    root: tempfile::TempDir,
}

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder for manifests");
        std::fs::create_dir(root.path().join("routes")).expect("the folder of manifests");
        Self { root }
    }

    /// A folder with a Service for `origin` and one file for each route.
    pub fn of(origin: &Origin, routes: impl IntoIterator<Item = Route>) -> Self {
        let folder = Self::new();
        folder.write("service.yaml", &service(SERVICE, origin.address()));
        for (index, route) in routes.into_iter().enumerate() {
            folder.write(&format!("route-{index}.yaml"), &route.yaml(origin.address().port()));
        }
        folder
    }

    /// Where the manifests are.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("routes")
    }

    /// A path beside the manifests, for files that are none.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file in one step: written beside the folder, then moved into it.
    pub fn write(&self, name: &str, text: &str) {
        let staged = self.beside("staged");
        std::fs::write(&staged, text).expect("a staged manifest");
        std::fs::rename(&staged, self.path().join(name)).expect("the manifest in its place");
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).expect("the manifest was there");
    }
}

/// How the proxy is to be started.
pub struct Launch {
    folder: Folder,
    routes: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    admin: IpAddr,
    file_size_limit: Option<u64>,
    under: Vec<String>,
}

impl Launch {
    /// Adds an option and its value, or two options.
    pub fn option(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.arguments.push(name.to_owned());
        self.arguments.push(value.as_ref().to_str().expect("a plain argument").to_owned());
        self
    }

    /// Adds an option without a value.
    pub fn flag(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    /// Sets a variable of its environment.
    pub fn environment(mut self, name: &str, value: impl Into<PathBuf>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Has its admin endpoints on this address instead of loopback.
    pub fn admin_on(mut self, address: IpAddr) -> Self {
        self.admin = address;
        self
    }

    /// Lets it write no file beyond so many KiB, as if the disk were full.
    pub fn file_size_limit(mut self, kibibytes: u64) -> Self {
        self.file_size_limit = Some(kibibytes);
        self
    }

    /// Runs it under a program that takes a command as its last arguments.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Reads the manifests from here instead of the folder.
    pub fn routes(mut self, path: PathBuf) -> Self {
        self.routes = path;
        self
    }

    /// Starts the proxy and waits until it is ready.
    pub async fn start(self) -> Proxy {
        let proxy = self.start_unready().await;
        eventually("the proxy is ready", PATIENCE, async || {
            (proxy.admin("/readyz").await.status == 200).then_some(())
        })
        .await;
        proxy
    }

    /// Starts the proxy and waits only until it has its ports.
    pub async fn start_unready(self) -> Proxy {
        let binary = program();
        let mut command = match (self.file_size_limit, self.under.split_first()) {
            (None, None) => Command::new(binary),
            (None, Some((before, arguments))) => {
                let mut command = Command::new(before);
                command.args(arguments).arg(binary);
                command
            }
            (Some(limit), _) => {
                // Without a handler, the signal that comes with the refusal would end the process. dash counts in
                // blocks of 512 bytes.
                let mut shell = Command::new("sh");
                let script = r#"trap '' XFSZ; ulimit -f "$1"; shift; exec "$@""#;
                shell.args(["-c", script, "sh", &(limit * 2).to_string()]);
                shell.arg(binary);
                shell
            }
        };
        let mut child = command
            .args(["proxy", "--listen", "127.0.0.1:0", "--admin"])
            .arg(SocketAddr::new(self.admin, 0).to_string())
            .arg("--routes")
            .arg(&self.routes)
            .args(&self.arguments)
            .env_remove("RUST_LOG")
            .env("KUBE_ISR_STATE_DIR", self.folder.beside("state"))
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the kube-isr binary");
        let stdout = collect(child.stdout.take().expect("standard output"));
        let stderr = collect(child.stderr.take().expect("standard error"));
        let wants_tls = self.arguments.iter().any(|argument| argument == "--tls-listen");
        let mut proxy = Proxy {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_address: None,
            folder: self.folder,
            stderr,
        };
        let ports = eventually("the proxy has its ports", PATIENCE, async || {
            let ended = proxy.child.try_wait().expect("the state of the proxy");
            assert!(ended.is_none(), "the proxy ended at once ({ended:?}): {}", proxy.log());
            let text = stdout.lock().expect("standard output").clone();
            let address = |label: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(label))?;
                line.rsplit('/').next()?.trim().parse::<SocketAddr>().ok()
            };
            let plain = address("proxy listening on http://")?;
            let admin = address("admin listening on http://")?;
            let tls = address("tls listening on https://");
            (tls.is_some() || !wants_tls).then_some((plain, admin, tls))
        })
        .await;
        (proxy.address, proxy.admin_address, proxy.tls_address) = ports;
        proxy
    }
}

/// A running proxy. Killed by its process id when dropped.
pub struct Proxy {
    child: Child,
    address: SocketAddr,
    admin_address: SocketAddr,
    tls_address: Option<SocketAddr>,
    folder: Folder,
    stderr: Arc<Mutex<String>>,
}

impl Proxy {
    /// A proxy that serves these routes from this origin, ready.
    pub async fn serving(origin: &Origin, routes: impl IntoIterator<Item = Route>) -> Self {
        Self::with(Folder::of(origin, routes)).start().await
    }

    /// A proxy over a folder, not started yet.
    pub fn with(folder: Folder) -> Launch {
        Launch {
            routes: folder.path(),
            folder,
            arguments: Vec::new(),
            environment: Vec::new(),
            admin: Ipv4Addr::LOCALHOST.into(),
            file_size_limit: None,
            under: Vec::new(),
        }
    }

    /// Where visitors connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin endpoints are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Where visitors connect with TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls_address.expect("a proxy started with --tls-listen")
    }

    /// The folder of manifests.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A new HTTP/1.1 connection.
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A new HTTP/2 connection.
    pub async fn h2(&self) -> H2 {
        H2::connect(self.address).await
    }

    /// A GET on a connection of its own.
    pub async fn get(&self, target: &str) -> Response {
        self.send(&get(target)).await
    }

    /// A request on a connection of its own.
    pub async fn send(&self, request: &Request) -> Response {
        self.client().await.send(request).await
    }

    /// Sends exactly these bytes on a connection of its own and returns all that comes back until it closes.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut client = self.client().await;
        client.write_if_open(bytes).await;
        super::message::latin1(&client.read_to_end().await)
    }

    /// GETs a page until `done`, as visitors come again; the first response for which it holds.
    pub async fn visit_until(&self, target: &str, what: &str, done: impl Fn(&Response) -> bool) -> Response {
        let mut client = self.client().await;
        eventually(what, PATIENCE, async || Some(client.get(target).await).filter(|page| done(page))).await
    }

    /// A GET on the admin listener.
    pub async fn admin(&self, target: &str) -> Response {
        Client::connect(self.admin_address).await.send(&get(target).host("localhost")).await
    }

    /// A JSON answer of the admin listener.
    pub async fn admin_json(&self, target: &str) -> Value {
        let response = self.admin(target).await;
        assert_eq!(response.status, 200, "{target} answers: {}", response.text());
        serde_json::from_slice(&response.body)
            .unwrap_or_else(|e| panic!("{target} is JSON: {e}: {}", response.text()))
    }

    /// The value of one metric: the sum of all samples of `name` whose labels contain every text of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.admin("/metrics").await.text();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, set) = series.split_once('{').unwrap_or((series, ""));
            let matches = metric == name && labels.iter().all(|label| set.contains(label));
            matches.then(|| value.parse::<f64>().expect("a number"))
        });
        samples.sum()
    }

    /// The generation of the table in force.
    pub async fn generation(&self) -> u64 {
        self.admin_json("/configz").await["generation"].as_u64().expect("configz has a generation")
    }

    /// Waits until a newer table than `generation` is in force, and returns its generation. The threads that bring it there stand back
    /// behind whatever else the machine does.
    pub async fn newer_than(&self, generation: u64) -> u64 {
        let what = format!("a table newer than generation {generation}");
        eventually(&what, PATIENCE * 3, async || {
            Some(self.generation().await).filter(|now| *now > generation)
        })
        .await
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.stderr.lock().expect("standard error").clone()
    }

    /// The memory that it has, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its state");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kibibytes * 1024
    }

    /// Processor time that its threads have had whose names begin like this, in steps of 10 ms.
    pub fn processor_time(&self, names: &str) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let steps = threads.flatten().filter_map(|thread| {
            let state = std::fs::read_to_string(thread.path().join("stat")).ok()?;
            // The number, the name in brackets, and then the state as the third field of proc_pid_stat(5).
            let (name, fields) = state.split_once('(')?.1.rsplit_once(") ")?;
            let steps = |field: usize| fields.split(' ').nth(field - 3)?.parse::<u64>().ok();
            name.starts_with(names).then_some(steps(14)? + steps(15)?)
        });
        Duration::from_millis(steps.sum::<u64>() * 10)
    }

    /// Name and nice value of each of its threads.
    pub fn threads(&self) -> Vec<(String, i32)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        // One that ends meanwhile is none.
        let thread = |task: std::fs::DirEntry| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned();
            let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
            // The 19th field (proc(5)); the second one, in brackets, may hold anything.
            let nice = stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok()?;
            Some((name, nice))
        };
        tasks.map_while(Result::ok).filter_map(thread).collect()
    }

    /// Asks it to end in good order (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id]).status();
        assert!(status.expect("sh").success(), "the proxy was there to get SIG{name}");
    }

    /// Stops it from running (SIGSTOP) until SIGCONT, every thread of it.
    pub async fn pause(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        eventually("all threads stand still", PATIENCE, async || {
            let is_stopped = |task: std::fs::DirEntry| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
            };
            let mut tasks = std::fs::read_dir(&tasks).expect("the threads").map_while(Result::ok);
            tasks.all(is_stopped).then_some(())
        })
        .await;
    }

    /// Kills it at once (SIGKILL); its folder, for the next one.
    pub fn crash(mut self) -> Folder {
        self.child.kill().expect("the proxy was there to be killed");
        self.child.wait().expect("its end");
        std::mem::replace(&mut self.folder, Folder::new())
    }

    /// Has it end in good order; its folder, for the next one.
    pub async fn stop(mut self) -> Folder {
        self.terminate();
        assert!(self.ended(PATIENCE).await.success(), "it ends in good order: {}", self.log());
        std::mem::replace(&mut self.folder, Folder::new())
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        eventually("the proxy has ended", deadline, async || self.child.try_wait().expect("its state")).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy's log ---\n{}--- end of the proxy's log ---", self.log());
        }
    }
}

/// Collects what a child writes, as it writes it: a full pipe would stop the child.
pub fn collect(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = text.clone();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while let Ok(1..) = reader.read_until(b'\n', &mut line) {
            sink.lock().expect("the text").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
        let _ = reader.read_to_end(&mut line);
    });
    text
}
