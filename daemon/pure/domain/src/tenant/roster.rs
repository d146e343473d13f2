//! All tenants, so that a device's is found at once among ten thousand.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Caller, Device, Mac, Tenant};
use crate::upstream::matches;

/// A tenant, as requests know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Arc<str>,
    /// Its user groups.
    pub groups: Arc<[String]>,
}

/// All tenants.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    members: HashMap<Arc<str>, Arc<Member>>,
    macs: HashMap<Mac, Arc<Member>>,
    /// Without `*`.
    hosts: HashMap<String, Arc<Member>>,
    /// With `*`, in the order of the tenants' names.
    host_patterns: Vec<(String, Arc<Member>)>,
    networks: HashMap<IpNet, Arc<Member>>,
    /// The lengths of prefixes that occur: the longest first is looked for in `networks`.
    prefixes: BTreeSet<u8>,
    interfaces: HashMap<String, Arc<Member>>,
}

impl Roster {
    /// The tenants that can be some; of two that name the same device, the first by name has it.
    #[must_use]
    pub fn new(tenants: &[Tenant]) -> Self {
        let mut sorted: Vec<&Tenant> = tenants.iter().collect();
        sorted.sort_by(|one, other| one.name.cmp(&other.name));
        let mut roster = Self::default();
        for tenant in sorted {
            let Ok(devices) = tenant.check() else { continue };
            let member = Arc::new(Member { name: tenant.name.as_str().into(), groups: tenant.groups.clone().into() });
            roster.members.insert(member.name.clone(), member.clone());
            devices.into_iter().for_each(|device| roster.add(device, &member));
        }
        roster
    }

    fn add(&mut self, device: Device, member: &Arc<Member>) {
        let member = member.clone();
        match device {
            Device::Mac(mac) => drop(self.macs.entry(mac).or_insert(member)),
            Device::HostName(name) if name.contains('*') => self.host_patterns.push((name, member)),
            Device::HostName(name) => drop(self.hosts.entry(name).or_insert(member)),
            Device::Network(network) => {
                self.prefixes.insert(network.prefix_len());
                self.networks.entry(network.trunc()).or_insert(member);
            }
            Device::Interface(name) => drop(self.interfaces.entry(name).or_insert(member)),
        }
    }

    /// The tenant of this name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.get(name)
    }

    /// Whether more than the address of a caller is needed to know whose it is.
    #[must_use]
    pub fn asks_neighbours(&self) -> bool {
        !(self.macs.is_empty() && self.hosts.is_empty() && self.host_patterns.is_empty() && self.interfaces.is_empty())
    }

    /// Whose device the caller is: what names one card comes before what names a host, then the smallest network, then the
    /// interface.
    #[must_use]
    pub fn of(&self, caller: &Caller) -> Option<&Arc<Member>> {
        caller
            .mac
            .and_then(|mac| self.macs.get(&mac))
            .or_else(|| self.of_host(caller.host_name.as_deref()?))
            .or_else(|| self.of_address(caller.address.to_canonical()))
            .or_else(|| self.interfaces.get(caller.interface.as_deref()?))
    }

    fn of_host(&self, name: &str) -> Option<&Arc<Member>> {
        let by_pattern = || self.host_patterns.iter().find(|(pattern, _)| matches(pattern, name));
        self.hosts.get(name).or_else(|| by_pattern().map(|(_, member)| member))
    }

    fn of_address(&self, address: IpAddr) -> Option<&Arc<Member>> {
        let networks = self.prefixes.iter().rev().filter_map(|prefix| IpNet::new(address, *prefix).ok());
        networks.map(|network| network.trunc()).find_map(|network| self.networks.get(&network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, devices: &[&str]) -> Tenant {
        let devices = devices.iter().map(|&device| device.to_owned()).collect();
        Tenant { name: name.to_owned(), groups: vec![format!("group-of-{name}")], devices }
    }

    #[test]
    fn the_narrowest_description_wins() {
        let roster = Roster::new(&[
            tenant("office", &["192.168.0.0/16", "fd00::/8", "interface:br-lan"]),
            tenant("kids", &["192.168.7.0/24", "host:kid-*"]),
            tenant("anna", &["192.168.7.9", "aa:bb:cc:dd:ee:ff", "host:annas-laptop"]),
            tenant("bob", &["aa:bb:cc:dd:ee:ff", "10.0.0.1"]),
            tenant("bad name", &["10.0.0.1"]),
        ]);
        let mac = "aa:bb:cc:dd:ee:ff".parse().ok();
        for (address, mac, host, interface, want) in [
            ("192.168.1.1", None, None, None, Some("office")),
            ("192.168.7.1", None, None, None, Some("kids")),
            ("::ffff:192.168.7.9", None, None, None, Some("anna")),
            ("192.168.7.1", mac, None, None, Some("anna")),
            ("192.168.1.1", None, Some("kid-phone"), None, Some("kids")),
            ("192.168.7.1", None, Some("annas-laptop"), None, Some("anna")),
            ("fd00::7", None, None, None, Some("office")),
            ("10.0.0.1", None, None, None, Some("bob")),
            ("10.0.0.2", None, None, Some("br-lan"), Some("office")),
            ("10.0.0.2", None, Some("tv"), Some("br-guest"), None),
        ] {
            let caller = Caller {
                address: address.parse().unwrap(),
                mac,
                host_name: host.map(Arc::from),
                interface: interface.map(Arc::from),
            };
            let found = roster.of(&caller).map(|member| &*member.name);
            assert_eq!(found, want, "{caller:?}");
        }
        assert!(roster.asks_neighbours() && roster.member("bad name").is_none());
        assert_eq!(roster.member("kids").unwrap().groups[..], ["group-of-kids".to_owned()]);
        assert!(!Roster::new(&[tenant("a", &["10.0.0.0/8"])]).asks_neighbours());
    }
}
