//! A plain HTTP/1.1 client over a blocking socket, which shows every byte as it comes and can leave in any phase.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::fake::find;
use crate::message::parse_head;
pub use crate::message::{Head, Request, Response};

/// A wait that is long on any machine: an answer that takes longer is a failure, not a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Sends one request and reads the whole answer.
#[must_use]
pub fn send(address: SocketAddr, request: &Request) -> Response {
    Exchange::start(address, &request.clone().with("connection", "close")).finish()
}

/// One connection to the daemon with a request on its way.
#[derive(Debug)]
pub struct Exchange {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Unread,
    Chunked,
    Length(usize),
    UntilClose,
    Ended { complete: bool },
}

impl Exchange {
    /// Connects only.
    ///
    /// # Panics
    /// When the daemon does not accept.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the daemon does not accept connections");
        Self::over(stream, address)
    }

    /// Connects only, from this address of our own.
    ///
    /// # Panics
    /// When the address is not ours or the daemon does not accept.
    #[must_use]
    pub fn connect_from(from: SocketAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(from), Type::STREAM, None).expect("no socket");
        socket.bind(&from.into()).expect("not an address of this machine");
        socket.connect(&address.into()).expect("the daemon does not accept connections");
        Self::over(socket.into(), address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Self {
        stream.set_nodelay(true).expect("no TCP_NODELAY");
        stream.set_read_timeout(Some(PATIENCE)).expect("no read timeout");
        Self { stream, address, buffer: Vec::new(), framing: Framing::Unread }
    }

    /// Connects and sends a request.
    #[must_use]
    pub fn start(address: SocketAddr, request: &Request) -> Self {
        let mut exchange = Self::connect(address);
        exchange.send(request);
        exchange
    }

    /// Sends a request on this connection.
    pub fn send(&mut self, request: &Request) {
        self.framing = Framing::Unread;
        self.write(&request.bytes(self.address));
    }

    /// Sends these bytes as they are. A connection that the daemon has closed is seen when reading.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Leaves with an orderly close (FIN); gives the time of leaving.
    #[must_use]
    pub fn leave(self) -> Instant {
        let now = Instant::now();
        drop(self.stream);
        now
    }

    /// Leaves with a reset (RST); gives the time of leaving.
    #[must_use]
    pub fn reset(self) -> Instant {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("no SO_LINGER");
        self.leave()
    }

    /// Reads status and headers.
    ///
    /// # Panics
    /// When the connection ends before.
    #[must_use]
    pub fn head(&mut self) -> Head {
        self.try_head().expect("the daemon closed the connection without an answer")
    }

    /// Reads status and headers; `None` when the connection ends before. Interim answers (1xx) are passed over.
    pub fn try_head(&mut self) -> Option<Head> {
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                    break at + 4;
                }
                self.more().then_some(())?;
            };
            let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            self.buffer.drain(..end);
            let head = parse_head(&text);
            if head.status >= 200 {
                self.framing = framing(&head);
                return Some(head);
            }
        }
    }

    /// The status of an interim answer, like 100.
    ///
    /// # Panics
    /// When the connection ends before.
    #[must_use]
    pub fn interim(&mut self) -> u16 {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return parse_head(&String::from_utf8_lossy(&head)).status;
            }
            assert!(self.more(), "the daemon closed the connection without an answer");
        }
    }

    /// The next bytes of the body as they come; `None` at its end.
    pub fn part(&mut self) -> Option<Vec<u8>> {
        match self.framing {
            Framing::Unread => panic!("the head comes first"),
            Framing::Ended { .. } => None,
            Framing::Chunked => self.chunk(),
            Framing::Length(0) => self.end(true),
            Framing::Length(left) => {
                if self.buffer.is_empty() && !self.more() {
                    return self.end(false);
                }
                let part: Vec<u8> = self.buffer.drain(..left.min(self.buffer.len())).collect();
                self.framing = Framing::Length(left - part.len());
                Some(part)
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && !self.more() {
                    return self.end(true);
                }
                Some(std::mem::take(&mut self.buffer))
            }
        }
    }

    /// Reads the body until its text has `wanted`; gives all that was read.
    ///
    /// # Panics
    /// When the body ends before.
    #[must_use]
    pub fn until(&mut self, wanted: &str) -> String {
        let mut read = Vec::new();
        while find(&read, wanted.as_bytes()).is_none() {
            match self.part() {
                Some(part) => read.extend(part),
                None => panic!("no {wanted:?} in {:?}", String::from_utf8_lossy(&read)),
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Reads the rest of the body.
    #[must_use]
    pub fn rest(&mut self) -> String {
        let mut read = Vec::new();
        while let Some(part) = self.part() {
            read.extend(part);
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Whether the body came to its proper end.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.framing == Framing::Ended { complete: true }
    }

    /// Reads the whole answer.
    #[must_use]
    pub fn finish(&mut self) -> Response {
        let head = self.head();
        let mut body = Vec::new();
        while let Some(part) = self.part() {
            body.extend(part);
        }
        Response { head, body, complete: self.complete() }
    }

    fn end(&mut self, complete: bool) -> Option<Vec<u8>> {
        self.framing = Framing::Ended { complete };
        None
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = find(&self.buffer, b"\r\n") {
                let size = String::from_utf8_lossy(&self.buffer[..line]).trim().to_owned();
                let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("bad chunk size {size:?}"));
                let end = line + 2 + size + 2;
                if self.buffer.len() >= end {
                    let data = self.buffer[line + 2..end - 2].to_vec();
                    self.buffer.drain(..end);
                    return if size == 0 { self.end(true) } else { Some(data) };
                }
            }
            if !self.more() {
                return self.end(false);
            }
        }
    }

    fn more(&mut self) -> bool {
        let mut space = [0; 16 * 1024];
        match self.stream.read(&mut space) {
            Ok(0) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&space[..read]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no byte from the daemon within {PATIENCE:?}: {error}"),
        }
    }
}

fn framing(head: &Head) -> Framing {
    if matches!(head.status, 204 | 304) {
        return Framing::Length(0);
    }
    if head.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        return Framing::Chunked;
    }
    head.header("content-length").map_or(Framing::UntilClose, |length| {
        Framing::Length(length.parse().unwrap_or_else(|_| panic!("bad length {length:?}")))
    })
}
