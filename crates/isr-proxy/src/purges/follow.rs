//! Carries out what is published, one purge after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use isr_cache::{Epoch, Gradual, TierError};
use isr_routes::purges::position::{Holds, Position, Step};
use isr_routes::purges::{Purge, PurgeLog};

use super::Seen;
use super::kept::Kept;
use crate::pages::Certain;
use crate::state::Proxy;

/// The first pause after a purge could not be carried out, doubled with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest: whoever waits for a purge sees it done soon after a store is back.
const RETRY_MOST: Duration = Duration::from_secs(10);

/// Purges that take effect over a time, at a time: as many as there may be deploys under way. With one more, the one that is over
/// first takes effect at once.
const GRADUAL_MOST: usize = 256;

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
        let kept = folder.as_deref().and_then(Kept::load).unwrap_or_default();
        let gradual = kept.gradual();
        let position = kept.position;
        proxy.purges.progress().position.clone_from(&position);
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
        let kept = Kept::of(&self.position, &self.gradual);
        match tokio::task::spawn_blocking(move || kept.save(&folder)).await {
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
