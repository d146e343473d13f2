//! What is known of a device besides its address: the address of its network card, its name, and where it is connected.
//!
//! The kernel knows it at once, and is asked when somebody new calls or when what is known is some seconds old.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use domain::tenant::{Caller, Mac};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send, socket_with, sockopt,
};
use wire::neighbours::{Neighbour, Read, ask, leases, read};

/// What is older is looked up anew.
const OLD: Duration = Duration::from_secs(10);
/// For somebody who was not there before, this is old.
const OLD_FOR_NEW: Duration = Duration::from_secs(1);
/// Longest wait for the kernel, which answers in microseconds.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// One part of the kernel's answer; it sends no larger ones.
const PART_BYTES: usize = 64 << 10;
/// Neighbours that are remembered at most.
const NEIGHBOURS_MAX: usize = 70_000;
/// Largest file of leases that is read, in bytes.
const LEASES_BYTES_MAX: u64 = 8 << 20;
/// Where dnsmasq keeps its leases: on OpenWrt, and on Debian.
const LEASES: [&str; 2] = ["/tmp/dhcp.leases", "/var/lib/misc/dnsmasq.leases"];

pub(super) struct Neighbours {
    known: ArcSwap<Known>,
    looks: Mutex<()>,
    leases: Vec<PathBuf>,
}

/// What was found, and when.
struct Known {
    at: Option<Instant>,
    devices: HashMap<IpAddr, Facts>,
}

#[derive(Clone)]
struct Facts {
    mac: Mac,
    host_name: Option<Arc<str>>,
    interface: Option<Arc<str>>,
}

impl Default for Neighbours {
    fn default() -> Self {
        let known = ArcSwap::from_pointee(Known { at: None, devices: HashMap::new() });
        Self { known, looks: Mutex::default(), leases: LEASES.map(PathBuf::from).into() }
    }
}

impl Neighbours {
    /// What is known of the device at this address.
    pub(super) fn caller(&self, address: IpAddr) -> Caller {
        let known = self.known.load();
        let is_old = |limit| known.at.is_none_or(|at| at.elapsed() >= limit);
        let facts = if is_old(OLD) || (is_old(OLD_FOR_NEW) && !known.devices.contains_key(&address)) {
            self.look();
            self.known.load().devices.get(&address).cloned()
        } else {
            known.devices.get(&address).cloned()
        };
        let facts = facts.as_ref();
        Caller {
            address,
            mac: facts.map(|facts| facts.mac),
            host_name: facts.and_then(|facts| facts.host_name.clone()),
            interface: facts.and_then(|facts| facts.interface.clone()),
        }
    }

    /// Looks, unless somebody else does.
    fn look(&self) {
        let _looks = match self.looks.try_lock() {
            Ok(looks) => looks,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let names: HashMap<Mac, Arc<str>> = self
            .leases
            .iter()
            .flat_map(|path| {
                let mut text = String::new();
                // There is none where dnsmasq does not run.
                let _ = File::open(path).and_then(|file| file.take(LEASES_BYTES_MAX).read_to_string(&mut text));
                leases(&text).map(|(mac, name)| (mac, name.into())).collect::<Vec<_>>()
            })
            .collect();
        // Without an answer, devices are known by their addresses only.
        let found = neighbours().unwrap_or_default();
        let mut interfaces: HashMap<u32, Option<Arc<str>>> = HashMap::new();
        let devices = found.into_iter().map(|Neighbour { address, mac, interface }| {
            let interface = interfaces.entry(interface).or_insert_with(|| name(interface)).clone();
            (address, Facts { mac, host_name: names.get(&mac).cloned(), interface })
        });
        self.known.store(Arc::new(Known { devices: devices.collect(), at: Some(Instant::now()) }));
    }
}

fn neighbours() -> rustix::io::Result<Vec<Neighbour>> {
    // The family's first protocol is that of routes and neighbours.
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&kernel, sockopt::Timeout::Recv, Some(WAIT_MAX))?;
    send(&kernel, &ask(), SendFlags::empty())?;
    let (mut found, mut part) = (Vec::new(), vec![0; PART_BYTES]);
    while found.len() < NEIGHBOURS_MAX {
        let (length, _) = recv(&kernel, &mut part[..], RecvFlags::empty())?;
        if read(part.get(..length).unwrap_or_default(), |neighbour| found.push(neighbour)) != Read::More {
            break;
        }
    }
    Ok(found)
}

fn name(interface: u32) -> Option<Arc<str>> {
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    netdevice::index_to_name(&any, interface).ok().map(Into::into)
}
