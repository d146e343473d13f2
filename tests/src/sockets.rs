//! Addresses on which connecting never ends, and what the kernel knows of such attempts.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// An address where nothing listens: connecting is refused.
#[must_use]
pub fn refused() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no free port");
    listener.local_addr().expect("no address")
}

/// A listener whose backlog is full, so that further attempts to connect stay in SYN-SENT.
#[derive(Debug)]
pub struct Blackhole {
    address: SocketAddr,
    _listener: Socket,
    _filling: Vec<TcpStream>,
}

impl Blackhole {
    /// Makes one.
    ///
    /// # Panics
    /// When connections to it still succeed after the backlog should be full.
    #[must_use]
    pub fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("no socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        listener.bind(&any.into()).expect("no free port");
        listener.listen(0).expect("cannot listen");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("no address");
        let mut filling = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            filling.push(stream);
            assert!(filling.len() < 64, "the backlog of {address} does not fill up");
        }
        Self { address, _listener: listener, _filling: filling }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the number of attempts to connect is as wanted; false when it is not within the bound.
    #[must_use]
    pub fn wait_attempts(&self, wanted: impl Fn(usize) -> bool, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        while !wanted(self.attempts()) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Sockets of this machine in SYN-SENT towards this address.
    fn attempts(&self) -> usize {
        const SYN_SENT: &str = "02";
        let table = std::fs::read_to_string("/proc/net/tcp").expect("no /proc/net/tcp");
        let port = format!(":{:04X}", self.address.port());
        let to_us = |line: &&str| {
            let mut words = line.split_whitespace().skip(2);
            words.next().is_some_and(|remote| remote.ends_with(&port)) && words.next() == Some(SYN_SENT)
        };
        table.lines().filter(to_us).count()
    }
}
