//! The routes from a folder of manifests.
//!
//! The folder is looked at several times a second: watching it would miss the way Kubernetes replaces mounted files (a
//! symbolic link to a new folder), and a look costs microseconds. A file that cannot be read as YAML keeps its last
//! good content in force, and says so.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use isr_routes::manifest::{self, Diagnostic, Manifests};
use isr_routes::{Severity, compile_after, unhurried};

use crate::active::{Active, Origin, Problem, STANDALONE};
use crate::metrics::ResultLabel;
use crate::state::Proxy;

use super::{SourceError, put_in_force};

/// How often the folder is looked at. A change is in force within a second, the time to read and compile included.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A file changed this recently is read again even if it looks the same: its next change may carry the same time.
const TIME_RESOLUTION: Duration = Duration::from_secs(2);

/// Bytes of one manifest file, at most: 100,000 routes take about 40 MB.
const FILE_MOST: u64 = 256 * 1024 * 1024;

/// The manifests of a folder, or of one file.
pub(crate) struct Folder {
    path: PathBuf,
    files: BTreeMap<PathBuf, Followed>,
    generation: u64,
    /// Something was read that the table in force does not know: also what was read before a file that could not be, and
    /// at first an empty folder.
    unapplied: bool,
}

struct Followed {
    mark: Mark,
    text: Arc<str>,
    /// What the text holds; read once, however often other files change.
    file: manifest::File,
    /// What the last text that was YAML holds, where the present one is not.
    good: Option<manifest::File>,
}

/// By what a changed file is told from an unchanged one without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    length: u64,
    modified: Option<SystemTime>,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, files: BTreeMap::new(), generation: 0, unapplied: true }
    }

    /// Reads what has changed, and puts the table that follows in force. Blocks on files.
    pub(crate) fn update(&mut self, proxy: &Proxy) -> Result<(), SourceError> {
        self.read()?;
        if std::mem::take(&mut self.unapplied) {
            self.apply(proxy);
        }
        Ok(())
    }

    /// Reads what has changed since the last look.
    fn read(&mut self) -> Result<(), SourceError> {
        let unreadable =
            |path: &Path, cause| SourceError::Unreadable { path: path.display().to_string(), cause };
        let found = list(&self.path).map_err(|cause| unreadable(&self.path, cause))?;
        let before = self.files.len();
        self.files.retain(|path, _| found.contains_key(path));
        self.unapplied |= self.files.len() != before;
        for (path, mark) in found {
            let known = self.files.get(&path);
            let recent =
                mark.modified.and_then(|time| time.elapsed().ok()).is_none_or(|age| age < TIME_RESOLUTION);
            if known.is_some_and(|known| known.mark == mark) && !recent {
                continue;
            }
            let text: Arc<str> = match std::fs::read(&path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into(),
                // Replaced between the listing and the reading: the next look finds it.
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(unreadable(&path, cause)),
            };
            if let Some(known) = self.files.get_mut(&path).filter(|known| known.text == text) {
                known.mark = mark;
                continue;
            }
            self.unapplied = true;
            let file = manifest::read(&path.display().to_string(), &text);
            if let Some(problem) = &file.fatal {
                tracing::error!(%problem, "a file is not YAML; if it ever was, its last good content stays in force");
            }
            let before = self.files.remove(&path).map(|known| known.good.unwrap_or(known.file));
            let good = before.filter(|before| before.fatal.is_none() && file.fatal.is_some());
            self.files.insert(path, Followed { mark, text, file, good });
        }
        Ok(())
    }

    fn apply(&mut self, proxy: &Proxy) {
        let fatal: Vec<_> = self.files.values().filter_map(|followed| followed.file.fatal.clone()).collect();
        let readable = |followed: &Followed| {
            let present = followed.file.fatal.is_none().then_some(&followed.file);
            present.or(followed.good.as_ref()).map(|file| manifest::File {
                objects: unhurried(128, &file.objects).cloned().collect(),
                problems: file.problems.clone(),
                fatal: file.fatal.clone(),
            })
        };
        let files: Vec<_> = self.files.values().filter_map(readable).collect();
        let files_read = files.len();
        let manifests = Manifests::from_files(files);
        let compiled =
            compile_after(&proxy.active.load().table, &manifests.routes, &manifests.references, &STANDALONE);
        let accepted: HashSet<_> = unhurried(256, &compiled.reports)
            .filter(|report| report.accepted)
            .map(|report| &report.object)
            .collect();
        let rejected = |diagnostic: &Diagnostic| {
            let in_force = diagnostic.object.as_ref().is_some_and(|object| accepted.contains(object));
            diagnostic.severity == Severity::Error && !in_force
        };
        let diagnosed = manifests.diagnose(&compiled.reports);
        let problems: Vec<Problem> = fatal
            .iter()
            .chain(&manifests.problems)
            .chain(&diagnosed)
            .map(|diagnostic| problem(diagnostic, rejected(diagnostic)))
            .collect();

        let errors = problems.iter().any(|problem| problem.severity == "error");
        let result = match (errors, fatal.is_empty()) {
            (_, false) => "failure",
            (true, true) => "partial",
            (false, true) => "success",
        };
        for problem in &problems {
            let Problem { severity, location, object, field, message, .. } = problem;
            match *severity {
                "error" => tracing::error!(location, object, field, "{message}"),
                "warning" => tracing::warn!(location, object, field, "{message}"),
                _ => tracing::debug!(location, object, field, "{message}"),
            }
        }
        let active = |generation| {
            let digest = compiled.table.digest().to_owned();
            let origin = Origin { source: "folder", generation, digest };
            Active::new(origin, compiled.table, problems, &proxy.metrics)
        };
        if self.generation == 0 && !fatal.is_empty() && files_read == 0 {
            // There never was a table, and this is none: not ready, but the reason is told.
            proxy.active.store(Arc::new(active(0)));
            proxy.metrics.reloads.get_or_create(&ResultLabel { result }).inc();
            return;
        }
        self.generation += 1;
        let active = active(self.generation);
        put_in_force(proxy, active, result);
    }
}

/// Follows the source for ever.
pub(crate) async fn follow(proxy: Arc<Proxy>, mut folder: Folder) {
    let mut complaint = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looking = Arc::clone(&proxy);
        let looked = tokio::task::spawn_blocking(move || {
            let result = folder.update(&looking).map_err(|error| error.to_string());
            (folder, result)
        });
        let Ok((back, result)) = looked.await else { return };
        folder = back;
        let error = result.err();
        if let Some(error) = &error
            && complaint.as_ref() != Some(error)
        {
            tracing::error!(error, "the last good table stays in force");
            proxy.metrics.reloads.get_or_create(&ResultLabel { result: "failure" }).inc();
        }
        complaint = error;
    }
}

/// The manifest files: the path itself, or the `*.yaml`, `*.yml` and `*.json` in it.
fn list(path: &Path) -> std::io::Result<BTreeMap<PathBuf, Mark>> {
    let mut found = BTreeMap::new();
    let root = std::fs::metadata(path)?;
    if root.is_file() {
        found.insert(path.to_owned(), mark(path, &root)?);
        return Ok(found);
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let named = path.file_name().is_some_and(|name| manifest::is_manifest(&name.to_string_lossy()));
        if !named {
            continue;
        }
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                found.insert(path.clone(), mark(&path, &metadata)?);
            }
            Ok(_) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(found)
}

fn mark(path: &Path, metadata: &std::fs::Metadata) -> std::io::Result<Mark> {
    if metadata.len() > FILE_MOST {
        let (length, most) = (metadata.len(), FILE_MOST);
        let message = format!("{} has {length} bytes; at most {most} are read", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    Ok(Mark { length: metadata.len(), modified: metadata.modified().ok() })
}

fn problem(diagnostic: &Diagnostic, rejected: bool) -> Problem {
    Problem {
        severity: match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        location: format!("{}:{}", diagnostic.file, diagnostic.line),
        object: diagnostic.object.as_ref().map(ToString::to_string).unwrap_or_default(),
        field: diagnostic.field.clone(),
        message: diagnostic.message.clone(),
        rejected,
    }
}
