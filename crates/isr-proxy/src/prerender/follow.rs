//! One route: looks at its pages whenever there is an order, for as long as the route is in force.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use isr_cache::Timestamp;
use isr_routes::Route;
use tokio::task::JoinSet;

use super::agenda::{Agenda, Ended, Step};
use super::fetch::{self, Reading};
use super::orders::{Order, Orders};
use super::page::{self, Looked, Page};
use super::progress::Mapped;
use crate::state::Proxy;

/// An order is followed within this time, at random: so replicas and routes do not all begin at one moment, and what
/// belongs together is one order.
const SPREAD: Duration = Duration::from_secs(1);

/// Pages of one route that are looked at at a time. What they wait for is mostly a slot.
const AT_ONCE: usize = 8;

/// Pages that are named to people as not found, at most: enough to see what is wrong with a path.
const ABSENT_NAMED: usize = 10;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    Page(Arc<Page>),
    /// The sitemap of this host.
    Sitemap(Arc<str>),
}

/// What came of it.
enum Outcome {
    Page(Looked),
    Sitemap(Reading),
}

/// The pages that a route names.
struct Names {
    hosts: Vec<Arc<str>>,
    /// Those that the route lists itself.
    listed: Vec<Arc<Page>>,
    /// Those that the sitemap of a host lists.
    mapped: HashMap<Arc<str>, Vec<Arc<Page>>>,
    /// How many there are, each counted once.
    count: usize,
    /// Of which the application says that there is no such page.
    absent: BTreeSet<Arc<Page>>,
}

/// Follows the orders for a route, for ever.
pub(super) async fn follow(proxy: Arc<Proxy>, route: Arc<Route>, orders: Arc<Orders>) {
    let mut names = Names::of(&route);
    let mut agenda = Agenda::default();
    let mut under_way = JoinSet::new();
    let mut stored = 0_usize;
    loop {
        let mut wake = None;
        while under_way.len() < AT_ONCE {
            match agenda.next(proxy.clock.now()) {
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
        proxy.prerendering.tell(&route.id, |progress| {
            progress.pages = names.count;
            progress.absent = names.absent.len();
            progress.absent_such_as =
                names.absent.iter().take(ABSENT_NAMED).map(|page| page.name()).collect();
            // An order that waits for its moment has yet to be followed.
            progress.waiting = agenda.waiting() + usize::from(orders.are_waiting());
            progress.failing = agenda.failing();
            progress.wait_until = agenda.wait_until();
        });
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
                    agenda.lost();
                    continue;
                };
                stored += usize::from(matches!(outcome, Outcome::Page(Looked::Stored(_))));
                let was_waiting = agenda.wait_until().is_some();
                let how = conclude(&proxy, &route, &item, outcome, &mut names, &mut agenda);
                agenda.ended(item, how, proxy.clock.now(), fastrand::f64());
                if let (false, Some(until)) = (was_waiting, agenda.wait_until()) {
                    report_wait(&proxy, &route, &agenda, until);
                }
            }
            () = orders.come() => {
                tokio::time::sleep(SPREAD.mul_f64(fastrand::f64())).await;
                for item in names.meant_by(&route, &orders.take()) {
                    agenda.want(item);
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

/// Takes note of what came of a look.
fn conclude(
    proxy: &Proxy,
    route: &Route,
    item: &Item,
    outcome: Outcome,
    names: &mut Names,
    agenda: &mut Agenda<Item>,
) -> Ended {
    let count = |result| proxy.metrics.prerender.looked(&route.id, result);
    let failed = |what: &str, why: &str| {
        proxy.prerendering.tell(&route.id, |progress| progress.failure = Some((what.into(), why.into())));
        Ended::Badly
    };
    match (item, outcome) {
        (Item::Page(page), Outcome::Page(looked)) => {
            count(looked.label());
            if let Looked::Present(status) | Looked::Stored(status) = looked {
                if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
                    names.absent.insert(Arc::clone(page));
                } else {
                    names.absent.remove(page);
                }
            }
            match looked {
                Looked::Present(_) | Looked::Elsewhere => Ended::Idle,
                Looked::Stored(_) | Looked::OptedOut | Looked::NotStorable => Ended::Well,
                Looked::Failed(why) => failed(&page.name(), &why),
            }
        }
        (Item::Sitemap(host), Outcome::Sitemap(Reading { taken, files, problem })) => {
            count(if problem.is_some() { "sitemap_failed" } else { "sitemap_read" });
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
                names.absent.retain(|page| all.contains(&Item::Page(Arc::clone(page))));
            } else {
                // What it listed before stands until it can be read again.
                let known = names.mapped.entry(Arc::clone(host)).or_default();
                let before: HashSet<Arc<Page>> = known.iter().cloned().collect();
                known.extend(taken.pages.into_iter().filter(|page| !before.contains(page)));
                known.truncate(super::sitemap::PAGES_MOST);
            }
            names.count = names.pages().collect::<HashSet<_>>().len();
            let mut pages = names.mapped.get(host).cloned().unwrap_or_default();
            fastrand::shuffle(&mut pages);
            for page in pages {
                agenda.want(Item::Page(page));
            }
            problem.map_or(Ended::Well, |why| failed(&format!("the sitemap of {host}"), &why))
        }
        // Looks are answered in kind.
        (Item::Page(_), Outcome::Sitemap(_)) | (Item::Sitemap(_), Outcome::Page(_)) => Ended::Idle,
    }
}

fn report_wait(proxy: &Proxy, route: &Route, agenda: &Agenda<Item>, until: Timestamp) {
    let failure = proxy.prerendering.progress(&route.id).and_then(|progress| progress.failure);
    let (what, why) = failure.unwrap_or_default();
    let again_in = until.since(proxy.clock.now());
    let failing = agenda.failing();
    tracing::warn!(
        route = &*route.id,
        failing,
        last = &*what,
        why = &*why,
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

impl Names {
    fn of(route: &Route) -> Self {
        let hosts: Vec<Arc<str>> = route
            .hostnames
            .iter()
            .filter(|hostname| !hostname.starts_with('*'))
            .map(|hostname| hostname.as_str().into())
            .collect();
        let paths = route.prerender.iter().flat_map(|prerender| &prerender.paths);
        let listed: Vec<Arc<Page>> = paths
            .flat_map(|path| {
                hosts.iter().map(|host| {
                    let (host, path) = (Box::from(&**host), path.as_str().into());
                    Arc::new(Page { host, path, query: Box::default() })
                })
            })
            .collect();
        let count = listed.len();
        Self { hosts, listed, mapped: HashMap::new(), count, absent: BTreeSet::new() }
    }

    fn pages(&self) -> impl Iterator<Item = &Arc<Page>> {
        self.listed.iter().chain(self.mapped.values().flatten())
    }

    fn items(&self) -> impl Iterator<Item = Item> {
        let sitemaps = self.hosts.iter().cloned().map(Item::Sitemap);
        sitemaps.chain(self.pages().cloned().map(Item::Page))
    }

    /// What an order means: in no particular order, so that replicas meet at few pages and share the work.
    fn meant_by(&self, route: &Route, order: &Order) -> Vec<Item> {
        let has_sitemap = route.prerender.as_ref().is_some_and(|prerender| prerender.sitemap.is_some());
        let mut items = Vec::new();
        if *order == Order::Everything && has_sitemap {
            items.extend(self.hosts.iter().cloned().map(Item::Sitemap));
        }
        let mut pages: Vec<Item> = match order {
            Order::Nothing => Vec::new(),
            Order::Groups(groups) => {
                let is_meant = |page: &&Arc<Page>| groups.contains(&*route.group(&page.host, &page.path));
                self.pages().filter(is_meant).cloned().map(Item::Page).collect()
            }
            // What a sitemap lists is looked at once that has been read.
            Order::Everything => self.listed.iter().cloned().map(Item::Page).collect(),
        };
        fastrand::shuffle(&mut pages);
        items.extend(pages);
        items
    }
}
