//! kube-isr beside nginx, HAProxy, Varnish, Traffic Server and a loop that only writes: what a page costs.
//!
//! A run starts every server on one core, from its configuration in `peers/`, with the same application behind it, and asks the
//! same of each, one after the other, several times over ([`rows`]). [`load`] sends the requests from another core and checks
//! every answer; [`machine`] reads what the server's processes took. What is measured is printed, and with `--write` kept in
//! `bench/results.json`, from which [`report`] makes the picture and the table of the README.
//!
//! Which pages are kept when there is no room for all is a simulation of its own ([`keys`]).
//!
//! Absolute figures move with the machine. What counts are ratios within one round of one run, and their spread.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::machine::Cores;
use crate::options::{Options, USAGE};
use crate::origin::Origin;
use crate::results::{Cell, Results};
use crate::rows::Bench;
use crate::servers::Setting;
use crate::tls::Certificate;

mod keys;
mod load;
mod machine;
mod options;
mod origin;
mod report;
mod results;
mod rows;
mod servers;
mod tls;

/// The row that is a simulation.
const KEYS: &str = "keys";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare", port, file] => servers::serve_bare(port, Path::new(file)),
        ["report"] => report::read().and_then(|results| report::write(&results)),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Options::parse(arguments.into_iter()).map_err(|error| error.context(USAGE)).and_then(run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // Before anything else: threads that are started later stay on this core.
    let cores = Cores::take()?;
    let origin = Origin::start()?;
    let setting = Setting {
        cores,
        origin: origin.address,
        certificate: Certificate::new().context("a certificate")?,
        peers: options.peers.clone(),
        kube_isr: options.kube_isr.clone(),
    };
    let mut results = Results {
        machine: machine::description(),
        date: httpdate::fmt_http_date(SystemTime::now()),
        versions: servers::versions(&setting, &options.servers)?,
        rows: Vec::new(),
        hit_ratios: Vec::new(),
    };
    let works: Vec<_> = rows::all().into_iter().filter(|work| options.wants(work.id)).collect();
    let (write, keys) = (options.write, options.wants(KEYS));
    anyhow::ensure!(!works.is_empty() || keys, "no row begins so; see --help");
    let mut bench = Bench::new(setting, origin, options);
    for work in &works {
        let row = bench.run(work);
        println!("{}", report::table(&row));
        results.rows.push(row);
    }
    if keys {
        results.hit_ratios = keys::all(bench.options.quick);
        println!("{}", report::ratios(&results.hit_ratios));
    }
    if write {
        report::keep(&results)?;
        report::write(&results)?;
    }
    let cells = results.rows.iter().flat_map(|row| row.cells.values());
    let failed = cells.filter(|cell| matches!(cell, Cell::Failed(_))).count();
    anyhow::ensure!(failed == 0, "{failed} measurements failed; see above");
    Ok(())
}
