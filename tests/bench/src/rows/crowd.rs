//! A page that is not stored, and a thousand visitors at once.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Outcome, Spoken, Work};
use crate::load::{Ask, Load, Pace};
use crate::machine::spent;
use crate::results::{Metric, Values};
use crate::servers::Kind;

const VISITORS: usize = 1_000;
/// What the application takes for a page.
const RENDER: Duration = Duration::from_millis(100);
const SIZE: usize = 16 << 10;

pub(super) fn work() -> Work {
    Work::new("crowd", "1,000 visitors at once to a page that is not stored and takes 100 ms", measure)
}

fn measure(bench: &mut Bench, kind: Kind) -> Result<Outcome> {
    if kind == Kind::Bare {
        return Ok(Outcome::NotOffered("no cache"));
    }
    let target = match bench.target(kind, Spoken::Http1)? {
        Ok((target, _)) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    let ask = Ask::page(format!("/page/{SIZE}/crowd-{}", bench.number()), SIZE);
    let mut load = Load::connect(&target, VISITORS, vec![ask])?;
    bench.origin.delay(RENDER);
    let renders = bench.origin.renders();
    let before = bench.server(kind)?.cpu();
    let answered = load.run_while(Pace::Closed, |sent| sent < VISITORS);
    bench.origin.delay(Duration::ZERO);
    let answered = answered?;
    let cpu = spent(before, bench.server(kind)?.cpu());
    Ok(Outcome::Measured(Values::from([
        (Metric::Renders, super::float(bench.origin.renders() - renders)),
        (Metric::Cpu, answered.each(cpu)),
        (Metric::Median, answered.quantile(0.5)),
        (Metric::P99, answered.quantile(0.99)),
    ])))
}
