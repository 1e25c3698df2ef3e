//! The purges that the operator of a cluster publishes, carried out one after the other.
//!
//! The source brings the list ([`Purges::see`]); a task of its own carries out what is new in it ([`follow`]) and remembers on
//! disk how far it is, so that a restart neither misses a purge nor carries one out again. What is to be done next is decided
//! by [`Position::next`].
//!
//! A purge that takes effect over a time is kept beside the position until its time is over; then it is carried out like any
//! other, in the epoch in which it began.
//!
//! A purge is done when it survives a restart and every replica that shares the pages knows of it: what
//! `POST /v1/invalidate` promises as well. `/configz` tells how far that is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use isr_cache::{Epoch, Gradual, Spread, TierError, Timestamp};
use isr_routes::purges::position::{Holds, Position, Step};
use isr_routes::purges::{Purge, PurgeLog};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::pages::Certain;
use crate::state::Proxy;
use crate::state_file;

/// The name of the file in the state folder.
const NAME: &str = "purges.json";

/// The first pause after a purge could not be carried out, doubled with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest: whoever waits for a purge sees it done soon after a store is back.
const RETRY_MOST: Duration = Duration::from_secs(10);

/// Purges that take effect over a time, at a time: as many as there may be deploys under way. With one more, the one that is over
/// first takes effect at once.
const GRADUAL_MOST: usize = 256;

/// The published purges, and how far they are carried out.
pub(crate) struct Purges {
    seen: watch::Sender<Seen>,
    progress: Mutex<Progress>,
}

/// What is known of the list.
#[derive(Clone, Default)]
enum Seen {
    /// Nobody has said yet whether there is one.
    #[default]
    NotYet,
    /// There is none.
    Nothing,
    /// This one.
    Log(Arc<PurgeLog>),
}

#[derive(Clone, Debug, Default)]
struct Progress {
    position: Position,
    /// Why it goes no further, in a clause.
    problem: Option<String>,
    /// Whether all that was published has been done once since the start.
    has_caught_up: bool,
}

impl Purges {
    /// None. `expects` says whether a list is to be waited for.
    pub(crate) fn new(expects: bool) -> Self {
        let progress = Progress { has_caught_up: !expects, ..Progress::default() };
        Self { seen: watch::Sender::default(), progress: Mutex::new(progress) }
    }

    /// This list is published.
    pub(crate) fn see(&self, log: PurgeLog) {
        self.seen.send_replace(Seen::Log(Arc::new(log)));
    }

    /// None is published, as far as none was seen before.
    pub(crate) fn see_nothing(&self) {
        self.seen.send_if_modified(|seen| {
            let is_new = matches!(seen, Seen::NotYet);
            if is_new {
                *seen = Seen::Nothing;
            }
            is_new
        });
    }

    /// Whether everything that was published before the start is done.
    pub(crate) fn have_caught_up(&self) -> bool {
        self.progress().has_caught_up
    }

    /// How far they are carried out, for whoever waits for it.
    pub(crate) fn describe(&self) -> Value {
        let Progress { position, problem, .. } = self.progress().clone();
        json!({ "log": position.log, "position": position.done, "problem": problem })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Every change is an assignment.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    position: Position,
    gradual: Vec<KeptGradual>,
}

/// Times in milliseconds, the beginning since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptGradual {
    routes: Vec<String>,
    epoch: u64,
    begins_ms: u64,
    over_ms: u64,
}

impl KeptGradual {
    fn of(gradual: &Gradual) -> Self {
        Self {
            routes: gradual.routes.iter().map(ToString::to_string).collect(),
            epoch: gradual.epoch.0,
            begins_ms: gradual.spread.begins.0,
            over_ms: u64::try_from(gradual.spread.over.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn gradual(&self) -> Gradual {
        let over = Duration::from_millis(self.over_ms);
        Gradual {
            routes: self.routes.iter().map(|route| route.as_str().into()).collect(),
            epoch: Epoch(self.epoch),
            spread: Spread { begins: Timestamp(self.begins_ms), over },
        }
    }
}

/// Carries out what is published, for as long as the process lives. What was under way when it ended before counts at once.
pub(crate) fn follow(proxy: Arc<Proxy>) -> impl Future<Output = ()> + Send {
    let follower = Follower::begin(proxy);
    follower.run()
}

struct Follower {
    proxy: Arc<Proxy>,
    folder: Option<PathBuf>,
    position: Position,
    /// What takes effect over a time that is not over.
    gradual: Vec<Gradual>,
}

impl Follower {
    fn begin(proxy: Arc<Proxy>) -> Self {
        let folder = proxy.config.state_dir.clone();
        let Kept { position, gradual } = folder.as_deref().and_then(load).unwrap_or_default();
        proxy.purges.progress().position.clone_from(&position);
        let gradual: Vec<Gradual> = gradual.iter().map(KeptGradual::gradual).collect();
        for gradual in &gradual {
            proxy.pages.begin_gradual(gradual.clone());
        }
        Self { proxy, folder, position, gradual }
    }

    async fn run(mut self) {
        let mut seen = self.proxy.purges.seen.subscribe();
        let mut pause = RETRY_FIRST;
        loop {
            let latest = seen.borrow_and_update().clone();
            let result = match &latest {
                Seen::NotYet => Ok(false),
                Seen::Nothing => Ok(true),
                Seen::Log(log) => self.catch_up(log).await.map(|()| true),
            };
            let result = match (result, self.end_gradual().await) {
                (Ok(has_caught_up), Ok(())) => Ok(has_caught_up),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
            let waiting = match result {
                Ok(has_caught_up) => {
                    pause = RETRY_FIRST;
                    let mut progress = self.proxy.purges.progress();
                    progress.has_caught_up |= has_caught_up;
                    progress.problem = None;
                    drop(progress);
                    self.next_end()
                }
                Err(error) => {
                    let waiting = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
                    pause = (pause * 2).min(RETRY_MOST);
                    self.complain(&error);
                    Some(waiting)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(waiting.unwrap_or_default()), if waiting.is_some() => {}
                changed = seen.changed() => if changed.is_err() { return },
            }
        }
    }

    /// How long until what takes effect over a time has done so.
    fn next_end(&self) -> Option<Duration> {
        let end = self.gradual.iter().map(|gradual| gradual.spread.ends()).min()?;
        Some(end.since(self.proxy.clock.now()))
    }

    /// Has what has taken effect over its time be as any other invalidation.
    async fn end_gradual(&mut self) -> Result<(), TierError> {
        let now = self.proxy.clock.now();
        self.gradual.sort_by_key(|gradual| gradual.spread.ends());
        while let Some(first) = self.gradual.first() {
            if first.spread.ends() > now && self.gradual.len() <= GRADUAL_MOST {
                break;
            }
            self.proxy.pages.end_gradual(first).await?;
            self.gradual.remove(0);
            self.keep().await?;
        }
        Ok(())
    }

    /// Carries out everything that is new.
    async fn catch_up(&mut self, log: &PurgeLog) -> Result<(), TierError> {
        loop {
            let behind = log.last().saturating_sub(self.position.done);
            self.proxy.metrics.purges_pending.set(i64::try_from(behind).unwrap_or(i64::MAX));
            match self.position.next(log, self.holds()) {
                Step::Rest => return Ok(()),
                Step::Skip => {
                    tracing::info!(
                        position = log.last(),
                        "nothing stored is older than the published purges"
                    );
                    self.move_to(Position::at_end(log)).await;
                }
                Step::DoubtAll => {
                    tracing::warn!(
                        "purges are gone that were never seen here: everything stored is taken for stale"
                    );
                    let epoch = self.proxy.pages.next_epoch().await?;
                    self.proxy.pages.doubt_all(epoch).await?;
                    self.move_to(Position::before_first(log)).await;
                }
                Step::CarryOut { number, begun } => {
                    let Some(purge) = log.get(number) else { return Ok(()) };
                    let epoch = self.proxy.pages.purge_epoch(begun, &log.id, number).await?;
                    let begun = Some(epoch.0);
                    self.move_to(Position { log: log.id.clone(), done: number - 1, begun }).await;
                    let done = Position { log: log.id.clone(), done: number, begun: None };
                    if let Some(gradual) = purge.gradual(epoch) {
                        self.proxy.pages.begin_gradual(gradual.clone());
                        self.gradual.push(gradual);
                        let before = std::mem::replace(&mut self.position, done);
                        // Without this file a restart would not know of it.
                        if let Err(error) = self.keep().await {
                            self.position = before;
                            self.gradual.pop();
                            self.proxy.pages.forget_gradual(epoch);
                            return Err(error);
                        }
                        self.tell();
                    } else {
                        carry_out(&self.proxy, purge, epoch).await?;
                        self.move_to(done).await;
                    }
                    tracing::info!(number, cause = purge.cause, mode = ?purge.mode, "purged");
                }
            }
        }
    }

    /// What there is that may be older than the purges.
    fn holds(&self) -> Holds {
        let pages = &self.proxy.pages;
        if !pages.are_empty() || self.proxy.entries.len() > 0 {
            Holds::Own
        } else if pages.is_shared() {
            Holds::SharedAlone
        } else {
            Holds::Nothing
        }
    }

    /// Notes how far this is. Where that cannot be kept, a restart carries out again what was done since.
    async fn move_to(&mut self, position: Position) {
        if position == self.position {
            return;
        }
        self.position = position;
        if let Err(error) = self.keep().await {
            tracing::warn!(%error, "after a restart the last purges are carried out again");
        }
        self.tell();
    }

    /// Tells how far this is.
    fn tell(&self) {
        self.proxy.purges.progress().position.clone_from(&self.position);
    }

    /// Keeps what outlives the process.
    async fn keep(&self) -> Result<(), TierError> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let gradual = self.gradual.iter().map(KeptGradual::of).collect();
        let kept = Kept { position: self.position.clone(), gradual };
        // Strings and numbers only: cannot fail.
        let content = serde_json::to_vec(&kept).unwrap_or_default();
        let saving = tokio::task::spawn_blocking(move || {
            state_file::save(&folder, NAME, &content).map_err(|error| {
                format!("how far the purges are cannot be kept in {}: {error}", folder.display())
            })
        });
        match saving.await {
            Ok(Err(error)) => Err(TierError(error.into())),
            // Cancelled, because the process ends.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    fn complain(&self, error: &TierError) {
        let mut progress = self.proxy.purges.progress();
        let problem = error.to_string();
        if progress.problem.as_ref() != Some(&problem) {
            tracing::warn!(problem, "a purge cannot be carried out; trying again");
            progress.problem = Some(problem);
        }
    }
}

/// Invalidates everything that a purge means, and waits until that is certain.
async fn carry_out(proxy: &Proxy, purge: &Purge, epoch: Epoch) -> Result<(), TierError> {
    let pages = &proxy.pages;
    let groups = purge.groups.iter().map(|group| pages.invalidate_group(group, purge.mode, epoch));
    let mut certain: Vec<Certain> = groups.collect();
    certain.extend(purge.selectors().map(|selector| pages.invalidate(&selector, purge.mode, epoch)));
    join_all(certain).await.into_iter().collect()
}

fn load(folder: &Path) -> Option<Kept> {
    let read = |text: &str| serde_json::from_str(text).map_err(|error| error.to_string());
    state_file::load(folder, NAME, read).unwrap_or_else(|error| {
        tracing::error!("{error}: all published purges are carried out again");
        None
    })
}
