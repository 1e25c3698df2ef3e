//! Renders: tasks of their own, tied to no visitor's connection.
//!
//! A render is begun because [`isr_cache::Entry`] said so. Unless another replica renders the page, it waits for a slot, asks
//! the origin, judges the answer, stores the page, tells everybody who waits, and begins the next render of its key if one is
//! wanted. A visitor who hangs up changes nothing.

use std::sync::Arc;

use http::Response;
use http::header::SET_COOKIE;
use isr_cache::{
    Epoch, Flight, Mode, Next, Outcome, Render, SPREAD_MAX, Standing, Store, StoredResponse, Trigger,
};
use isr_store::give_way;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::Body;
use crate::fields::strip_hop_by_hop;
use crate::job::Job;
use crate::judge::{Answered, Judged, judge};
use crate::landing::{Certainty, Landing, Rendered};
use crate::metrics::RenderLabels;
use crate::origin::{self, Answer};
use crate::page::{self, Ingredients};
use crate::pages::{Claimed, Hold};
use crate::slots::Slot;
use crate::state::Proxy;
use crate::upstream::OriginError;
use crate::{encode, log};

/// Where the first visitor gets a body that is too long to store.
pub(crate) type Streamed = oneshot::Sender<Response<Body>>;

/// Begins a render that [`isr_cache::Entry`] asked for, in this slot if the caller has waited for one.
pub(crate) fn begin(
    proxy: &Arc<Proxy>,
    job: Arc<Job>,
    flight: Flight,
    streamed: Option<Streamed>,
    slot: Option<Slot>,
) {
    proxy.background.spawn(run(Arc::clone(proxy), job, flight, streamed, slot));
}

async fn run(
    proxy: Arc<Proxy>,
    job: Arc<Job>,
    mut flight: Flight,
    mut streamed: Option<Streamed>,
    mut slot: Option<Slot>,
) {
    loop {
        let started = Instant::now();
        // If this task panics or is dropped, those who wait must not wait for ever.
        let guard = Abandoned { proxy: &proxy, job: &job, flight: Some(flight) };
        let (source, _hold) = claim(&proxy, &job, &mut flight).await;
        let (judged, result) = match &source {
            Source::Origin => attempts(&proxy, &job, &mut flight, streamed.take(), slot.take()).await,
            Source::Replica(response) => adopted(response),
        };
        // The render that may follow is another's.
        drop(slot.take());
        guard.landed();
        match &source {
            Source::Origin => count(&proxy, &job, flight, &judged, &result, started),
            Source::Replica(_) => {
                proxy.metrics.adopted.inc();
            }
        }
        // The page is stored before the other replicas are no longer told to wait for it.
        let next = land(&proxy, &job, flight, &judged, result, &source);
        give_way();
        match next {
            Some(Next::Now(next)) => flight = next,
            Some(Next::After(wait)) => {
                tokio::time::sleep(wait).await;
                let now = proxy.clock.now();
                let asked = proxy
                    .entries
                    .with(&job.key, now, |live| live.entry.ask_again(now, proxy.pages.epoch()))
                    .flatten();
                let Some(next) = asked else { return };
                flight = next;
            }
            None => return,
        }
    }
}

/// Where a page comes from.
enum Source {
    Origin,
    /// Another replica has rendered it.
    Replica(Arc<StoredResponse>),
}

/// Asks whether to render, if there are other replicas; waits for the one that does. The flight so gets the epoch in which it
/// begins.
async fn claim(proxy: &Proxy, job: &Job, flight: &mut Flight) -> (Source, Option<Hold>) {
    let is_good = |found: &StoredResponse| {
        let standing = proxy.pages.standing(found, &job.route, &job.policy, proxy.clock.now());
        let is_outdated = found.is_before_its_page() && job.is_data();
        page::belongs(found, &job.route) && matches!(standing, Standing::Fresh { .. }) && !is_outdated
    };
    let within = proxy.config.limits.render;
    let now = || proxy.clock.now();
    match proxy.pages.claim(&job.key, &job.group, flight.trigger, within, now, is_good).await {
        Claimed::Found(response) => (Source::Replica(response), None),
        Claimed::Render { epoch, hold } => {
            if let Some(epoch) = epoch {
                begins(proxy, job, flight, epoch);
            }
            (Source::Origin, hold)
        }
    }
}

/// Has a render begin in this epoch, unless it has begun in a later one.
fn begins(proxy: &Proxy, job: &Job, flight: &mut Flight, epoch: Epoch) {
    flight.began = epoch.max(flight.began);
    let begun = *flight;
    proxy.entries.with(&job.key, proxy.clock.now(), |live| {
        live.entry.on_begun(begun.number, begun.began);
    });
}

fn adopted(response: &Arc<StoredResponse>) -> (Judged, Rendered) {
    let response = Arc::clone(response);
    let judged = Judged { outcome: Outcome::Rendered, detail: None };
    (judged, Rendered::Response { response, outcome: Outcome::Rendered, detail: None })
}

fn count(proxy: &Proxy, job: &Job, flight: Flight, judged: &Judged, result: &Rendered, started: Instant) {
    let labels = RenderLabels::new(&job.route.id, flight.trigger, judged.outcome);
    proxy.metrics.refreshes.get_or_create(&labels).inc();
    proxy.metrics.upstream_seconds.observe(started.elapsed().as_secs_f64());
    log::render(job, flight, judged, result, started.elapsed());
}

/// Times that an application is asked again that answers with an older render, one that was under way there when it was asked.
/// It has ended by then, and seldom is there another.
const JOINED_MOST: usize = 3;

/// Whether somebody waits for what must be newer than an invalidation: a demand, or what a demand or another invalidation of the
/// page's group has left without anything to serve.
fn follows_an_invalidation(job: &Job, flight: Flight) -> bool {
    match flight.trigger {
        Trigger::OnDemand => true,
        Trigger::Miss => job.group.watermark().hard > Epoch::default(),
        _ => false,
    }
}

/// Asks the application, and again when it answers with an older render where somebody waits for a new one.
async fn attempts(
    proxy: &Proxy,
    job: &Job,
    flight: &mut Flight,
    streamed: Option<Streamed>,
    slot: Option<Slot>,
) -> (Judged, Rendered) {
    let mut answered = attempt(proxy, job, *flight, streamed, slot).await;
    for _ in 0..JOINED_MOST {
        if !(answered.0.is_origin_stale() && follows_an_invalidation(job, *flight)) {
            break;
        }
        // Later than what others have asked for meanwhile, so that none of that is served beside it. Without word from the
        // other replicas this one stays as early as it was.
        if let Ok(epoch) = proxy.pages.epoch_of_render(flight.trigger).await {
            begins(proxy, job, flight, epoch);
        }
        answered = attempt(proxy, job, *flight, None, None).await;
    }
    answered
}

async fn attempt(
    proxy: &Proxy,
    job: &Job,
    flight: Flight,
    streamed: Option<Streamed>,
    slot: Option<Slot>,
) -> (Judged, Rendered) {
    let limit = proxy.config.limits.render;
    match tokio::time::timeout(limit, ask(proxy, job, flight, slot)).await {
        Ok(Ok(Answer::Whole { status, headers, version, body, framed })) => {
            if headers.contains_key(SET_COOKIE) {
                proxy.metrics.set_cookie_dropped(&job.route.id);
            }
            let now = proxy.clock.now();
            let answered = Answered {
                path: &job.path,
                page: &job.page,
                trigger: flight.trigger,
                status,
                headers: &headers,
                body: &body,
                framed,
                at: now,
            };
            let judged = judge(&job.route, &job.policy, &answered);
            let storable = matches!(judged.outcome, Outcome::Rendered | Outcome::AlreadyStale);
            let render = Render {
                finished: now.into(),
                began: flight.began,
                born_stale: judged.outcome == Outcome::AlreadyStale,
                spread: fastrand::u8(..=SPREAD_MAX),
            };
            let group = Arc::clone(&job.group);
            let ingredients = Ingredients { status, headers, version, body, render, group, storable };
            let response = Arc::new(page::make(&job.route, ingredients));
            let detail = judged.detail.as_deref().map(Arc::from);
            let outcome = judged.outcome;
            (judged, Rendered::Response { response, outcome, detail })
        }
        Ok(Ok(Answer::TooLong { status, mut headers, body })) => {
            strip_hop_by_hop(&mut headers);
            headers.remove(SET_COOKIE);
            let mut response = Response::new(Body::stream(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            if let Some(streamed) = streamed {
                // A visitor who has left takes the rest of the body with them: the connection is closed.
                drop(streamed.send(response));
            }
            let judged = Judged { outcome: Outcome::Unstorable, detail: Some("too-long".into()) };
            (judged, Rendered::TooLong)
        }
        Ok(Err(error)) => failed(error),
        Err(_) => {
            let address = job.route.backend.name.clone();
            failed(OriginError::Slow { address, limit })
        }
    }
}

fn failed(error: OriginError) -> (Judged, Rendered) {
    (Judged { outcome: Outcome::Failed, detail: Some(error.label().into()) }, Rendered::Failed(error))
}

async fn ask(proxy: &Proxy, job: &Job, flight: Flight, slot: Option<Slot>) -> Result<Answer, OriginError> {
    let backend = &job.route.backend;
    let address = backend.address.as_ref().map_err(|why| OriginError::NoAddress(why.clone()))?;
    let scheme = proxy.config.public_scheme;
    let since = proxy.since(&flight, &job.group, &job.route);
    let request = origin::request(&job.route, &job.host, &job.target, scheme, &since, job.trace.as_ref())
        .ok_or_else(|| OriginError::NoAddress(format!("{}{} makes no request", job.host, job.path)))?;
    let background = flight.trigger == Trigger::Stale;
    let acquired = async {
        match slot {
            Some(slot) => slot,
            None => proxy.slots.acquire(&backend.name, background).await,
        }
    };
    let Ok(_slot) = tokio::time::timeout(proxy.config.limits.first_byte, acquired).await else {
        return Err(OriginError::Busy(backend.name.clone()));
    };
    proxy.renderer.ask(address, request, &proxy.config.limits).await
}

/// Applies what the entry decides about a render that has ended, and tells everybody who waits.
fn land(
    proxy: &Arc<Proxy>,
    job: &Arc<Job>,
    flight: Flight,
    judged: &Judged,
    result: Rendered,
    source: &Source,
) -> Option<Next> {
    let now = proxy.clock.now();
    let jitter = fastrand::f64();
    let (landed, response, before) = proxy.entries.with(&job.key, now, |live| {
        // Storing, telling, and ending the flight are one step under the entry's lock: nobody finds the flight gone and
        // the page not there, and begins another.
        let stored = proxy.pages.peek(&job.key).filter(|stored| page::belongs(stored, &job.route));
        let standing = stored
            .as_ref()
            .map_or(Standing::Missing, |stored| proxy.pages.standing(stored, &job.route, &job.policy, now));
        let landed =
            live.entry.on_landed(now, judged.outcome, standing, proxy.pages.following_epoch(), jitter);
        live.complaint = match judged.outcome {
            Outcome::Rendered => None,
            _ => judged.detail.as_deref().map(Arc::from),
        };
        let mut certain = Certainty::default();
        let response = match (&result, landed.store) {
            (Rendered::Response { response, .. }, Store::Replace) => {
                let response = match &stored {
                    Some(before) => encode::inherit(before, response),
                    None => Arc::clone(response),
                };
                if leads(job, flight, judged, stored.as_deref(), &response) {
                    // Before the page is there for anybody: who has it gets no data of before.
                    job.group.lead(proxy.pages.own_epoch());
                }
                match source {
                    Source::Origin => proxy.pages.put(&job.key, Arc::clone(&response)),
                    Source::Replica(_) => proxy.pages.adopt(&job.key, Arc::clone(&response)),
                }
                if flight.trigger == Trigger::OnDemand && judged.outcome == Outcome::Rendered {
                    // The whole group is of this generation or waits for a render of it.
                    let group = job.group.name();
                    certain = Certainty::of(proxy.pages.invalidate_group(group, Mode::Hard, flight.began));
                }
                Some(response)
            }
            (_, Store::Drop) => {
                proxy.pages.remove(&job.key, &job.group);
                None
            }
            _ => None,
        };
        live.landing.send_replace(Landing { number: flight.number, result, certain });
        (landed, response, stored)
    })?;
    if let (Some(response), Some(before)) = (response, before) {
        for coding in before.asked.codings() {
            encode::make(proxy, &job.key, &response, coding);
        }
    }
    landed.next
}

/// Whether data that was rendered before is of another generation than this page: its interval brought new content. (A
/// demand takes the whole group with it anyway.)
fn leads(
    job: &Job,
    flight: Flight,
    judged: &Judged,
    stored: Option<&StoredResponse>,
    response: &StoredResponse,
) -> bool {
    matches!(flight.trigger, Trigger::Stale | Trigger::Prerender)
        && judged.outcome == Outcome::Rendered
        && job.route.preset.has_data()
        && !job.is_data()
        && stored.is_some_and(|stored| stored.body != response.body)
}

/// Ends a flight whose task ended without landing it: dropped at shutdown, or by a panic.
struct Abandoned<'p> {
    proxy: &'p Arc<Proxy>,
    job: &'p Arc<Job>,
    flight: Option<Flight>,
}

impl Abandoned<'_> {
    fn landed(mut self) {
        self.flight = None;
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        while let Some(flight) = self.flight.take() {
            let address = self.job.route.backend.name.clone();
            let cause = "the render was abandoned".to_owned();
            let (judged, result) = failed(OriginError::Broken { address, cause });
            // Nobody is left to begin the render that follows: whoever waits for it learns the same.
            if let Some(Next::Now(next)) =
                land(self.proxy, self.job, flight, &judged, result, &Source::Origin)
            {
                self.flight = Some(next);
            }
        }
    }
}
