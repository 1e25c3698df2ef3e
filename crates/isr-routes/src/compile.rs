//! `IsrRoute`s and what they refer to, compiled into a table and reports.

mod duration;
mod purge;
mod reference;
mod rules;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use isr_api::{IsrRoute, reason};

use crate::references::References;
use crate::report::{Condition, ObjectRef, Problem, Report, Severity};
use crate::route::{Backend, Route};
use crate::table::RouteTable;
use crate::unhurried;
use crate::unhurried::sort_unhurried;

pub use duration::{gep_2257 as parse_duration, of_rollout as rollout_over};
pub use purge::{compile_purge, time_to_live};

/// What depends on the installation rather than on the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How a Service becomes an address.
    pub backends: Backends,
    /// Whether routes of several namespaces may share a host. Otherwise a host belongs to the namespace that named it
    /// first.
    pub shared_hosts: bool,
}

/// How a Service becomes an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backends {
    /// Outside a cluster: the Service must be of type `ExternalName`.
    Standalone,
    /// Inside a cluster: by its DNS name. `ExternalName` is refused there, because it would let a tenant reach
    /// any address that the proxy reaches (CVE-2021-25740).
    Cluster {
        /// The cluster's DNS domain, usually `cluster.local`.
        domain: String,
    },
}

/// A table and what there is to say about it.
#[derive(Debug)]
pub struct Compiled {
    /// All routes in force.
    pub table: RouteTable,
    /// One report per route, in the order of the input.
    pub reports: Vec<Report>,
}

/// Compiles all routes together, because each one's acceptance depends on the others.
///
/// Older routes go first (`creationTimestamp`, then `namespace/name`; a route without a timestamp counts as the
/// youngest): they claim their hosts for their namespace and their paths for themselves.
pub fn compile<R: Borrow<IsrRoute>>(routes: &[R], references: &References, options: &Options) -> Compiled {
    compile_after(&RouteTable::default(), routes, references, options)
}

/// The same, for a table that follows another one and shares with it what has not changed.
pub fn compile_after<R: Borrow<IsrRoute>>(
    before: &RouteTable,
    routes: &[R],
    references: &References,
    options: &Options,
) -> Compiled {
    let mut order: Vec<_> =
        unhurried(256, routes).enumerate().map(|(place, route)| (age(route.borrow()), place)).collect();
    sort_unhurried(&mut order, Ord::cmp);

    let mut reports: Vec<Report> =
        unhurried(256, routes).map(|route| Report::about(object(route.borrow()))).collect();
    let mut claims = Claims::default();
    let mut backends: HashMap<String, Arc<Backend>> = HashMap::new();
    let mut accepted = Vec::with_capacity(routes.len());
    for (_, place) in unhurried(64, order) {
        let (resource, report) = (routes[place].borrow(), &mut reports[place]);
        let Some(mut route) = rules::route(resource, report) else { continue };
        claims.stake(&mut route, report, options);
        if route.hostnames.is_empty() {
            continue;
        }
        reference::resolve(&mut route, resource, references, &options.backends, report);
        // Routes of one backend share it, so that it is one thing to limit and to name.
        route.backend = backends.entry(route.backend.name.clone()).or_insert(route.backend).clone();
        report.accepted = true;
        accepted.push((place, Arc::new(route)));
    }
    let in_force = accepted.iter().map(|(_, route)| Arc::clone(route)).collect();
    let table = RouteTable::after(before, in_force, options.shared_hosts);
    for (place, route) in accepted {
        rules::prerender::elsewhere(&route, &table, &mut reports[place]);
    }
    Compiled { table, reports }
}

/// The hosts and paths that older routes hold.
#[derive(Default)]
struct Claims {
    /// The first route of each hostname.
    hosts: HashMap<String, ObjectRef>,
    /// The route of each hostname and path shape.
    paths: HashMap<(String, String), ObjectRef>,
}

impl Claims {
    /// Leaves the route only the hostnames on which nobody older stands in its way.
    fn stake(&mut self, route: &mut Route, report: &mut Report, options: &Options) {
        let object = report.object.clone();
        let shape = route.path.shape();
        let mut place = 0;
        route.hostnames.retain(|hostname| {
            let field = format!("spec.hostnames[{place}]");
            place += 1;
            let owner = self.hosts.entry(hostname.clone()).or_insert_with(|| object.clone());
            if owner.namespace != object.namespace && !options.shared_hosts {
                let message = format!(
                    "`{hostname}` belongs to namespace {}, where {owner} named it first: use another hostname, or move this route to that namespace",
                    owner.namespace
                );
                report.conflict(field, message, owner.clone());
                return false;
            }
            let holder = self.paths.entry((hostname.clone(), shape.clone())).or_insert_with(|| object.clone());
            if *holder != object {
                let message = format!(
                    "{holder} already answers {hostname}{} and is older: change spec.path or remove `{hostname}` from one of the two routes",
                    route.path
                );
                report.conflict(field, message, holder.clone());
                return false;
            }
            true
        });
    }
}

impl Report {
    fn about(object: ObjectRef) -> Self {
        Self { object, accepted: false, problems: Vec::new() }
    }

    fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, Condition::Accepted, reason::INVALID, field.into(), message.into());
    }

    fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, Condition::Accepted, reason::ACCEPTED, field.into(), message.into());
    }

    /// About something that is not there, however bad that is.
    fn missing(&mut self, severity: Severity, field: impl Into<String>, message: impl Into<String>) {
        self.add(severity, Condition::Accepted, reason::INVALID, field.into(), message.into());
    }

    fn unresolved(&mut self, reason: &'static str, field: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, Condition::ResolvedRefs, reason, field.into(), message.into());
    }

    fn conflict(&mut self, field: String, message: String, other: ObjectRef) {
        self.add(Severity::Error, Condition::Accepted, reason::CONFLICTED, field, message);
        if let Some(problem) = self.problems.last_mut() {
            problem.other = Some(other);
        }
    }

    fn add(
        &mut self,
        severity: Severity,
        condition: Condition,
        reason: &'static str,
        field: String,
        message: String,
    ) {
        self.problems.push(Problem { severity, condition, reason, field, message, other: None });
    }
}

fn object(route: &IsrRoute) -> ObjectRef {
    let metadata = &route.metadata;
    // A namespaced object without a namespace is in `default`, as for kubectl.
    ObjectRef::route(
        metadata.namespace.as_deref().unwrap_or("default"),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// What older routes are sorted by.
fn age(route: &IsrRoute) -> (bool, Option<impl Ord + use<>>, ObjectRef) {
    let created = route.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created.is_none(), created, object(route))
}

#[cfg(test)]
mod tests;
