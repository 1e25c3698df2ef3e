//! What the rest of the proxy knows of the pages that are prerendered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::progress::Progress;
use super::unfinished;

/// Pages that are looked for on the disk or in the shared tier at a time: visitors' pages come from there as well.
const LOOKS: usize = 4;

/// Sitemaps that are held in memory at a time.
const SITEMAPS: usize = 4;

/// What the rest of the proxy knows of it.
pub(crate) struct Prerendering {
    /// Another table is in force.
    reloaded: Notify,
    pub(super) looks: Semaphore,
    pub(super) sitemaps: Semaphore,
    known: Mutex<Known>,
}

/// How far which routes are.
#[derive(Default)]
struct Known {
    /// The digest of the table that they are of.
    table: String,
    progress: BTreeMap<Arc<str>, Progress>,
}

impl Prerendering {
    pub(crate) fn new() -> Self {
        Self {
            reloaded: Notify::new(),
            looks: Semaphore::new(LOOKS),
            sitemaps: Semaphore::new(SITEMAPS),
            known: Mutex::default(),
        }
    }

    /// Another table is in force.
    pub(crate) fn reloaded(&self) {
        self.reloaded.notify_one();
    }

    /// Waits until another table is in force.
    pub(super) async fn has_reloaded(&self) {
        self.reloaded.notified().await;
    }

    /// Nothing is told any more of other routes.
    pub(super) fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        self.lock().progress.retain(|route, _| is_kept(route));
    }

    /// This route's pages have yet to be looked at.
    pub(super) fn begin(&self, route: &Arc<str>) {
        self.lock().progress.insert(Arc::clone(route), Progress { waiting: 1, ..Progress::default() });
    }

    /// What is told is of the routes in the table of this digest.
    pub(super) fn are_of(&self, table: &str) {
        table.clone_into(&mut self.lock().table);
    }

    /// How far a route is that names pages.
    pub(crate) fn progress(&self, route: &str) -> Option<Progress> {
        self.lock().progress.get(route).cloned()
    }

    /// How far all of them are.
    pub(crate) fn each(&self, mut see: impl FnMut(&str, &Progress)) {
        for (route, progress) in &self.lock().progress {
            see(route, progress);
        }
    }

    /// Changes what is told of a route, if it is still told of.
    pub(super) fn tell(&self, route: &str, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.lock().progress.get_mut(route) {
            change(progress);
        }
    }

    /// The routes whose pages are not all there, for whoever asks what this proxy is at; nothing while the table of this digest
    /// is too new for it to be known.
    pub(crate) fn unfinished(&self, table: &str) -> Option<Value> {
        let known = self.lock();
        let routes = known.progress.iter().map(|(route, progress)| (&**route, progress));
        (known.table == table).then(|| unfinished::describe(routes))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change is an assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
