//! The status of every route, from what was published and what the proxies say.
//!
//! After each publication the proxies are asked in quick succession until all of them serve it, then now and then. A
//! status is written when it means something else than before, and not before the proxies had a moment: the
//! usual change of a route is one write, from one truth to the next.

mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use isr_api::IsrRouteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::acknowledge::{Acknowledgement, Answers, Asker, Table, pods};
use crate::conditions::{self, Pages};
use crate::world::{Key, ProxySlices};
use crate::{Context, Declared, DeclaredRoute};
use write::{Change, Outcome, Writer};

/// How long the proxies have to serve a new table before a route is said to wait for them. A watch takes milliseconds;
/// a table of 100,000 routes is read in a second.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Between two questions, at first; a quarter more each time, so that who took its time is found out late by a fifth of it at most.
const ASK_FIRST: Duration = Duration::from_millis(50);
/// Between two questions while some proxy lags.
const ASK_MOST: Duration = Duration::from_secs(1);
/// Between two questions while all agree: a proxy that loses its table without its pod changing is found out so late.
const ASK_AT_REST: Duration = Duration::from_secs(30);
/// Between two questions while all agree and some route waits for its pages, or fails to have them.
const ASK_FOR_PAGES: Duration = Duration::from_secs(5);
/// After a failed write, doubled with each further one.
const WRITE_AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after failed writes: some statuses can never be written, because their objects do not parse.
const WRITE_AGAIN_MOST: Duration = Duration::from_mins(1);
/// The same while it is the API server that fails, so that nobody waits for the truth once it is well again.
const WRITE_AGAIN_PASSING: Duration = Duration::from_secs(5);

/// Statuses written before it is looked again which are to be. Each takes 2 KiB until it is written, and after a start all are to be.
const AT_A_TIME: usize = 2_048;

/// Reports for ever, while this process leads.
pub(crate) async fn run(
    context: Context,
    mut declared: watch::Receiver<Option<Arc<Declared>>>,
    mut proxies: watch::Receiver<ProxySlices>,
) {
    let mut settling = Settling::new(&context);
    loop {
        let now = Instant::now();
        let (latest, slices) = (declared.borrow_and_update().clone(), proxies.borrow_and_update().clone());
        settling.learn(latest, slices, now);
        if settling.ask_at.is_some_and(|at| at <= now) {
            settling.ask().await;
        }
        // Our own writes come back as other objects of the same table; they are no news.
        let digest = settling.declared.as_ref().map(|declared| declared.digest.clone());
        let is_news = || {
            declared.borrow().as_ref().map(|declared| &declared.digest) != digest.as_ref()
                || proxies.has_changed().unwrap_or(false)
        };
        settling.report(&is_news).await;
        let next = settling.next();
        tokio::select! {
            () = async { tokio::time::sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
            changed = declared.changed() => if changed.is_err() { return },
            changed = proxies.changed() => if changed.is_err() { return },
        }
    }
}

struct Settling {
    asker: Asker,
    writer: Writer,
    declared: Option<Arc<Declared>>,
    slices: ProxySlices,
    answers: Option<Answers>,
    ask_at: Option<Instant>,
    pause: Duration,
    /// Until then the proxies are given time to agree.
    patience: Option<Instant>,
    /// When statuses are looked at again although nothing happened, because a write failed.
    report_at: Option<Instant>,
    write_again: Duration,
    /// What was said about the writes that failed, so that it is said once.
    complaints: HashMap<Key, String>,
    is_unreported: bool,
    /// Statuses that were written and that the watch does not show yet.
    written: HashMap<Key, Written>,
}

/// A status that was written.
struct Written {
    /// The version of the object that was seen when it was written. As long as that is what is seen, the write is not.
    version: Option<String>,
    /// The version that the write made.
    made: Option<String>,
    status: IsrRouteStatus,
}

impl Settling {
    fn new(context: &Context) -> Self {
        Self {
            asker: Asker::new(),
            writer: Writer::new(context),
            declared: None,
            slices: None,
            answers: None,
            ask_at: None,
            pause: ASK_FIRST,
            patience: None,
            report_at: None,
            write_again: WRITE_AGAIN_FIRST,
            complaints: HashMap::new(),
            is_unreported: false,
            written: HashMap::new(),
        }
    }

    fn learn(&mut self, declared: Option<Arc<Declared>>, slices: ProxySlices, now: Instant) {
        if is_same(declared.as_ref(), self.declared.as_ref())
            && is_same(slices.as_ref(), self.slices.as_ref())
        {
            return;
        }
        let digest =
            |declared: &Option<Arc<Declared>>| declared.as_ref().map(|declared| declared.digest.clone());
        let ready = |slices: &ProxySlices| slices.as_ref().map(|slices| pods(slices));
        if digest(&declared) != digest(&self.declared) || ready(&slices) != ready(&self.slices) {
            self.ask_at = Some(now);
            self.pause = ASK_FIRST;
            self.patience = Some(now + PATIENCE);
        }
        (self.declared, self.slices) = (declared, slices);
        self.is_unreported = true;
    }

    async fn ask(&mut self) {
        let (Some(declared), Some(slices)) = (&self.declared, &self.slices) else {
            // Nothing is published, or the proxies are not known yet: being told of either asks again.
            self.ask_at = None;
            return;
        };
        let answers = self.asker.ask(&pods(slices)).await;
        let now = Instant::now();
        let agree = answers.agree(declared.published());
        if agree {
            self.patience = None;
        }
        if agree && !answers.have_unfinished() {
            self.pause = ASK_FIRST;
            self.ask_at = Some(now + ASK_AT_REST.mul_f64(0.9 + 0.2 * fastrand::f64()));
        } else {
            self.ask_at = Some(now + self.pause);
            let most = if agree { ASK_FOR_PAGES } else { ASK_MOST };
            self.pause = self.pause.mul_f64(1.25).min(most);
        }
        self.is_unreported |= self.answers.as_ref() != Some(&answers);
        self.answers = Some(answers);
    }

    /// Writes the statuses that mean something else than what is there, until there is news.
    async fn report(&mut self, is_news: &impl Fn() -> bool) {
        let now = Instant::now();
        let is_due = self.is_unreported || self.report_at.is_some_and(|at| at <= now);
        let is_settled = self.patience.is_none_or(|end| end <= now);
        let Some(declared) = self.declared.clone() else { return };
        if !is_due || !is_settled {
            return;
        }
        self.forget_seen(&declared);
        let Some(answers) = &self.answers else { return };
        self.patience = None;
        self.report_at = None;
        self.is_unreported = false;
        let time = Time(Timestamp::now());
        // Who changed last, waits for it.
        let mut routes: Vec<&DeclaredRoute> = declared.routes.iter().collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.since));
        let changes: Vec<Change> = routes
            .into_iter()
            .filter_map(|route| self.change(route, answers, declared.published(), &time))
            .take(AT_A_TIME)
            .collect();
        let may_be_more = changes.len() == AT_A_TIME;
        let (mut complaints, mut is_outdated, mut may_pass) = (HashMap::new(), false, false);
        for outcome in self.writer.write(changes, is_news).await {
            match outcome {
                Outcome::Written { key, version, made, status } => {
                    self.written.insert(key, Written { version, made, status });
                }
                // The watch brings what it is now, as a rule before the next try.
                Outcome::Outdated => is_outdated = true,
                Outcome::Failed { key, error, is_passing } => {
                    may_pass |= is_passing;
                    if self.complaints.get(&key) != Some(&error) {
                        let (namespace, name) = &key;
                        tracing::warn!(
                            namespace,
                            name,
                            error,
                            "the status of an IsrRoute cannot be written; trying again"
                        );
                    }
                    complaints.insert(key, error);
                }
                Outcome::NotTried => self.is_unreported = true,
            }
        }
        if complaints.is_empty() && !is_outdated {
            self.write_again = WRITE_AGAIN_FIRST;
            self.report_at = may_be_more.then(Instant::now);
        } else {
            self.report_at = Some(Instant::now() + self.write_again);
            let most = if may_pass { WRITE_AGAIN_PASSING } else { WRITE_AGAIN_MOST };
            self.write_again = (self.write_again * 2).min(most);
        }
        self.complaints = complaints;
    }

    /// What is to be written about a route, if anything.
    fn change(
        &self,
        route: &DeclaredRoute,
        answers: &Answers,
        table: Table<'_>,
        time: &Time,
    ) -> Option<Change> {
        let object = &route.object;
        let key = key(route);
        let written =
            self.written.get(&key).filter(|written| written.version == object.metadata.resource_version);
        let before = written.map(|written| &written.status).or(object.status.as_ref());
        let acknowledgement = if route.report.accepted {
            answers.about(&route.report.object.to_string(), table, route.since)
        } else {
            // Nobody is asked about a route that is in no table.
            Acknowledgement::NoReadyProxies
        };
        let (namespace, name) = &key;
        let pages = object
            .spec
            .prerender
            .is_some()
            .then(|| Pages::of(&format!("{namespace}/{name}"), answers, table, route.since));
        let status = conditions::status(
            object.metadata.generation,
            &route.report,
            &acknowledgement,
            pages.as_ref(),
            before,
            time,
        );
        if before.is_some_and(|before| conditions::mean_the_same(before, &status)) {
            return None;
        }
        let news = conditions::news(before, &status).into_iter().cloned().collect();
        Some(Change {
            key,
            uid: object.metadata.uid.clone(),
            version: object.metadata.resource_version.clone(),
            expected: written.map_or(&object.metadata.resource_version, |written| &written.made).clone(),
            status,
            news,
        })
    }

    /// Forgets the writes that the watch has shown, or whose object is gone.
    fn forget_seen(&mut self, declared: &Declared) {
        if self.written.is_empty() {
            return;
        }
        let unseen: HashMap<Key, Option<String>> = declared
            .routes
            .iter()
            .map(|route| (key(route), route.object.metadata.resource_version.clone()))
            .collect();
        self.written.retain(|key, written| unseen.get(key) == Some(&written.version));
    }

    fn next(&self) -> Option<Instant> {
        let patience = self.patience.filter(|_| self.is_unreported);
        [self.ask_at, patience, self.report_at].into_iter().flatten().min()
    }
}

impl Declared {
    fn published(&self) -> Table<'_> {
        Table { generation: self.generation, digest: &self.digest }
    }
}

fn is_same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

fn key(route: &DeclaredRoute) -> Key {
    let object = &route.report.object;
    (object.namespace.clone(), object.name.clone())
}
