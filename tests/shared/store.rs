//! A Redis or Valkey of the test's own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{PATIENCE, eventually};

/// A server on a port of loopback. Killed by its process id when dropped.
pub struct Store {
    process: Child,
    port: u16,
    password: Option<String>,
    folder: tempfile::TempDir,
}

impl Store {
    /// A server that answers.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// A server that answers whoever knows the password.
    pub async fn start_with(password: Option<&str>) -> Self {
        Self::start_on(free_port(), password.map(str::to_owned), folder()).await
    }

    async fn start_on(port: u16, password: Option<String>, folder: tempfile::TempDir) -> Self {
        // What was done when it ends is on the disk or with the system.
        let mut arguments = ["--appendonly", "yes", "--appendfsync", "no"].map(str::to_owned).to_vec();
        if let Some(password) = &password {
            arguments.extend(["--requirepass".to_owned(), password.clone()]);
        }
        let mut store = Self::launch_in(folder, port, &arguments).await;
        store.password = password;
        store
    }

    /// A server with these further arguments that accepts connections.
    pub async fn launch(port: u16, arguments: &[String]) -> Self {
        Self::launch_in(folder(), port, arguments).await
    }

    async fn launch_in(folder: tempfile::TempDir, port: u16, arguments: &[String]) -> Self {
        let mut command = Command::new(program("server"));
        command.current_dir(folder.path());
        // A Sentinel wants a file of its own, and nothing before it.
        if !arguments.iter().any(|argument| argument == "--sentinel") {
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", ""]);
        }
        let process = command.args(arguments).stdout(Stdio::null()).spawn().expect("a server");
        eventually("the server accepts connections", PATIENCE, async || {
            std::net::TcpStream::connect_timeout(&address(port), Duration::from_millis(100)).ok()
        })
        .await;
        Self { process, port, password: None, folder }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal: `STOP` to pause it, `CONT` to go on.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id]).status();
        assert!(status.expect("sh").success(), "the server was there to get SIG{name}");
    }

    /// Ends it. Gives what starts it again.
    pub fn stop(mut self) -> Stopped {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let folder = std::mem::replace(&mut self.folder, folder());
        Stopped { port: self.port, password: self.password.take(), folder }
    }
}

/// A server that has ended.
pub struct Stopped {
    port: u16,
    password: Option<String>,
    folder: tempfile::TempDir,
}

impl Stopped {
    /// It again, with everything that it held.
    pub async fn start(self) -> Store {
        Store::start_on(self.port, self.password, self.folder).await
    }

    /// Another one in its place, with nothing in it.
    pub async fn start_empty(self) -> Store {
        Store::start_on(self.port, self.password, folder()).await
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// What a server answers to a command.
pub fn command(port: u16, arguments: &[&str]) -> String {
    let output = Command::new(program("cli")).args(["-p", &port.to_string()]).args(arguments).output();
    String::from_utf8(output.expect("a client").stdout).expect("text")
}

fn program(part: &str) -> String {
    let works = |program: &String| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let found = [format!("valkey-{part}"), format!("redis-{part}")].into_iter().find(works);
    found.expect("Redis or Valkey: make test installs one")
}

fn address(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}
