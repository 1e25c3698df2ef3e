//! What a server holds: for a connection that says nothing, and for a page that it has stored.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::{Bench, HTTP1, Outcome, Work};
use crate::load::{Ask, Load, Protocol, Target, capture};
use crate::results::{Metric, Values};
use crate::servers::{Kind, Server};

const CONNECTIONS: usize = 10_000;
const PAGES: usize = 50_000;
const SIZE: usize = 1 << 10;

pub(super) fn all() -> [Work; 2] {
    [
        Work::new("idle", "10,000 idle connections", |bench, kind| fresh(bench, kind, idle)).once(),
        Work::new("stored", "50,000 stored pages of 1 KiB", |bench, kind| fresh(bench, kind, stored)).once(),
    ]
}

/// Measures a server that has done nothing else.
fn fresh(
    bench: &mut Bench,
    kind: Kind,
    measure: impl Fn(&Server, &Target) -> Result<(Metric, f64)>,
) -> Result<Outcome> {
    if kind == Kind::Bare {
        return Ok(Outcome::NotOffered("no cache"));
    }
    let server = Server::start(kind, &bench.setting)?;
    let address = SocketAddr::from(([127, 0, 0, 1], server.ports.plain));
    let target = Target { address, protocol: Protocol::Http1, tls: None };
    // One of each, so that what is made once is there before.
    let asks = (0..HTTP1.1).map(|page| Ask::page(format!("/page/{SIZE}/first-{page}"), SIZE)).collect();
    Load::connect(&target, HTTP1.1, asks)?.once()?;
    Ok(Outcome::Measured(Values::from([measure(&server, &target)?])))
}

fn idle(server: &Server, target: &Target) -> Result<(Metric, f64)> {
    let before = settled(server);
    let ask = Ask::page(format!("/page/{SIZE}/hot"), SIZE);
    capture(target, &ask)?;
    let asks = vec![ask; CONNECTIONS];
    let mut load = Load::connect(target, CONNECTIONS, asks)?;
    // Each is asked once before it is left alone.
    load.once()?;
    let more = settled(server) - before;
    Ok((Metric::PerConnection, more / super::float(CONNECTIONS as u64) / 1024.0))
}

fn stored(server: &Server, target: &Target) -> Result<(Metric, f64)> {
    let before = settled(server);
    let asks = (0..PAGES).map(|page| Ask::page(format!("/page/{SIZE}/page-{page}"), SIZE)).collect();
    Load::connect(target, HTTP1.1, asks)?.once()?;
    let more = settled(server) - before;
    Ok((Metric::PerPage, more / super::float(PAGES as u64)))
}

/// The server's memory in bytes, once it changes no more.
fn settled(server: &Server) -> f64 {
    let mut last = server.memory();
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(500));
        let now = server.memory();
        // A part in a thousand is what goes on anyway.
        if now.abs_diff(last) <= last / 1000 {
            break;
        }
        last = now;
    }
    super::float(server.memory())
}
