//! `kube-isr check`: what is wrong with manifests.

use std::io::Write;
use std::process::ExitCode;

use isr_routes::manifest::{Diagnostic, Manifests};
use isr_routes::{Options, Severity, compile, compile_purge};
use serde_json::{Value, json};

use crate::args::CheckArgs;
use crate::files;
use crate::output::Output;

/// Prints every problem where it stands, and a summary.
pub(crate) fn run(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let manifests = files::read(&args.paths)?;
    let findings = Findings::of(&manifests, &args.installation.options());
    match args.output {
        Output::Text => {
            for problem in &findings.problems {
                writeln!(out, "{problem}")?;
            }
            writeln!(out, "{}", findings.summary())?;
        }
        Output::Json => writeln!(out, "{:#}", findings.to_json())?,
    }
    Ok(if findings.count(Severity::Error) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Findings {
    problems: Vec<Diagnostic>,
    routes_in_force: usize,
}

impl Findings {
    fn of(manifests: &Manifests, options: &Options) -> Self {
        let compiled = compile(&manifests.routes, &manifests.references, options);
        let mut problems = manifests.fatal.clone();
        problems.extend_from_slice(&manifests.problems);
        problems.extend(manifests.diagnose(&compiled.reports));
        // A purge may mean routes that are not among these manifests.
        let purge = |purge| compile_purge(purge, &compiled.table, Severity::Warning).0;
        problems.extend(manifests.diagnose(&manifests.purges.iter().map(purge).collect::<Vec<_>>()));
        problems.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        Self { problems, routes_in_force: compiled.table.routes().count() }
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn summary(&self) -> String {
        let counted =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        format!(
            "{} in force, {}, {}",
            counted(self.routes_in_force, "route"),
            counted(self.count(Severity::Error), "error"),
            counted(self.count(Severity::Warning), "warning"),
        )
    }

    fn to_json(&self) -> Value {
        let problems: Vec<Value> = self
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "file": problem.file,
                    "line": problem.line,
                    "severity": problem.severity.to_string(),
                    "kind": problem.object.as_ref().map(|object| &object.kind),
                    "namespace": problem.object.as_ref().map(|object| &object.namespace),
                    "name": problem.object.as_ref().map(|object| &object.name),
                    "field": problem.field,
                    "message": problem.message,
                })
            })
            .collect();
        json!({
            "routesInForce": self.routes_in_force,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": problems,
        })
    }
}
