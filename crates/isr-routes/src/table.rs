//! The route table: which route, if any, answers a host and a path.

mod digest;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::Index;
use crate::matching::Trie;
use crate::preset::{Companion, Preset};
use crate::route::{Backend, Route};

/// All routes in force. Immutable; a new configuration is a new table.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    hosts: Vec<HostRoutes>,
    /// Where the routes of hostnames without wildcard are in `hosts`.
    exact: Index,
    /// Where the routes of wildcard hostnames are in `hosts`, by what follows the `*.`.
    wildcards: Index,
    digest: String,
}

/// What the table says about a host and a path.
#[derive(Debug)]
pub enum Found<'t, 'p> {
    /// This route answers.
    Route {
        /// The route.
        route: &'t Arc<Route>,
        /// The path of the page: the requested path, or for a framework's data companion the path of the page whose
        /// data it is.
        page: Cow<'p, str>,
    },
    /// No route answers, but it is clear which backend the request is for: pass it through, uncached.
    Pass(&'t Arc<Backend>),
    /// No route answers and the host has several backends: 404.
    NoRoute(&'t HostRoutes),
    /// No route names the host: 421.
    UnknownHost,
}

/// The routes of one hostname.
#[derive(Debug)]
pub struct HostRoutes {
    hostname: String,
    routes: Vec<Arc<Route>>,
    trie: Trie,
    companions: Vec<(&'static Preset, &'static Companion)>,
    /// Where unmatched paths go: the one backend of all routes, if there is only one.
    pass: Option<Arc<Backend>>,
    /// Where a preset's untouched paths go, when the preset's routes name one backend.
    untouched: Vec<(&'static str, Arc<Backend>)>,
    /// Places in `RouteTable::hosts` of the wider wildcards that are tried next, longest first.
    wider: Vec<usize>,
}

impl Default for RouteTable {
    /// No routes.
    fn default() -> Self {
        Self::new(Vec::new(), false)
    }
}

impl RouteTable {
    /// Which route answers. `host` and `path` are those of a [`crate::Target`].
    ///
    /// The most specific hostname is asked first, then ever wider wildcards; what no route matches is decided by the
    /// most specific hostname alone.
    pub fn find<'t, 'p>(&'t self, host: &str, path: &'p str) -> Found<'t, 'p> {
        let Some(specific) = self.host(host) else { return Found::UnknownHost };
        for routes in self.in_order(specific) {
            if let Some((route, page)) = routes.find(path) {
                return if route.preset.is_untouched(path) {
                    Found::Pass(&route.backend)
                } else {
                    Found::Route { route, page: Cow::Borrowed(page) }
                };
            }
        }
        match specific.backend_of_unmatched(path) {
            Some(backend) => Found::Pass(backend),
            None => Found::NoRoute(specific),
        }
    }

    /// Every route in force, by `namespace/name`.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// Hexadecimal SHA-256 over what the table means: the same for the same manifests, whatever their order or spelling.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The hostnames that are asked for a host, most specific first.
    pub fn hosts_for(&self, host: &str) -> impl Iterator<Item = &HostRoutes> {
        self.host(host).into_iter().flat_map(|specific| self.in_order(specific))
    }

    /// Builds the table of routes that do not conflict, whatever their order: nothing observable depends on it, so that
    /// a table that was written and read answers as the one that was compiled. Unless hosts are shared between namespaces, a
    /// wider wildcard only helps out hostnames of its own namespace: a host answers for nobody but its owner.
    pub(crate) fn new(mut routes: Vec<Arc<Route>>, shared_hosts: bool) -> Self {
        routes.sort_by(|one, other| one.id.cmp(&other.id));
        let mut by_hostname: BTreeMap<&str, Vec<Arc<Route>>> = BTreeMap::new();
        for route in &routes {
            for hostname in &route.hostnames {
                by_hostname.entry(hostname).or_default().push(route.clone());
            }
        }
        let hosts = by_hostname
            .into_iter()
            .map(|(hostname, routes)| HostRoutes::new(hostname.to_owned(), routes))
            .collect::<Vec<_>>();
        let places = || hosts.iter().enumerate().map(|(place, host)| (host.hostname.as_str(), place));
        let exact = Index::new(places().filter(|(hostname, _)| !hostname.starts_with('*')));
        let wildcards =
            Index::new(places().filter_map(|(hostname, place)| Some((hostname.strip_prefix("*.")?, place))));
        let digest = digest::of(&routes, shared_hosts);
        let mut table = Self { routes, hosts, exact, wildcards, digest };
        let wider: Vec<Vec<usize>> =
            table.hosts.iter().map(|host| table.wider_than(host, shared_hosts)).collect();
        for (host, wider) in table.hosts.iter_mut().zip(wider) {
            host.wider = wider;
        }
        table
    }

    /// The most specific hostname that covers a host.
    fn host(&self, host: &str) -> Option<&HostRoutes> {
        let exact = self.exact.find(host, |place| self.hosts[place].hostname == host);
        let place = exact.or_else(|| parents(host).find_map(|suffix| self.wildcard(suffix)))?;
        self.hosts.get(place)
    }

    fn wildcard(&self, suffix: &str) -> Option<usize> {
        self.wildcards.find(suffix, |place| self.hosts[place].hostname.strip_prefix("*.") == Some(suffix))
    }

    fn wider_than(&self, host: &HostRoutes, shared_hosts: bool) -> Vec<usize> {
        let covering =
            parents(host.hostname.trim_start_matches("*.")).filter_map(|suffix| self.wildcard(suffix));
        covering.filter(|&wide| shared_hosts || self.hosts[wide].owner() == host.owner()).collect()
    }

    fn in_order<'t>(&'t self, specific: &'t HostRoutes) -> impl Iterator<Item = &'t HostRoutes> {
        std::iter::once(specific).chain(specific.wider.iter().filter_map(|&place| self.hosts.get(place)))
    }
}

impl HostRoutes {
    /// The hostname, as written in the routes.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// The routes of the hostname, by `namespace/name`.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    fn new(hostname: String, routes: Vec<Arc<Route>>) -> Self {
        let trie = Trie::new(&routes);
        let mut companions = Vec::new();
        let mut untouched = Vec::new();
        let mut presets: Vec<&'static Preset> = Vec::new();
        for route in &routes {
            if !presets.contains(&route.preset) {
                presets.push(route.preset);
            }
        }
        for preset in presets {
            companions.extend(preset.companions.iter().map(|companion| (preset, companion)));
            if let Some(backend) = one_backend(routes.iter().filter(|route| route.preset == preset)) {
                untouched.extend(preset.untouched.iter().map(|prefix| (*prefix, backend.clone())));
            }
        }
        let pass = one_backend(routes.iter());
        Self { hostname, routes, trie, companions, pass, untouched, wider: Vec::new() }
    }

    fn find<'p>(&self, path: &'p str) -> Option<(&Arc<Route>, &'p str)> {
        let is_data = Preset::ALL.iter().any(|preset| preset.is_companion(path));
        // Most requests are for pages, and need not wait for this list to come from memory.
        let companions = if is_data { &self.companions[..] } else { &[] };
        for &(preset, companion) in companions {
            if let Some(page) = companion.page(path)
                && let Some(route) = self.trie.find(page, |route| std::ptr::eq(route.preset, preset))
            {
                return Some((route, page));
            }
        }
        self.trie.find(path, |_| true).map(|route| (route, path))
    }

    fn backend_of_unmatched(&self, path: &str) -> Option<&Arc<Backend>> {
        let untouched = || self.untouched.iter().find(|(prefix, _)| path.starts_with(prefix));
        self.pass.as_ref().or_else(|| untouched().map(|(_, backend)| backend))
    }

    /// The namespace that the hostname belongs to, where hosts are not shared.
    fn owner(&self) -> Option<&str> {
        self.routes.first()?.id.split('/').next()
    }
}

fn one_backend<'r>(routes: impl Iterator<Item = &'r Arc<Route>>) -> Option<Arc<Backend>> {
    let mut backends = routes.map(|route| &route.backend);
    let first = backends.next()?;
    backends.all(|backend| backend.name == first.name).then(|| first.clone())
}

/// The names above a name: `b.example.com`, `example.com`, `com` for `a.b.example.com`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent)).skip(1)
}

#[cfg(test)]
mod tests;
