//! Wakes machines that sleep: Wake-on-LAN.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use domain::sleep::Wake;

/// Sends the magic packet. Nobody answers to it: whether it helped is seen when the server is there.
///
/// # Errors
/// The network cannot be reached, or its address is none for calls to all.
pub(crate) fn call(wake: &Wake) -> io::Result<()> {
    let any: SocketAddr = match wake.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    socket.send_to(&wake.packet(), wake.address).map(drop)
}
