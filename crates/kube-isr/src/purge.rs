//! `kube-isr purge`: has every replica drop what is out of date, and says which of them did.
//!
//! What is [`wanted`] becomes one request; each [`replica`] gets it with the route's [`token`], and what they say is the
//! [`report`]. `kube-isr purge` asks admin listeners that it is told ([`direct`]), `kubectl isr purge` the proxies that a
//! [`cluster`] has.
//!
//! Success means that each replica that was found has said so. Whoever has not may still serve the old pages, and is
//! named. Asking again does no harm, so nothing is tried twice here.

mod cluster;
mod direct;
mod replica;
mod report;
mod token;
mod wanted;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;

pub(crate) use cluster::{ClusterPurgeArgs, run as run_in_cluster};

use crate::output::Output;
use crate::process::duration;
use crate::purge::direct::Admin;
use crate::purge::replica::Answer;
use crate::purge::token::Token;
use crate::purge::wanted::Wanted;

/// Where a request goes on an admin listener.
const PATH: &str = "/v1/invalidate";

/// The header of the token.
const TOKEN_HEADER: &str = "x-prerender-revalidate";

/// Replicas asked at a time: enough that one that hangs does not hold up the others.
const AT_ONCE: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// An admin listener; may be given several times. Of a name each address is asked, so that a headless Service
    /// stands for all of its proxies
    #[arg(long, value_name = "http://HOST:PORT", default_value = "http://127.0.0.1:9090", value_parser = direct::admin)]
    admin: Vec<Admin>,
    #[command(flatten)]
    manner: Manner,
}

/// In which manner replicas are asked.
#[allow(clippy::doc_markdown, reason = "these are the help text, not Markdown")]
#[derive(Debug, clap::Args)]
pub(crate) struct Manner {
    /// File that holds the bypass token of the routes; without it, the variable KUBE_ISR_TOKEN does. The token is no
    /// argument, because everybody on a machine can read those
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For the answer of each replica
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// How to print what they say
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What every replica is sent.
pub(crate) struct Order {
    token: Token,
    body: Bytes,
    timeout: Duration,
}

/// Asks the admin listeners that were named.
pub(crate) fn run(args: &PurgeArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let body = args.wanted.request(None)?;
    let token = Token::typed(args.manner.token_file.as_deref(), std::env::var_os(token::VARIABLE))?
        .ok_or_else(token::missing)?;
    let order = Order { token, body: body.to_string().into(), timeout: args.manner.timeout };
    let answers = runtime()?.block_on(direct::ask(&args.admin, &order));
    finish(&answers, args.manner.output, out)
}

/// One thread: all that is done is waiting.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

fn finish(answers: &[Answer], output: Output, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    report::print(answers, output, out)?;
    let is_done = answers.iter().all(|answer| answer.outcome.is_ok());
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
