//! The command line.
#![allow(clippy::doc_markdown)] // doc comments here are help texts, and backticks do not belong there

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Incremental Static Regeneration for any web application.
#[derive(Debug, Parser)]
#[command(name = "kube-isr", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Proxy(Box<crate::proxy::ProxyArgs>),
    /// Say what is wrong with manifests, and what to write instead
    #[command(after_help = "\
Example:
  $ kube-isr check routes/
  routes/blog.yaml:7: error: IsrRoute shop/blog: spec.interval: `10` has no unit: write 10s for seconds, …

Exit code: 0 if everything that the manifests ask for would be in force, 1 if not, 64 for wrong arguments.")]
    Check(CheckArgs),
    /// Say which route answers a URL, from which key, and which other routes lost
    #[command(after_help = "\
Example:
  $ kube-isr explain http://shop.example.com/blog-posts/1 --routes routes/ -H 'RSC: 1'")]
    Explain(ExplainArgs),
    /// Print the CustomResourceDefinition of IsrRoute
    #[command(after_help = "\
Example:
  $ kube-isr crd | kubectl apply --server-side -f -")]
    Crd,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Files, and folders whose .yaml, .yml and .json files are read
    #[arg(required = true, value_name = "FILE_OR_DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// How to print what is wrong
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Let routes of several namespaces share a host
    #[arg(long)]
    pub(crate) shared_hosts: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The URL, as a visitor would write it
    pub(crate) url: String,
    /// A folder of manifests, or a file
    #[arg(long, value_name = "FILE_OR_DIR", required = true)]
    pub(crate) routes: Vec<PathBuf>,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Let routes of several namespaces share a host
    #[arg(long)]
    pub(crate) shared_hosts: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One line per problem, and a summary
    Text,
    /// One JSON object
    Json,
}
