//! Reads the machine as a whole, once a second, on a thread of its own: a disk that hangs would otherwise hold up others.

use std::thread::sleep;
use std::time::{Duration, Instant};

use domain::machine::{Cpu, DISKS_MAX, Disk, Machine, Memory, NETWORKS_MAX, Network};
use sysinfo::{DiskRefreshKind, Disks, Networks, System};
use tokio::sync::watch;

/// How often the machine is read.
const TICK: Duration = Duration::from_secs(1);
/// How often its disks are: they fill slowly, and a look at them may wake one.
const DISKS_EVERY: Duration = Duration::from_secs(60);

/// Reads the machine and tells each reading, until nobody listens.
pub(crate) fn watch_machine(readings: &watch::Sender<Option<Machine>>) {
    let mut reader = Reader::new();
    while !readings.is_closed() {
        readings.send_replace(Some(reader.read()));
        sleep(TICK);
    }
}

/// Reads parts of the machine; one that this system does not tell is left out.
struct Reader {
    system: Option<System>,
    networks: Option<Networks>,
    disks: Vec<Disk>,
    disks_read: Option<Instant>,
    /// The processor's utilisation is the difference of two readings.
    is_first: bool,
}

impl Reader {
    fn new() -> Self {
        Self {
            system: System::new().ok(),
            networks: Networks::new().ok(),
            disks: Vec::new(),
            disks_read: None,
            is_first: true,
        }
    }

    fn read(&mut self) -> Machine {
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
        }
        if self.disks_read.is_none_or(|read| read.elapsed() >= DISKS_EVERY) {
            self.disks = disks();
            self.disks_read = Some(Instant::now());
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        Machine {
            host_name: System::host_name().ok(),
            system: System::long_os_version().ok(),
            uptime_s: System::uptime().unwrap_or_default(),
            cpu: self.system.as_ref().map(|system| cpu(system, is_first)).unwrap_or_default(),
            memory: self.system.as_ref().map(memory).unwrap_or_default(),
            disks: self.disks.clone(),
            networks: self.networks(),
        }
    }

    fn networks(&self) -> Vec<Network> {
        let mut networks: Vec<Network> = self
            .networks
            .iter()
            .flatten()
            .filter(|(name, _)| *name != "lo")
            .map(|(name, data)| Network {
                name: name.to_string_lossy().into_owned(),
                received_bytes: data.total_received(),
                sent_bytes: data.total_transmitted(),
                addresses: data.ip_networks().iter().map(|network| network.addr).collect(),
            })
            .collect();
        // The busiest are kept, in an order that does not change.
        networks.sort_by_key(|network| std::cmp::Reverse(network.received_bytes.saturating_add(network.sent_bytes)));
        networks.truncate(NETWORKS_MAX);
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        networks
    }
}

fn cpu(system: &System, is_first: bool) -> Cpu {
    // The cast saturates.
    let used = system.global_cpu_usage().round() as u32;
    Cpu {
        cores: u32::try_from(system.cpus().len()).unwrap_or(u32::MAX),
        utilization_percent: (!is_first).then_some(used.min(100)),
        load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]),
    }
}

fn memory(system: &System) -> Memory {
    Memory {
        total_bytes: system.total_memory(),
        used_bytes: system.used_memory(),
        available_bytes: system.available_memory(),
        swap_total_bytes: system.total_swap(),
        swap_used_bytes: system.used_swap(),
    }
}

/// File systems on disks, each once: a disk may be mounted in many places.
fn disks() -> Vec<Disk> {
    let what = DiskRefreshKind::nothing().with_storage();
    let Ok(all) = Disks::new_with_refreshed_list_specifics(what) else { return Vec::new() };
    let mut named: Vec<_> = all.iter().filter(|disk| disk.total_space() > 0).collect();
    named.sort_by_key(|disk| (disk.name().to_owned(), disk.mount_point().as_os_str().len()));
    named.dedup_by_key(|disk| disk.name().to_owned());
    let mut disks: Vec<Disk> = named
        .into_iter()
        .map(|disk| Disk {
            mount: disk.mount_point().display().to_string(),
            total_bytes: disk.total_space(),
            available_bytes: disk.available_space(),
        })
        .collect();
    disks.sort_by(|a, b| a.mount.cmp(&b.mount));
    disks.truncate(DISKS_MAX);
    disks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read() {
        let mut reader = Reader::new();
        let first = reader.read();
        assert_eq!(first.cpu.utilization_percent, None, "nothing to compare with");
        let second = reader.read();
        assert!(second.cpu.utilization_percent.is_some_and(|percent| percent <= 100));
        assert!(second.cpu.cores > 0 && second.uptime_s > 0);
        assert!(second.memory.total_bytes > second.memory.used_bytes && second.memory.used_bytes > 0);
        assert!(second.disks.iter().all(|disk| disk.available_bytes <= disk.total_bytes));
        assert!(second.networks.iter().all(|network| network.name != "lo"));
    }
}
