//! The bare loop: reads a request, writes an answer made beforehand, and does nothing else. What it takes is what the kernel takes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::{Kind, Ports, Server, Setting, free_port};

/// The token of the listener; connections have their place in the table.
const LISTENER: Token = Token(usize::MAX);

pub(super) fn start(setting: &Setting, answer: &[u8]) -> Result<Server> {
    let root = tempfile::tempdir()?;
    let file = root.path().join("answer");
    std::fs::write(&file, answer)?;
    let plain = free_port()?;
    let mut command = setting.cores.server(std::env::current_exe()?);
    command.arg("bare").arg(plain.to_string()).arg(file);
    Server::spawn(Kind::Bare, command, Ports { plain, ..Ports::default() }, root, None)
}

/// Serves the bytes of `file` on `port` until the process is ended.
pub(crate) fn serve(port: &str, file: &Path) -> Result<()> {
    let answer = std::fs::read(file)?;
    let mut listener = TcpListener::bind(format!("127.0.0.1:{port}").parse()?)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Events::with_capacity(256);
    let mut buffer = vec![0; 16 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(connections.len());
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, interest)?;
                    connections.push(Some(Connection { stream, written: answer.len() }));
                }
                continue;
            }
            let place = connections.get_mut(event.token().0).context("an event of nobody")?;
            if let Some(connection) = place
                && connection.turn(&answer, &mut buffer).is_err()
            {
                *place = None;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that are written.
    written: usize,
}

impl Connection {
    /// Goes on writing, or reads a request and begins to write. An error is the end of the connection.
    fn turn(&mut self, answer: &[u8], buffer: &mut [u8]) -> std::io::Result<()> {
        let result = if self.written < answer.len() {
            Ok(())
        } else {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // The load sends one request at a time, in one packet.
                Ok(_) => {
                    self.written = 0;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        };
        let result = result.and_then(|()| {
            while self.written < answer.len() {
                self.written += self.stream.write(&answer[self.written..])?;
            }
            Ok(())
        });
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}
