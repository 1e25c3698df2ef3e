//! Answering on routes with an interval: Incremental Static Regeneration.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use isr_cache::{
    CacheStatus, Flight, Forward, Handling, Interval, Outcome, Standing, StoredResponse, Timestamp, Verdict,
    Watermark, Why, XIsrCache,
};
use isr_routes::{Route, Target};
use tokio::sync::{oneshot, watch};

use crate::answer::{Label, Past, answer};
use crate::body::Body;
use crate::job::Job;
use crate::landing::{Certainty, Landing, Rendered};
use crate::page::belongs;
use crate::pass::problem;
use crate::problem::Problem;
use crate::render;
use crate::state::Proxy;
use crate::{encode, origin, upstream};

/// A request for a page.
pub(crate) struct Request<'r> {
    pub(crate) route: &'r Arc<Route>,
    pub(crate) policy: &'r Interval,
    pub(crate) target: &'r Target<'r>,
    /// The path of the page that this belongs to; the target's own path unless it is a data companion.
    pub(crate) page: &'r str,
    pub(crate) head: &'r Parts,
}

/// What becomes of it.
pub(crate) enum Response {
    /// An answer, and what it counts as.
    Answer(http::Response<Body>, XIsrCache),
    /// No page can be had.
    Problem(Problem),
    /// The page has opted out of being shared: the request goes to the origin as it is.
    Pass(Past),
}

/// A visitor joins at most this many renders. Whoever waited for a render that failed may begin one successor or join
/// it; if that fails too, the failure is their answer.
const RENDERS_JOINED: usize = 2;

/// How long data whose page is newer waits for a render of its own before the older one is served after all: a client
/// router that gets no data in about this time seems broken to its visitor.
const OUTDATED_WAIT: Duration = Duration::from_secs(2);

/// Answers a GET or HEAD.
pub(crate) async fn respond(proxy: &Arc<Proxy>, request: &Request<'_>) -> Response {
    let mut key = Vec::with_capacity(256);
    request.route.write_key(request.target, &request.head.headers, &mut key);
    let now = proxy.clock.now();
    let stored = look(proxy, request, &key);
    let standing = standing(proxy, request, stored.as_deref(), now);
    if let (Some(stored), Standing::Fresh { ttl }) = (&stored, standing) {
        encode::ask(proxy, &key, &request.head.headers, stored);
        return serve(request, stored, now, XIsrCache::Hit, ttl_of(ttl), None);
    }
    // Boxed, so that a hit does not carry the room for waiting.
    Box::pin(settle(proxy, request, &key)).await
}

/// The stored response, if it is this route's page.
pub(crate) fn look(proxy: &Proxy, request: &Request<'_>, key: &[u8]) -> Option<Arc<StoredResponse>> {
    proxy.pages.get(key).filter(|stored| belongs(stored, request.route))
}

fn standing(
    proxy: &Proxy,
    request: &Request<'_>,
    stored: Option<&StoredResponse>,
    now: Timestamp,
) -> Standing {
    stored.map_or(Standing::Missing, |stored| {
        let standing = proxy.pages.standing(stored, request.route, request.policy, now);
        if is_outdated(request, stored) { standing.outdated() } else { standing }
    })
}

/// Whether this is data of a page that has been rendered anew since.
fn is_outdated(request: &Request<'_>, stored: &StoredResponse) -> bool {
    let Request { route, target, page, head, .. } = request;
    stored.is_before_its_page() && route.is_data(&target.path, page, &head.headers)
}

/// Brings the page into memory, if it is on the disk and nobody is rendering it.
pub(crate) async fn recall(proxy: &Proxy, request: &Request<'_>, key: &[u8]) {
    let is_under_way = || proxy.entries.peek(key, |live| live.entry.flight().is_some()) == Some(true);
    if !proxy.pages.has_more() || proxy.pages.peek(key).is_some() || is_under_way() {
        return;
    }
    let group = request.route.group(&request.target.host, request.page);
    let now = proxy.clock.now();
    // Under the entry's lock, as every write of an ISR page is.
    let keep = |put: &dyn Fn()| {
        proxy.entries.with(key, now, |_| put());
    };
    proxy.pages.recall(key, &group, now, keep).await;
}

/// The page is not fresh: serves it stale, waits for a render, or steps aside, as the key's entry decides.
async fn settle(proxy: &Arc<Proxy>, request: &Request<'_>, key: &[u8]) -> Response {
    recall(proxy, request, key).await;
    let mut joined = 0;
    loop {
        let now = proxy.clock.now();
        let (streamed, first_body) = oneshot::channel();
        // Looked up again under the entry's lock: a render that has landed meanwhile has stored its page before it let
        // go of the lock.
        let decided = proxy.entries.with(key, now, |live| {
            let stored = look(proxy, request, key);
            let mut watermark = covers(proxy, request, stored.as_deref(), now);
            let standing = standing(proxy, request, stored.as_deref(), now);
            if let (Some(stored), Standing::Stale { why: Why::Outdated, .. }) = (&stored, standing) {
                watermark.hard = watermark.hard.max(stored.group.led());
            }
            let verdict = live.entry.on_request(now, standing, watermark, proxy.pages.epoch());
            (verdict, stored, standing, live.landing.subscribe())
        });
        let Some((verdict, stored, standing, landing)) = decided else {
            return Response::Pass(Past { reason: Forward::UriMiss, detail: "too-many-renders".into() });
        };
        if let Some(stored) = &stored {
            encode::ask(proxy, key, &request.head.headers, stored);
        }
        match (verdict, stored) {
            (Verdict::Serve, Some(stored)) => {
                let ttl = if let Standing::Fresh { ttl } = standing { ttl_of(ttl) } else { None };
                return serve(request, &stored, now, XIsrCache::Hit, ttl, None);
            }
            (Verdict::ServeStale { render }, Some(stored)) => {
                let refreshing = render.is_some();
                if let Some(flight) = render {
                    begin(proxy, request, key, flight, None);
                }
                return serve_stale(request, &stored, now, standing, refreshing);
            }
            (Verdict::Wait { number, render }, stored) => {
                let collapsed = render.is_none();
                if let Some(flight) = render {
                    begin(proxy, request, key, flight, Some(streamed));
                } else {
                    drop(streamed);
                }
                joined += 1;
                let reason = if stored.is_some() { Forward::Stale } else { Forward::UriMiss };
                let waiting = wait(landing, number, first_body);
                let waited = match (&stored, standing) {
                    (Some(older), Standing::Stale { .. }) => {
                        match tokio::time::timeout(OUTDATED_WAIT, waiting).await {
                            Ok(waited) if !waited.is_failure() => waited,
                            _ => return serve_stale(request, older, proxy.clock.now(), standing, false),
                        }
                    }
                    _ => waiting.await,
                };
                if let Waited::Landed(Rendered::Response { response, .. }, _) = &waited {
                    encode::ask(proxy, key, &request.head.headers, response);
                }
                let came = Came { now: proxy.clock.now(), reason, collapsed };
                if let Some(response) = landed(request, waited, &came, joined) {
                    return response;
                }
            }
            (Verdict::Pass, _) => {
                return Response::Pass(Past { reason: Forward::Bypass, detail: "opted-out".into() });
            }
            // Nothing is stored, so nothing was called fresh or stale.
            (Verdict::Serve | Verdict::ServeStale { .. }, None) => {
                return Response::Pass(Past { reason: Forward::UriMiss, detail: "evicted".into() });
            }
        }
    }
}

/// The invalidations that cover this key, also when nothing is stored under it.
fn covers(
    proxy: &Proxy,
    request: &Request<'_>,
    stored: Option<&StoredResponse>,
    now: Timestamp,
) -> Watermark {
    if let Some(stored) = stored {
        return proxy.pages.covers(&stored.group, request.route, now);
    }
    let group = request.route.group(&request.target.host, request.page);
    let group = proxy.pages.find_group(&group);
    group.map(|group| proxy.pages.covers(&group, request.route, now)).unwrap_or_default()
}

/// Begins a render that the entry asked for.
pub(crate) fn begin(
    proxy: &Arc<Proxy>,
    request: &Request<'_>,
    key: &[u8],
    flight: Flight,
    streamed: Option<render::Streamed>,
) {
    render::begin(proxy, Arc::new(job(proxy, request, key)), flight, streamed, None);
}

/// What a render of the page needs to know.
pub(crate) fn job(proxy: &Proxy, request: &Request<'_>, key: &[u8]) -> Job {
    let Request { route, policy, target, page, head } = request;
    let group = proxy.pages.group(&route.group(&target.host, page));
    Job {
        route: Arc::clone(route),
        policy: **policy,
        key: key.into(),
        host: target.host.to_string(),
        path: target.path.to_string(),
        page: (*page).to_owned(),
        target: route.render_target(target, &head.headers),
        group,
        trace: origin::trace_parent(&head.headers),
    }
}

/// What somebody who waited got.
pub(crate) enum Waited {
    Landed(Rendered, Certainty),
    /// The whole body, as it comes, for the one who began the render.
    Streamed(http::Response<Body>),
    /// The render was forgotten.
    Gone,
}

impl Waited {
    /// Whether there is nothing of a page in it.
    fn is_failure(&self) -> bool {
        match self {
            Self::Landed(Rendered::Response { outcome, .. }, _) => *outcome == Outcome::Failed,
            Self::Landed(Rendered::Failed(_), _) | Self::Gone => true,
            Self::Landed(Rendered::TooLong, _) | Self::Streamed(_) => false,
        }
    }
}

/// Waits until the render with this number has landed.
pub(crate) async fn wait(
    mut landing: watch::Receiver<Landing>,
    number: u64,
    streamed: oneshot::Receiver<http::Response<Body>>,
) -> Waited {
    let landed = async {
        match landing.wait_for(|landing| landing.number >= number).await {
            Ok(landing) => Waited::Landed(landing.result.clone(), landing.certain.clone()),
            Err(_) => Waited::Gone,
        }
    };
    tokio::select! {
        // The body first: it is sent before the landing is told.
        biased;
        Ok(response) = streamed => Waited::Streamed(response),
        landed = landed => landed,
    }
}

struct Came {
    now: Timestamp,
    reason: Forward,
    collapsed: bool,
}

/// The answer to somebody who waited for a render; `None` to try once more.
fn landed(request: &Request<'_>, waited: Waited, came: &Came, joined: usize) -> Option<Response> {
    let Came { now, reason, collapsed } = *came;
    let again = joined < RENDERS_JOINED && collapsed;
    match waited {
        Waited::Streamed(mut response) => {
            let handling = Handling::Forward { reason, status: Some(response.status()) };
            let detail = Some("too-long");
            let status = CacheStatus { handling, ttl: None, stored: false, collapsed, detail };
            Label { short: XIsrCache::Miss, status }.write(response.headers_mut());
            Some(Response::Answer(response, XIsrCache::Miss))
        }
        Waited::Landed(Rendered::Response { response, outcome, detail }, _) => {
            if outcome == Outcome::Failed && again {
                return None;
            }
            let stored = matches!(outcome, Outcome::Rendered | Outcome::AlreadyStale);
            let short = if outcome == Outcome::Failed { XIsrCache::Error } else { XIsrCache::Miss };
            let handling = Handling::Forward { reason, status: Some(response.status()) };
            let ttl = if stored { ttl_after(request.policy, &response, now) } else { None };
            let status = CacheStatus { handling, ttl, stored, collapsed, detail: detail.as_deref() };
            let age = response.render.age(now).as_secs();
            let head = request.head;
            let answer = answer(&head.method, &head.headers, &response, age, &Label { short, status });
            Some(Response::Answer(answer, short))
        }
        Waited::Landed(Rendered::TooLong, _) => {
            Some(Response::Pass(Past { reason, detail: "too-long".into() }))
        }
        Waited::Landed(Rendered::Failed(_), _) | Waited::Gone if again => None,
        Waited::Landed(Rendered::Failed(error), _) => Some(Response::Problem(problem(&error))),
        Waited::Gone => {
            Some(Response::Problem(problem(&upstream::OriginError::Busy(request.route.backend.name.clone()))))
        }
    }
}

fn ttl_after(policy: &Interval, response: &StoredResponse, now: Timestamp) -> Option<i64> {
    match response.render.standing(now, policy, Watermark::default()) {
        Standing::Fresh { ttl } => ttl_of(ttl),
        _ => Some(0),
    }
}

pub(crate) fn ttl_of(ttl: Option<Duration>) -> Option<i64> {
    ttl.and_then(|ttl| i64::try_from(ttl.as_secs()).ok())
}

fn serve(
    request: &Request<'_>,
    stored: &StoredResponse,
    now: Timestamp,
    short: XIsrCache,
    ttl: Option<i64>,
    detail: Option<&str>,
) -> Response {
    let status = CacheStatus { handling: Handling::Hit, ttl, stored: false, collapsed: false, detail };
    let age = stored.render.age(now).as_secs();
    let head = request.head;
    Response::Answer(answer(&head.method, &head.headers, stored, age, &Label { short, status }), short)
}

fn serve_stale(
    request: &Request<'_>,
    stored: &StoredResponse,
    now: Timestamp,
    standing: Standing,
    refreshing: bool,
) -> Response {
    let (by, why) = match standing {
        Standing::Stale { by, why } => (by, why),
        _ => (Duration::ZERO, Why::Age),
    };
    let detail = match (why, refreshing) {
        (Why::Age, true) => "stale-refreshing",
        (Why::Age, false) => "stale",
        (Why::Invalidated, true) => "invalidated-refreshing",
        (Why::Invalidated, false) => "invalidated",
        (Why::BornStale, true) => "origin-stale-refreshing",
        (Why::BornStale, false) => "origin-stale",
        (Why::Outdated, _) => "older-than-its-page",
        (Why::Unsure, _) => "unsure",
    };
    let ttl = i64::try_from(by.as_secs()).ok().map(|by| -by);
    serve(request, stored, now, XIsrCache::Stale, ttl, Some(detail))
}
