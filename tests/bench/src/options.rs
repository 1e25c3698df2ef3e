//! What a run is asked to do.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use crate::servers::Kind;

/// How to use it; `make bench` does.
pub(crate) const USAGE: &str = "\
usage: bench --peers DIR --kube-isr FILE [--rows NAME,…] [--servers NAME,…] [--rounds N] [--quick] [--write]
       bench report       the picture and the README's table anew, from bench/results.json
       bench bare PORT FILE

--rows       only rows whose names begin so: hit, miss, hit-tls, …
--servers    only these: bare, kube-isr, haproxy, nginx, varnish, traffic-server
--rounds     rounds of each row (4; 1 with --quick), twice as many of those with a budget beside the bare loop
--quick      short measurements, to see that all works
--write      also write bench/results.json, the picture and the README's table";

/// The rounds of a run. With four, one that something disturbed is seen as such.
const ROUNDS: usize = 4;
const ROUNDS_QUICK: usize = 1;

/// What a run is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) peers: PathBuf,
    pub(crate) kube_isr: PathBuf,
    rows: Vec<String>,
    pub(crate) servers: Vec<Kind>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) write: bool,
}

impl Options {
    /// From the command line.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (mut peers, mut kube_isr) = (None::<PathBuf>, None);
        let (mut rows, mut servers, mut rounds, mut quick, mut write) =
            (Vec::new(), Vec::new(), None, false, false);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--peers" => peers = Some(value()?.into()),
                "--kube-isr" => kube_isr = Some(value()?.into()),
                "--rows" => rows = list(&value()?),
                "--servers" => {
                    servers = list(&value()?).iter().map(|name| kind(name)).collect::<Result<_>>()?;
                }
                "--rounds" => rounds = Some(value()?.parse().context("--rounds is a number")?),
                "--quick" => quick = true,
                "--write" => write = true,
                _ => bail!("{argument} is not understood here"),
            }
        }
        if servers.is_empty() {
            servers = Kind::ALL.to_vec();
        }
        let rounds = rounds.unwrap_or(if quick { ROUNDS_QUICK } else { ROUNDS });
        ensure!(rounds > 0, "--rounds is 1 or more");
        // Some servers are started in folders of their own.
        let peers = std::path::absolute(peers.context("--peers is missing")?)?;
        let kube_isr = kube_isr.context("--kube-isr is missing")?;
        Ok(Self { peers, kube_isr, rows, servers, rounds, quick, write })
    }

    /// Whether a row is to be measured.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|begin| row.starts_with(begin.as_str()))
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn kind(name: &str) -> Result<Kind> {
    serde_json::from_value(name.into()).with_context(|| format!("{name} is no server that is measured here"))
}
