//! The examples that are not Next.js, built once for each state of their files.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::Mutex;

use crate::application::changed;
use crate::framework::Framework;

/// What a build makes, and what it does not depend on.
const NOT_SOURCES: [&str; 7] =
    ["node_modules", ".svelte-kit", "build", ".nuxt", ".output", "manifests", "README.md"];

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of a built example; built now unless it was before.
pub async fn built(framework: &Framework) -> PathBuf {
    installed(&repository().join("examples").join(framework.example), framework.example, Some("build")).await
}

/// The folder of a second build of an example, of which a component and a style have changed.
pub async fn second(framework: &Framework) -> PathBuf {
    let example = repository().join("examples").join(framework.example);
    let folder = tempfile::tempdir().expect("a folder for the changed example");
    let mut sources = Vec::new();
    list(&example, &mut sources);
    for source in sources {
        let copy = folder.path().join(source.strip_prefix(&example).expect("a file of the example"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder for the copy");
        let text = fs::read_to_string(source).expect("a text");
        fs::write(copy, changed(&text)).expect("a copy");
    }
    installed(folder.path(), &format!("{}-second", framework.example), Some("build")).await
}

/// A copy of a package under `.cache`, with what it needs from npm, after `npm run SCRIPT`. Kept for as long as no file of it
/// changes.
pub async fn installed(package: &Path, name: &str, script: Option<&str>) -> PathBuf {
    // One at a time: two tests of one framework want one build, and two builds at once are no faster.
    static ONE: Mutex<()> = Mutex::const_new(());
    let _one = ONE.lock().await;
    let mut sources = Vec::new();
    list(package, &mut sources);
    sources.sort();
    let mut hasher = DefaultHasher::new();
    for source in &sources {
        source.strip_prefix(package).expect("a file of the package").hash(&mut hasher);
        fs::read(source).expect("a file of the package").hash(&mut hasher);
    }
    let cache = repository().join(".cache/frameworks").join(name);
    let built = cache.join(format!("{:016x}", hasher.finish()));
    if !built.exists() {
        // What was made from older files is hundreds of megabytes that nobody asks for again.
        let _ = fs::remove_dir_all(&cache);
        let staged = cache.join(format!("building-{}", std::process::id()));
        for source in &sources {
            let copy = staged.join(source.strip_prefix(package).expect("a file of the package"));
            fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder for the copy");
            fs::copy(source, copy).expect("a copy");
        }
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&staged));
        if let Some(script) = script {
            run(Command::new("npm").args(["run", script]).current_dir(&staged));
        }
        fs::rename(&staged, &built).expect("the build in its place");
    }
    built
}

/// Runs a command to its end, and panics with what it said unless it succeeded.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start: {error}. Node.js 22 or later and npm are needed: make tools")
    });
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&said));
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        if NOT_SOURCES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type().expect("its type").is_dir() {
            list(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}
