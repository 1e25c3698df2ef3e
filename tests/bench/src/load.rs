//! The load: one thread, many connections, and every answer checked.
//!
//! *Closed* loop: each connection sends its next request when the answer to the last has come; this finds out what a server
//! does at most. *Open* loop: requests come at moments that do not depend on the server, as visitors do, and wait in line if no
//! connection is free. Their time counts from that moment, so a server that stands still for 100 ms is seen by every request
//! that would have come in these 100 ms, and not only by the few that were under way ("coordinated omission").

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mio::{Events, Poll, Token};
use tokio_rustls::rustls::ClientConfig;

mod capture;
mod connection;
mod http1;
mod http2;

pub(crate) use capture::{Captured, capture, reachable};
use connection::{Connection, Requests, State};
pub(crate) use http1::request;

/// How long answers that are under way at the end of a run may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Events taken at a time.
const EVENTS: usize = 256;

/// The host that all requests are for.
pub(crate) const HOST: &str = "bench.example.com";

/// What every request has besides the host: about what a browser behind an ingress says that matters to a cache.
const FIELDS: [(&str, &str); 3] =
    [("user-agent", "bench"), ("accept", "text/html,application/xhtml+xml"), ("accept-language", "en")];

/// Where the load goes, and how.
#[derive(Clone)]
pub(crate) struct Target {
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// What is spoken with it.
    pub(crate) protocol: Protocol,
    /// With which certificate, if over TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// One request at a time.
    Http1,
    /// So many requests at a time.
    Http2 { streams: usize },
}

/// One request, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The path.
    pub(crate) path: String,
    /// Further fields, by name in lower case.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The status that must come back.
    pub(crate) status: u16,
    /// The bytes of the body that must come back, if they are known beforehand.
    pub(crate) length: Option<u64>,
}

impl Ask {
    /// A request for a page of a size, whole.
    pub(crate) fn page(path: impl Into<String>, length: usize) -> Self {
        Self { path: path.into(), fields: Vec::new(), status: 200, length: Some(length as u64) }
    }

    /// The same with another field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// All fields besides the host.
    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        FIELDS.into_iter().chain(own)
    }

    fn check(&self, status: u16, length: u64) -> Result<()> {
        ensure!(status == self.status, "{} answered {status} instead of {}", self.path, self.status);
        if let Some(expected) = self.length {
            ensure!(length == expected, "{} came with {length} bytes instead of {expected}", self.path);
        }
        Ok(())
    }
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// The next when the last is answered.
    Closed,
    /// So many a second at random moments (a Poisson process), whatever the server does.
    Open { per_second: f64 },
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// How long each request took, in nanoseconds, in order of size.
    times: Vec<u64>,
    /// How long all of them took.
    pub(crate) elapsed: Duration,
    /// Requests under way when their connection ended.
    pub(crate) lost: u64,
}

impl Answered {
    /// How many were answered.
    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    /// How many were answered in a second.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(crate) fn per_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// What each took of all that was taken, in microseconds.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(crate) fn each(&self, of: Duration) -> f64 {
        of.as_secs_f64() * 1e6 / self.count() as f64
    }

    /// The time within which this part of them (0 to 1) was answered, in microseconds.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let rank = (self.times.len() as f64 * part).ceil() as usize;
        self.times.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| *time as f64 / 1000.0)
    }
}

/// Open connections to one server, and what is asked over them.
pub(crate) struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    asks: Vec<Ask>,
    /// The bytes of each, made once for all connections.
    requests: Requests,
    /// Connections that can take another request, as often as they can.
    free: Vec<usize>,
    random: fastrand::Rng,
    buffer: Vec<u8>,
    /// Where to connect again when a connection ends; else that is an error.
    reconnects: Option<Target>,
}

impl Load {
    /// Opens so many connections, over which each of `asks` is asked as often as any other.
    pub(crate) fn connect(target: &Target, connections: usize, asks: Vec<Ask>) -> Result<Self> {
        let poll = Poll::new()?;
        let requests = Requests::new(target, &asks);
        let mut load = Self {
            poll,
            connections: Vec::with_capacity(connections),
            asks,
            requests,
            free: Vec::new(),
            random: fastrand::Rng::with_seed(7),
            buffer: vec![0; 256 << 10],
            reconnects: None,
        };
        for number in 0..connections {
            let mut connection = Connection::open(target, &load.requests)
                .with_context(|| format!("connection {number} of {connections}"))?;
            connection.register(load.poll.registry(), Token(number))?;
            load.free.extend(std::iter::repeat_n(number, connection.room()));
            load.connections.push(connection);
        }
        Ok(load)
    }

    /// Connects again from now on where a connection ends, as browsers and ingresses do.
    pub(crate) fn reconnects(&mut self, target: Target) {
        self.reconnects = Some(target);
    }

    /// Opens a connection in place of one that has ended; how many requests were under way.
    fn reopen(&mut self, number: usize) -> Result<usize> {
        let target = self.reconnects.as_ref().context("the server closed a connection")?;
        let mut connection = Connection::open(target, &self.requests)?;
        connection.register(self.poll.registry(), Token(number))?;
        self.connections[number] = connection;
        let (room, all) = (self.connections[number].room(), self.free.len());
        self.free.retain(|other| *other != number);
        let idle = all - self.free.len();
        self.free.extend(std::iter::repeat_n(number, room));
        Ok(room - idle)
    }

    /// Sends requests for so long, and waits for the last answers.
    pub(crate) fn run(&mut self, pace: Pace, time: Duration) -> Result<Answered> {
        let begun = Instant::now();
        self.run_while(pace, |_| begun.elapsed() < time)
    }

    /// Asks each of the requests once, in order, as fast as the connections allow.
    pub(crate) fn once(&mut self) -> Result<Answered> {
        let count = self.asks.len();
        self.drive(Pace::Closed, |sent| sent < count, |sent, _| sent % count)
    }

    /// Sends requests while `more`, given the number of requests sent, says so.
    pub(crate) fn run_while(&mut self, pace: Pace, more: impl FnMut(usize) -> bool) -> Result<Answered> {
        let count = self.asks.len();
        self.drive(pace, more, |_, random| random.usize(..count))
    }

    fn drive(
        &mut self,
        pace: Pace,
        mut more: impl FnMut(usize) -> bool,
        mut choose: impl FnMut(usize, &mut fastrand::Rng) -> usize,
    ) -> Result<Answered> {
        let begun = Instant::now();
        let mut answered = Answered::default();
        let mut arrivals = Arrivals::new(pace, begun);
        let mut events = Events::with_capacity(EVENTS);
        let (mut sent, mut under_way, mut goes_on) = (0, 0_usize, true);
        let mut over = begun;
        loop {
            // All that arrived and finds a connection is sent.
            while goes_on && !self.free.is_empty() {
                goes_on = more(sent);
                let Some(at) = arrivals.next(&mut self.random).filter(|_| goes_on) else { break };
                let Some(number) = self.free.pop() else { break };
                let ask = choose(sent, &mut self.random);
                sent += 1;
                under_way += 1;
                if self.connections[number].send(ask, at)? == State::Ended {
                    let lost = self.reopen(number)?;
                    answered.lost += lost as u64;
                    under_way -= lost;
                }
            }
            if goes_on {
                goes_on = more(sent);
                over = Instant::now();
            }
            if !goes_on && under_way == 0 {
                break;
            }
            ensure!(
                goes_on || over.elapsed() < DRAIN,
                "{under_way} requests are not answered after {DRAIN:?}"
            );
            // An open loop looks at the clock all the time: the kernel's timers are too coarse for it.
            let timeout = if matches!(pace, Pace::Open { .. }) && goes_on { Duration::ZERO } else { DRAIN };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout)) {
                ensure!(error.kind() == std::io::ErrorKind::Interrupted, "{error}");
            }
            for event in &events {
                let Token(number) = event.token();
                let before = answered.times.len();
                let state =
                    self.connections[number].receive(&mut self.buffer, &self.asks, &mut |at: Instant| {
                        answered.times.push(u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    })?;
                let done = answered.times.len() - before;
                under_way -= done;
                self.free.extend(std::iter::repeat_n(number, done));
                if state == State::Ended {
                    let lost = self.reopen(number)?;
                    answered.lost += lost as u64;
                    under_way -= lost;
                }
            }
        }
        answered.elapsed = begun.elapsed();
        answered.times.sort_unstable();
        Ok(answered)
    }
}

/// The moments at which requests come.
struct Arrivals {
    pace: Pace,
    next: Instant,
    waiting: VecDeque<Instant>,
}

impl Arrivals {
    fn new(pace: Pace, begun: Instant) -> Self {
        Self { pace, next: begun, waiting: VecDeque::new() }
    }

    /// The moment at which the next request came, if one has come.
    fn next(&mut self, random: &mut fastrand::Rng) -> Option<Instant> {
        let now = Instant::now();
        let Pace::Open { per_second } = self.pace else { return Some(now) };
        while self.next <= now {
            self.waiting.push_back(self.next);
            self.next += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / per_second);
        }
        self.waiting.pop_front()
    }
}
