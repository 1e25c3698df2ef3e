//! The pages that a route names, itself and by its sitemaps, and what is looked at for them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use isr_routes::Route;

use super::orders::Order;
use super::page::Page;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    /// The sitemap of this host.
    Sitemap(Arc<str>),
    Page(Arc<Page>),
}

impl Item {
    /// It for people.
    pub(super) fn name(&self) -> Box<str> {
        match self {
            Self::Sitemap(host) => format!("the sitemap of {host}").into(),
            Self::Page(page) => page.name(),
        }
    }
}

/// The pages that a route names.
pub(super) struct Names {
    hosts: Vec<Arc<str>>,
    /// Those that the route lists itself.
    listed: Vec<Arc<Page>>,
    /// Those that the sitemap of a host lists.
    pub(super) mapped: HashMap<Arc<str>, Vec<Arc<Page>>>,
    /// How many there are, each counted once.
    pub(super) count: usize,
    /// Of which the application says that there is no such page.
    pub(super) absent: BTreeSet<Arc<Page>>,
}

impl Names {
    pub(super) fn of(route: &Route) -> Self {
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

    /// Counts them anew.
    pub(super) fn recount(&mut self) {
        self.count = self.pages().collect::<HashSet<_>>().len();
    }

    fn pages(&self) -> impl Iterator<Item = &Arc<Page>> {
        self.listed.iter().chain(self.mapped.values().flatten())
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Item> {
        let sitemaps = self.hosts.iter().cloned().map(Item::Sitemap);
        sitemaps.chain(self.pages().cloned().map(Item::Page))
    }

    /// What an order means: in no particular order, so that replicas meet at few pages and share the work.
    pub(super) fn meant_by(&self, route: &Route, order: &Order) -> Vec<Item> {
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
