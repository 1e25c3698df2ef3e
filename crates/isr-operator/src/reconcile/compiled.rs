//! Every route of the world, compiled: a report for each, also for those that could not even be read.

use std::sync::Arc;

use isr_api::{IsrRoute, reason};
use isr_routes::snapshot::{self, Salt, Snapshot};
use isr_routes::{Condition, ObjectRef, Options, Problem, References, Report, RouteTable, Severity};

use crate::object::Unreadable;
use crate::world::Known;

/// Compiles the routes and writes the table. Gives the routes back, with one report for each in the same order.
pub(super) fn compile(
    routes: Vec<Known>,
    references: &References,
    options: &Options,
    salt: &Salt,
) -> (Vec<Known>, Vec<Report>, Snapshot, RouteTable) {
    let readable: Vec<Arc<IsrRoute>> = routes
        .iter()
        .filter(|known| known.unreadable.is_none())
        .map(|known| Arc::clone(&known.object))
        .collect();
    let compiled = isr_routes::compile(&readable, references, options);
    let snapshot = snapshot::write(&compiled.table, options.shared_hosts, salt);
    let mut of_readable = compiled.reports.into_iter();
    let reports = routes
        .iter()
        .filter_map(|known| match &known.unreadable {
            Some(unreadable) => Some(report(&known.object, unreadable)),
            None => of_readable.next(),
        })
        .collect();
    (routes, reports, snapshot, compiled.table)
}

/// What there is to say about a route that does not parse.
fn report(object: &IsrRoute, unreadable: &Unreadable) -> Report {
    let metadata = &object.metadata;
    let problem = Problem {
        severity: Severity::Error,
        condition: Condition::Accepted,
        reason: reason::INVALID,
        field: unreadable.field.clone(),
        message: unreadable.message.clone(),
        other: None,
    };
    Report {
        object: ObjectRef::route(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        ),
        accepted: false,
        problems: vec![problem],
    }
}
