//! The machine as a whole: processor, memory, disks, network. A value that the system does not tell is `None`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::upstream::Upstream;

/// One reading of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Its operating system with the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Time since it started, in seconds.
    pub uptime_s: u64,
    /// Its processor.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// File systems on disks of its own, at most [`DISKS_MAX`].
    pub disks: Vec<Disk>,
    /// Network interfaces without the loopback, at most [`NETWORKS_MAX`].
    pub networks: Vec<Network>,
}

/// Most file systems that are told.
pub const DISKS_MAX: usize = 16;
/// Most network interfaces that are told; a host with many containers has hundreds.
pub const NETWORKS_MAX: usize = 32;

/// A machine's processor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Cores as the system counts them.
    pub cores: u32,
    /// Time in which they worked since the reading before, in percent of all; `None` for the first reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<u32>,
    /// Programs that wanted to run, on average over 1, 5 and 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<[f64; 3]>,
}

/// A machine's memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Memory {
    pub total_bytes: u64,
    pub used_bytes: u64,
    /// What programs could still get, caches given up.
    pub available_bytes: u64,
    pub swap_total_bytes: u64,
    pub swap_used_bytes: u64,
}

/// A file system, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    pub total_bytes: u64,
    pub available_bytes: u64,
}

/// A network interface. Bytes are counted since it came up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Network {
    pub name: String,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Machine {
    /// Whether an upstream runs on this machine, as far as its URL tells.
    #[must_use]
    pub fn holds(&self, upstream: &Upstream) -> bool {
        let host = upstream.host();
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || self.networks.iter().any(|network| network.addresses.contains(&address));
        }
        let is_own_name = |name: &str| {
            // `gpu-box` and `gpu-box.lan` are one machine.
            let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
            short(name) == short(host)
        };
        host.eq_ignore_ascii_case("localhost") || self.host_name.as_deref().is_some_and(is_own_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::UpstreamKind;
    use crate::upstream::tests::upstream;

    #[test]
    fn upstreams_on_this_machine_are_known_by_their_url() {
        let addresses = vec!["192.168.1.20".parse().unwrap(), "fd00::20".parse().unwrap()];
        let machine = Machine {
            host_name: Some("gpu-box".to_owned()),
            networks: vec![Network { addresses, ..Network::default() }],
            ..Machine::default()
        };
        for (origin, here) in [
            ("http://127.0.0.1:11434", true),
            ("http://localhost:8080", true),
            ("http://[::1]:8080", true),
            ("http://[::ffff:127.0.0.1]:8080", true),
            ("http://192.168.1.20:8000", true),
            ("http://[fd00::20]:8000", true),
            ("http://GPU-box.lan:8000", true),
            ("http://192.168.1.21:8000", false),
            ("http://gpu-box-2:8000", false),
            ("https://api.openai.com", false),
            ("", false),
        ] {
            let mut upstream = upstream("u", UpstreamKind::Openai);
            upstream.origin = origin.to_owned();
            assert_eq!(machine.holds(&upstream), here, "{origin}");
        }
    }
}
