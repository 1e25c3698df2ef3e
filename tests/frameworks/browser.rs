//! A headless Chromium, driven by `browser/visit.mjs`.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::build::{installed, repository};
use crate::support::HOST;

/// What a person saw.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The text of the list, loaded.
    pub list: String,
    /// The text of the post, reached by a link.
    pub by_link: String,
    /// The text of the list, reached by a link from there.
    pub list_by_link: String,
    /// The text of the post, loaded.
    pub by_load: String,
    /// Errors and warnings: exceptions, the console, failed requests.
    pub complaints: Vec<String>,
    /// The paths of the documents that were loaded until the list was reached again by a link.
    pub documents: Vec<String>,
}

/// Loads the list at `list`, follows its link to `post`, and back; then loads `post`.
pub async fn visit(proxy: SocketAddr, list: &str, post: &str) -> Seen {
    let package = repository().join("tests/frameworks/browser");
    let installed = installed(&package, "browser", None).await;
    let profile = tempfile::tempdir().expect("a folder for the browser");
    let mut command = Command::new("node");
    command.arg(installed.join("visit.mjs")).args([&proxy.to_string(), HOST, list, post]).arg(profile.path());
    command.stdin(Stdio::null());
    // The wire to the application is a task of this thread.
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("node");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the browser sees the pages (is Chromium there? make tools): {said}");
    serde_json::from_slice(&output.stdout).expect("what it saw")
}
