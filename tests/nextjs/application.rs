//! The example application and the fixture beside it, built once for each state of their files and copied for each test.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::process::Process;

/// What a build makes (the first two) and what it does not depend on.
const NOT_SOURCES: [&str; 4] = ["node_modules", ".next", "manifests", "test"];
/// Where the example, and the package that it takes from this repository, are in it.
const EXAMPLE: &str = "examples/nextjs";
const PACKAGE: &str = "packages/next";
/// Where the fixture is, here and in a build: below the example, whose packages it uses.
const FIXTURE: &str = "tests/nextjs/fixture";
const BUILT_FIXTURE: &str = "examples/nextjs/fixture";
/// What the second build of the example has beside it, and where that build is; below the example likewise.
const SECOND: &str = "tests/nextjs/second";
const BUILT_SECOND: &str = "examples/nextjs/second";
/// What of the example is not copied there, because it stands above.
const NOT_OF_SECOND: [&str; 8] = [
    "node_modules",
    ".next",
    "manifests",
    "README.md",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "data-service.mjs",
];
/// Parts of a build that no server reads: megabytes that no test needs a copy of.
const NOT_SERVED: [&str; 2] = ["cache", "trace"];
/// How long ago a copy says it was built: much longer than the ten seconds after which Next.js calls its pages stale.
const BUILT_AGO: Duration = Duration::from_hours(1);

/// A copy of the built application, as a deployment has it: Next.js keeps its own pages in it.
pub struct Application {
    folder: TempDir,
    /// The identifier in its `/_next/data/…` URLs.
    pub build: String,
    /// The token that makes Next.js render anew.
    pub preview_mode_id: String,
}

impl Application {
    /// A fresh copy of a build that was made a while ago: Next.js takes the time stamps of its pages for their age.
    pub async fn copy() -> Self {
        Self::of(EXAMPLE, "next.config.js").await
    }

    /// The same as if it had never heard of `@kube-isr/next`.
    pub async fn copy_without_package() -> Self {
        let copy = Self::copy().await;
        fs::write(copy.path().join("next.config.js"), "module.exports = {};\n").expect("a configuration");
        copy
    }

    /// A second build of the example, in which a component and a style have changed, and pages have come.
    pub async fn second() -> Self {
        Self::of(BUILT_SECOND, "next.config.js").await
    }

    /// The fixture, in the same way.
    pub async fn fixture() -> Self {
        Self::of(BUILT_FIXTURE, "next.config.mjs").await
    }

    async fn of(application: &str, configuration: &str) -> Self {
        static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
        let built = BUILT.get_or_init(build).await;
        let (example, application) = (built.join(EXAMPLE), built.join(application));
        let folder = tempfile::tempdir().expect("a folder for the application");
        let pages = folder.path().join(".next");
        copy(&application.join(".next"), &pages, &NOT_SERVED);
        age(&pages);
        for file in
            [application.join(configuration), example.join("package.json"), example.join("data-service.mjs")]
        {
            let name = file.file_name().expect("a name");
            fs::copy(&file, folder.path().join(name)).expect("a file of the application");
        }
        std::os::unix::fs::symlink(example.join("node_modules"), folder.path().join("node_modules"))
            .expect("a link to the packages");

        let read = |name: &str| fs::read_to_string(folder.path().join(".next").join(name)).expect(name);
        let manifest: Value = serde_json::from_str(&read("prerender-manifest.json")).expect("JSON");
        let preview = manifest["preview"]["previewModeId"].as_str().expect("a previewModeId");
        Self { preview_mode_id: preview.to_owned(), build: read("BUILD_ID").trim().to_owned(), folder }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its data service, on a port of the system's choice.
    pub fn data_service(&self) -> Process {
        data_service(self.path())
    }

    /// `next start`, on a port of the system's choice, with these environment variables.
    pub fn server(&self, environment: &[(&str, &str)]) -> Process {
        self.server_at("127.0.0.1", 0, environment)
    }

    /// The same, at this address.
    pub fn server_at(&self, host: &str, port: u16, environment: &[(&str, &str)]) -> Process {
        let mut command = next(self.path(), self.path());
        command.args(["start", ".", "-H", host, "-p", &port.to_string()]).envs(environment.iter().copied());
        Process::start("next-start", &mut command, self.path())
    }
}

/// A manifest: the name of its file, and its text.
pub type Manifest = (String, String);

/// The manifests of the example.
pub fn manifests() -> Vec<Manifest> {
    let files =
        fs::read_dir(repository().join(EXAMPLE).join("manifests")).expect("the manifests of the example");
    files
        .map(|file| {
            let path = file.expect("a manifest").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a manifest"))
        })
        .collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of the build for the files as they are; built now unless it was before.
async fn build() -> PathBuf {
    let mut sources = Vec::new();
    for part in [EXAMPLE, PACKAGE, FIXTURE, SECOND] {
        list(&repository().join(part), &NOT_SOURCES, &mut sources);
    }
    sources.sort();
    let mut hasher = DefaultHasher::new();
    for source in &sources {
        source.strip_prefix(repository()).expect("a file of the repository").hash(&mut hasher);
        fs::read(source).expect("a source").hash(&mut hasher);
    }
    // Beside the other things that cargo keeps between runs, and ignored by git with them.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nextjs");
    let built = cache.join(format!("{:016x}", hasher.finish()));
    if !built.exists() {
        // What was built from older files is hundreds of megabytes that nobody asks for again.
        let _ = fs::remove_dir_all(&cache);
        let staged = cache.join(format!("building-{}", std::process::id()));
        for (part, place) in [(EXAMPLE, EXAMPLE), (PACKAGE, PACKAGE), (FIXTURE, BUILT_FIXTURE)] {
            copy(&repository().join(part), &staged.join(place), &NOT_SOURCES);
        }
        let (example, second) = (staged.join(EXAMPLE), staged.join(BUILT_SECOND));
        copy(&repository().join(EXAMPLE), &second, &NOT_OF_SECOND);
        change(&second);
        copy(&repository().join(SECOND), &second, &[]);
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&example));
        // The build renders the lists of posts, so the data service comes first.
        let mut data = data_service(&example);
        let address = data.listening("data service listening").await;
        for application in [&example, &second, &staged.join(BUILT_FIXTURE)] {
            let mut next = next(application, &example);
            run(next.arg("build").env("DATA_URL", format!("http://{address}")).env_remove("KUBE_ISR_URL"));
        }
        fs::rename(&staged, &built).expect("the build in its place");
    }
    built
}

/// A source of an example as its second build has it: what a component says is another text, and what it looks like another
/// file.
pub fn changed(source: &str) -> String {
    source.replace("All posts", "All the posts").replace("max-width: 38rem", "max-width: 40rem")
}

fn change(folder: &Path) {
    let mut sources = Vec::new();
    list(folder, &[], &mut sources);
    for source in sources {
        let text = fs::read_to_string(&source).expect("a text");
        fs::write(source, changed(&text)).expect("the changed text");
    }
}

fn data_service(folder: &Path) -> Process {
    let mut command = Command::new("node");
    command.arg("data-service.mjs").env("PORT", "0").env_remove("HOST").current_dir(folder);
    Process::start("data-service", &mut command, folder)
}

/// Next.js for the application in `folder`, from the packages in `packages`.
fn next(folder: &Path, packages: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(packages.join("node_modules/next/dist/bin/next"));
    command.env("NEXT_TELEMETRY_DISABLED", "1").current_dir(folder);
    command
}

/// Runs a command to its end, and panics with what it said unless it succeeded.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start: {error}. Node.js 20.9 or later and npm are needed: make tools")
    });
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&said));
}

fn list(folder: &Path, except: &[&str], files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        if except.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type().expect("its type").is_dir() {
            list(&entry.path(), &[], files);
        } else {
            files.push(entry.path());
        }
    }
}

/// Copies a folder; the entries named in `except` stay behind.
fn copy(from: &Path, to: &Path, except: &[&str]) {
    let mut files = Vec::new();
    list(from, except, &mut files);
    for file in files {
        let copy = to.join(file.strip_prefix(from).expect("a file of the folder"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder for the copy");
        fs::copy(&file, &copy).expect("a copy");
    }
}

/// Makes every file look as old as [`BUILT_AGO`].
fn age(folder: &Path) {
    let built = SystemTime::now() - BUILT_AGO;
    let mut files = Vec::new();
    list(folder, &[], &mut files);
    for file in files {
        let file = fs::File::options().append(true).open(file);
        file.and_then(|file| file.set_modified(built)).expect("another time stamp");
    }
}
