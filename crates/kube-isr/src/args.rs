//! The command line.
#![allow(clippy::doc_markdown)] // doc comments here are help texts, and backticks do not belong there

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use isr_routes::{Backends, Options};

use crate::output::Output;

/// Incremental Static Regeneration for any web application.
#[derive(Debug, Parser)]
#[command(name = "kube-isr", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Incremental Static Regeneration for any web application, from where you use kubectl.
#[derive(Debug, Parser)]
#[command(name = "kubectl-isr", bin_name = "kubectl isr", version, max_term_width = 100)]
pub(crate) struct KubectlArgs {
    #[command(subcommand)]
    pub(crate) command: KubectlCommand,
}

/// What `kube-isr` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Proxy(Box<crate::proxy::ProxyArgs>),
    Operator(Box<crate::operator::OperatorArgs>),
    /// Have every replica drop pages that are out of date, and say which of them did
    #[command(after_help = "\
Examples:
  $ KUBE_ISR_TOKEN=$(cat token) kube-isr purge --path https://shop.example.com/blog-posts/1
  127.0.0.1:9090 done: soft, 1 page, 0 marks, of shop/blog-posts

  $ kube-isr purge --tag posts --hard --token-file token --admin http://kube-isr-proxy-admin:9090
  10.0.0.7:9090 done: hard, 0 pages, 1 mark, of shop/blog-posts
  10.0.0.8:9090 not done: Connection refused (os error 111). It may still serve the old …

A page counts with its data companions and query variants; a mark covers any number of pages.
Exit code: 0 if every replica said that it is done, 1 if not, 64 for wrong arguments.")]
    Purge(Box<crate::purge::PurgeArgs>),
    /// Ask URLs until all of them have answered 2xx
    #[command(after_help = "\
Example:
  $ kube-isr probe http://127.0.0.1:9090/readyz
  http://127.0.0.1:9090/readyz answers 200 OK

Exit code: 0 if all answered so in time, 1 if not, 64 for wrong arguments.")]
    Probe(crate::probe::ProbeArgs),
    Import(Box<crate::import::ImportArgs>),
    #[command(flatten)]
    Anywhere(AnywhereCommand),
}

/// What `kubectl isr` does.
#[derive(Debug, Subcommand)]
pub(crate) enum KubectlCommand {
    /// Have every proxy of the cluster drop pages that are out of date, and say which of them did
    #[command(after_help = "\
Examples:
  $ kubectl isr purge isrroute/blog-posts -n shop
  kube-isr-proxy-5d4f9c7b8-x2x7k (10.0.0.7:9090) done: soft, 0 pages, 1 mark, of shop/blog-posts

  $ kubectl isr purge isrroute/blog-posts -n shop --path /blog-posts/1 --hard
  $ KUBE_ISR_TOKEN=$(cat token) kubectl isr purge --path /blog-posts/1 --host shop.example.com

Goes through the API server to the admin port of each proxy. It takes the rights to list endpointslices and
create pods/proxy where the proxies are, and for a route to get it and its Secret.
Exit code: 0 if every proxy said that it is done, 1 if not, 64 for wrong arguments.")]
    Purge(Box<crate::purge::ClusterPurgeArgs>),
    #[command(flatten)]
    Anywhere(AnywhereCommand),
}

/// What is the same under both names.
#[derive(Debug, Subcommand)]
pub(crate) enum AnywhereCommand {
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
    /// Print the CustomResourceDefinitions of IsrRoute and IsrPurge
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
    #[command(flatten)]
    pub(crate) installation: Installation,
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
    #[command(flatten)]
    pub(crate) installation: Installation,
}

/// What the installation is like that the manifests are for.
#[derive(Debug, clap::Args)]
pub(crate) struct Installation {
    /// Let routes of several namespaces share a host
    #[arg(long)]
    pub(crate) shared_hosts: bool,
    /// Judge Services as the operator does in a cluster, by their DNS names and without ExternalName
    #[arg(long)]
    pub(crate) cluster: bool,
    /// With --cluster: the DNS domain of the cluster
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", requires = "cluster")]
    pub(crate) cluster_domain: String,
}

impl Installation {
    /// What `compile` is told about it.
    pub(crate) fn options(&self) -> Options {
        let domain = self.cluster_domain.clone();
        let backends = if self.cluster { Backends::Cluster { domain } } else { Backends::Standalone };
        Options { backends, shared_hosts: self.shared_hosts }
    }
}
