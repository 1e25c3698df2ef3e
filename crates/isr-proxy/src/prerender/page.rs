//! One page: is it there, and if not, a render of it behind everybody else's.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use isr_cache::{Outcome, Policy, Standing, Verdict};
use isr_routes::{Found, Route, Target};
use tokio::sync::oneshot;

use crate::interval::{self, Waited};
use crate::landing::Rendered;
use crate::render;
use crate::state::Proxy;

/// Renders begun by others that are waited for in turn: one that fails, or began before an invalidation, is followed by
/// one of our own, unless somebody else has begun that as well.
const RENDERS_JOINED: usize = 2;

/// A page as nobody in particular asks for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Page {
    pub(super) host: Box<str>,
    /// In the normal form of a request's path.
    pub(super) path: Box<str>,
    /// The parameters that tell pages of the route apart.
    pub(super) query: Box<str>,
}

impl Page {
    /// It for people: host and path.
    pub(super) fn name(&self) -> Box<str> {
        format!("{}{}", self.host, self.path).into()
    }
}

/// How looking at a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It was there, with this status.
    Present(StatusCode),
    /// It is there now, with this status: rendered here, or by another replica.
    Stored(StatusCode),
    /// It says that it must not be stored.
    OptedOut,
    /// It cannot be stored.
    NotStorable,
    /// Another route answers it by now.
    Elsewhere,
    /// It could not be rendered, for this reason.
    Failed(String),
}

/// Makes sure that a page of a route is there.
pub(super) async fn look(proxy: &Arc<Proxy>, route: &Route, page: &Page) -> Looked {
    let active = proxy.active.load_full();
    let target = Target { host: (&*page.host).into(), path: (&*page.path).into(), query: &page.query };
    let (answers, page) = match active.table.find(&target.host, &target.path) {
        Found::Route { route: answers, page } if answers.id == route.id => (answers, page),
        _ => return Looked::Elsewhere,
    };
    let Policy::Interval(policy) = &answers.policy else { return Looked::Elsewhere };
    let head = nobody();
    let request = interval::Request { route: answers, policy, target: &target, page: &page, head: &head };
    let mut key = Vec::with_capacity(256);
    answers.write_key(&target, &head.headers, &mut key);
    let mut joined = None;
    for _ in 0..=RENDERS_JOINED {
        {
            // Ends with the process alone.
            let _permit = proxy.prerendering.looks.acquire().await;
            interval::recall(proxy, &request, &key).await;
        }
        if let Some(status) = there(proxy, &request, &key) {
            return if joined.is_some() { Looked::Stored(status) } else { Looked::Present(status) };
        }
        // The place in line first, and then the render: a visitor who asks meanwhile waits for nobody in this line.
        let slot = proxy.slots.acquire_behind(&answers.backend.name).await;
        let now = proxy.clock.now();
        let decided = proxy.entries.with(&key, now, |live| {
            let standing = standing(proxy, &request, &key);
            (live.entry.on_prerender(now, standing, proxy.pages.epoch()), live.landing.subscribe())
        });
        let Some((verdict, landing)) = decided else {
            return Looked::Failed("too many pages are being rendered".to_owned());
        };
        let (number, flight) = match verdict {
            Verdict::Serve | Verdict::ServeStale { .. } => {
                let status = proxy.pages.peek(&key).map_or(StatusCode::OK, |stored| stored.status());
                return Looked::Present(status);
            }
            Verdict::Pass => return Looked::OptedOut,
            Verdict::Wait { number, render } => (number, render),
        };
        // Nobody is there to take a body that is too long to store.
        let (_, nobody) = oneshot::channel();
        if let Some(flight) = flight {
            let job = interval::job(proxy, &request, &key);
            render::begin(proxy, Arc::new(job), flight, None, Some(slot));
            return looked(interval::wait(landing, number, nobody).await);
        }
        drop(slot);
        joined = Some(looked(interval::wait(landing, number, nobody).await));
    }
    match joined {
        Some(Looked::Stored(_)) | None => Looked::Failed("it is invalidated again and again".to_owned()),
        Some(looked) => looked,
    }
}

fn looked(waited: Waited) -> Looked {
    match waited {
        Waited::Landed(Rendered::Response { outcome, response, detail }, _) => match outcome {
            // A copy from the origin's own cache is asked for again without anybody's doing.
            Outcome::Rendered | Outcome::AlreadyStale => Looked::Stored(response.status()),
            Outcome::OptedOut => Looked::OptedOut,
            Outcome::Unstorable => Looked::NotStorable,
            Outcome::Failed => {
                let why = detail.as_deref().unwrap_or("no reason");
                Looked::Failed(format!("the application answered {} ({why})", response.status().as_u16()))
            }
        },
        Waited::Landed(Rendered::TooLong, _) => Looked::NotStorable,
        Waited::Landed(Rendered::Failed(error), _) => Looked::Failed(error.to_string()),
        Waited::Streamed(_) | Waited::Gone => Looked::Failed("the render was forgotten".to_owned()),
    }
}

/// The status of the page, if it is there.
fn there(proxy: &Proxy, request: &interval::Request<'_>, key: &[u8]) -> Option<StatusCode> {
    standing(proxy, request, key).is_there().then(|| proxy.pages.peek(key))?.map(|stored| stored.status())
}

/// How the page stands by the invalidations that are known. What a replica only fears to have missed makes no renders:
/// otherwise all of them would render everything whenever the shared tier is away.
fn standing(proxy: &Proxy, request: &interval::Request<'_>, key: &[u8]) -> Standing {
    let stored = proxy.pages.peek(key).filter(|stored| crate::page::belongs(stored, request.route));
    stored.map_or(Standing::Missing, |stored| {
        let now = proxy.clock.now();
        let watermark = proxy.pages.covers(&stored.group, request.route, now);
        stored.render.standing(now, request.policy, watermark)
    })
}

/// A request that says nothing about whoever sent it.
fn nobody() -> Parts {
    http::Request::new(()).into_parts().0
}

impl Looked {
    /// The label that it is counted by.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Present(_) => "present",
            Self::Stored(_) => "stored",
            Self::OptedOut => "opted_out",
            Self::NotStorable => "not_storable",
            Self::Elsewhere => "other_route",
            Self::Failed(_) => "failed",
        }
    }
}
