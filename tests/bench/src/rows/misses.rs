//! Pages that are not stored: what asking the application and storing what it says costs.

use anyhow::Result;

use super::{Bench, Outcome, Spoken, Work};
use crate::load::{Ask, Load};
use crate::machine::spent;
use crate::results::{Metric, Values};
use crate::servers::Kind;

/// Pages of a round.
const PAGES: usize = 8_000;
const PAGES_QUICK: usize = 2_000;

pub(super) fn all() -> [Work; 2] {
    [
        Work::new("miss-1k", "1 KiB that is not stored", |bench, kind| measure(bench, kind, 1 << 10)),
        Work::new("miss-16k", "16 KiB that is not stored", |bench, kind| measure(bench, kind, 16 << 10)),
    ]
}

fn measure(bench: &mut Bench, kind: Kind, size: usize) -> Result<Outcome> {
    if kind == Kind::Bare {
        return Ok(Outcome::NotOffered("no proxy"));
    }
    let (target, connections) = match bench.target(kind, Spoken::Http1)? {
        Ok(target) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    let pages = if bench.options.quick { PAGES_QUICK } else { PAGES };
    let round = bench.number();
    let asks = (0..pages).map(|page| Ask::page(format!("/page/{size}/miss-{round}-{page}"), size)).collect();
    let mut load = Load::connect(&target, connections, asks)?;
    let before = bench.server(kind)?.cpu();
    let answered = load.once()?;
    // What is left to do for these pages (writing them to disk, compressing them) counts as well.
    let cpu = spent(before, bench.settled(kind)?);
    Ok(Outcome::Measured(Values::from([
        (Metric::Cpu, answered.each(cpu)),
        (Metric::Rate, answered.per_second()),
        (Metric::Median, answered.quantile(0.5)),
        (Metric::P99, answered.quantile(0.99)),
    ])))
}
