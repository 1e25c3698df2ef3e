//! The npm package, its origin and its client.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::score::Test;

const PACKAGE: &str = "http-cache-tests";
const VERSION: &str = "0.4.5";

/// The whole run takes half a minute, most of it the suite's own pauses.
const RUN_MOST: Duration = Duration::from_mins(5);

/// The package, installed.
pub struct Suite {
    package: PathBuf,
}

impl Suite {
    /// Installs the package below the build folder, unless it is there.
    pub fn install() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{PACKAGE}-{VERSION}"));
        let package = folder.join("node_modules").join(PACKAGE);
        if !folder.join("installed").exists() {
            std::fs::create_dir_all(&folder).expect("a folder for the package");
            let npm = Command::new("npm")
                .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix"])
                .arg(&folder)
                .arg(format!("{PACKAGE}@{VERSION}"))
                .output()
                .unwrap_or_else(|error| panic!("npm is needed: install Node.js with npm ({error})"));
            let said = String::from_utf8_lossy(&npm.stderr);
            assert!(npm.status.success(), "npm could not install {PACKAGE} {VERSION}: {said}");
            std::fs::write(folder.join("installed"), VERSION).expect("a note that it is installed");
        }
        Self { package }
    }

    /// Starts the suite's origin on a loopback port.
    pub fn origin(&self) -> Origin {
        let mut command = self.node();
        command.args([
            "--require",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cache_tests/loopback.cjs"),
        ]);
        command.arg("server/server.mjs");
        command.envs([("npm_config_protocol", "http"), ("npm_config_port", "0")]);
        command.env("npm_config_pidfile", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache-tests.pid"));
        let mut child = command.spawn().expect("node");
        let stdout = child.stdout.take().expect("standard output");
        let (told, port) = mpsc::channel();
        // Read to the end, so that the origin never waits for somebody to read.
        std::thread::spawn(move || read_port(stdout, &told));
        let mut origin = Origin { child, port: 0 };
        origin.port = port.recv_timeout(Duration::from_secs(20)).expect("the suite's origin has a port");
        origin
    }

    /// All tests of the suite that concern proxies.
    pub fn catalogue(&self) -> Vec<Test> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cache_tests/catalogue.mjs");
        let listed = output(self.node().arg(script));
        serde_json::from_str(&listed).unwrap_or_else(|error| panic!("the list of tests: {error}: {listed}"))
    }

    /// Runs all tests through the proxy at `base`: `true`, or what went wrong.
    pub fn run_all(&self, base: &str) -> BTreeMap<String, Value> {
        let printed = self.run(base, "");
        let json = printed.find('{').map_or("", |start| &printed[start..]);
        serde_json::from_str(json).unwrap_or_else(|error| panic!("the suite's results: {error}: {printed}"))
    }

    /// Whether a test passes when nothing else runs.
    pub fn passes_alone(&self, base: &str, id: &str) -> bool {
        let printed = self.run(base, id);
        printed.lines().last().is_some_and(|line| line.starts_with('✅'))
    }

    fn run(&self, base: &str, id: &str) -> String {
        let mut command = self.node();
        // The name `localhost` is the route's; the proxy listens on IPv4 alone.
        command.args(["--no-warnings", "--dns-result-order=ipv4first", "cli.mjs"]);
        command.envs([("npm_config_base", base), ("npm_config_id", id), ("npm_package_config_id", id)]);
        output(&mut command)
    }

    fn node(&self) -> Command {
        let mut command = Command::new("node");
        command.current_dir(&self.package).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// The suite's origin. Ends when dropped.
pub struct Origin {
    child: Child,
    port: u16,
}

impl Origin {
    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_port(stdout: ChildStdout, told: &mpsc::Sender<u16>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let address =
            line.strip_prefix("Listening on ").and_then(|url| url.trim_end_matches('/').rsplit(':').next());
        if let Some(port) = address.and_then(|port| port.parse().ok()) {
            let _ = told.send(port);
        }
    }
}

/// What a program prints until it ends, which it must within [`RUN_MOST`].
fn output(command: &mut Command) -> String {
    let mut child = command.spawn().expect("node");
    let mut stdout = child.stdout.take().expect("standard output");
    let (told, printed) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.read_to_end(&mut text);
        let _ = told.send(String::from_utf8_lossy(&text).into_owned());
    });
    let printed = printed.recv_timeout(RUN_MOST);
    if printed.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().expect("its end");
    let printed = printed.unwrap_or_else(|_| panic!("not done within {RUN_MOST:?}: {command:?}"));
    assert!(status.success(), "{command:?} ended with {status}: {printed}");
    printed
}
