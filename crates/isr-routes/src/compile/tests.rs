//! Compiling: fields alone, references, and routes against each other.

mod bounds;
mod conflicts;
mod fields;
mod references;

use isr_api::IsrRoute;

use super::{Backends, Compiled, Options, compile};
use crate::table::Found;
use crate::testing;

const HOST: &str = "shop.example.com";

fn standalone() -> Options {
    Options { backends: Backends::Standalone, shared_hosts: false }
}

fn compiled(routes: &[IsrRoute]) -> Compiled {
    compile(routes, &testing::references(), &standalone())
}

fn answer(compiled: &Compiled, host: &str, path: &str) -> String {
    match compiled.table.find(host, path) {
        Found::Route { route, .. } => route.id.to_string(),
        Found::Pass(backend) => format!("pass {}", backend.name),
        Found::NoRoute(routes) => format!("404 {}", routes.hostname()),
        Found::UnknownHost => "421".into(),
    }
}

/// The problems of a route as `field: message`.
fn said(compiled: &Compiled, id: &str) -> Vec<String> {
    let report = compiled
        .reports
        .iter()
        .find(|report| format!("{}/{}", report.object.namespace, report.object.name) == id)
        .expect("a report");
    report.problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}
