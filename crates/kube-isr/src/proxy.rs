//! `kube-isr proxy`: what was typed becomes what the proxy is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use isr_proxy::{Config, Limits, Published, Routes, Scheme, Server, SharedOptions, SharedTier, Tls};

use crate::process::{announce, duration, end};
use crate::telemetry::{self, LogFormat};

/// Serve pages from the cache, and render them behind the visitors' backs.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  kube-isr proxy --routes ./manifests --listen 0.0.0.0:8080 --admin 127.0.0.1:9090\n\n\
    The folder holds the same manifests as a cluster: IsrRoute, Secret, and Service of type ExternalName.\n\
    Changes are in force within a second. `kube-isr check FOLDER` says what is wrong with them beforehand."
)]
#[allow(clippy::doc_markdown, reason = "these are the help text, not Markdown")]
pub(crate) struct ProxyArgs {
    /// Folder of manifests (*.yaml), or one file of them; or the word kubernetes: what the operator publishes
    #[arg(long, value_name = "DIR_OR_FILE", env = "KUBE_ISR_ROUTES")]
    routes: PathBuf,

    /// With --routes kubernetes: the namespace of the installation. Default: that of the service account
    #[arg(long, value_name = "NAME", env = "KUBE_ISR_NAMESPACE")]
    namespace: Option<String>,

    /// The name of the installation: with --routes kubernetes that of its objects, with --shared that of its data
    #[arg(long, value_name = "NAME", default_value = "kube-isr", env = "KUBE_ISR_INSTALLATION")]
    installation: String,

    /// Folder for what outlives the process: stored pages, and the last good table for a start without an API server.
    /// Default: a folder kube-isr in $STATE_DIRECTORY, $XDG_STATE_HOME or ~/.local/state, whichever is set first
    #[arg(long, value_name = "DIR", env = "KUBE_ISR_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// Redis 7 or Valkey by which replicas share pages and invalidations: redis://HOST:PORT, redis://USER@HOST:PORT/DATABASE,
    /// redis+cluster://HOST,HOST or redis+sentinel://HOST,HOST/NAME; rediss for TLS. More than one replica needs it
    #[arg(long, value_name = "URL", env = "KUBE_ISR_SHARED", hide_env_values = true)]
    shared: Option<String>,

    /// File that holds its password
    #[arg(long, value_name = "FILE", requires = "shared", env = "KUBE_ISR_SHARED_PASSWORD_FILE")]
    shared_password_file: Option<PathBuf>,

    /// File of certificates (PEM) that are trusted to sign the server's. Default: those of the system
    #[arg(long, value_name = "FILE", requires = "shared", env = "KUBE_ISR_SHARED_CA_FILE")]
    shared_ca_file: Option<PathBuf>,

    /// What this replica is called in answers about others. Default: the host's name and a random number
    #[arg(long, value_name = "NAME", requires = "shared", env = "KUBE_ISR_REPLICA")]
    replica: Option<String>,

    /// Where visitors connect: HTTP/1.1, and HTTP/2 by prior knowledge
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", env = "KUBE_ISR_LISTEN")]
    listen: SocketAddr,

    /// Where health, metrics and what is stored are told; keep it private
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", env = "KUBE_ISR_ADMIN")]
    admin: SocketAddr,

    /// Where visitors connect over TLS
    #[arg(long, value_name = "ADDRESS", requires_all = ["tls_cert", "tls_key"])]
    tls_listen: Option<SocketAddr>,

    /// File of the certificate chain (PEM); read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_cert: Option<PathBuf>,

    /// File of the private key (PEM); read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_key: Option<PathBuf>,

    /// The scheme that visitors use, told to the application when a page is rendered: `https` if anything before this
    /// proxy ends TLS. Default: https if --tls-listen is given, else http
    #[arg(long, value_name = "SCHEME")]
    public_scheme: Option<PublicScheme>,

    /// Addresses whose X-Forwarded-* and Forwarded are believed, such as those of the ingress: 10.0.0.0/8,fd00::/8
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trusted_proxies: Vec<IpNet>,

    /// Bytes of memory for stored pages
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    max_memory_bytes: u64,

    /// Bytes of disk for stored pages, which so outlive the process; 0: none
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 30, env = "KUBE_ISR_MAX_DISK_BYTES")]
    max_disk_bytes: u64,

    /// Bytes of one stored page; a longer one is streamed and not stored
    #[arg(long, value_name = "BYTES", default_value_t = 10 << 20)]
    max_page_bytes: usize,

    /// Renders at a time, in all
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_renders: usize,

    /// Renders at a time for one Service; at most half of them in the background
    #[arg(long, value_name = "N", default_value_t = 32)]
    max_renders_per_backend: usize,

    /// To open a connection to the application
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    connect_timeout: Duration,

    /// From the end of a request to the first byte of the application's response
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    first_byte_timeout: Duration,

    /// Between two pieces of a page that is rendered
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    idle_timeout: Duration,

    /// For a whole render
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    render_timeout: Duration,

    /// Between two pieces of a response, or of a WebSocket, that is passed through
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    stream_idle_timeout: Duration,

    /// After SIGTERM: how long to go on accepting while not ready, until load balancers have noticed
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    drain_delay: Duration,

    /// After that: how long open requests may take
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    drain_timeout: Duration,

    /// Log each request
    #[arg(long)]
    access_log: bool,

    /// How log lines look, on standard error. RUST_LOG filters them
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PublicScheme {
    Http,
    Https,
}

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(args: ProxyArgs) -> anyhow::Result<ExitCode> {
    telemetry::start(args.log_format);
    let config = config(args)?;
    let runtime = isr_proxy::background().context("no runtime")?;
    runtime.block_on(serve(config))?;
    // A task that is still at work has had its time.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let end = end()?;
    let server = Server::bind(config).await?;
    let addresses = server.addresses()?;
    announce("proxy", "http", addresses.plain)?;
    if let Some(tls) = addresses.tls {
        announce("tls", "https", tls)?;
    }
    announce("admin", "http", addresses.admin)?;
    server.run(end).await;
    Ok(())
}

/// Where systemd, or the user's desktop, has programs keep what outlives them.
fn state_dir() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = folder("STATE_DIRECTORY")
        .or_else(|| folder("XDG_STATE_HOME"))
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("kube-isr"))
}

fn shared(args: &ProxyArgs) -> anyhow::Result<Option<SharedTier>> {
    let Some(url) = &args.shared else { return Ok(None) };
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("--shared-password-file {}", file.display()))?;
        anyhow::Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let password = args.shared_password_file.as_ref().map(read).transpose()?;
    let replica = args.replica.clone().unwrap_or_else(|| {
        let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        format!("{}-{:08x}", host.as_deref().unwrap_or("replica"), fastrand::u32(..))
    });
    let read =
        |file: &PathBuf| std::fs::read(file).with_context(|| format!("--shared-ca-file {}", file.display()));
    let trusted = args.shared_ca_file.as_ref().map(read).transpose()?;
    let options =
        SharedOptions { url: url.clone(), password, trusted, installation: args.installation.clone() };
    Ok(Some(SharedTier { options, replica }))
}

fn config(args: ProxyArgs) -> anyhow::Result<Config> {
    let shared = shared(&args)?;
    let tls = match (args.tls_listen, args.tls_cert, args.tls_key) {
        (Some(listen), Some(certificate), Some(key)) => Some(Tls { listen, certificate, key }),
        // clap demands all three or none.
        _ => None,
    };
    let public_scheme = match (args.public_scheme, &tls) {
        (Some(PublicScheme::Https), _) | (None, Some(_)) => Scheme::Https,
        (Some(PublicScheme::Http), _) | (None, None) => Scheme::Http,
    };
    Ok(Config {
        shared,
        routes: if args.routes.as_os_str() == "kubernetes" {
            Routes::Kubernetes(Published { namespace: args.namespace, installation: args.installation })
        } else {
            Routes::Path(args.routes)
        },
        state_dir: args.state_dir.or_else(state_dir),
        listen: args.listen,
        tls,
        admin: args.admin,
        public_scheme,
        trusted: args.trusted_proxies,
        access_log: args.access_log,
        limits: Limits {
            connect: args.connect_timeout,
            first_byte: args.first_byte_timeout,
            idle: args.idle_timeout,
            render: args.render_timeout,
            stream_idle: args.stream_idle_timeout,
            page_bytes: args.max_page_bytes,
            memory_bytes: args.max_memory_bytes,
            disk_bytes: args.max_disk_bytes,
            renders: args.max_renders,
            renders_per_backend: args.max_renders_per_backend,
            drain_delay: args.drain_delay,
            drain: args.drain_timeout,
        },
    })
}
