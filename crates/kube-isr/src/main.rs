//! The `kube-isr` command.
//!
//! `main` turns arguments into a call and its result into an exit code: 0 for success, 1 for failure, 64 for arguments
//! that make no sense. A reader that closes its end of the pipe has seen enough: that is success.

mod args;
mod check;
mod crd;
mod explain;
mod files;
mod operator;
mod probe;
mod process;
mod proxy;
mod purge;
mod telemetry;
mod usage;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::usage::Usage;

/// Arguments that make no sense (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let is_help = !error.use_stderr();
            let printed = error.print().is_ok();
            return if is_help && printed { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    match run(args.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed as well; then nobody is left to tell.
            let _ = writeln!(io::stderr(), "kube-isr: {error:#}");
            if error.is::<Usage>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Proxy(args) => proxy::run(*args),
        Command::Operator(args) => operator::run(*args),
        Command::Check(args) => check::run(&args, &mut io::stdout().lock()),
        Command::Explain(args) => explain::run(&args, &mut io::stdout().lock()),
        Command::Purge(args) => purge::run(&args, &mut io::stdout().lock()),
        Command::Probe(args) => probe::run(&args, &mut io::stdout().lock()),
        Command::Crd => crd::run(&mut io::stdout().lock()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
