//! Manifests: YAML text to objects, with line numbers.
//!
//! The same manifests as in a cluster are read: `IsrRoute`, `IsrPurge`, `Secret` and `Service`, several to a file or in a `List`.
//! Reading never fails as a whole. An object with a mistake is left out and the mistake is reported where it stands;
//! only text that is not YAML is marked as fatal, because nobody knows what it was meant to hold.

mod document;
mod object;
mod suggestion;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use isr_api::{IsrPurge, IsrRoute};

pub use object::Body;

use crate::references::References;
use crate::report::{ObjectRef, Report, Severity};
use crate::unhurried;

/// What one file holds.
#[derive(Clone, Debug)]
pub struct File {
    /// Its objects, in order.
    pub objects: Vec<Object>,
    /// Mistakes, each of which keeps one object from being read, and notes about what is ignored.
    pub problems: Vec<Diagnostic>,
    /// The first part of the text that is not YAML, or no mapping. What it was meant to hold is unknown: whoever has a
    /// good table should keep it.
    pub fatal: Option<Diagnostic>,
}

/// An object and where it stands.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name.
    pub object: ObjectRef,
    /// What it says.
    pub body: Body,
    /// The file, as named by the caller.
    pub file: Arc<str>,
    /// Line of each field.
    lines: Arc<BTreeMap<String, usize>>,
}

/// One line for the author of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as named by the caller.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The object, if it can be named.
    pub object: Option<ObjectRef>,
    /// The field, such as `spec.path`; empty if it is about the whole.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

/// Several files together: what [`crate::compile()`] takes, and where it was said.
#[derive(Debug, Default)]
pub struct Manifests {
    /// All routes, in the order of the files.
    pub routes: Vec<IsrRoute>,
    /// All purges. They are carried out in a cluster alone.
    pub purges: Vec<IsrPurge>,
    /// All Secrets and Services.
    pub references: References,
    /// The problems of all files, including objects that are defined twice.
    pub problems: Vec<Diagnostic>,
    /// The parts of files that are not YAML.
    pub fatal: Vec<Diagnostic>,
    places: HashMap<ObjectRef, Place>,
}

#[derive(Debug)]
struct Place {
    file: Arc<str>,
    lines: Arc<BTreeMap<String, usize>>,
}

/// Whether a file of this name in a folder of manifests is read. Hidden files are not: editors leave them behind, and
/// mounted ConfigMaps have them.
pub fn is_manifest(file_name: &str) -> bool {
    let extension = file_name.rsplit_once('.').map(|(_, extension)| extension);
    !file_name.starts_with('.') && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// Reads the text of one file. `file` is how messages name it.
pub fn read(file: &str, text: &str) -> File {
    let mut found = File { objects: Vec::new(), problems: Vec::new(), fatal: None };
    let file: Arc<str> = file.into();
    for document in unhurried(16, document::split(text)) {
        match document.parse() {
            Ok(Some(node)) => object::read(&file, &node, &mut found),
            Ok(None) => {}
            Err((line, message)) => {
                let diagnostic = Diagnostic::new(&file, line, None, "", message, Severity::Error);
                found.fatal.get_or_insert(diagnostic);
            }
        }
    }
    found
}

impl Manifests {
    /// Puts files together. Of two objects with the same kind, namespace and name the first one stands; the other is
    /// reported.
    pub fn from_files(files: impl IntoIterator<Item = File>) -> Self {
        let mut all = Self::default();
        for file in files {
            all.problems.extend(file.problems);
            all.fatal.extend(file.fatal);
            for object in unhurried(256, file.objects) {
                all.add(object);
            }
        }
        all
    }

    /// The file and line of a field, or of the closest field around it.
    pub fn locate(&self, object: &ObjectRef, field: &str) -> Option<(&str, usize)> {
        let place = self.places.get(object)?;
        Some((&place.file, line_of(&place.lines, field)))
    }

    /// The problems of reports, where they stand in the files.
    pub fn diagnose(&self, reports: &[Report]) -> Vec<Diagnostic> {
        let of_report = |report: &Report| {
            let object = report.object.clone();
            let at = move |field: &str| self.locate(&object, field).unwrap_or(("", 0));
            let object = report.object.clone();
            report
                .problems
                .iter()
                .map(move |problem| {
                    let (file, line) = at(&problem.field);
                    let object = Some(object.clone());
                    Diagnostic::new(
                        file,
                        line,
                        object,
                        &problem.field,
                        problem.message.clone(),
                        problem.severity,
                    )
                })
                .collect::<Vec<_>>()
        };
        unhurried(256, reports).flat_map(of_report).collect()
    }

    fn add(&mut self, object: Object) {
        let Object { object, body, file, lines } = object;
        if let Some(first) = self.places.get(&object) {
            let (kind, line) = (&object.kind, line_of(&first.lines, ""));
            let message = format!(
                "is defined a second time and ignored here; {}:{line} stands: remove one of the two, or give this {kind} another name",
                first.file
            );
            let line = line_of(&lines, "metadata.name");
            self.problems.push(Diagnostic::new(
                &file,
                line,
                Some(object),
                "metadata.name",
                message,
                Severity::Error,
            ));
            return;
        }
        let key = (object.namespace.clone(), object.name.clone());
        match body {
            Body::Route(route) => self.routes.push(*route),
            Body::Purge(purge) => self.purges.push(*purge),
            Body::Secret(secret) => {
                self.references.secrets.insert(key, secret);
            }
            Body::Service(service) => {
                self.references.services.insert(key, service);
            }
        }
        self.places.insert(object, Place { file, lines });
    }
}

impl Diagnostic {
    fn new(
        file: &str,
        line: usize,
        object: Option<ObjectRef>,
        field: &str,
        message: impl Into<String>,
        severity: Severity,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line,
            object,
            field: field.to_owned(),
            message: message.into(),
            severity,
        }
    }
}

impl fmt::Display for Diagnostic {
    /// `routes.yaml:7: error: IsrRoute shop/blog-posts: spec.path: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: ", self.file, self.line, self.severity)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// The line of a field, or of the closest field around it; the whole object is the field with the empty name.
fn line_of(lines: &BTreeMap<String, usize>, field: &str) -> usize {
    let mut field = field;
    loop {
        if let Some(line) = lines.get(field) {
            return *line;
        }
        match field.rfind(['.', '[']) {
            Some(end) => field = &field[..end],
            None if field.is_empty() => return 0,
            None => field = "",
        }
    }
}

#[cfg(test)]
mod tests;
