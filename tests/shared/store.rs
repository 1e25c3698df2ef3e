//! A Redis or Valkey of the test's own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{PATIENCE, eventually};

/// A server on a port of loopback that keeps nothing on disk. Killed by its process id when dropped.
pub struct Store {
    process: Child,
    port: u16,
    password: Option<String>,
    _folder: tempfile::TempDir,
}

impl Store {
    /// A server that answers.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// A server that answers whoever knows the password.
    pub async fn start_with(password: Option<&str>) -> Self {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        Self::start_on(port, password.map(str::to_owned)).await
    }

    async fn start_on(port: u16, password: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let works = |program: &&str| {
            let mut command = Command::new(program);
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let program = ["valkey-server", "redis-server"].into_iter().find(works);
        let mut command =
            Command::new(program.expect("redis-server or valkey-server: make test installs one"));
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        if let Some(password) = &password {
            command.args(["--requirepass", password]);
        }
        let process = command.stdout(Stdio::null()).spawn().expect("a server");
        let store = Self { process, port, password, _folder: folder };
        eventually("the server answers", PATIENCE, async || {
            std::net::TcpStream::connect_timeout(
                &std::net::SocketAddr::from(([127, 0, 0, 1], port)),
                Duration::from_millis(100),
            )
            .ok()
        })
        .await;
        store
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

    /// Ends it; what it held is lost. Gives what starts another in its place.
    pub fn stop(mut self) -> Stopped {
        let _ = self.process.kill();
        let _ = self.process.wait();
        Stopped { port: self.port, password: self.password.take() }
    }
}

/// A server that has ended.
pub struct Stopped {
    port: u16,
    password: Option<String>,
}

impl Stopped {
    /// Another one in its place, with nothing in it.
    pub async fn start(self) -> Store {
        Store::start_on(self.port, self.password).await
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
