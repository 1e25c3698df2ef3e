//! From the world to a published table: whenever anything changed, all of it, from what is there and not from what
//! happened.
//!
//! A run that finds nothing to do writes nothing, so running once too often costs a little time and never a write. What
//! fails is tried again, later each time; what is in force stays in force meanwhile.

mod compiled;
mod since;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use isr_routes::snapshot::{Index, Salt, Snapshot};
use isr_routes::{Backends, Options, Report, RouteTable};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::debounce::Burst;
use crate::metrics::{ReasonLabel, StateLabel};
use crate::publish::{PublishError, Publisher};
use crate::secrets::{self, Schedule};
use crate::world::{Key, Known, Revision, View, World};
use crate::{Context, Declared, DeclaredRoute};
use since::Since;

/// The first pause after a failure, doubled with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest pause after a failure: an API server that is back is not kept waiting for longer.
const RETRY_MOST: Duration = Duration::from_secs(5);

/// How long what changes no table may wait: statuses that were just written come back as new versions of their routes, a
/// thousand in a second, and nothing but the next status needs to know.
const ECHOES: Duration = Duration::from_secs(2);

/// Why a run did not get to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Tokens would be missing from the table.
    #[error("not every Secret that routes name could be read yet")]
    Secrets,
    /// A defect of ours.
    #[error("compiling the routes failed: {0}")]
    Compile(#[from] tokio::task::JoinError),
}

impl Failure {
    /// As a label of metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::Publish(error) => error.label(),
            Self::Secrets => "secrets",
            Self::Compile(_) => "internal",
        }
    }
}

/// Keeps the published table what the cluster asks for, for ever, while this process leads.
pub(crate) async fn run(context: Context, world: Arc<World>, declared: watch::Sender<Option<Arc<Declared>>>) {
    let mut revisions = world.revisions();
    let mut reconciler = Reconciler::new(context, world, declared);
    loop {
        reconciler.attempt().await;
        reconciler.wait(&mut revisions).await;
    }
}

struct Reconciler {
    context: Context,
    world: Arc<World>,
    declared: watch::Sender<Option<Arc<Declared>>>,
    options: Options,
    /// Times are counted from here.
    started: Instant,
    schedule: Schedule,
    publisher: Publisher,
    /// The revision whose routes the schedule knows.
    wanted: Option<u64>,
    /// What is published, and the revision that it is made of.
    done: Option<(Revision, Index)>,
    /// Whether there is something to do that the revision does not tell.
    is_dirty: bool,
    /// Known from the first published table on.
    since: Option<Since>,
    failures: u32,
    retry_at: Option<Duration>,
}

impl Reconciler {
    fn new(context: Context, world: Arc<World>, declared: watch::Sender<Option<Arc<Declared>>>) -> Self {
        let config = &context.config;
        let options = Options {
            backends: Backends::Cluster { domain: config.cluster_domain.clone() },
            shared_hosts: config.shared_hosts,
        };
        // Where Secrets are watched, the watch tells.
        let period = config.watch_namespaces.is_empty().then_some(config.secret_period);
        let publisher = Publisher::new(context.clone(), Arc::clone(&world));
        Self {
            context,
            world,
            declared,
            options,
            started: Instant::now(),
            schedule: Schedule::new(period),
            publisher,
            wanted: None,
            done: None,
            is_dirty: true,
            since: None,
            failures: 0,
            retry_at: None,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs once, and says what came of it.
    async fn attempt(&mut self) {
        let result = self.reconcile().await;
        let revision = *self.world.revisions().borrow();
        let metrics = &self.context.metrics;
        let behind = revision.meaning - self.done.as_ref().map_or(0, |(done, _)| done.meaning);
        metrics.queue_depth.set(i64::try_from(behind).unwrap_or(i64::MAX));
        let Err(failure) = result else {
            self.failures = 0;
            self.retry_at = None;
            return;
        };
        self.is_dirty = true;
        let reason = failure.label();
        metrics.reconcile_errors.get_or_create(&ReasonLabel { reason }).inc();
        let pause = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(16))).min(RETRY_MOST);
        self.failures += 1;
        // Up to a fifth more or less, so that replicas and restarts do not fall into step.
        let pause = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.retry_at = Some(self.now() + pause);
        tracing::warn!(reason, error = %failure, again_in = ?pause, "the table is not published; the last one stays in force");
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, revisions: &mut watch::Receiver<Revision>) {
        let mut burst: Option<Burst> = None;
        let mut echoes_at = None;
        loop {
            let now = self.now();
            let times = [
                burst.map(|burst| burst.over_at()),
                echoes_at,
                self.retry_at,
                self.schedule.next(),
                self.publisher.origin_tokens.next_look(),
                self.publisher.next_sweep(now),
            ];
            let next = times.into_iter().flatten().min();
            if next.is_some_and(|next| next <= now) {
                return;
            }
            let until = next.map(|next| self.started + next);
            tokio::select! {
                changed = revisions.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = self.now();
                    if self.is_echo(*revisions.borrow_and_update()) {
                        echoes_at.get_or_insert(now + ECHOES);
                    } else {
                        burst.get_or_insert_with(|| Burst::begin(now)).change(now);
                    }
                }
                () = async { tokio::time::sleep_until(until.unwrap_or_else(Instant::now)).await }, if until.is_some() => {}
            }
        }
    }

    /// Whether nothing changed but versions of routes.
    fn is_echo(&self, revision: Revision) -> bool {
        let done = self.done.as_ref().map(|(done, _)| (done.meaning, done.published));
        done == Some((revision.meaning, revision.published))
    }

    async fn reconcile(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        if self.publisher.origin_tokens.next_look().is_some_and(|look| look <= self.now()) {
            self.publisher.origin_tokens.forget();
            self.is_dirty = true;
        }
        let revision = *self.world.revisions().borrow();
        let mut view = (self.wanted != Some(revision.meaning)).then(|| self.look());
        self.read_secrets().await?;
        if let Some((done, index)) = &self.done {
            self.is_dirty |= done.published != revision.published && !self.publisher.is_intact(index);
            if !self.is_dirty && done.meaning == revision.meaning {
                return self.keep(revision).await;
            }
        }
        if view.is_none() {
            view = Some(self.look());
            self.read_secrets().await?;
        }
        let Some(view) = view else { return Ok(()) };

        let revision = view.revision;
        let published = view.published.clone();
        let (routes, reports, snapshot, table) = self.compile(view).await?;
        let index = self.publisher.publish(&published, &snapshot, self.now()).await?;
        self.count(&index, &snapshot, &routes, &reports);
        let names = &self.context.names;
        self.since.get_or_insert_with(|| Since::of(&published, names)).publish(&snapshot, index.generation);
        self.declare(&index, Arc::new(table), &routes, reports);
        self.done = Some((revision, index.clone()));
        self.is_dirty = false;
        self.context.metrics.reconcile_seconds.observe(started.elapsed().as_secs_f64());
        self.publisher.sweep(&index, self.now()).await?;
        Ok(())
    }

    /// The world, of whose Secrets the schedule then knows.
    fn look(&mut self) -> View {
        let view = self.world.view();
        let mut wanted: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for known in &view.routes {
            let namespace = known.object.metadata.namespace.as_deref().unwrap_or_default();
            for (secret, key) in crate::world::secrets(namespace, &known.object.spec) {
                wanted.entry(secret).or_default().insert(key.to_owned());
            }
        }
        self.schedule.want(wanted, &view.touched, self.started.elapsed());
        self.wanted = Some(view.revision.meaning);
        view
    }

    /// Reads the Secrets that are due. Not knowing one of them is a failure, a Secret that cannot be read is none.
    async fn read_secrets(&mut self) -> Result<(), Failure> {
        let due = self.schedule.due(self.now());
        for (secret, outcome) in secrets::read(&self.context.client, due).await {
            let now = self.now();
            self.is_dirty |= self.schedule.learn(&secret, outcome, now, fastrand::f64());
        }
        if self.schedule.is_complete() { Ok(()) } else { Err(Failure::Secrets) }
    }

    /// Nothing changed that the table depends on.
    async fn keep(&mut self, revision: Revision) -> Result<(), Failure> {
        let Some((before, index)) = self.done.take() else { return Ok(()) };
        self.done = Some((revision, index.clone()));
        if before.versions != revision.versions {
            let view = self.look();
            // Routes may have changed since the revision was read; then the next run is for that.
            if view.revision.meaning == revision.meaning {
                let last = self.declared.borrow().clone();
                if let Some(last) = last {
                    let reports = last.routes.iter().map(|route| route.report.clone()).collect();
                    self.declare(&index, Arc::clone(&last.table), &view.routes, reports);
                }
            }
        }
        Ok(self.publisher.sweep(&index, self.now()).await?)
    }

    /// Compiles and writes everything, on a thread that may take its time.
    async fn compile(
        &mut self,
        view: View,
    ) -> Result<(Vec<Known>, Vec<Report>, Snapshot, RouteTable), Failure> {
        let has_origin_tokens = view.routes.iter().any(|known| known.object.spec.origin_token.is_some());
        // Without origin tokens nothing is named with it.
        let salt = if has_origin_tokens {
            self.publisher.origin_tokens.salt(self.now()).await?
        } else {
            Salt([0; 32])
        };
        let View { routes, mut references, .. } = view;
        self.schedule.fill(&mut references);
        let options = self.options.clone();
        let compile = move || compiled::compile(routes, &references, &options, &salt);
        Ok(tokio::task::spawn_blocking(compile).await?)
    }

    fn declare(&self, index: &Index, table: Arc<RouteTable>, routes: &[Known], reports: Vec<Report>) {
        let declared = routes.iter().zip(reports).map(|(known, report)| {
            let id = format!("{}/{}", report.object.namespace, report.object.name);
            let since =
                self.since.as_ref().and_then(|since| since.generation(&id)).unwrap_or(index.generation);
            DeclaredRoute { object: Arc::clone(&known.object), report, since }
        });
        self.declared.send_replace(Some(Arc::new(Declared {
            generation: index.generation,
            digest: index.digest.clone(),
            table,
            routes: declared.collect(),
        })));
    }

    fn count(&self, index: &Index, snapshot: &Snapshot, routes: &[Known], reports: &[Report]) {
        let metrics = &self.context.metrics;
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let bytes: usize = snapshot.shards.values().map(Vec::len).sum();
        metrics.shards.set(number(index.shards.len()));
        metrics.published_bytes.set(number(bytes + index.to_bytes().len()));
        metrics.generation.set(i64::try_from(index.generation).unwrap_or(i64::MAX));
        let state = |(known, report): (&Known, &Report)| match (report.accepted, report.has_errors()) {
            _ if known.unreadable.is_some() => "unreadable",
            (true, false) => "accepted",
            (true, true) => "degraded",
            (false, _) => "rejected",
        };
        let mut counts =
            BTreeMap::from(["accepted", "degraded", "rejected", "unreadable"].map(|state| (state, 0)));
        for route in routes.iter().zip(reports) {
            *counts.entry(state(route)).or_default() += 1;
        }
        for (state, count) in counts {
            metrics.routes.get_or_create(&StateLabel { state }).set(number(count));
        }
    }
}
