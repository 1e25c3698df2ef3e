//! The `kube-isr` command.
//!
//! `main` turns arguments into a call and its result into an exit code: 0 for success, 1 for failure, 64 for arguments
//! that make no sense. A reader that closes its end of the pipe has seen enough: that is success. Under the name
//! `kubectl-isr` it is a plugin of kubectl.

mod args;
mod check;
mod crd;
mod explain;
mod files;
mod import;
mod operator;
mod output;
mod probe;
mod process;
mod proxy;
mod purge;
mod telemetry;
mod usage;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{AnywhereCommand, Args, Command, KubectlArgs, KubectlCommand};
use crate::usage::Usage;

/// musl's own allocator takes one lock for all threads. glibc's is as fast as this one.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Arguments that make no sense (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// The name by which kubectl finds the command and runs it as `kubectl isr`.
const KUBECTL_PLUGIN: &str = "kubectl-isr";

fn main() -> ExitCode {
    let parsed = if is_kubectl_plugin() {
        KubectlArgs::try_parse().map(|args| run_for_kubectl(args.command))
    } else {
        Args::try_parse().map(|args| run(args.command))
    };
    let result = match parsed {
        Ok(result) => result,
        Err(error) => {
            let is_help = !error.use_stderr();
            let printed = error.print().is_ok();
            return if is_help && printed { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed as well; then nobody is left to tell.
            let _ = writeln!(io::stderr(), "kube-isr: {error:#}");
            if error.is::<Usage>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn is_kubectl_plugin() -> bool {
    let name = std::env::args_os().next();
    name.is_some_and(|name| Path::new(&name).file_stem() == Some(OsStr::new(KUBECTL_PLUGIN)))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Proxy(args) => proxy::run(*args),
        Command::Operator(args) => operator::run(*args),
        Command::Purge(args) => purge::run(&args, &mut io::stdout().lock()),
        Command::Import(args) => import::run(&args, &mut io::stdout().lock()),
        Command::Probe(args) => probe::run(&args, &mut io::stdout().lock()),
        Command::Anywhere(command) => run_anywhere(&command),
    }
}

fn run_for_kubectl(command: KubectlCommand) -> anyhow::Result<ExitCode> {
    match command {
        KubectlCommand::Purge(args) => purge::run_in_cluster(&args, &mut io::stdout().lock()),
        KubectlCommand::Anywhere(command) => run_anywhere(&command),
    }
}

fn run_anywhere(command: &AnywhereCommand) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    match command {
        AnywhereCommand::Check(args) => check::run(args, out),
        AnywhereCommand::Explain(args) => explain::run(args, out),
        AnywhereCommand::Crd => crd::run(out),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
