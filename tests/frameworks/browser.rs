//! A headless Chromium, driven by the scripts in `browser/`.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use crate::build::{installed, repository};
use crate::support::HOST;

/// What to think of when nothing is seen.
const UNSEEN: &str = "the browser sees the pages (is Chromium there? make tools)";

/// What a person saw.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The text of the list, loaded.
    #[serde(default)]
    pub list: String,
    /// The text of the post, reached by a link.
    pub by_link: String,
    /// The text of the list, reached by a link from there.
    #[serde(default)]
    pub list_by_link: String,
    /// The text of the post, loaded.
    #[serde(default)]
    pub by_load: String,
    /// Errors and warnings: exceptions, the console, failed requests.
    pub complaints: Vec<String>,
    /// The paths of the documents that were loaded until the last link was followed.
    pub documents: Vec<String>,
}

/// Loads the list at `list`, follows its link to `post`, and back; then loads `post`.
pub async fn visit(proxy: SocketAddr, list: &str, post: &str) -> Seen {
    let mut browser = Browser::start("visit.mjs", proxy, list, post).await;
    browser.saw().await
}

/// A person who has the list open.
pub struct Visitor(Browser);

impl Visitor {
    /// Loads the list at `list`, and nothing ahead of what its link to `post` leads to.
    pub async fn open(proxy: SocketAddr, list: &str, post: &str) -> Self {
        let mut browser = Browser::start("stay.mjs", proxy, list, post).await;
        assert_eq!(browser.says().await.expect(UNSEEN), "open");
        Self(browser)
    }

    /// Follows the link.
    pub async fn follow(mut self) -> Seen {
        let input = self.0.script.stdin.as_mut().expect("its input");
        input.write_all(b"follow\n").expect("the browser listens");
        self.0.saw().await
    }
}

/// A script that drives a browser. Both end with this; what it complains of is in the test's output.
struct Browser {
    script: Child,
    output: Option<Lines<BufReader<ChildStdout>>>,
    _profile: TempDir,
}

impl Browser {
    async fn start(script: &str, proxy: SocketAddr, list: &str, post: &str) -> Self {
        let package = repository().join("tests/frameworks/browser");
        let installed = installed(&package, "browser", None).await;
        let profile = tempfile::tempdir().expect("a folder for the browser");
        let mut command = Command::new("node");
        command.arg(installed.join(script)).args([&proxy.to_string(), HOST, list, post]).arg(profile.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().expect("node");
        let output = BufReader::new(script.stdout.take().expect("its output")).lines();
        Self { script, output: Some(output), _profile: profile }
    }

    /// The next line that it prints; nothing when it has ended.
    async fn says(&mut self) -> Option<String> {
        let mut output = self.output.take().expect("one line at a time");
        // The wire to the application is a task of this thread.
        let read = tokio::task::spawn_blocking(move || (output.next(), output));
        let (line, output) = read.await.expect("a thread");
        self.output = Some(output);
        line.map(|line| line.expect("text"))
    }

    /// What it saw, as it says before it ends.
    async fn saw(&mut self) -> Seen {
        let seen = self.says().await.expect(UNSEEN);
        assert_eq!(self.says().await, None, "it ends");
        assert!(self.script.wait().expect("its end").success(), "and closes the browser");
        serde_json::from_str(&seen).expect("what it saw")
    }
}

impl Drop for Browser {
    /// A browser ends when its script is gone.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
