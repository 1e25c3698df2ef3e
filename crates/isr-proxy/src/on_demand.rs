//! Revalidation on demand: `x-prerender-revalidate: <token>` on the page's own URL.

use std::sync::Arc;

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use isr_cache::{
    CacheStatus, Forward, Handling, Interval, NoStore, Outcome, Policy, TierError, Verdict, XIsrCache,
};
use isr_routes::{Route, Target};
use tokio::sync::oneshot;

use crate::answer::{Label, answer};
use crate::body::Body;
use crate::interval::{self, Waited};
use crate::landing::{Certainty, Rendered};
use crate::origin::REVALIDATE;
use crate::problem::{Problem, sentence};
use crate::state::Proxy;

/// The names under which Vercel and Next.js report a revalidation; `res.revalidate()` looks for them.
const REPORTS: [HeaderName; 2] =
    [HeaderName::from_static("x-vercel-cache"), HeaderName::from_static("x-nextjs-cache")];

/// Renders the page now, and answers with it when everybody gets it.
pub(crate) async fn revalidate(
    proxy: &Arc<Proxy>,
    route: &Arc<Route>,
    target: &Target<'_>,
    page: &str,
    head: &Parts,
) -> Result<Response<Body>, Problem> {
    authorize(route, head)?;
    let policy = match route.policy {
        Policy::Interval(policy) => policy,
        Policy::Origin => GOVERNED,
    };
    let request = interval::Request { route, policy: &policy, target, page, head };
    let mut key = Vec::with_capacity(256);
    route.write_key(target, &head.headers, &mut key);

    let epoch = proxy.pages.next_epoch().await.map_err(|error| unreachable(&error))?;
    // What is good already is kept if the render fails, wherever it is.
    interval::recall(proxy, &request, &key).await;
    let now = proxy.clock.now();
    let decided =
        proxy.entries.with(&key, now, |live| (live.entry.on_demand(epoch), live.landing.subscribe()));
    let Some((Verdict::Wait { number, render }, landing)) = decided else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too Many Renders",
            "Too many pages are being rendered; nothing was changed. Try again in a few seconds.",
        ));
    };
    // Nobody is there to take a body that is too long to store, so it is not asked for.
    let (_, nobody) = oneshot::channel();
    if let Some(flight) = render {
        interval::begin(proxy, &request, &key, flight, None);
    }
    let (rendered, certain) = match interval::wait(landing, number, nobody).await {
        Waited::Landed(rendered, certain) => (rendered, certain),
        Waited::Streamed(_) | Waited::Gone => (Rendered::TooLong, Certainty::default()),
    };
    match rendered {
        Rendered::Response { response, outcome: Outcome::Rendered, .. } => {
            certain.known().await.map_err(|error| uncertain(&error))?;
            let handling = Handling::Forward { reason: Forward::Request, status: Some(response.status()) };
            let status = CacheStatus {
                handling,
                ttl: None,
                stored: true,
                collapsed: render.is_none(),
                detail: Some("on-demand"),
            };
            let label = Label { short: XIsrCache::Revalidated, status };
            // The page's own status and body, whatever copy the caller holds.
            let mut answer = answer(&head.method, &HeaderMap::new(), &response, 0, &label);
            for report in REPORTS {
                answer.headers_mut().insert(report, HeaderValue::from_static("REVALIDATED"));
            }
            Ok(answer)
        }
        Rendered::Response { response, outcome, detail } => {
            Err(refused(response.status(), outcome, detail.as_deref()))
        }
        Rendered::TooLong => Err(failed("the page is longer than may be stored (--max-page-bytes)")),
        Rendered::Failed(error) => Err(failed(&error.to_string())),
    }
}

/// Pages of routes that the origin governs are rendered on demand by the same machine; what they say of their freshness
/// holds afterwards.
const GOVERNED: Interval = Interval { every: None, stale_for: None, no_store: NoStore::Honor };

fn authorize(route: &Route, head: &Parts) -> Result<(), Problem> {
    if route.tokens.is_empty() {
        return Err(unauthorized("The route has no bypass token. Set spec.bypassToken of its IsrRoute."));
    }
    let mut presented = head.headers.get_all(&REVALIDATE).iter();
    match (presented.next(), presented.next()) {
        (Some(token), None) if route.tokens.accepts(token.as_bytes()) => Ok(()),
        _ => Err(unauthorized("The token in x-prerender-revalidate is not this route's.")),
    }
}

/// No token, a wrong one, or nothing to use it on.
pub(crate) fn unauthorized(why: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "Not Revalidated",
        format!("{why} Nothing was rendered and nothing changed."),
    )
}

/// The other replicas cannot be told.
pub(crate) fn unreachable(error: &TierError) -> Problem {
    let why = format!("nothing was changed, because the other replicas cannot be told: {error}");
    let detail = sentence(&why) + " Try again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not Revalidated", detail)
}

/// The page is new here, and perhaps not everywhere or not for ever.
fn uncertain(error: &TierError) -> Problem {
    let detail = sentence(&format!("this replica has the new page, but {error}")) + " Try again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not Certain", detail)
}

fn failed(why: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "Not Revalidated",
        sentence(&format!("the page was not rendered anew: {why}")) + " The last good page stays in force.",
    )
}

fn refused(status: StatusCode, outcome: Outcome, detail: Option<&str>) -> Problem {
    let detail = detail.unwrap_or("no reason");
    match outcome {
        Outcome::OptedOut => Problem::new(
            StatusCode::BAD_GATEWAY,
            "Not Revalidated",
            "The application answered with Cache-Control: no-store, so the page is no longer stored. If it says so \
             everywhere, set spec.cacheControl: Override.",
        ),
        Outcome::AlreadyStale => failed(
            "the application answered with a copy from a cache of its own. Let it use @kube-isr/next, or set spec.originToken, so that it renders anew",
        ),
        _ => failed(&format!("the application answered {} ({detail})", status.as_u16())),
    }
}
