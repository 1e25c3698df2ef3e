//! Programs that a test starts, and ends by their process id.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::wait::{PATIENCE, eventually};

/// A running program. Killed when dropped; what it wrote is shown when the test has failed.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes goes to a file in `folder`.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).expect("a file for the output");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the same file twice"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} does not start: {error}. Node.js 20.9 or later is needed")
            });
        Self { name, child, log }
    }

    /// Waits until it has written a line with `ready`, and returns the address that it says it listens on.
    pub async fn listening(&mut self, ready: &str) -> SocketAddr {
        let what = format!("{} says where it listens", self.name);
        eventually(&what, PATIENCE, async || {
            let ended = self.child.try_wait().expect("the state of the program");
            assert!(ended.is_none(), "{} ended at once ({ended:?}): {}", self.name, self.log());
            let log = self.log();
            let (_, rest) = log.split_once("http://").filter(|_| log.contains(ready))?;
            rest.lines().next()?.trim().parse().ok()
        })
        .await
    }

    /// Ends it as a crash would (SIGKILL), and returns when it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}'s log ---\n{}--- end of {}'s log ---", self.name, self.log(), self.name);
        }
    }
}
