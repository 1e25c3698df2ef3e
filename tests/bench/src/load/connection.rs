//! One connection: bytes in and out, plain or over TLS, and the protocol that makes requests and answers of them.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls_pki_types::ServerName;
use tokio_rustls::rustls::ClientConnection;

use super::http1::{self, Http1};
use super::http2::{self, Http2};
use super::{Ask, HOST, Protocol, Target};

/// A server that does not accept a connection for so long has failed.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    codec: Codec,
    /// What is to be sent, and was not yet taken by the kernel.
    out: Vec<u8>,
}

/// The bytes of each request, as the protocol has them.
pub(super) type Encoded = Arc<[Vec<u8>]>;

pub(super) struct Requests(Encoded);

impl Requests {
    pub(super) fn new(target: &Target, asks: &[Ask]) -> Self {
        let scheme = if target.tls.is_some() { "https" } else { "http" };
        Self(match target.protocol {
            Protocol::Http1 => asks.iter().map(http1::request).collect(),
            Protocol::Http2 { .. } => asks.iter().map(|ask| http2::block(ask, scheme)).collect(),
        })
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Ended,
}

enum Codec {
    Http1(Http1),
    Http2(Http2),
}

impl Connection {
    /// Connects, and waits until the handshakes are done.
    pub(super) fn open(target: &Target, requests: &Requests) -> Result<Self> {
        let mut stream = std::net::TcpStream::connect_timeout(&target.address, CONNECT_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CONNECT_WITHIN))?;
        let tls = match &target.tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(HOST)?;
                let mut tls = ClientConnection::new(Arc::clone(config), name)?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut stream).context("the TLS handshake")?;
                }
                Some(tls)
            }
        };
        let mut out = Vec::new();
        let requests = Arc::clone(&requests.0);
        let codec = match target.protocol {
            Protocol::Http1 => Codec::Http1(Http1::new(requests)),
            Protocol::Http2 { streams } => Codec::Http2(Http2::open(requests, streams, &mut out)),
        };
        stream.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(stream), tls, codec, out })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(())
    }

    /// How many requests it takes at a time.
    pub(super) fn room(&self) -> usize {
        match &self.codec {
            Codec::Http1(_) => 1,
            Codec::Http2(http2) => http2.room(),
        }
    }

    /// Sends the request with this number, which came at this moment.
    pub(super) fn send(&mut self, ask: usize, at: Instant) -> Result<State> {
        match &mut self.codec {
            Codec::Http1(http1) => http1.send(ask, at, &mut self.out),
            Codec::Http2(http2) => http2.send(ask, at, &mut self.out),
        }
        self.flush()
    }

    /// Reads what has come, and tells `answered` when each request came that is answered now.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        asks: &[Ask],
        answered: &mut dyn FnMut(Instant),
    ) -> Result<State> {
        loop {
            let read = match &mut self.tls {
                None => self.stream.read(buffer),
                Some(tls) => read_tls(tls, &mut self.stream, buffer),
            };
            let length = match read {
                Ok(0) => return Ok(State::Ended),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return ended(error),
            };
            let bytes = &buffer[..length];
            match &mut self.codec {
                Codec::Http1(http1) => http1.receive(bytes, asks, answered)?,
                Codec::Http2(http2) => http2.receive(bytes, asks, &mut self.out, answered)?,
            }
            // Less than there was room for: the kernel has no more (epoll(7)).
            if self.tls.is_none() && length < buffer.len() {
                break;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<State> {
        if !self.out.is_empty() {
            let written = match &mut self.tls {
                None => self.stream.write(&self.out),
                Some(tls) => tls.writer().write(&self.out),
            };
            match written {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return ended(error),
            }
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return ended(error),
                }
            }
        }
        Ok(State::Open)
    }
}

/// What an error of the socket means.
fn ended(error: io::Error) -> Result<State> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(State::Ended),
        _ => Err(error.into()),
    }
}

/// Reads decrypted bytes; like a socket, it says that it would block when there are none.
fn read_tls(tls: &mut ClientConnection, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        if tls.read_tls(stream)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets().map_err(io::Error::other)?;
    }
}
