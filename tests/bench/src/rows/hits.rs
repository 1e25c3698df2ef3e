//! Pages that are stored and fresh.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome, Spoken, Work};
use crate::load::{Ask, Captured, Load, Pace, Target, capture};
use crate::machine::spent;
use crate::results::{Metric, Values};
use crate::servers::{Kind, Server};

/// Before a measurement: connections are made, and everything is where it will be.
const WARM: Duration = Duration::from_millis(200);

/// The load of the open loop, as a part of what the server answered at most.
const OPEN_LOAD: f64 = 0.7;

/// Pages of the row that asks for many: 160 MiB, of which no processor's cache holds much.
const MANY: usize = 10_000;

/// kube-isr compresses a page after it was stored, and serves it as it is until then.
const COMPRESSED_WITHIN: Duration = Duration::from_secs(10);

const KIB: usize = 1 << 10;

/// What is asked in a row.
#[derive(Clone, Copy)]
enum Hit {
    /// A page of a size.
    Page(usize),
    /// One of many pages.
    Many,
    /// The page, by who has it.
    NotModified,
    /// The page, in a coding.
    Coded(&'static str),
    /// A part of the page.
    Range,
}

pub(super) fn all() -> Vec<Work> {
    use Spoken::{Http1, Http2, TlsHttp1, TlsHttp2};
    let rows = [
        ("hit-1k", "1 KiB", Hit::Page(KIB), Http1),
        ("hit-16k", "16 KiB", Hit::Page(16 * KIB), Http1),
        ("hit-128k", "128 KiB", Hit::Page(128 * KIB), Http1),
        ("hit-many", "16 KiB, one of 10,000 pages", Hit::Many, Http1),
        ("hit-304", "304 Not Modified", Hit::NotModified, Http1),
        ("hit-gzip", "16 KiB as gzip", Hit::Coded("gzip"), Http1),
        ("hit-brotli", "16 KiB as brotli", Hit::Coded("br"), Http1),
        ("hit-range", "1,000 bytes of 128 KiB", Hit::Range, Http1),
        ("hit-h2c", "16 KiB, HTTP/2", Hit::Page(16 * KIB), Http2),
        ("hit-tls", "16 KiB, TLS 1.3", Hit::Page(16 * KIB), TlsHttp1),
        ("hit-tls-h2", "16 KiB, TLS 1.3, HTTP/2", Hit::Page(16 * KIB), TlsHttp2),
    ];
    rows.into_iter()
        .map(|(id, title, hit, spoken)| {
            let work = Work::new(id, title, move |bench, kind| measure(bench, kind, hit, spoken));
            let has_budget = matches!(id, "hit-1k" | "hit-16k");
            if has_budget { work.twice_as_often() } else { work }
        })
        .collect()
}

fn measure(bench: &mut Bench, kind: Kind, hit: Hit, spoken: Spoken) -> Result<Outcome> {
    if kind == Kind::Bare {
        return bare(bench, hit, spoken);
    }
    let plain = match bench.target(kind, Spoken::Http1)? {
        Ok((target, _)) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    let (target, connections) = match bench.target(kind, spoken)? {
        Ok(target) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    if kind == Kind::Haproxy && matches!(hit, Hit::Range) {
        return Ok(Outcome::NotOffered("answers with the whole page"));
    }
    let (asks, _) = prepare(&plain, hit)?;
    let mut load = Load::connect(&target, connections, asks)?;
    if matches!(hit, Hit::Many) {
        load.once()?;
        // Some write them to their disks.
        bench.settled(kind)?;
    }
    // Some store a page once for each protocol.
    load.run(Pace::Closed, WARM)?;
    let window = bench.window();
    let renders = bench.origin.renders();
    let values = both_loops(bench.server(kind)?, load, window)?;
    let asked = bench.origin.renders() - renders;
    ensure!(asked == 0, "the application was asked {asked} times, so these were not all hits");
    Ok(Outcome::Measured(values))
}

/// The bare loop writes what kube-isr writes.
fn bare(bench: &mut Bench, hit: Hit, spoken: Spoken) -> Result<Outcome> {
    if spoken != Spoken::Http1 {
        return Ok(Outcome::NotOffered("HTTP/1.1 alone"));
    }
    let Ok((model, connections)) = bench.target(Kind::KubeIsr, spoken)? else {
        return Ok(Outcome::NotOffered("kube-isr does not do it"));
    };
    let (asks, captured) = prepare(&model, hit)?;
    let server = Server::bare(&bench.setting, &captured.bytes)?;
    let address = ([127, 0, 0, 1], server.ports.plain).into();
    let mut load = Load::connect(&Target { address, ..model }, connections, asks)?;
    load.run(Pace::Closed, WARM)?;
    let values = both_loops(&server, load, bench.window())?;
    Ok(Outcome::Measured(values))
}

/// Has the server store what will be asked, and finds out what exactly that is.
fn prepare(target: &Target, hit: Hit) -> Result<(Vec<Ask>, Captured)> {
    let page = |size: usize| Ask::page(format!("/page/{size}/hot"), size);
    let whole = page(16 * KIB);
    // Twice: some store at the second request.
    capture(target, &whole)?;
    let ask = match hit {
        Hit::Page(size) => page(size),
        Hit::Many => return many(target),
        Hit::Range => {
            capture(target, &page(128 * KIB))?;
            let range = page(128 * KIB).with("range", "bytes=1000-1999");
            Ask { status: 206, length: Some(1000), ..range }
        }
        Hit::NotModified => {
            let etag = capture(target, &whole)?.field("etag").context("the page has no ETag")?;
            Ask { status: 304, length: Some(0), ..whole.with("if-none-match", etag) }
        }
        Hit::Coded(coding) => {
            // A page of its own: HAProxy gives a page that it has as it is to everybody.
            let page = Ask::page(format!("/page/{}/{coding}", 16 * KIB), 16 * KIB);
            let ask = Ask { length: None, ..page.with("accept-encoding", coding) };
            let begun = std::time::Instant::now();
            let captured = loop {
                let captured = capture(target, &ask)?;
                if captured.field("content-encoding").as_deref() == Some(coding) {
                    break captured;
                }
                ensure!(begun.elapsed() < COMPRESSED_WITHIN, "the page does not come as {coding}");
                std::thread::sleep(Duration::from_millis(20));
            };
            Ask { length: Some(captured.length), ..ask }
        }
    };
    capture(target, &ask)?;
    let captured = capture(target, &ask)?;
    Ok((vec![ask], captured))
}

fn many(target: &Target) -> Result<(Vec<Ask>, Captured)> {
    let page = |number| Ask::page(format!("/page/{}/{number}", 16 * KIB), 16 * KIB);
    let captured = capture(target, &page(0))?;
    Ok(((0..MANY).map(page).collect(), captured))
}

/// Measures in a closed loop, then in an open one at a part of that load.
fn both_loops(server: &Server, mut load: Load, window: Duration) -> Result<Values> {
    let before = server.cpu();
    let closed = load.run(Pace::Closed, window)?;
    let cpu = spent(before, server.cpu());
    let open = load.run(Pace::Open { per_second: closed.per_second() * OPEN_LOAD }, window)?;
    Ok(Values::from([
        (Metric::Cpu, closed.each(cpu)),
        (Metric::Rate, closed.per_second()),
        (Metric::Median, closed.quantile(0.5)),
        (Metric::P99, closed.quantile(0.99)),
        (Metric::P999, closed.quantile(0.999)),
        (Metric::OpenMedian, open.quantile(0.5)),
        (Metric::OpenP99, open.quantile(0.99)),
        (Metric::OpenP999, open.quantile(0.999)),
    ]))
}
