//! One answer, byte by byte as it comes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Ask, Target, http1, request};

/// The slowest answer that is waited for takes a page of two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An answer over HTTP/1.1 in the clear.
pub(crate) struct Captured {
    /// All bytes of it.
    pub(crate) bytes: Vec<u8>,
    head: String,
    /// Bytes of the body.
    pub(crate) length: u64,
}

impl Captured {
    /// The value of a field, named in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// Asks once over a connection of its own.
pub(crate) fn capture(target: &Target, ask: &Ask) -> Result<Captured> {
    exchange(target.address, &request(ask), ask)
}

/// Whether a page of a host is answered with 200.
pub(crate) fn reachable(address: SocketAddr, host: &str, path: &str) -> bool {
    let ask = Ask { path: path.to_owned(), fields: Vec::new(), status: 200, length: None };
    let bytes = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    exchange(address, bytes.as_bytes(), &ask).is_ok()
}

fn exchange(address: SocketAddr, request: &[u8], ask: &Ask) -> Result<Captured> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "{}: the server closed the connection", ask.path);
        bytes.extend_from_slice(&buffer[..length]);
        let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") else { continue };
        let (status, length) = http1::parse(&bytes[..end + 4])?;
        if (bytes.len() - end - 4) as u64 >= length {
            ask.check(status, length)?;
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok(Captured { bytes, head, length });
        }
    }
}
