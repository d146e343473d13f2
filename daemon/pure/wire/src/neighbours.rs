//! Who is on our own networks: the kernel's table of neighbours (rtnetlink(7)), and the names that devices gave themselves when they
//! got their addresses (dnsmasq's file of leases).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::tenant::Mac;

/// A neighbour of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// That of its network card.
    pub mac: Mac,
    /// The number of our interface to which it is connected.
    pub interface: u32,
}

/// What comes of reading a part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// More parts follow.
    More,
    /// This was the end.
    End,
    /// The kernel refuses, or the bytes are none of its.
    Failed,
}

// linux/netlink.h, linux/rtnetlink.h and linux/neighbour.h; numbers are in the machine's own order of bytes.
const HEAD_BYTES: usize = 16;
const NEIGHBOUR_BYTES: usize = 12;
const ATTRIBUTE_BYTES: usize = 4;
const NEW_NEIGHBOUR: u16 = 28;
const GET_NEIGHBOURS: u16 = 30;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST_AND_DUMP: u16 = 0x301;
const DESTINATION: u16 = 1;
const LINK_ADDRESS: u16 = 2;
/// Entries that failed or were never complete have no address that means anything: `NUD_INCOMPLETE`, `NUD_FAILED`, `NUD_NOARP`.
const STATES_WITHOUT_ADDRESS: u16 = 0x01 | 0x20 | 0x40;

/// The question for all neighbours of both families.
#[must_use]
pub fn ask() -> [u8; HEAD_BYTES + NEIGHBOUR_BYTES] {
    let mut bytes = [0; HEAD_BYTES + NEIGHBOUR_BYTES];
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&GET_NEIGHBOURS.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    bytes[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    bytes
}

/// Reads one datagram of the answer; `found` gets the neighbours in it.
pub fn read(mut bytes: &[u8], mut found: impl FnMut(Neighbour)) -> Read {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let Some(message) = usize::try_from(length).ok().and_then(|length| bytes.get(..length)) else {
            return Read::Failed;
        };
        let Some(body) = message.get(HEAD_BYTES..) else { return Read::Failed };
        match kind {
            DONE => return Read::End,
            ERROR => return Read::Failed,
            NEW_NEIGHBOUR => neighbour(body).into_iter().for_each(&mut found),
            _ => {}
        }
        bytes = bytes.get(aligned(message.len())..).unwrap_or_default();
    }
    if bytes.is_empty() { Read::More } else { Read::Failed }
}

fn neighbour(body: &[u8]) -> Option<Neighbour> {
    let (interface, state) = (word(body, 4)?, half(body, 8)?);
    if state & STATES_WITHOUT_ADDRESS != 0 {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    let mut rest = body.get(NEIGHBOUR_BYTES..)?;
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let attribute = rest.get(..usize::from(length))?;
        let value = attribute.get(ATTRIBUTE_BYTES..)?;
        match kind {
            DESTINATION => address = ip(value),
            LINK_ADDRESS => mac = value.try_into().ok().map(Mac),
            _ => {}
        }
        rest = rest.get(aligned(attribute.len())..).unwrap_or_default();
    }
    Some(Neighbour { address: address?, mac: mac?, interface })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)))).ok()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

const fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// Leases that are read at most: a /16 has 65,534.
const LEASES_MAX: usize = 70_000;
/// Longest name that RFC 1035 allows.
const HOST_CHARS_MAX: usize = 253;

/// The devices in dnsmasq's file of leases that gave themselves a name: each line is the time, the address of the network card, the
/// IP address, the name or `*`, and the client's id. Names come in small letters.
pub fn leases(text: &str) -> impl Iterator<Item = (Mac, String)> {
    text.lines().take(LEASES_MAX).filter_map(|line| {
        let mut parts = line.split_ascii_whitespace().skip(1);
        let mac = parts.next()?.parse().ok()?;
        let name = parts.nth(1).filter(|name| *name != "*" && name.len() <= HOST_CHARS_MAX)?;
        Some((mac, name.to_ascii_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(ATTRIBUTE_BYTES + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn message(kind: u16, state: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 0];
        body.extend(3_u32.to_ne_bytes());
        body.extend(state.to_ne_bytes());
        body.extend([0, 0]);
        body.extend(attributes.concat());
        let mut bytes = u32::try_from(HEAD_BYTES + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEAD_BYTES, 0);
        bytes.extend(body);
        bytes
    }

    fn all(bytes: &[u8]) -> (Vec<Neighbour>, Read) {
        let mut found = Vec::new();
        let read = read(bytes, |neighbour| found.push(neighbour));
        (found, read)
    }

    #[test]
    fn neighbours_are_read() {
        let mac = [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let v4 = [attribute(DESTINATION, &[192, 168, 7, 9]), attribute(LINK_ADDRESS, &mac), attribute(9, &[0; 3])];
        let v6 = [attribute(DESTINATION, &Ipv6Addr::LOCALHOST.octets()), attribute(LINK_ADDRESS, &mac)];
        let failed = message(NEW_NEIGHBOUR, 0x20, &v4);
        let nameless = message(NEW_NEIGHBOUR, 2, &v4[..1]);
        let bytes = [message(NEW_NEIGHBOUR, 2, &v4), failed, nameless, message(NEW_NEIGHBOUR, 4, &v6)].concat();
        let neighbour = |address: &str| Neighbour { address: address.parse().unwrap(), mac: Mac(mac), interface: 3 };
        assert_eq!(all(&bytes), (vec![neighbour("192.168.7.9"), neighbour("::1")], Read::More));
        assert_eq!(all(&message(DONE, 0, &[])), (vec![], Read::End));
        assert_eq!(all(&message(ERROR, 0, &[])), (vec![], Read::Failed));
        assert_eq!(all(&bytes[..bytes.len() - 1]).1, Read::Failed);
        assert_eq!(all(&[0; 16]).1, Read::Failed, "no message is so short, and none is read twice");
    }

    #[test]
    fn leases_are_read() {
        let text = "1700000000 aa:bb:cc:dd:ee:ff 192.168.1.9 Annas-Laptop 01:aa\n1700000000 aa:bb:cc:dd:ee:fe 192.168.1.8 * *\n\
                    duid 00:01\nnonsense\n";
        let found: Vec<_> = leases(text).collect();
        assert_eq!(found, [("aa:bb:cc:dd:ee:ff".parse().unwrap(), "annas-laptop".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            all(&bytes);
            let _ = leases(&String::from_utf8_lossy(&bytes)).count();
        }
    }
}
