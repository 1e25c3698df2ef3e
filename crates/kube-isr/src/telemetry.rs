//! Log lines on standard error.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// For machines: one JSON object a line.
    Json,
}

/// What is worth knowing. The client of the API server says each failed request again and again; the operator and
/// the proxy say once what is wrong and what to do.
const WORTH_KNOWING: &str = "info,kube_runtime=off,kube_client=off";

/// Starts logging. `RUST_LOG` filters; without it, what is worth knowing.
pub(crate) fn start(format: LogFormat) {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| WORTH_KNOWING.to_owned());
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
