//! How far prerendering is, for people and for metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use isr_cache::Timestamp;
use serde_json::{Value, json};

/// How far one route is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Pages that are named, by path or by a sitemap.
    pub(crate) pages: usize,
    /// What is still to be looked at and has not failed, sitemaps included.
    pub(crate) waiting: usize,
    /// What failed when it was last looked at, sitemaps included. It is looked at again.
    pub(crate) failing: usize,
    /// The first of it by its name, and why it failed.
    pub(crate) failing_such_as: Option<(Box<str>, Arc<str>)>,
    /// What the application says is not found (404 or 410), and the names of the first of them.
    pub(crate) absent: usize,
    pub(crate) absent_such_as: Vec<Box<str>>,
    /// Until when nothing more is asked for.
    pub(crate) wait_until: Option<Timestamp>,
    /// What failed last, and why.
    pub(crate) failure: Option<(Box<str>, Arc<str>)>,
    /// What the sitemap of each host brought when it was read last.
    pub(crate) sitemaps: BTreeMap<Arc<str>, Mapped>,
}

/// What a sitemap brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapped {
    pub(crate) files: usize,
    pub(crate) taken: usize,
    pub(crate) foreign: usize,
    pub(crate) elsewhere: usize,
    pub(crate) malformed: usize,
    pub(crate) beyond: usize,
    /// Why it is not all of it, or that it names no page of the route.
    pub(crate) problem: Option<String>,
}

impl Progress {
    /// It in a word: `rendering`, `failing` while something fails and is waited for, `done` when every page that can be
    /// there is there.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match self.wait_until {
            Some(until) if now < until => "failing",
            _ if self.waiting + self.failing > 0 => "rendering",
            _ => "done",
        }
    }

    /// All of it.
    pub(crate) fn describe(&self, now: Timestamp) -> Value {
        let sitemaps: BTreeMap<&str, Value> =
            self.sitemaps.iter().map(|(host, mapped)| (&**host, mapped.describe())).collect();
        json!({
            "state": self.state(now),
            "pages": self.pages,
            "waiting": self.waiting,
            "failing": self.failing,
            "notFound": self.absent,
            "notFoundSuchAs": self.absent_such_as,
            "nextTryInSeconds": self.wait_until.filter(|until| now < *until).map(|until| until.since(now).as_secs()),
            "lastFailure": self.failure.as_ref().map(|(what, why)| json!({ "page": &**what, "why": &**why })),
            "sitemaps": sitemaps,
        })
    }
}

impl Mapped {
    fn describe(&self) -> Value {
        json!({
            "files": self.files,
            "pages": self.taken,
            "ofOtherHosts": self.foreign,
            "ofOtherRoutes": self.elsewhere,
            "malformed": self.malformed,
            "beyondTheLimit": self.beyond,
            "problem": self.problem,
        })
    }

    /// The counts, each by the name of its label.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 5] {
        [
            ("taken", self.taken),
            ("other_host", self.foreign),
            ("other_route", self.elsewhere),
            ("malformed", self.malformed),
            ("beyond_limit", self.beyond),
        ]
    }
}
