//! What every long-running command has in common: its addresses on standard output, its end by a signal, its times.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Ends with SIGTERM or Ctrl-C. Both are listened for from the call on, not from the first poll.
pub(crate) fn end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Says where something listens: scripts that use port 0 read it.
pub(crate) fn announce(what: &str, scheme: &str, address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what} listening on {scheme}://{address}")?;
    out.flush()
}

/// A time as in the manifests: `30s`, `1m30s`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    isr_routes::parse_duration(text).ok_or_else(|| format!("{text} is not a time; write 30s, 1m30s or 500ms"))
}
