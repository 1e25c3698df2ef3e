//! Large bodies that are passed through and not stored.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome, Spoken, Work};
use crate::load::HOST;
use crate::machine::spent;
use crate::results::{Metric, Values};
use crate::servers::Kind;

const GIB: u64 = 1 << 30;
/// What the client reads and writes at a time, in bytes.
const PIECE: usize = 256 << 10;

#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

pub(super) fn all() -> [Work; 2] {
    [
        Work::new("pass-download", "1 GiB from the application", |bench, kind| {
            measure(bench, kind, Way::Down)
        }),
        Work::new("pass-upload", "1 GiB to the application", |bench, kind| measure(bench, kind, Way::Up)),
    ]
}

fn measure(bench: &mut Bench, kind: Kind, way: Way) -> Result<Outcome> {
    if kind == Kind::Bare {
        return Ok(Outcome::NotOffered("no proxy"));
    }
    let target = match bench.target(kind, Spoken::Http1)? {
        Ok((target, _)) => target,
        Err(why) => return Ok(Outcome::NotOffered(why)),
    };
    let bytes = if bench.options.quick { GIB / 8 } else { GIB };
    let mut stream = TcpStream::connect(target.address)?;
    let before = bench.server(kind)?.cpu();
    let begun = Instant::now();
    match way {
        Way::Down => download(&mut stream, bytes)?,
        Way::Up => upload(&mut stream, bytes)?,
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = spent(before, bench.server(kind)?.cpu()).as_secs_f64();
    let part = super::float(bytes) / super::float(GIB);
    Ok(Outcome::Measured(Values::from([
        (Metric::CpuPerGib, cpu / part),
        (Metric::Throughput, part / elapsed),
    ])))
}

fn download(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    stream.write_all(format!("GET /pass/down/{bytes} HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes())?;
    let mut buffer = vec![0; PIECE];
    let first = stream.read(&mut buffer)?;
    let head = memchr::memmem::find(&buffer[..first], b"\r\n\r\n").context("a head in one piece")? + 4;
    ensure!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..head]));
    let mut received = (first - head) as u64;
    while received < bytes {
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "the server closed the connection after {received} bytes");
        received += length as u64;
    }
    Ok(())
}

fn upload(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let head = format!("POST /pass/up HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let piece = vec![b'x'; PIECE];
    let mut rest = bytes;
    while rest > 0 {
        let length = rest.min(PIECE as u64);
        stream.write_all(&piece[..usize::try_from(length)?])?;
        rest -= length;
    }
    let mut buffer = vec![0; PIECE];
    let length = stream.read(&mut buffer)?;
    ensure!(buffer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&buffer[..length]));
    Ok(())
}
