//! What `compile` says about each object, for conditions, log lines and diagnostics alike.

use std::fmt;

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `IsrRoute`, `IsrPurge`, `Secret` or `Service`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What became of one `IsrRoute` or `IsrPurge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The object.
    pub object: ObjectRef,
    /// Whether the route is in the table, for at least one of its hostnames; whether the purge can be carried out.
    pub accepted: bool,
    /// Everything that is wrong with it. An accepted route may have problems too: a conflict on one of its hostnames, a
    /// token that cannot be read, a backend without an address.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The condition that it makes false, if it is an error.
    pub condition: Condition,
    /// The condition's reason, one of [`isr_api::reason`].
    pub reason: &'static str,
    /// The field, as in `spec.path` or `spec.hostnames[1]`.
    pub field: String,
    /// A sentence, without the field, that ends in what to write instead.
    pub message: String,
    /// The other party, such as the winner of a conflict.
    pub other: Option<ObjectRef>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Works, but is probably not what was meant.
    Warning,
    /// Something that the manifest asks for is not in force.
    Error,
}

/// The condition of a route that a problem belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Whether the route itself is in force.
    Accepted,
    /// Whether what it refers to can be used.
    ResolvedRefs,
}

impl Report {
    /// Whether anything that the manifest asks for is not in force.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

impl ObjectRef {
    /// The reference to an `IsrRoute`.
    pub fn route(namespace: &str, name: &str) -> Self {
        Self::new(isr_api::KIND, namespace, name)
    }

    /// The reference to an object of any kind.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => isr_api::condition::ACCEPTED,
            Self::ResolvedRefs => isr_api::condition::RESOLVED_REFS,
        })
    }
}
