//! `kube-isr import`: the `IsrRoute`s of an application, from what the build of its framework knows.
//!
//! Each framework's module reads the files of a build and says which pages there are ([`Page`]); nothing else here knows
//! a framework. [`written`] makes YAML of them, the same text for the same build; [`compare`] finds what manifests that
//! are kept elsewhere say differently. Reading is all that touches files: the rest is text in, text out.

mod compare;
mod guard;
mod literal;
mod names;
mod nextjs;
mod nuxt;
mod pattern;
mod sveltekit;
mod written;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use isr_routes::manifest::{self, Manifests};
use isr_routes::{Backends, Condition, Options, Severity, compile};
use serde_json::Value;

use guard::Other;

use crate::files;
use crate::usage::Usage;

/// Write the IsrRoutes of an application from what the build of its framework knows
#[derive(Debug, clap::Args)]
#[allow(clippy::doc_markdown, reason = "help texts hold no backticks")]
#[command(after_help = "\
Examples:
  $ next build
  $ kube-isr import nextjs . --hostname shop.example.com --service web > deploy/isr.yaml

  $ kube-isr import nextjs . --hostname shop.example.com --service web --check deploy/
  deploy/isr.yaml:14: IsrRoute default/blog-posts: spec.interval: is 10s, and the build says 1m
  1 difference: write the routes anew by the same command without --check

Reads what these leave behind:
  nextjs     next build: .next/prerender-manifest.json, routes-manifest.json
  sveltekit  vite build: .svelte-kit/output/server, and config.isr of the routes
  nuxt       nuxt build: routeRules in .output/server

Exit code: 0 if the routes were written, or are those of the build; 1 if not; 64 for wrong arguments.")]
pub(crate) struct ImportArgs {
    /// The framework that built it
    #[arg(value_enum)]
    framework: Framework,
    /// The folder of the application, where its build was run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A host that the application is visited on; may be given several times
    #[arg(long = "hostname", value_name = "HOST", required = true)]
    hostnames: Vec<String>,
    /// The Service of the application
    #[arg(long, value_name = "NAME")]
    service: String,
    /// The port of that Service
    #[arg(long, value_name = "PORT", default_value_t = 3000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The namespace of the routes and the Service
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// What the names of the routes begin with, for several applications in one namespace
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    name_prefix: String,
    /// The Secret of the bypass token, and its key unless that is `token`
    #[arg(long, value_name = "SECRET[/KEY]")]
    token_secret: Option<String>,
    /// The Secret that holds Next.js's previewModeId, and its key unless that is `previewModeId`
    #[arg(long, value_name = "SECRET[/KEY]")]
    origin_token_secret: Option<String>,
    /// Have the pages that the build names rendered before anybody asks (spec.prerender)
    #[arg(long)]
    prerender: bool,
    /// Write nothing; say how the routes in these manifests differ from the build
    #[arg(long, value_name = "FILE_OR_DIR")]
    check: Option<PathBuf>,
}

/// The frameworks whose builds can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Framework {
    #[value(name = "nextjs")]
    NextJs,
    #[value(name = "sveltekit")]
    SvelteKit,
    Nuxt,
}

impl Framework {
    /// As `spec.framework` says it.
    fn preset(self) -> &'static str {
        match self {
            Self::NextJs => "NextJs",
            Self::SvelteKit => "SvelteKit",
            Self::Nuxt => "Nuxt",
        }
    }

    /// As the command and the label of the routes say it.
    fn name(self) -> &'static str {
        match self {
            Self::NextJs => "nextjs",
            Self::SvelteKit => "sveltekit",
            Self::Nuxt => "nuxt",
        }
    }
}

/// What a build knows.
#[derive(Debug, Default, PartialEq)]
struct Build {
    pages: Vec<Page>,
    /// Pages of the application that are not for everybody.
    others: Vec<Other>,
    /// What it does not say, or what has no route: a sentence each.
    notes: Vec<String>,
}

/// A page, or many of one shape.
#[derive(Clone, Debug, Default, PartialEq)]
struct Page {
    /// As `spec.path` says it.
    path: String,
    interval: Every,
    /// Where the path and the interval are said.
    source: String,
    /// As `spec.query.allow` says it.
    query: Vec<String>,
    /// As `spec.defaultLocale` says it.
    default_locale: Option<String>,
    /// As `spec.varyBy.headers` says it.
    vary_by: Vec<String>,
    /// Paths of pages that the build names, as `spec.prerender.paths` says them.
    known: Vec<String>,
}

/// How often a page is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Every {
    /// The build does not say: the application's `Cache-Control` governs.
    #[default]
    Unsaid,
    Never,
    Seconds(u64),
}

/// Writes the routes, or compares.
pub(crate) fn run(args: &ImportArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.framework != Framework::NextJs && args.origin_token_secret.is_some() {
        let why = "--origin-token-secret is for nextjs: no other framework has a page cache of its own";
        return Err(Usage::new(why).into());
    }
    let build = match args.framework {
        Framework::NextJs => nextjs::read(&args.folder)?,
        Framework::SvelteKit => sveltekit::read(&args.folder)?,
        Framework::Nuxt => nuxt::read(&args.folder)?,
    };
    let build = guard::guarded(build);
    let routes = written::routes(args, &build.pages);
    let text = written::text(args, &build, &routes);
    must_compile(&text)?;
    let Some(kept) = &args.check else {
        write!(out, "{text}")?;
        return Ok(ExitCode::SUCCESS);
    };
    let manifests = files::read(std::slice::from_ref(kept))?;
    let differences = compare::differences(args.framework, &routes, &manifests, &kept.display().to_string());
    for difference in &differences {
        writeln!(out, "{difference}")?;
    }
    match differences.len() {
        0 => {
            let routes = routes.len();
            writeln!(out, "{routes} route{} as the build says", if routes == 1 { "" } else { "s" })?;
            Ok(ExitCode::SUCCESS)
        }
        count => {
            let s = if count == 1 { "" } else { "s" };
            writeln!(
                out,
                "{count} difference{s}: write the routes anew by the same command without --check"
            )?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What is written is what `kube-isr check` takes, but for the Service and the Secrets, which are elsewhere.
fn must_compile(text: &str) -> anyhow::Result<()> {
    let manifests = Manifests::from_files([manifest::read("the imported routes", text)]);
    let options = Options { backends: Backends::Standalone, shared_hosts: false };
    let compiled = compile(&manifests.routes, &manifests.references, &options);
    let reported = compiled.reports.iter().flat_map(|report| {
        let own = report.problems.iter().filter(|problem| {
            problem.severity == Severity::Error && problem.condition == Condition::Accepted
        });
        own.map(|problem| format!("{}: {}: {}", report.object, problem.field, problem.message))
    });
    let unread = manifests.fatal.iter().chain(&manifests.problems).map(ToString::to_string);
    match unread.chain(reported).next() {
        None => Ok(()),
        // A hostname or name from the command line, or a path that only the framework understands.
        Some(problem) => Err(Usage::new(format!("these routes would not be valid: {problem}")).into()),
    }
}

/// Reads a JSON file of a build.
fn json(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is no JSON: run the build anew", path.display()))
}

#[cfg(test)]
mod tests;
