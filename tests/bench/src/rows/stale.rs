//! A page that is stale, while the application takes two seconds to render it anew.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, Outcome, Spoken, Work};
use crate::load::{Ask, capture, request};
use crate::results::{Metric, Values};
use crate::servers::Kind;

/// What the application takes.
const RENDER: Duration = Duration::from_secs(2);
/// The page is fresh for a second, which some count in whole seconds.
const STALE_AFTER: Duration = Duration::from_millis(2500);

const SIZE: usize = 16 << 10;

pub(super) fn work() -> Work {
    Work::new("stale", "stale page while the application takes 2 s", measure).once()
}

fn measure(bench: &mut Bench, kind: Kind) -> Result<Outcome> {
    if kind == Kind::Bare {
        return Ok(Outcome::NotOffered("no cache"));
    }
    let target = match bench.target(kind, Spoken::Http1)? {
        Ok((target, _)) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    let ask = Ask::page(format!("/brief/{SIZE}/stale-{}", bench.number()), SIZE);
    capture(&target, &ask)?;
    std::thread::sleep(STALE_AFTER);
    bench.origin.delay(RENDER);
    let renders = bench.origin.renders();
    let times = two(&target.address.to_string(), &ask);
    // What is being rendered is to be done before another row begins.
    std::thread::sleep(RENDER);
    bench.origin.delay(Duration::ZERO);
    ensure!(bench.origin.renders() > renders, "the page was still fresh");
    let [stale, next] = times?;
    Ok(Outcome::Measured(Values::from([(Metric::Stale, stale), (Metric::Next, next)])))
}

/// What two requests on one connection take, one after the other, in milliseconds.
fn two(address: &str, ask: &Ask) -> Result<[f64; 2]> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut times = [0.0; 2];
    for time in &mut times {
        let begun = Instant::now();
        stream.write_all(&request(ask))?;
        let mut buffer = vec![0; 64 << 10];
        let mut received = 0;
        // A head is shorter than 1 KiB, so this ends within the body's last KiB.
        while received < SIZE {
            let length = stream.read(&mut buffer[received..])?;
            ensure!(length > 0, "the server closed the connection");
            received += length;
        }
        *time = begun.elapsed().as_secs_f64() * 1e3;
        // The rest, if any, is under way by now.
        stream.set_read_timeout(Some(Duration::from_millis(2)))?;
        while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
        stream.set_read_timeout(None)?;
    }
    Ok(times)
}
