//! `IsrPurge`s and rollouts: handed to the proxies in a list, and in the status of the former what became of them.
//!
//! A purge that makes sense is appended to the published list once, however often this process starts anew: its uid tells
//! whether it is there. Then the proxies are asked until every ready one has carried it out, which makes it complete. What is
//! finished is deleted when its time has come. All of this looks at what is there, and not at what happened.

mod judge;
mod rollout;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use isr_api::IsrPurgeStatus;
use isr_routes::purges::PurgeLog;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::acknowledge::{Answers, Asker, pods};
use crate::events::Events;
use crate::metrics::ReasonLabel;
use crate::publish::PublishError;
use crate::rollouts::{Backends, wanted};
use crate::world::{PresentLog, ProxySlices, World};
use crate::{Context, Declared};
use judge::{Judged, judge};
use write::Written;

/// How long the proxies have to carry out a purge before it is said to wait for them: usually it is one write, to done.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Between two questions, at first; a quarter more each time, so that who took its time is found out late by a fifth of it at most.
const ASK_FIRST: Duration = Duration::from_millis(50);
/// Between two questions while some proxy has a purge to carry out.
const ASK_MOST: Duration = Duration::from_secs(1);
/// The first pause after a failed write, doubled with each further one.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Carries purges for ever, while this process leads.
pub(crate) async fn run(
    context: Context,
    world: Arc<World>,
    mut declared: watch::Receiver<Option<Arc<Declared>>>,
    mut backends: watch::Receiver<Backends>,
) {
    let (mut news, mut proxies) = (world.purge_changes(), world.proxies());
    let mut purging = Purging::new(context, world);
    loop {
        news.borrow_and_update();
        purging.declared.clone_from(&declared.borrow_and_update());
        purging.slices.clone_from(&proxies.borrow_and_update());
        purging.backends.clone_from(&backends.borrow_and_update());
        purging.attempt().await;
        let next = purging.next;
        tokio::select! {
            () = async { tokio::time::sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
            changed = news.changed() => if changed.is_err() { return },
            changed = declared.changed() => if changed.is_err() { return },
            changed = backends.changed() => if changed.is_err() { return },
            changed = proxies.changed() => if changed.is_err() { return },
        }
    }
}

struct Purging {
    context: Context,
    world: Arc<World>,
    declared: Option<Arc<Declared>>,
    slices: ProxySlices,
    /// The versions behind the Services whose rollouts make pages stale.
    backends: Backends,
    asker: Asker,
    events: Events,
    /// The list as this process wrote it last.
    last: Option<PurgeLog>,
    /// Until when the proxies are given time.
    patience: Option<Instant>,
    pause: Duration,
    retry: Duration,
    /// Statuses that were written and that the watch may not show yet, by the uid of their object.
    written: HashMap<String, Written>,
    /// When there is something to do although nothing happens.
    next: Option<Instant>,
}

impl Purging {
    fn new(context: Context, world: Arc<World>) -> Self {
        Self {
            events: Events::new(&context),
            context,
            world,
            declared: None,
            slices: None,
            backends: Backends::default(),
            asker: Asker::new(),
            last: None,
            patience: None,
            pause: ASK_FIRST,
            retry: RETRY_FIRST,
            written: HashMap::new(),
            next: None,
        }
    }

    /// Does what is to be done now, and notes when there will be more.
    async fn attempt(&mut self) {
        self.next = None;
        // What is purged depends on the routes, and who is asked on the proxies.
        let (Some(declared), Some(slices)) = (self.declared.clone(), self.slices.clone()) else { return };
        match self.carry(&declared, &pods(&slices)).await {
            Ok(()) => self.retry = RETRY_FIRST,
            Err(error) => {
                let reason = error.label();
                self.context.metrics.reconcile_errors.get_or_create(&ReasonLabel { reason }).inc();
                tracing::warn!(reason, %error, again_in = ?self.retry, "purges are held up");
                self.wake(Instant::now() + self.retry.mul_f64(0.8 + 0.4 * fastrand::f64()));
                self.retry = (self.retry * 2).min(RETRY_MOST);
            }
        }
    }

    async fn carry(
        &mut self,
        declared: &Declared,
        pods: &[crate::acknowledge::Pod],
    ) -> Result<(), PublishError> {
        let (purges, present) = self.world.purges();
        let log = self.list(present.as_ref());
        let mut judged: Vec<Judged> = purges
            .iter()
            .map(|purge| {
                let uid = purge.object.metadata.uid.as_deref().unwrap_or_default();
                let status = self.written.get(uid).and_then(|written| written.status_of(&purge.object));
                judge(purge, status, log.as_ref(), &declared.table)
            })
            .collect();
        self.written.retain(|uid, _| judged.iter().any(|judged| judged.uid() == uid));
        let log = self.publish(log, &mut judged, present.as_ref(), declared).await?;

        let is_under_way = judged.iter().any(Judged::is_under_way);
        let answers = if is_under_way { self.asker.ask(pods).await } else { Answers::default() };
        let now = Instant::now();
        let is_done = judged.iter().all(|judged| judged.is_done(log.as_ref(), &answers));
        if is_done {
            self.patience = None;
            self.pause = ASK_FIRST;
        } else if !pods.is_empty() {
            self.wake(now + self.pause);
            self.pause = self.pause.mul_f64(1.25).min(ASK_MOST);
        }
        let is_patient = self.patience.is_some_and(|until| now < until);
        let time = Time(Timestamp::now());
        let changes: Vec<(&Judged, IsrPurgeStatus)> = judged
            .iter()
            .filter(|judged| !is_patient || !judged.is_under_way() || judged.is_done(log.as_ref(), &answers))
            .filter_map(|judged| Some((judged, judged.change(log.as_ref(), &answers, &time)?)))
            .collect();
        write::statuses(&self.context, &mut self.events, changes, &mut self.written).await?;
        let mut due = Vec::new();
        for judged in &judged {
            match judged.gone_at() {
                Some(at) if at <= time.0 => due.push(judged),
                Some(at) => {
                    let left = Duration::try_from(at - time.0).unwrap_or_default();
                    self.wake(now + left);
                }
                None => {}
            }
        }
        write::delete(&self.context, &due).await
    }

    /// The list that counts: the present one, or the last that was written here if somebody has taken away from it.
    fn list(&self, present: Option<&PresentLog>) -> Option<PurgeLog> {
        let present = present.and_then(|present| present.content.as_ref());
        match (present, &self.last) {
            (Some(present), Some(last)) if present.id == last.id && present.last() >= last.last() => {
                Some(present.clone())
            }
            (Some(present), None) => Some(present.clone()),
            (_, last) => last.clone(),
        }
    }

    /// Appends what is new, and writes the list if it is not as it should be.
    async fn publish(
        &mut self,
        log: Option<PurgeLog>,
        judged: &mut [Judged],
        present: Option<&PresentLog>,
        declared: &Declared,
    ) -> Result<Option<PurgeLog>, PublishError> {
        let new: Vec<_> = judged.iter_mut().filter_map(Judged::issue).collect();
        let is_new = !new.is_empty();
        let is_first = log.is_none();
        let mut log = match log {
            Some(log) => log,
            None => PurgeLog::new(write::name_of_log()?),
        };
        for purge in new {
            log.append(purge);
        }
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        let rollouts = log.last();
        rollout::advance(&mut log, &wanted(declared), &self.backends, now);
        for number in rollouts + 1..=log.last() {
            let cause = log.get(number).map(|purge| &*purge.cause);
            tracing::info!(number, cause, "pages turn stale");
        }
        if is_first && !is_new && log.served.is_empty() {
            // There is nothing to tell the proxies.
            return Ok(None);
        }
        let is_as_it_should_be = |present: &PresentLog| {
            present.content.as_ref() == Some(&log) && !self.context.must_own(present.is_owned)
        };
        if !present.is_some_and(is_as_it_should_be) {
            write::list(&self.context, &self.world, present, &log).await?;
        }
        if is_new {
            let now = Instant::now();
            self.patience = Some(now + PATIENCE);
            self.pause = ASK_FIRST;
            self.wake(now + PATIENCE);
        }
        self.last = Some(log.clone());
        Ok(Some(log))
    }

    fn wake(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}
