//! The route table: which route, if any, answers a host and a path.

mod digest;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use isr_cache::short::equal;

use crate::index::Index;
use crate::matching::Trie;
use crate::preset::{Companion, Preset};
use crate::route::{Backend, Route};
use crate::unhurried;
use crate::unhurried::sort_unhurried;
use digest::RouteDigest;

/// All routes in force. Immutable; a new configuration is a new table, which shares with the one before whatever is the
/// same in both.
#[derive(Debug)]
pub struct RouteTable {
    /// By `namespace/name`, each with the digest of what it means.
    routes: Vec<(Arc<Route>, RouteDigest)>,
    /// By hostname.
    hosts: Vec<Arc<HostRoutes>>,
    /// For each of `hosts` the places of the wider wildcards that are tried next, longest first.
    wider: Vec<Box<[usize]>>,
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
    data: Vec<DataUrls>,
    /// Where unmatched paths go: the one backend of all routes, if there is only one.
    pass: Option<Arc<Backend>>,
    /// Where a preset's untouched paths go, when the preset's routes name one backend.
    untouched: Vec<(&'static str, Arc<Backend>)>,
}

/// Data URLs that belong to routes of a hostname.
#[derive(Debug)]
struct DataUrls {
    preset: &'static Preset,
    companion: &'static Companion,
    /// The language that they name and their pages' paths do not; of the routes with this default alone.
    locale: Option<String>,
}

impl DataUrls {
    fn are_of(&self, route: &Route) -> bool {
        std::ptr::eq(route.preset, self.preset)
            && (self.locale.is_none() || route.default_locale == self.locale)
    }
}

impl Default for RouteTable {
    /// No routes.
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            hosts: Vec::new(),
            wider: Vec::new(),
            exact: Index::default(),
            wildcards: Index::default(),
            digest: digest::of([].iter(), false),
        }
    }
}

impl RouteTable {
    /// Which route answers. `host` and `path` are those of a [`crate::Target`].
    ///
    /// The most specific hostname is asked first, then ever wider wildcards; what no route matches is decided by the
    /// most specific hostname alone.
    pub fn find<'t, 'p>(&'t self, host: &str, path: &'p str) -> Found<'t, 'p> {
        let Some(place) = self.host(host) else { return Found::UnknownHost };
        let specific = &*self.hosts[place];
        for routes in self.in_order(place) {
            if let Some((route, page)) = routes.find(path) {
                return if route.preset.is_untouched(path) {
                    Found::Pass(&route.backend)
                } else {
                    Found::Route { route, page }
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
        self.routes.iter().map(|(route, _)| route)
    }

    /// The route at a place among [`RouteTable::routes`].
    pub fn route(&self, place: usize) -> Option<&Arc<Route>> {
        self.routes.get(place).map(|(route, _)| route)
    }

    /// Hexadecimal SHA-256 over what the table means: the same for the same manifests, whatever their order or spelling.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The hostnames that are asked for a host, most specific first.
    pub fn hosts_for(&self, host: &str) -> impl Iterator<Item = &HostRoutes> {
        self.host(host).into_iter().flat_map(|place| self.in_order(place))
    }

    /// Builds the table of routes that do not conflict, whatever their order: nothing observable depends on it, so that
    /// a table that was written and read answers as the one that was compiled. Unless hosts are shared between namespaces, a
    /// wider wildcard only helps out hostnames of its own namespace: a host answers for nobody but its owner.
    ///
    /// Routes that are the same as in the table `before`, and the hosts all of whose routes are, are taken from there.
    pub(crate) fn after(before: &Self, mut routes: Vec<Arc<Route>>, shared_hosts: bool) -> Self {
        sort_unhurried(&mut routes, |one, other| one.id.cmp(&other.id));
        let routes = known_or_new(&before.routes, routes);
        let mut by_hostname: HashMap<&str, Vec<Arc<Route>>> = HashMap::new();
        for (route, _) in unhurried(256, &routes) {
            for hostname in &route.hostnames {
                by_hostname.entry(hostname).or_default().push(Arc::clone(route));
            }
        }
        let host = |(hostname, routes): (&str, Vec<_>)| match before.named(hostname) {
            Some(known) if known.consists_of(&routes) => Arc::clone(known),
            _ => Arc::new(HostRoutes::new(hostname.to_owned(), routes)),
        };
        let mut hosts: Vec<_> = unhurried(16, by_hostname).map(host).collect();
        hosts.sort_unstable_by(|one, other| one.hostname.cmp(&other.hostname));
        let places = || hosts.iter().enumerate().map(|(place, host)| (host.hostname.as_str(), place));
        let exact = Index::new(places().filter(|(hostname, _)| !hostname.starts_with('*')));
        let wildcards =
            Index::new(places().filter_map(|(hostname, place)| Some((hostname.strip_prefix("*.")?, place))));
        let digest = digest::of(routes.iter().map(|(_, digest)| digest), shared_hosts);
        let mut table = Self { routes, hosts, wider: Vec::new(), exact, wildcards, digest };
        table.wider = table.hosts.iter().map(|host| table.wider_than(host, shared_hosts)).collect();
        table
    }

    /// The place of the most specific hostname that covers a host.
    fn host(&self, host: &str) -> Option<usize> {
        self.exact(host).or_else(|| parents(host).find_map(|suffix| self.wildcard(suffix)))
    }

    fn exact(&self, hostname: &str) -> Option<usize> {
        let is = |place: usize| equal(self.hosts[place].hostname.as_bytes(), hostname.as_bytes());
        self.exact.find(hostname, is)
    }

    fn wildcard(&self, suffix: &str) -> Option<usize> {
        self.wildcards.find(suffix, |place| self.hosts[place].hostname.strip_prefix("*.") == Some(suffix))
    }

    /// The routes of a hostname as it is written.
    fn named(&self, hostname: &str) -> Option<&Arc<HostRoutes>> {
        let place = match hostname.strip_prefix("*.") {
            Some(suffix) => self.wildcard(suffix),
            None => self.exact(hostname),
        };
        self.hosts.get(place?)
    }

    fn wider_than(&self, host: &HostRoutes, shared_hosts: bool) -> Box<[usize]> {
        let covering =
            parents(host.hostname.trim_start_matches("*.")).filter_map(|suffix| self.wildcard(suffix));
        covering.filter(|&wide| shared_hosts || self.hosts[wide].owner() == host.owner()).collect()
    }

    fn in_order(&self, place: usize) -> impl Iterator<Item = &HostRoutes> {
        std::iter::once(place).chain(self.wider[place].iter().copied()).map(|place| &*self.hosts[place])
    }
}

/// The routes with the digest of each: from `known` where they are the same. Both are in order of their names.
fn known_or_new(
    known: &[(Arc<Route>, RouteDigest)],
    routes: Vec<Arc<Route>>,
) -> Vec<(Arc<Route>, RouteDigest)> {
    let mut known = known.iter().peekable();
    let known_or_new = |route: Arc<Route>| {
        while known.next_if(|(known, _)| known.id < route.id).is_some() {}
        match known.peek() {
            Some((known, digest)) if Arc::ptr_eq(known, &route) || *known == route => {
                (Arc::clone(known), *digest)
            }
            _ => {
                let digest = digest::of_route(&route);
                (route, digest)
            }
        }
    };
    unhurried(128, routes).map(known_or_new).collect()
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
        let mut data = Vec::new();
        let mut untouched = Vec::new();
        let mut presets: Vec<&'static Preset> = Vec::new();
        let mut locales: BTreeSet<&str> = BTreeSet::new();
        for route in &routes {
            if !presets.contains(&route.preset) {
                presets.push(route.preset);
            }
            locales.extend(route.default_locale.as_deref());
        }
        for preset in presets {
            for companion in preset.companions {
                // A path that begins like a language may be matched by a catch-all as well, and is that of the page then.
                let named =
                    locales.iter().filter(|_| companion.localised).map(|&locale| Some(locale.to_owned()));
                let urls = |locale| DataUrls { preset, companion, locale };
                data.extend(named.chain([None]).map(urls));
            }
            if let Some(backend) = one_backend(routes.iter().filter(|route| route.preset == preset)) {
                untouched.extend(preset.untouched.iter().map(|prefix| (*prefix, backend.clone())));
            }
        }
        let pass = one_backend(routes.iter());
        Self { hostname, routes, trie, data, pass, untouched }
    }

    /// Whether these are its routes, the very same.
    fn consists_of(&self, routes: &[Arc<Route>]) -> bool {
        self.routes.len() == routes.len()
            && self.routes.iter().zip(routes).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    fn find<'p>(&self, path: &'p str) -> Option<(&Arc<Route>, Cow<'p, str>)> {
        // Most requests are for pages, and need not wait for this list to come from memory.
        let data = if Preset::has_companion(path) { &self.data[..] } else { &[] };
        for urls in data {
            if let Some(page) = urls.companion.page(path, urls.locale.as_deref())
                && let Some(route) = self.trie.find(&page, |route| urls.are_of(route))
            {
                return Some((route, page));
            }
        }
        self.trie.find(path, |_| true).map(|route| (route, Cow::Borrowed(path)))
    }

    fn backend_of_unmatched(&self, path: &str) -> Option<&Arc<Backend>> {
        let untouched = || self.untouched.iter().find(|(part, _)| path.contains(part));
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
