//! How a device is known that has no key.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::upstream::matches;

/// How a device is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Device {
    /// By its address, or that of its network.
    Network(IpNet),
    /// By the address of its network card.
    Mac(Mac),
    /// By the name it gave itself when it got its address (DHCP); `*` stands for any letters.
    HostName(String),
    /// By the interface of this machine to which it is connected: a VLAN or a guest network.
    Interface(String),
}

/// The address of a network card.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(part, 16).map_err(drop)?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no device: write an address (192.168.1.7), a network (192.168.7.0/24), the address of a network card \
     (aa:bb:cc:dd:ee:ff), host:NAME or interface:NAME"
)]
pub struct NotADevice(String);

/// Longest name of a host or an interface.
const NAME_CHARS_MAX: usize = 64;

impl FromStr for Device {
    type Err = NotADevice;

    fn from_str(text: &str) -> Result<Self, NotADevice> {
        let name = |name: &str| {
            let is_name =
                !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(|c| c.is_ascii_graphic());
            is_name.then(|| name.to_owned()).ok_or_else(|| NotADevice(text.to_owned()))
        };
        if let Some(host) = text.strip_prefix("host:") {
            return Ok(Self::HostName(name(host)?.to_ascii_lowercase()));
        }
        if let Some(interface) = text.strip_prefix("interface:") {
            return Ok(Self::Interface(name(interface)?));
        }
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let device = network.map(Self::Network).or_else(|_| text.parse().map(Self::Mac));
        device.map_err(|()| NotADevice(text.chars().take(NAME_CHARS_MAX).collect()))
    }
}

/// What is known of the device that calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its address.
    pub address: IpAddr,
    /// That of its network card, on our own network.
    pub mac: Option<Mac>,
    /// The name that it gave itself, in small letters.
    pub host_name: Option<Arc<str>>,
    /// The interface of ours to which it is connected.
    pub interface: Option<Arc<str>>,
}

impl Device {
    /// Whether the caller is this device.
    #[must_use]
    pub fn is(&self, caller: &Caller) -> bool {
        match self {
            Self::Network(network) => network.contains(&caller.address.to_canonical()),
            Self::Mac(mac) => caller.mac == Some(*mac),
            Self::HostName(pattern) => caller.host_name.as_deref().is_some_and(|name| matches(pattern, name)),
            Self::Interface(name) => caller.interface.as_deref() == Some(name),
        }
    }

    /// How much it says: what names one card comes before what names a network, and a small network before a large one.
    #[must_use]
    pub fn weight(&self) -> u8 {
        match self {
            Self::Mac(_) => u8::MAX,
            Self::HostName(_) => u8::MAX - 1,
            Self::Network(network) => network.prefix_len(),
            Self::Interface(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Caller {
        Caller { address: address.parse().unwrap(), mac: None, host_name: None, interface: None }
    }

    #[test]
    fn devices_are_read_and_found() {
        let full = Caller {
            mac: Some(Mac([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff])),
            host_name: Some("annas-laptop".into()),
            interface: Some("br-guest".into()),
            ..caller("::ffff:192.168.7.9")
        };
        for (text, want) in [
            ("192.168.7.9", true),
            ("192.168.7.0/24", true),
            ("192.168.8.0/24", false),
            ("AA-BB-CC-DD-EE-FF", true),
            ("aa:bb:cc:dd:ee:fe", false),
            ("host:Annas-*", true),
            ("host:bobs-laptop", false),
            ("interface:br-guest", true),
            ("interface:br", false),
        ] {
            let device: Device = text.parse().unwrap();
            assert_eq!(device.is(&full), want, "{text}");
            assert!(!device.is(&caller("10.0.0.1")), "{text}");
        }
        for bad in
            ["", "host:", "annas-laptop", "192.168.7.0/33", "aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee:ff:00", "interface:a b"]
        {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_says_more_weighs_more() {
        let weight = |text: &str| text.parse::<Device>().unwrap().weight();
        let order = ["interface:lan", "10.0.0.0/8", "10.1.1.0/24", "10.1.1.1", "host:a", "aa:bb:cc:dd:ee:ff"];
        assert!(order.windows(2).all(|pair| weight(pair[0]) < weight(pair[1])), "{order:?}");
    }
}
