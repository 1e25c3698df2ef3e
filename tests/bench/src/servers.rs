//! The servers that are measured: each started from its configuration in `peers/`, on one core, on free ports.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::machine::{self, Cores};
use crate::tls::Certificate;

mod bare;
mod haproxy;
mod kube_isr;
mod nginx;
mod trafficserver;
mod varnish;

pub(crate) use bare::serve as serve_bare;
pub(crate) use kube_isr::table;
pub(crate) use nginx::configure as configure_nginx;

/// From the start of a server to its first accepted connection. Varnish compiles its configuration meanwhile.
const START_WITHIN: Duration = Duration::from_secs(30);

/// From the request to end to the end; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What is measured, in the order of tables and pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A loop over epoll that reads and writes, and nothing else: what the kernel costs.
    Bare,
    /// This project.
    KubeIsr,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Varnish.
    Varnish,
    /// Apache Traffic Server.
    TrafficServer,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Bare, Self::KubeIsr, Self::Haproxy, Self::Nginx, Self::Varnish, Self::TrafficServer];

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare loop",
            Self::KubeIsr => "kube-isr",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Varnish => "Varnish",
            Self::TrafficServer => "Traffic Server",
        }
    }
}

/// What servers are started with.
pub(crate) struct Setting {
    pub(crate) cores: Cores,
    /// The application behind them.
    pub(crate) origin: SocketAddr,
    pub(crate) certificate: Certificate,
    /// Where the peers' packages are unpacked.
    pub(crate) peers: PathBuf,
    /// The program of kube-isr's image.
    pub(crate) kube_isr: PathBuf,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    /// HTTP/1.1 in the clear.
    pub(crate) plain: u16,
    /// HTTP/2 in the clear, by prior knowledge.
    pub(crate) h2c: Option<u16>,
    /// TLS, with HTTP/1.1 and HTTP/2 by ALPN.
    pub(crate) tls: Option<u16>,
}

/// A running server. It ends when dropped, and what it wrote goes.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) ports: Ports,
    child: Child,
    /// Its configuration, and all that it writes.
    root: tempfile::TempDir,
    /// What else it wrote, elsewhere.
    _beside: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(kind: Kind, setting: &Setting) -> Result<Self> {
        let started = match kind {
            Kind::Bare => bail!("the bare loop is started with what it writes"),
            Kind::KubeIsr => kube_isr::start(setting),
            Kind::Haproxy => haproxy::start(setting),
            Kind::Nginx => nginx::start(setting),
            Kind::Varnish => varnish::start(setting),
            Kind::TrafficServer => trafficserver::start(setting),
        };
        started.with_context(|| format!("{} does not start", kind.name()))
    }

    /// Starts the bare loop: it answers whatever is asked with these bytes.
    pub(crate) fn bare(setting: &Setting, answer: &[u8]) -> Result<Self> {
        bare::start(setting, answer).context("the bare loop does not start")
    }

    fn spawn(
        kind: Kind,
        mut command: Command,
        ports: Ports,
        root: tempfile::TempDir,
        beside: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        let log = File::create(root.path().join("output"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("taskset, prlimit and setpriv (util-linux) start it")?;
        let mut server = Self { kind, ports, child, root, _beside: beside };
        let listening = [Some(ports.plain), ports.h2c, ports.tls];
        for port in listening.into_iter().flatten() {
            server.wait_for(port)?;
        }
        Ok(server)
    }

    fn wait_for(&mut self, port: u16) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.try_wait()?;
            ensure!(
                ended.is_none() && begun.elapsed() < START_WITHIN,
                "no answer on port {port}:\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it has written to its standard output and error.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.root.path().join("output")).unwrap_or_default()
    }

    /// Where its configuration is.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The time that it and its children took so far.
    pub(crate) fn cpu(&self) -> Duration {
        machine::cpu(self.process())
    }

    /// The memory that it and its children hold, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        machine::memory(self.process())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let processes = machine::tree(self.process());
        machine::signal(self.process(), "TERM");
        let begun = Instant::now();
        while begun.elapsed() < END_WITHIN && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            for process in processes {
                machine::signal(process, "KILL");
            }
        }
        let _ = self.child.wait();
    }
}

/// Which versions are measured, by their packages' own word.
pub(crate) fn versions(setting: &Setting, kinds: &[Kind]) -> Result<BTreeMap<Kind, String>> {
    kinds.iter().map(|kind| Ok((*kind, version(setting, *kind)?))).collect()
}

fn version(setting: &Setting, kind: Kind) -> Result<String> {
    let mut command = match kind {
        Kind::Bare | Kind::KubeIsr => return Ok(String::new()),
        Kind::Haproxy => peer(setting, "usr/sbin/haproxy"),
        Kind::Nginx => peer(setting, "usr/sbin/nginx"),
        Kind::Varnish => peer(setting, "usr/sbin/varnishd"),
        Kind::TrafficServer => peer(setting, "usr/bin/traffic_server"),
    };
    let argument = if kind == Kind::Varnish || kind == Kind::TrafficServer { "-V" } else { "-v" };
    let output = command.arg(argument).output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    // Such as `nginx/1.22.1`, `HAProxy version 2.6.12-1+deb12u4`, `varnish-7.1.1`.
    let version = text
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .find(|word| word.matches('.').count() == 2 && word.starts_with(|c: char| c.is_ascii_digit()));
    Ok(version.with_context(|| format!("{} does not say its version: {text}", kind.name()))?.to_owned())
}

/// A port of 127.0.0.1 that nobody uses.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Writes a configuration, with `{{name}}` replaced by what it stands for.
fn write(path: &Path, template: &str, values: &[(&str, &str)]) -> Result<()> {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    ensure!(!text.contains("{{"), "{}: a placeholder is not filled", path.display());
    Ok(fs::write(path, text)?)
}

/// A command for one of the peers, which finds its libraries beside it.
fn peer(setting: &Setting, program: &str) -> Command {
    let mut command = setting.cores.server(setting.peers.join(program));
    let folders = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib/x86_64-linux-gnu"]
        .into_iter()
        .flat_map(|folder| [folder.to_owned(), format!("{folder}/varnish")])
        .chain(["usr/lib/trafficserver".to_owned()]);
    let folders: Vec<String> =
        folders.map(|folder| setting.peers.join(folder).to_string_lossy().into_owned()).collect();
    command.env("LD_LIBRARY_PATH", folders.join(":"));
    command
}
