//! The rows of the table: what is asked of every server, and how that is measured.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::load::{Protocol, Target};
use crate::machine::spent;
use crate::options::Options;
use crate::origin::Origin;
use crate::results::{Cell, Row, Values};
use crate::servers::{Kind, Server, Setting};

mod busy;
mod crowd;
mod hits;
mod memory;
mod misses;
mod passing;
mod stale;

/// One round of a row with one server.
type Measure = dyn Fn(&mut Bench, Kind) -> Result<Outcome>;

/// A kind of work.
pub(crate) struct Work {
    /// The name for `ROWS=`.
    pub(crate) id: &'static str,
    /// What is asked, in a few words.
    pub(crate) title: &'static str,
    /// One round with one server.
    measure: Box<Measure>,
    rounds: Rounds,
}

/// How often a work is measured.
#[derive(Clone, Copy)]
enum Rounds {
    /// One round tells all: memory does not depend on what else the machine does.
    One,
    /// As often as the options say.
    AsAsked,
    /// Twice as often: its budget is a ratio of so few percent that two disturbed rounds of four would decide about it.
    Twice,
}

impl Work {
    fn new(
        id: &'static str,
        title: &'static str,
        measure: impl Fn(&mut Bench, Kind) -> Result<Outcome> + 'static,
    ) -> Self {
        Self { id, title, measure: Box::new(measure), rounds: Rounds::AsAsked }
    }

    fn once(self) -> Self {
        Self { rounds: Rounds::One, ..self }
    }

    fn twice_as_often(self) -> Self {
        Self { rounds: Rounds::Twice, ..self }
    }
}

/// What came of one round.
pub(crate) enum Outcome {
    Measured(Values),
    NotOffered(&'static str),
}

/// All works, in the order of the table.
pub(crate) fn all() -> Vec<Work> {
    let mut all = hits::all();
    all.extend([stale::work(), crowd::work()]);
    all.extend(busy::all());
    all.extend(misses::all());
    all.extend(passing::all());
    all.extend(memory::all());
    all
}

/// A count as a value of the table.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

/// A server that takes less than a twentieth of so long has nothing to do; it gets so many of these times.
const SETTLE: Duration = Duration::from_millis(400);
const SETTLES_WITHIN: usize = 50;

/// What all rows work with.
pub(crate) struct Bench {
    pub(crate) setting: Setting,
    pub(crate) origin: Origin,
    pub(crate) options: Options,
    servers: BTreeMap<Kind, Server>,
    number: usize,
}

impl Bench {
    /// Nothing is started yet.
    pub(crate) fn new(setting: Setting, origin: Origin, options: Options) -> Self {
        Self { setting, origin, options, servers: BTreeMap::new(), number: 0 }
    }

    /// A server, started when it is first asked for and kept for all rows. It holds what earlier rows stored.
    pub(crate) fn server(&mut self, kind: Kind) -> Result<&Server> {
        Ok(match self.servers.entry(kind) {
            Entry::Occupied(running) => running.into_mut(),
            Entry::Vacant(place) => place.insert(Server::start(kind, &self.setting)?),
        })
    }

    /// A number that no page has had.
    fn number(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    /// What a server took so far, once it is done with what it does behind its visitors' backs.
    fn settled(&mut self, kind: Kind) -> Result<Duration> {
        let server = self.server(kind)?;
        let mut last = server.cpu();
        for _ in 0..SETTLES_WITHIN {
            std::thread::sleep(SETTLE);
            let now = server.cpu();
            if spent(last, now) <= SETTLE / 20 {
                break;
            }
            last = now;
        }
        Ok(server.cpu())
    }

    /// How long one measurement takes.
    pub(crate) fn window(&self) -> Duration {
        if self.options.quick { Duration::from_millis(300) } else { Duration::from_secs(1) }
    }

    /// All rounds of one row, server after server in each round.
    pub(crate) fn run(&mut self, work: &Work) -> Row {
        let mut row = Row { id: work.id.to_owned(), title: work.title.to_owned(), cells: BTreeMap::new() };
        let rounds = match work.rounds {
            Rounds::One => 1,
            Rounds::AsAsked => self.options.rounds,
            Rounds::Twice => 2 * self.options.rounds,
        };
        for round in 1..=rounds {
            for kind in self.options.servers.clone() {
                eprintln!("{}: round {round} of {rounds}, {}", work.title, kind.name());
                if matches!(row.cells.get(&kind), Some(Cell::NotOffered(_) | Cell::Failed(_))) {
                    continue;
                }
                match (work.measure)(self, kind) {
                    Ok(Outcome::Measured(values)) => {
                        let cell = row.cells.entry(kind).or_insert_with(|| Cell::Measured(BTreeMap::new()));
                        if let Cell::Measured(rounds) = cell {
                            for (metric, value) in values {
                                rounds.entry(metric).or_default().push(value);
                            }
                        }
                    }
                    Ok(Outcome::NotOffered(why)) => {
                        row.cells.insert(kind, Cell::NotOffered(why.to_owned()));
                    }
                    Err(error) => {
                        eprintln!("{} failed at {}: {error:#}", kind.name(), work.title);
                        row.cells.insert(kind, Cell::Failed(format!("{error:#}")));
                        // Whatever state it is in, the next row begins with another.
                        self.servers.remove(&kind);
                    }
                }
            }
        }
        row
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
    TlsHttp1,
    TlsHttp2,
}

/// Streams of an HTTP/2 connection, and connections: 64 requests at a time, as over HTTP/1.1. An ingress multiplexes so.
const HTTP2: (Protocol, usize) = (Protocol::Http2 { streams: 8 }, 8);
const HTTP1: (Protocol, usize) = (Protocol::Http1, 64);

impl Bench {
    /// Where a server speaks so, and over how many connections the load does; or that it does not.
    pub(crate) fn target(
        &mut self,
        kind: Kind,
        spoken: Spoken,
    ) -> Result<Result<(Target, usize), &'static str>> {
        let ports = self.server(kind)?.ports;
        let (port, (protocol, connections), tls) = match spoken {
            Spoken::Http1 => (Some(ports.plain), HTTP1, None),
            Spoken::Http2 => (ports.h2c, HTTP2, None),
            Spoken::TlsHttp1 => (ports.tls, HTTP1, Some("http/1.1")),
            Spoken::TlsHttp2 => (ports.tls, HTTP2, Some("h2")),
        };
        let Some(port) = port else {
            return Ok(Err(if tls.is_some() { "no TLS" } else { "no HTTP/2 without TLS" }));
        };
        let tls = tls.map(|protocol| self.setting.certificate.client(protocol)).transpose()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Ok((Target { address, protocol, tls }, connections)))
    }
}
