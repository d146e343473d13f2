//! Which addresses may call the endpoint.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::upstream::matches;

/// Who may connect besides the LAN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Everybody may.
    pub allow_public: bool,
    /// These networks may.
    pub allow_networks: Vec<IpNet>,
    /// Proxies of ours in these networks say truly for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
}

impl Access {
    /// For whom `peer` asks: for itself; or, if it is a proxy of ours, for the last address in its `X-Forwarded-For` (all such
    /// headers, in their order) that is no proxy of ours. What anybody else writes there says nothing.
    pub fn client_behind<'h>(&self, peer: IpAddr, forwarded_for: impl Iterator<Item = &'h str>) -> IpAddr {
        let is_trusted = |address: IpAddr| self.trusted_proxies.iter().any(|network| network.contains(&address));
        let mut client = peer.to_canonical();
        if !is_trusted(client) {
            return client;
        }
        let hops: Vec<&str> = forwarded_for.flat_map(|header| header.split(',')).collect();
        for hop in hops.iter().rev() {
            // What is no address was not written by a proxy of ours.
            let Some(address) = forwarded_address(hop.trim()) else { break };
            client = address;
            if !is_trusted(client) {
                break;
            }
        }
        client
    }

    /// Whether `peer` may call us on our address `local`.
    ///
    /// The LAN may: loopback, RFC 1918, link-local and unique local addresses, and IPv6 neighbours that share our
    /// own /64. Carrier-grade NAT (100.64.0.0/10) is not the LAN: its other members are strangers.
    #[must_use]
    pub fn permits(&self, peer: IpAddr, local: Option<IpAddr>) -> bool {
        let peer = peer.to_canonical();
        self.allow_public
            || is_private(peer)
            || local.is_some_and(|local| same_subnet(peer, local.to_canonical()))
            || self.allow_networks.iter().any(|network| network.contains(&peer))
    }
}

/// An address with or without a port, as proxies write it.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.split(']').next()?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bare).map(|address: IpAddr| address.to_canonical())
}

/// Whether the address can only be one of a local network.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// An IPv6 subnet is a /64 (RFC 4291 section 2.5.1); in IPv4 only the very same address counts as near.
fn same_subnet(peer: IpAddr, local: IpAddr) -> bool {
    match (peer, local) {
        (IpAddr::V6(peer), IpAddr::V6(local)) => peer.segments()[..4] == local.segments()[..4],
        (IpAddr::V4(peer), IpAddr::V4(local)) => peer == local,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Whether a `Host` header names this box: an address, or a name that only a local resolver can give.
///
/// A web page on the Internet can point its own name at a LAN address (DNS rebinding) and so make a browser call us;
/// its `Host` then is a public name, and this says no. `names` are further names that the owner allows.
#[must_use]
pub fn is_local_host(host: &str, names: &[String]) -> bool {
    let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
    if host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    const LOCAL_SUFFIXES: [&str; 7] =
        [".local", ".lan", ".home", ".internal", ".localhost", ".home.arpa", ".localdomain"];
    !host.contains('.')
        || LOCAL_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
        || names.iter().any(|name| name.eq_ignore_ascii_case(&host))
}

/// Whether a server of this name or address, without a port, stands in the house: a private address, or a name that only
/// a local resolver can give.
#[must_use]
pub fn is_in_house(host: &str) -> bool {
    host.parse::<IpAddr>().map_or_else(|_| is_local_host(host, &[]), |address| is_private(address.to_canonical()))
}

/// Whether a web page of this `Origin` may call us under the name `host`: one of our own, or one that `patterns` name.
#[must_use]
pub fn is_welcome_origin(origin: &str, host: &str, patterns: &[String]) -> bool {
    let is_own = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    is_own || patterns.iter().any(|pattern| matches(pattern, origin))
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_the_house() {
        for (host, want) in [
            ("192.168.1.20", true),
            ("127.0.0.1", true),
            ("fd00::1", true),
            ("gpu-box", true),
            ("gpu-box.lan", true),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
            ("api.openai.com", false),
        ] {
            assert_eq!(is_in_house(host), want, "{host}");
        }
    }

    #[test]
    fn the_lan_may_and_the_internet_may_not() {
        let access = Access::default();
        for (peer, local, want) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("192.168.1.7", "192.168.1.1", true),
            ("172.31.0.1", "172.31.0.2", true),
            ("172.32.0.1", "172.31.0.2", false),
            ("8.8.8.8", "192.168.1.1", false),
            ("203.0.113.5", "203.0.113.5", true),
            ("203.0.113.6", "203.0.113.5", false),
            ("100.64.0.9", "100.64.0.1", false),
            ("::1", "::1", true),
            ("fe80::1", "fe80::2", true),
            ("fd00::1", "fd00::2", true),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.2", true),
            ("::ffff:8.8.8.8", "::ffff:10.0.0.2", false),
            ("2001:db8:1:2::9", "2001:db8:1:2::1", true),
            ("2001:db8:1:3::9", "2001:db8:1:2::1", false),
        ] {
            let got = access.permits(peer.parse().unwrap(), Some(local.parse().unwrap()));
            assert_eq!(got, want, "{peer} → {local}");
        }
    }

    #[test]
    fn the_owner_can_open_the_door() {
        let tailnet = Access { allow_networks: vec!["100.64.0.0/10".parse().unwrap()], ..Access::default() };
        assert!(tailnet.permits("100.100.1.1".parse().unwrap(), None));
        assert!(!tailnet.permits("8.8.8.8".parse().unwrap(), None));
        assert!(Access { allow_public: true, ..Access::default() }.permits("8.8.8.8".parse().unwrap(), None));
    }

    #[test]
    fn only_proxies_of_ours_say_for_whom_they_ask() {
        let proxies = vec!["10.0.0.0/24".parse().unwrap(), "::1/128".parse().unwrap()];
        let access = Access { trusted_proxies: proxies, ..Access::default() };
        for (peer, headers, want) in [
            ("192.168.1.7", &["192.168.1.9"][..], "192.168.1.7"),
            ("10.0.0.1", &["192.168.1.9"], "192.168.1.9"),
            ("::ffff:10.0.0.1", &["192.168.1.9:4711"], "192.168.1.9"),
            ("10.0.0.1", &["127.0.0.1, 192.168.1.9, 10.0.0.2"], "192.168.1.9"),
            ("10.0.0.1", &["127.0.0.1", "192.168.1.9"], "192.168.1.9"),
            ("10.0.0.1", &["[fd00::7]:80"], "fd00::7"),
            ("::1", &["8.8.8.8"], "8.8.8.8"),
            ("10.0.0.1", &["192.168.1.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ] {
            let found = access.client_behind(peer.parse().unwrap(), headers.iter().copied());
            assert_eq!(found, want.parse::<IpAddr>().unwrap(), "{peer} {headers:?}");
        }
    }

    #[test]
    fn host_names_of_this_house() {
        let names = ["ai.example.org".to_owned()];
        for (host, want) in [
            ("127.0.0.1:8484", true),
            ("[::1]:8484", true),
            ("localhost:11434", true),
            ("gpu-box", true),
            ("airlane.lan:8484", true),
            ("AIRLANE.local.", true),
            ("ai.example.org:8484", true),
            ("evil.example.com:8484", false),
            ("192.168.1.1.evil.example", false),
            ("lan.evil.example", false),
        ] {
            assert_eq!(is_local_host(host, &names), want, "{host}");
        }
    }

    #[test]
    fn origins_of_this_house() {
        let patterns = ["http://localhost:*".to_owned(), "app://*".to_owned()];
        for (origin, want) in [
            ("http://localhost:3000", true),
            ("app://obsidian.md", true),
            ("http://192.168.1.1:8484", true),
            ("http://192.168.1.1:80", false),
            ("http://192.168.1.1", false),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_welcome_origin(origin, "192.168.1.1:8484", &patterns), want, "{origin}");
        }
        assert!(is_welcome_origin("null", "x", &["*".to_owned()]));
    }
}
