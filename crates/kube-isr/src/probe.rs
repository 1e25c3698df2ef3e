//! `kube-isr probe`: asks URLs until they answer. The image holds no other program, so this is what `helm test` runs.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::process::duration;

/// Between two attempts: soon enough for a person who waits, seldom enough for a server that starts.
const PAUSE: Duration = Duration::from_millis(500);
/// For one attempt, so that an address that swallows packets leaves time for the next.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read: a status line is shorter.
const STATUS_LINE: u64 = 1 << 10;

#[allow(clippy::doc_markdown, reason = "these are the help text, not Markdown")]
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {
    /// Such as http://kube-isr-proxy-admin:9090/readyz
    #[arg(required = true, value_name = "URL", value_parser = target)]
    urls: Vec<Target>,
    /// For all of them together
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

/// What is asked.
#[derive(Clone, Debug)]
struct Target {
    url: String,
    /// Host and port.
    authority: String,
    /// With the query.
    path: String,
}

/// A URL as it is typed.
fn target(url: &str) -> Result<Target, String> {
    let rest = url.strip_prefix("http://").ok_or("write http://HOST:PORT/PATH")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err("it has no port: write http://HOST:PORT/PATH".to_owned());
    }
    Ok(Target { url: url.to_owned(), authority: authority.to_owned(), path: format!("/{path}") })
}

/// Asks each URL in turn, all within one time limit, and tells what it answered.
pub(crate) fn run(args: &ProbeArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let end = Instant::now() + args.timeout;
    for target in &args.urls {
        let url = &target.url;
        let status = loop {
            let failed = match ask(target) {
                Ok(status) if status.starts_with('2') => break status,
                Ok(status) => anyhow::anyhow!("{url} answers {status}"),
                Err(error) => error.context(format!("{url} does not answer")),
            };
            if Instant::now() + PAUSE >= end {
                return Err(failed);
            }
            std::thread::sleep(PAUSE);
        };
        writeln!(out, "{url} answers {status}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The status of one GET, with its reason phrase.
fn ask(Target { authority, path, .. }: &Target) -> anyhow::Result<String> {
    let address = authority.to_socket_addrs().context("the host cannot be resolved")?;
    let mut connection = connect(address)?;
    connection.set_read_timeout(Some(ATTEMPT))?;
    connection.set_write_timeout(Some(ATTEMPT))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    let mut answer = connection.take(STATUS_LINE);
    let mut piece = [0; 256];
    while !head.contains(&b'\n') {
        match answer.read(&mut piece)? {
            0 => break,
            read => head.extend_from_slice(&piece[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    status.map(|status| status.trim().to_owned()).context("the answer is not HTTP/1.1")
}

fn connect(addresses: impl Iterator<Item = std::net::SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, ATTEMPT) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}
