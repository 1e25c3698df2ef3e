//! Invalidating many pages at once: `POST` with a route's token and a list of what is out of date.
//!
//! A token covers the pages of the routes that have it, and no others: whoever may renew a page of a route one by one may
//! renew them together. On the visitors' listener those are the routes of the request's host; on the admin listener all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use isr_cache::{Mode, Realm, Selector, TierError};
use isr_routes::{Asker, HostRoutes, Route, RouteTable, Selected, Selection};
use serde::Deserialize;
use serde_json::json;

use crate::active::Active;
use crate::body::{Body, BoxError};
use crate::on_demand::{unauthorized, unreachable};
use crate::origin::REVALIDATE;
use crate::pages::Certain;
use crate::problem::{Problem, sentence};
use crate::state::Proxy;

/// Where it is on the visitors' listener: under the prefix for what is about a site and no page of it (RFC 8615).
pub(crate) const PUBLIC_PATH: &str = "/.well-known/kube-isr/v1/invalidate";

/// Where it is on the admin listener.
pub(crate) const ADMIN_PATH: &str = "/v1/invalidate";

/// Bytes of a request, at most: some thousand paths.
const BODY_MOST: usize = 256 << 10;

/// For the whole body to come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Things named in one request, at most: each is a write that is certain before the answer.
const ITEMS_MOST: usize = 1000;

/// What is out of date.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Request {
    /// Pages, with all their variants and companions: URLs, or on the visitors' listener paths of the request's host.
    paths: Vec<String>,
    /// Everything at or below these paths: URLs for one host, paths for all hosts of the routes.
    prefixes: Vec<String>,
    /// Pages that carry one of these tags.
    tags: Vec<String>,
    /// All pages of these hosts.
    hosts: Vec<String>,
    /// All pages of the routes.
    everything: bool,
    /// Of the token's routes these alone, as `namespace/name`; all of them if none is named.
    routes: Vec<String>,
    mode: Wish,
}

/// What becomes of what is out of date.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Wish {
    /// Served once more, and rendered behind the visitor's back: nobody waits, and the application is not flooded.
    #[default]
    Soft,
    /// Gone: the next visitor waits for a render.
    Hard,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    mode: Mode,
    /// Names of groups.
    groups: BTreeSet<String>,
    selectors: BTreeSet<Selector>,
}

/// Where a request came in.
pub(crate) enum Listener<'h> {
    /// On the visitors', for this host.
    Public(&'h str),
    /// On the admin's.
    Admin,
}

/// Does it, and answers when it is certain.
pub(crate) async fn respond(
    proxy: &Proxy,
    active: &Active,
    listener: &Listener<'_>,
    headers: &HeaderMap,
    body: impl http_body::Body<Data = Bytes, Error: Into<BoxError>>,
) -> Result<Response<Body>, Problem> {
    let covered = covered(&active.table, listener, headers)?;
    let request = read(body).await?;
    let covered = narrowed(covered, &request.routes).map_err(|why| refused(&why))?;
    let plan = plan(&active.table, listener, &covered, &request).map_err(|why| refused(&why))?;
    // An application that keeps data is told by the next render that this is old. The first time sees to that on every replica;
    // what a render began before then is covered by the second.
    let keeps_data = covered.iter().any(|route| route.preset.own_cache.is_some());
    for _ in 0..=usize::from(keeps_data) {
        carry_out(proxy, &plan).await?;
    }
    let Plan { mode, groups, selectors } = &plan;
    let routes: Vec<&str> = covered.iter().map(|route| &*route.id).collect();
    tracing::info!(?routes, pages = groups.len(), selectors = selectors.len(), ?mode, "invalidated");
    let document = json!({
        "mode": if *mode == Mode::Hard { "hard" } else { "soft" },
        "routes": routes,
        "pages": groups.len(),
        "selectors": selectors.len(),
    });
    let mut response = Response::new(Body::whole(Bytes::from(format!("{document:#}\n"))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Does what was planned; ends when it is certain.
async fn carry_out(proxy: &Proxy, plan: &Plan) -> Result<(), Problem> {
    let Plan { mode, groups, selectors } = plan;
    // One for all of it: what begins after this is newer than all that is named.
    let epoch = proxy.pages.next_epoch().await.map_err(|error| unreachable(&error))?;
    let mut certain: Vec<Certain> = Vec::new();
    for group in groups {
        certain.push(proxy.pages.invalidate_group(group, *mode, epoch));
    }
    for selector in selectors {
        certain.push(proxy.pages.invalidate(selector, *mode, epoch));
    }
    let errors: Vec<TierError> = join_all(certain).await.into_iter().filter_map(Result::err).collect();
    errors.first().map_or(Ok(()), |error| Err(uncertain(error)))
}

/// The routes whose token the request carries.
fn covered(
    table: &RouteTable,
    listener: &Listener<'_>,
    headers: &HeaderMap,
) -> Result<Vec<Arc<Route>>, Problem> {
    let mut presented = headers.get_all(&REVALIDATE).iter();
    let token = match (presented.next(), presented.next()) {
        (Some(token), None) => token.as_bytes(),
        (None, _) => return Err(unauthorized("Send a route's token in x-prerender-revalidate.")),
        (Some(_), Some(_)) => return Err(unauthorized("Send one token in x-prerender-revalidate.")),
    };
    let has_token = |route: &&Arc<Route>| route.tokens.accepts(token);
    let mut covered: Vec<Arc<Route>> = match listener {
        Listener::Admin => table.routes().filter(has_token).cloned().collect(),
        Listener::Public(host) => {
            table.hosts_for(host).flat_map(HostRoutes::routes).filter(has_token).cloned().collect()
        }
    };
    covered.sort_by(|one, other| one.id.cmp(&other.id));
    covered.dedup_by(|one, other| one.id == other.id);
    if covered.is_empty() {
        return Err(unauthorized("The token in x-prerender-revalidate is no route's."));
    }
    Ok(covered)
}

/// Of the covered routes those that the request names, if it names any.
fn narrowed(covered: Vec<Arc<Route>>, named: &[String]) -> Result<Vec<Arc<Route>>, String> {
    let has_token = |name: &&String| covered.iter().any(|route| *route.id == **name);
    if let Some(stranger) = named.iter().find(|name| !has_token(name)) {
        return Err(format!(
            "`{stranger}` is no route that has the token: write namespace/name of one that has"
        ));
    }
    let is_named = |route: &Arc<Route>| named.is_empty() || named.iter().any(|name| **name == *route.id);
    Ok(covered.into_iter().filter(is_named).collect())
}

async fn read(body: impl http_body::Body<Data = Bytes, Error: Into<BoxError>>) -> Result<Request, Problem> {
    let body = std::pin::pin!(body);
    let collected = tokio::time::timeout(BODY_WITHIN, Limited::new(body, BODY_MOST).collect()).await;
    let bytes = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let detail = format!("The body is longer than {BODY_MOST} bytes. Send several requests.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Not Invalidated", detail));
        }
        Ok(Err(_)) | Err(_) => return Err(refused("the body did not arrive whole")),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        refused(&format!(
            r#"the body is not what it should be: {error}. Write {{"paths": ["https://shop.example.com/blog"], "tags": ["posts"], "mode": "soft"}}, or prefixes, hosts, or everything"#
        ))
    })
}

/// What a request asks for, of what its token covers.
fn plan(
    table: &RouteTable,
    listener: &Listener<'_>,
    covered: &[Arc<Route>],
    request: &Request,
) -> Result<Plan, String> {
    let Request { paths, prefixes, tags, hosts, everything, mode, .. } = request;
    let selection = Selection { paths, prefixes, tags, hosts, everything: *everything };
    let items = selection.len();
    if items > ITEMS_MOST {
        return Err(format!("{items} things are named and {ITEMS_MOST} may be: send several requests"));
    }
    let site = match listener {
        Listener::Public(host) => Some(*host),
        Listener::Admin => None,
    };
    let may_name = |route: &Route| {
        let is_covered = covered.iter().any(|covered| covered.id == route.id);
        is_covered.then_some(()).ok_or("has another token or is not among routes")
    };
    let (Selected { groups, pages }, wrong) = selection.select(table, &Asker { site, may_name: &may_name });
    if let Some(first) = wrong.into_iter().next() {
        return Err(first.message);
    }
    let mode = if *mode == Wish::Hard { Mode::Hard } else { Mode::Soft };
    let of_route = |route: &Arc<Route>| {
        let realm = Realm::Route((*route.id).into());
        pages.iter().map(move |pages| Selector { realm: realm.clone(), pages: pages.clone() })
    };
    Ok(Plan { mode, groups, selectors: covered.iter().flat_map(of_route).collect() })
}

fn refused(why: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "Not Invalidated",
        sentence(&format!("nothing was invalidated: {why}")),
    )
}

fn uncertain(error: &TierError) -> Problem {
    let detail = sentence(&format!("the pages are invalidated on this replica, but {error}")) + " Try again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not Certain", detail)
}

#[cfg(test)]
mod tests;
