//! One route: looks at its pages whenever there is an order, for as long as the route is in force.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use isr_cache::Timestamp;
use isr_routes::Route;
use tokio::task::JoinSet;

use super::agenda::{Agenda, Ended, Step};
use super::fetch::{self, Reading};
use super::names::{Item, Names};
use super::orders::Orders;
use super::page::{self, Looked, Page};
use super::progress::{Mapped, Progress};
use crate::state::Proxy;

/// An order is followed within this time, at random: so replicas and routes do not all begin at one moment, and what
/// belongs together is one order.
const SPREAD: Duration = Duration::from_secs(1);

/// Pages of one route that are looked at at a time. What they wait for is mostly a slot.
const AT_ONCE: usize = 8;

/// Pages that are named to people as not found, at most: enough to see what is wrong with a path.
const ABSENT_NAMED: usize = 10;

/// What came of it.
enum Outcome {
    Page(Looked),
    Sitemap(Reading),
}

/// Where a route is.
struct State {
    names: Names,
    agenda: Agenda<Item>,
    /// What failed when it was last looked at, and why. What is being tried again is among it until it is there.
    failures: BTreeMap<Item, Arc<str>>,
}

/// Follows the orders for a route, for ever.
pub(super) async fn follow(proxy: Arc<Proxy>, route: Arc<Route>, orders: Arc<Orders>) {
    let mut state = State { names: Names::of(&route), agenda: Agenda::default(), failures: BTreeMap::new() };
    let mut under_way = JoinSet::new();
    let mut stored = 0_usize;
    loop {
        let mut wake = None;
        while under_way.len() < AT_ONCE {
            match state.agenda.next(proxy.clock.now()) {
                Step::Look(item) => {
                    under_way.spawn(look(Arc::clone(&proxy), Arc::clone(&route), item));
                }
                Step::Wait(until) => {
                    wake = Some(until);
                    break;
                }
                Step::Nothing => break,
            }
        }
        proxy.prerendering.tell(&route.id, |progress| state.describe(&orders, progress));
        let State { names, agenda, .. } = &state;
        if stored > 0 && agenda.waiting() + agenda.failing() == 0 {
            tracing::info!(
                route = &*route.id,
                pages = names.count,
                stored,
                "all pages to prerender are there"
            );
            if let Some(page) = names.absent.first() {
                tracing::warn!(
                    route = &*route.id,
                    pages = names.absent.len(),
                    such_as = &*page.name(),
                    "pages to prerender are answered as not found: are their paths right?"
                );
            }
            stored = 0;
        }
        tokio::select! {
            Some(ended) = under_way.join_next() => {
                let Ok((item, outcome)) = ended else {
                    // A panic in one look ends that look alone.
                    state.agenda.lost();
                    continue;
                };
                stored += usize::from(matches!(outcome, Outcome::Page(Looked::Stored(_))));
                let was_waiting = state.agenda.wait_until().is_some();
                let how = conclude(&proxy, &route, &item, outcome, &mut state);
                state.agenda.ended(item, how, proxy.clock.now(), fastrand::f64());
                if let (false, Some(until)) = (was_waiting, state.agenda.wait_until()) {
                    report_wait(&proxy, &route, &state.failures, until);
                }
            }
            () = orders.come() => {
                tokio::time::sleep(SPREAD.mul_f64(fastrand::f64())).await;
                for item in state.names.meant_by(&route, &orders.take()) {
                    state.agenda.want(item);
                }
            }
            () = until(&proxy, wake) => {}
        }
    }
}

async fn look(proxy: Arc<Proxy>, route: Arc<Route>, item: Item) -> (Item, Outcome) {
    let outcome = match &item {
        Item::Page(page) => Outcome::Page(page::look(&proxy, &route, page).await),
        Item::Sitemap(host) => {
            let path = route.prerender.as_ref().and_then(|prerender| prerender.sitemap.as_deref());
            // Ends with the process alone.
            let _permit = proxy.prerendering.sitemaps.acquire().await;
            Outcome::Sitemap(fetch::read(&proxy, &route, host, path.unwrap_or_default()).await)
        }
    };
    (item, outcome)
}

impl State {
    /// Says how far it is.
    fn describe(&self, orders: &Orders, progress: &mut Progress) {
        let Self { names, agenda, failures } = self;
        progress.pages = names.count;
        progress.absent = names.absent.len();
        progress.absent_such_as = names.absent.iter().take(ABSENT_NAMED).map(|page| page.name()).collect();
        // An order that waits for its moment has yet to be followed.
        let unfinished = agenda.waiting() + agenda.failing() + usize::from(orders.are_waiting());
        progress.failing = failures.len();
        progress.failing_such_as =
            failures.first_key_value().map(|(item, why)| (item.name(), Arc::clone(why)));
        progress.waiting = unfinished.saturating_sub(failures.len());
        progress.wait_until = agenda.wait_until();
    }
}

/// Takes note of what came of a look.
fn conclude(proxy: &Proxy, route: &Route, item: &Item, outcome: Outcome, state: &mut State) -> Ended {
    let count = |result| proxy.metrics.prerender.looked(&route.id, result);
    let result = match (item, outcome) {
        (Item::Page(page), Outcome::Page(looked)) => {
            count(looked.label());
            if let Looked::Present(status) | Looked::Stored(status) = looked {
                let absent = &mut state.names.absent;
                if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
                    absent.insert(Arc::clone(page));
                } else {
                    absent.remove(page);
                }
            }
            match looked {
                Looked::Present(_) | Looked::Elsewhere => Ok(Ended::Idle),
                Looked::Stored(_) | Looked::OptedOut | Looked::NotStorable => Ok(Ended::Well),
                Looked::Failed(why) => Err(why),
            }
        }
        (Item::Sitemap(host), Outcome::Sitemap(reading)) => {
            count(if reading.problem.is_some() { "sitemap_failed" } else { "sitemap_read" });
            read(proxy, route, host, reading, state)
        }
        // Looks are answered in kind.
        (Item::Page(_), Outcome::Sitemap(_)) | (Item::Sitemap(_), Outcome::Page(_)) => Ok(Ended::Idle),
    };
    match result {
        Ok(how) => {
            state.failures.remove(item);
            how
        }
        Err(why) => {
            let failure = (item.name(), why.as_str().into());
            proxy.prerendering.tell(&route.id, |progress| progress.failure = Some(failure));
            state.failures.insert(item.clone(), why.into());
            Ended::Badly
        }
    }
}

/// Takes note of what is in the sitemap of a host.
fn read(
    proxy: &Proxy,
    route: &Route,
    host: &Arc<str>,
    reading: Reading,
    state: &mut State,
) -> Result<Ended, String> {
    let Reading { taken, files, problem } = reading;
    let State { names, agenda, failures } = state;
    let is_of_nobody = problem.is_none() && taken.pages.is_empty();
    let mapped = Mapped {
        files,
        taken: taken.pages.len(),
        foreign: taken.foreign,
        elsewhere: taken.elsewhere,
        malformed: taken.malformed,
        beyond: taken.beyond,
        problem: problem.clone().or_else(|| is_of_nobody.then(|| taken.nothing())),
    };
    if let (true, Some(why)) = (is_of_nobody, &mapped.problem) {
        tracing::warn!(
            route = &*route.id,
            host = &**host,
            why = &**why,
            "a sitemap names no page to prerender"
        );
    }
    proxy.prerendering.tell(&route.id, |progress| {
        progress.sitemaps.insert(Arc::clone(host), mapped);
    });
    if problem.is_none() {
        names.mapped.insert(Arc::clone(host), taken.pages);
        let all: HashSet<Item> = names.items().collect();
        agenda.keep_only(|item| all.contains(item));
        failures.retain(|item, _| all.contains(item));
        names.absent.retain(|page| all.contains(&Item::Page(Arc::clone(page))));
    } else {
        // What it listed before stands until it can be read again.
        let known = names.mapped.entry(Arc::clone(host)).or_default();
        let before: HashSet<Arc<Page>> = known.iter().cloned().collect();
        known.extend(taken.pages.into_iter().filter(|page| !before.contains(page)));
        known.truncate(super::sitemap::PAGES_MOST);
    }
    names.recount();
    let mut pages = names.mapped.get(host).cloned().unwrap_or_default();
    fastrand::shuffle(&mut pages);
    for page in pages {
        agenda.want(Item::Page(page));
    }
    problem.map_or(Ok(Ended::Well), Err)
}

fn report_wait(proxy: &Proxy, route: &Route, failures: &BTreeMap<Item, Arc<str>>, until: Timestamp) {
    let Some((item, why)) = failures.first_key_value() else { return };
    let again_in = until.since(proxy.clock.now());
    tracing::warn!(
        route = &*route.id,
        failing = failures.len(),
        such_as = &*item.name(),
        why = &**why,
        ?again_in,
        "pages cannot be prerendered; trying again"
    );
}

async fn until(proxy: &Proxy, time: Option<Timestamp>) {
    match time {
        Some(time) => tokio::time::sleep(time.since(proxy.clock.now())).await,
        None => std::future::pending().await,
    }
}
