//! Answering on routes without an interval: a shared HTTP cache by RFC 9111, with the origin's word for everything.
//!
//! The visitor's own request goes to the origin, and what comes back is kept on its way if it says that it may be
//! ([`filing`]). Before the first response nobody knows that it may be shared, so that requests for what is not stored
//! are never made one. What is stored and was fresh once is validated by one visitor for all who come meanwhile, and
//! behind the visitors' backs where the origin allows it ([`turn`]).

mod ask;
mod claims;
mod filing;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, PRAGMA};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use isr_cache::freshness::{assess, current_age};
use isr_cache::{
    CacheControl, CacheStatus, Forward, Handling, Reuse, Scope, StoredResponse, Timestamp, XIsrCache,
    validation, vary,
};
use isr_routes::{Route, Target};

use crate::answer::{Label, answer};
use crate::body::Body;
use crate::page::belongs;
use crate::pass::pass;
use crate::problem::Problem;
use crate::state::{Proxy, Visitor};
use ask::Candidate;
use turn::Turn;

type Answered = (Result<Response<Body>, Problem>, XIsrCache);

/// What all steps of one request need.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) proxy: &'c Arc<Proxy>,
    pub(crate) visitor: &'c Visitor,
    pub(crate) route: &'c Arc<Route>,
    pub(crate) target: &'c Target<'c>,
}

/// Answers any method. A GET or HEAD has no body: those that have one go past the cache.
pub(crate) async fn respond(context: Context<'_>, request: Request<Body>) -> Answered {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (change(context, request).await, XIsrCache::Bypass);
    }
    let (head, _) = request.into_parts();
    let asked = CacheControl::from_request(&head.headers);
    let (mut joined, mut recalled) = (false, false);
    loop {
        let (key, stored) = match context.find(&head.headers) {
            Found::Stored { key, stored } => (key, stored),
            Found::Nothing(_) if !recalled && context.recall(&head.headers).await => {
                recalled = true;
                continue;
            }
            Found::Nothing(_) if asked.only_if_cached => return (Err(only_if_cached()), XIsrCache::Error),
            Found::Nothing(miss) => return context.forward(&head, miss, None).await,
        };
        let now = context.proxy.clock.now();
        let (ttl, short) = match context.reuse(&stored, now, &asked) {
            Reuse::Fresh { ttl } => (seconds(ttl), XIsrCache::Hit),
            Reuse::StaleWhileRevalidate { stale_for } => {
                context.refresh_later(&head, &key, &stored);
                (-seconds(stale_for), XIsrCache::Stale)
            }
            Reuse::Stale { stale_for } => (-seconds(stale_for), XIsrCache::Stale),
            Reuse::GatewayTimeout => return (Err(only_if_cached()), XIsrCache::Error),
            Reuse::Invalid => return context.forward(&head, Forward::Stale, None).await,
            Reuse::MustValidate { fresh, stale_if_error } => {
                let candidate = Candidate { key, stored, stale_if_error };
                if joined && stale_if_error && turn::has_failed(context.proxy, &candidate.key) {
                    return stale_on_error(&head, &candidate.stored, now, None);
                }
                let alone = joined || fresh || !may_share(&head, &asked, &candidate.stored);
                match if alone { Turn::Alone } else { turn::take(context.proxy, &candidate.key, now) } {
                    Turn::Mine(flight) => return context.lead(head, candidate, flight).await,
                    Turn::Another(landing) => {
                        landing.wait(context.proxy.config.limits.first_byte).await;
                        joined = true;
                        continue;
                    }
                    Turn::Alone => {
                        let reason = if fresh { Forward::Request } else { Forward::Stale };
                        return context.forward(&head, reason, Some(&candidate)).await;
                    }
                }
            }
        };
        let handling =
            if joined { Handling::Forward { reason: Forward::Stale, status: None } } else { Handling::Hit };
        let status = CacheStatus { handling, ttl: Some(ttl), stored: false, collapsed: joined, detail: None };
        let age = age_of(&stored, now).as_secs();
        return (Ok(answer(&head.method, &head.headers, &stored, age, &Label { short, status })), short);
    }
}

/// What is stored for a request.
enum Found {
    Stored {
        /// Where it is stored.
        key: Vec<u8>,
        stored: Arc<StoredResponse>,
    },
    /// Nothing that this request may have.
    Nothing(Forward),
}

impl Context<'_> {
    fn reuse(&self, stored: &StoredResponse, now: Timestamp, asked: &CacheControl) -> Reuse {
        let Some(governed) = stored.governed() else { return Reuse::Invalid };
        let invalidated = self.proxy.pages.watermark(stored, self.route, now).judge(stored.render.began);
        assess(age_of(stored, now), &governed.lifetime, invalidated, asked)
    }

    fn primary_key(&self, headers: &HeaderMap) -> Vec<u8> {
        let Self { proxy, visitor, route, target } = self;
        let mut key = Vec::with_capacity(256);
        route.write_key(target, headers, &mut key);
        let trusted = proxy.config.trusts(visitor.peer.ip());
        let plain = claims::Plain { scheme: proxy.config.public_scheme, host: &target.host };
        claims::write(headers, trusted, visitor.scheme, &plain, &mut key);
        key
    }

    fn find(&self, headers: &HeaderMap) -> Found {
        let mut key = self.primary_key(headers);
        let get = |key: &[u8]| self.proxy.pages.get(key).filter(|stored| belongs(stored, self.route));
        let Some(stored) = get(&key) else { return Found::Nothing(Forward::UriMiss) };
        let varies = stored.governed().map_or(&[][..], |governed| &governed.vary);
        if varies.is_empty() {
            return Found::Stored { key, stored };
        }
        vary::secondary_key(varies, headers, &mut key);
        get(&key).map_or(Found::Nothing(Forward::VaryMiss), |stored| Found::Stored { key, stored })
    }

    /// Brings what is stored for a request into memory, if it is somewhere else.
    async fn recall(&self, headers: &HeaderMap) -> bool {
        let Self { proxy, route, target, .. } = self;
        if !proxy.pages.has_more() {
            return false;
        }
        let group = route.group(&target.host, &target.path);
        let mut key = self.primary_key(headers);
        let now = proxy.clock.now();
        if !proxy.pages.recall(&key, &group, now, |put| put()).await {
            return false;
        }
        let varies = proxy.pages.peek(&key).and_then(|stored| Some(stored.governed()?.vary.clone()));
        match varies.filter(|varies| !varies.is_empty()) {
            None => true,
            Some(varies) => {
                vary::secondary_key(&varies, headers, &mut key);
                proxy.pages.recall(&key, &group, now, |put| put()).await
            }
        }
    }

    /// Validates `stored` behind the visitor's back, once however many ask. What speaks for the visitor stays with
    /// them, their wishes about caching included: they got their answer.
    fn refresh_later(self, head: &Parts, key: &[u8], stored: &Arc<StoredResponse>) {
        let Some(flight) = turn::take_behind(self.proxy, key, self.proxy.clock.now()) else { return };
        let mut head = head.clone();
        head.method = Method::GET;
        for name in [COOKIE, AUTHORIZATION, CACHE_CONTROL, PRAGMA] {
            head.headers.remove(name);
        }
        let candidate = Candidate { key: key.to_vec(), stored: Arc::clone(stored), stale_if_error: true };
        let apart = Apart::from(self);
        self.proxy.background.spawn(async move {
            let limits = &apart.proxy.config.limits;
            let refreshed = apart.with(async |context| {
                let _slot = context.proxy.slots.acquire(&context.route.backend.name, true).await;
                context.ask(&head, Some(&candidate), Some(limits.render)).await
            });
            let Ok(said) = tokio::time::timeout(limits.render, refreshed).await else { return };
            if said.forbids_sharing() {
                apart.proxy.pages.remove(&candidate.key, &candidate.stored.group);
            }
            flight.ends(said.outcome());
        });
    }

    /// Validates for all who wait. The task is its own: a visitor who leaves, or reads slowly, holds up nobody.
    async fn lead(self, head: Parts, candidate: Candidate, flight: turn::Flight) -> Answered {
        let apart = Apart::from(self);
        let task = self.proxy.background.spawn(async move {
            let said = apart
                .with(async |context| context.ask(&head, Some(&candidate), Some(ask::WHOLE_WITHIN)).await);
            let said = said.await;
            flight.ends(said.outcome());
            said.tell(&head, Forward::Stale, Some(&candidate), apart.proxy.clock.now())
        });
        task.await.unwrap_or_else(|_| {
            let detail = "The request to the application was given up.";
            (Err(Problem::new(StatusCode::BAD_GATEWAY, "Bad Gateway", detail)), XIsrCache::Error)
        })
    }

    /// The visitor waits for the origin, and for nobody else.
    async fn forward(self, head: &Parts, reason: Forward, candidate: Option<&Candidate>) -> Answered {
        let said = self.ask(head, candidate, None).await;
        said.tell(head, reason, candidate, self.proxy.clock.now())
    }
}

/// A context that owns what it needs, for tasks that outlive their request.
struct Apart {
    proxy: Arc<Proxy>,
    visitor: Visitor,
    route: Arc<Route>,
    host: String,
    path: String,
    query: String,
}

impl From<Context<'_>> for Apart {
    fn from(context: Context<'_>) -> Self {
        let Context { proxy, visitor, route, target } = context;
        Self {
            proxy: Arc::clone(proxy),
            visitor: *visitor,
            route: Arc::clone(route),
            host: target.host.to_string(),
            path: target.path.to_string(),
            query: target.query.to_owned(),
        }
    }
}

impl Apart {
    async fn with<T>(&self, work: impl AsyncFnOnce(Context<'_>) -> T) -> T {
        let target = Target { host: (&*self.host).into(), path: (&*self.path).into(), query: &self.query };
        let Self { proxy, visitor, route, .. } = self;
        work(Context { proxy, visitor, route, target: &target }).await
    }
}

/// A request that may change something: passed on, and what it makes out of date is invalidated (RFC 9111 §4.4).
async fn change(context: Context<'_>, request: Request<Body>) -> Result<Response<Body>, Problem> {
    let Context { proxy, visitor, route, target } = context;
    let method = request.method().clone();
    let uri = http::Uri::builder()
        .scheme(visitor.scheme.as_str())
        .authority(&*target.host)
        .path_and_query(target.path.to_string())
        .build();
    let mut response = pass(proxy, visitor, &route.backend, target, request).await?;
    if let Ok(uri) = uri {
        for path in validation::invalidates(&method, response.status(), response.headers(), &uri) {
            let group = route.group(&target.host, path.path());
            proxy.pages.invalidate_behind(&group);
            tracing::info!(route = &*route.id, host = &*target.host, path = path.path(), %method, "invalidated");
        }
    }
    let handling = Handling::Forward { reason: Forward::Method, status: Some(response.status()) };
    let status = CacheStatus { handling, ttl: None, stored: false, collapsed: false, detail: None };
    Label { short: XIsrCache::Bypass, status }.write(response.headers_mut());
    Ok(response)
}

/// Whether a validation for this visitor may serve others, and one for others this visitor: they want no more than a
/// fresh response, and what is stored was fresh once, so that the next one probably will be.
fn may_share(head: &Parts, asked: &CacheControl, stored: &StoredResponse) -> bool {
    let demands = asked.no_store
        || asked.no_cache != Scope::Nothing
        || asked.max_age.is_some()
        || asked.min_fresh.is_some()
        || asked.only_if_cached;
    let was_fresh = stored.governed().is_some_and(|governed| !governed.lifetime.fresh_for.is_zero());
    head.method == Method::GET && !demands && was_fresh
}

fn age_of(stored: &StoredResponse, now: Timestamp) -> Duration {
    let initial_age = stored.governed().map_or(Duration::ZERO, |governed| governed.initial_age);
    current_age(initial_age, stored.render.finished.timestamp(), now)
}

fn ttl_of(stored: &StoredResponse, now: Timestamp) -> Option<i64> {
    let fresh_for = stored.governed()?.lifetime.fresh_for;
    Some(seconds(fresh_for) - seconds(age_of(stored, now)))
}

/// What is stored, since the origin gave nothing better.
fn stale_on_error(
    head: &Parts,
    stored: &StoredResponse,
    now: Timestamp,
    status: Option<StatusCode>,
) -> Answered {
    let status = CacheStatus {
        handling: Handling::Forward { reason: Forward::Stale, status },
        ttl: ttl_of(stored, now),
        stored: false,
        collapsed: status.is_none(),
        detail: Some("stale-if-error"),
    };
    let label = Label { short: XIsrCache::Stale, status };
    let age = age_of(stored, now).as_secs();
    (Ok(answer(&head.method, &head.headers, stored, age, &label)), XIsrCache::Stale)
}

/// Lifetimes have at most 31 bits of seconds, ages as many as a process lives: no loss.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn only_if_cached() -> Problem {
    let detail = "The request says only-if-cached, and nothing stored may answer it.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "Not Cached", detail)
}
