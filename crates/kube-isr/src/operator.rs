//! `kube-isr operator`: what was typed becomes what the operator is told.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use isr_operator::{Config, Operator, Owner};

use crate::process::{announce, duration, end};
use crate::telemetry::{self, LogFormat};

/// The least that a Lease lasts: an API server may take a second to answer, and a third of this is all that it has.
const LEASE_LEAST: Duration = Duration::from_secs(3);

/// One to compile the routes, one to look up the name of the API server meanwhile.
const BLOCKING_THREADS: usize = 2;

/// The thread that compiled stays for the next time, with the memory that it will need again: a day is for ever here.
const KEPT_ALIVE: Duration = Duration::from_hours(24);

/// Turn the IsrRoutes of a cluster into the routes of its proxies, and say in their status what is in force.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  $ kube-isr operator --namespace kube-isr-system --admin 127.0.0.1:9091\n\n\
    Speaks to the API server of the pod's service account, or of the kubeconfig.\n\
    Of several replicas the one that holds the Lease writes; the others watch, and so does one that has lost it.\n\
    Exit code: 0 after SIGTERM."
)]
#[allow(clippy::doc_markdown, reason = "these are the help text, not Markdown")]
pub(crate) struct OperatorArgs {
    /// The namespace of the proxies, where the table is published. Default: that of the service account, or of the
    /// kubeconfig's context
    #[arg(long, value_name = "NAME", env = "KUBE_ISR_NAMESPACE")]
    namespace: Option<String>,

    /// The name of the installation; its objects begin with it
    #[arg(long, value_name = "NAME", default_value = "kube-isr", env = "KUBE_ISR_INSTALLATION")]
    installation: String,

    /// The Service of the proxies, with ports named http and admin. Default: the installation, then -proxy
    #[arg(long, value_name = "NAME")]
    proxy_service: Option<String>,

    /// Only these namespaces, with Roles in each of them: shop,blog. Default: all, with a ClusterRole
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    watch_namespaces: Vec<String>,

    /// With what Kubernetes deletes the objects that the operator makes in its own namespace: role/NAME of that
    /// namespace, or clusterrole/NAME. Default: with nothing
    #[arg(long, value_name = "KIND/NAME")]
    owner: Option<Owner>,

    /// With what it deletes the ingress Services: clusterrole/NAME, or role/NAME of each one's own namespace. Default:
    /// with nothing
    #[arg(long, value_name = "KIND/NAME")]
    ingress_owner: Option<Owner>,

    /// The DNS domain of the cluster
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,

    /// Let routes of several namespaces share a host
    #[arg(long)]
    shared_hosts: bool,

    /// Where health and metrics are told: /livez /readyz /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9091", env = "KUBE_ISR_ADMIN")]
    admin: SocketAddr,

    /// Who holds the Lease: unique among the replicas. Default: the host's name and a random number
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,

    /// How long another replica waits for one that has stopped; 3s or more
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = lease_duration)]
    lease_duration: Duration,

    /// How often each Secret is read, to notice new tokens. With --watch-namespaces, Secrets are watched
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = secret_period)]
    secret_period: Duration,

    /// How log lines look, on standard error. RUST_LOG filters them
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
}

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(args: OperatorArgs) -> anyhow::Result<ExitCode> {
    telemetry::start(args.log_format);
    let config = config(args);
    // One thread for everything but compiling: the operator waits for others most of the time, and each further thread
    // would keep a heap of its own for what it once allocated.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(KEPT_ALIVE)
        .build()
        .context("no runtime")?;
    runtime.block_on(operate(config))?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn operate(config: Config) -> anyhow::Result<()> {
    let end = end()?;
    let operator = Operator::bind(config).await?;
    announce("admin", "http", operator.admin_address()?)?;
    Ok(operator.run(end).await?)
}

fn config(args: OperatorArgs) -> Config {
    let proxy_service = args.proxy_service.unwrap_or_else(|| format!("{}-proxy", args.installation));
    Config {
        namespace: args.namespace,
        installation: args.installation,
        proxy_service,
        watch_namespaces: args.watch_namespaces,
        owner: args.owner,
        ingress_owner: args.ingress_owner,
        cluster_domain: args.cluster_domain,
        shared_hosts: args.shared_hosts,
        admin: args.admin,
        identity: args.identity.unwrap_or_else(identity),
        lease_duration: args.lease_duration,
        secret_period: args.secret_period,
    }
}

/// The host's name, for people, and a random number, because two processes may share a host.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "operator" } else { host.trim() };
    format!("{host}-{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff)
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    at_least(LEASE_LEAST, text)
}

fn secret_period(text: &str) -> Result<Duration, String> {
    at_least(Duration::from_secs(1), text)
}

fn at_least(least: Duration, text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < least {
        Err(format!("{text} is too short; write {}s or more", least.as_secs()))
    } else {
        Ok(time)
    }
}
