//! How nodes are found on the network: multicast DNS under `_airlane._tcp`. What is found is shown and not trusted.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::access::is_private;
use domain::config::is_short_name;
use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

/// The service's type.
const SERVICE: &str = "_airlane._tcp.local.";
/// How long answers are waited for.
const LOOK_FOR: Duration = Duration::from_millis(1_500);
/// Most nodes that are shown, whoever announces how many.
const FOUND_MAX: usize = 64;
/// Most addresses of each.
const ADDRESSES_MAX: usize = 8;
/// Most records of others that are kept before the service begins anew: a house has some dozens.
const RECORDS_MAX: i64 = 4_096;
/// How often they are counted while we announce.
const LOOK_AT_RECORDS: Duration = Duration::from_secs(2);
/// And while we look.
const STEP: Duration = Duration::from_millis(100);
/// Longest wait for the service's thread.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// An Airlane that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Under which it reports to its router, where it has one.
    pub(crate) id: Option<String>,
    /// Those that routers reach most easily first.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Announces this node until the future is dropped, or for ever, with the id that it has as part of a pair.
pub(super) async fn announce(name: &str, port: u16, mut ids: watch::Receiver<Option<String>>) {
    let mut was_flooded = false;
    loop {
        let id = ids.borrow_and_update().clone();
        let announced = match register(name, port, id.as_deref()) {
            Ok(daemon) => Leave(daemon),
            Err(error) => {
                warn!("this node cannot announce itself: {error}; pair it by its address");
                return;
            }
        };
        while !ids.has_changed().unwrap_or(false) {
            if timeout(LOOK_AT_RECORDS, ids.changed()).await.is_ok() {
                break;
            }
            if records(&announced.0).await > RECORDS_MAX {
                if !std::mem::replace(&mut was_flooded, true) {
                    warn!("somebody floods the network with multicast DNS; what was kept of it is thrown away");
                }
                break;
            }
            was_flooded = false;
        }
        announced.end().await;
    }
}

fn register(name: &str, port: u16, id: Option<&str>) -> Result<ServiceDaemon, mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    let host = format!("{name}.local.");
    let mut facts = vec![("role", "node"), ("name", name), ("version", env!("CARGO_PKG_VERSION"))];
    facts.extend(id.map(|id| ("id", id)));
    let service = ServiceInfo::new(SERVICE, name, &host, "", port, &facts[..])?.enable_addr_auto();
    daemon.register(service)?;
    Ok(daemon)
}

/// How many records of others the service keeps. It has no bound of its own.
async fn records(daemon: &ServiceDaemon) -> i64 {
    let Ok(metrics) = daemon.get_metrics() else { return 0 };
    let metrics = tokio::task::spawn_blocking(move || metrics.recv_timeout(ANSWER_MAX)).await;
    // One that does not answer has too much to do.
    metrics.ok().and_then(Result::ok).map_or(i64::MAX, |metrics| cached(&metrics))
}

fn cached(metrics: &mdns_sd::Metrics) -> i64 {
    metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| *count).sum()
}

/// Asks the network once who is there. Nothing listens before or after.
///
/// # Errors
/// The network cannot be used for it.
pub(super) async fn look() -> anyhow::Result<Vec<Found>> {
    tokio::task::spawn_blocking(look_blocking).await?.context("the network cannot be searched for nodes")
}

fn look_blocking() -> Result<Vec<Found>, mdns_sd::Error> {
    let leave = Leave(ServiceDaemon::new()?);
    let events = leave.0.browse(SERVICE)?;
    let until = Instant::now() + LOOK_FOR;
    let mut found: Vec<Found> = Vec::new();
    let mut look_at_records = Instant::now();
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if look_at_records <= Instant::now() {
            look_at_records += STEP;
            let metrics = leave.0.get_metrics()?.recv_timeout(ANSWER_MAX);
            if metrics.map_or(i64::MAX, |metrics| cached(&metrics)) > RECORDS_MAX {
                warn!("somebody floods the network with multicast DNS; the search for nodes ends early");
                break;
            }
        }
        let event = match events.recv_timeout(left.min(STEP)) {
            Ok(event) => event,
            Err(_) if events.is_disconnected() => break,
            Err(_) => continue,
        };
        let ServiceEvent::ServiceResolved(service) = event else { continue };
        let Some(new) = read(&service) else { continue };
        found.retain(|known| known.name != new.name);
        if found.len() < FOUND_MAX {
            found.push(new);
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// What somebody announces, as far as it is what a node announces.
fn read(service: &ResolvedService) -> Option<Found> {
    let fact = |name: &str| service.txt_properties.get_property_val_str(name);
    let name = fact("name").filter(|name| !name.is_empty() && is_short_name(name))?;
    if fact("role") != Some("node") {
        return None;
    }
    let version = fact("version").unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(20).collect();
    let mut addresses: Vec<SocketAddr> =
        service.addresses.iter().map(|address| SocketAddr::new(address.to_ip_addr(), service.port)).collect();
    addresses.retain(is_reachable);
    addresses.sort_by_key(|address| (!is_private(address.ip()), *address));
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return None;
    }
    let id = fact("id").filter(|id| !id.is_empty() && is_short_name(id)).map(str::to_owned);
    Some(Found { name: name.to_owned(), version, id, addresses })
}

/// Whether it can be the address of another machine, whatever is announced.
fn is_reachable(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    // A link-local address of IPv6 needs its interface; IPv4 needs nothing.
    let needs_interface = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    address.port() != 0 && !needs_interface && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()
}

/// Ends the service's thread.
struct Leave(ServiceDaemon);

impl Leave {
    /// Says goodbye and waits until that is said: another one may follow, and its word must be the last.
    async fn end(self) {
        if let Ok(ended) = self.0.shutdown() {
            // One that does not end is left alone.
            let _ = tokio::task::spawn_blocking(move || ended.recv_timeout(ANSWER_MAX)).await;
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        // Only a thread that has ended cannot be told to end.
        let _ = self.0.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_ourselves_or_to_everybody() {
        for (address, want) in [
            ("192.168.1.20:8484", true),
            ("[fd00::20]:8484", true),
            ("[2001:db8::20]:8484", true),
            ("127.0.0.1:8485", false),
            ("[::1]:8485", false),
            ("[::ffff:127.0.0.1]:8485", false),
            ("0.0.0.0:8484", false),
            ("224.0.0.251:5353", false),
            ("[fe80::20]:8484", false),
            ("192.168.1.20:0", false),
        ] {
            assert_eq!(is_reachable(&address.parse().unwrap()), want, "{address}");
        }
    }
}
