//! How nodes are found on the network: multicast DNS under `_airlane._tcp`. What is found is shown and not trusted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::config::is_short_name;
use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tracing::warn;

/// The service's type.
const SERVICE: &str = "_airlane._tcp.local.";
/// How long answers are waited for.
const LOOK_FOR: Duration = Duration::from_millis(1_500);
/// Most nodes that are shown, whoever announces how many.
const FOUND_MAX: usize = 64;
/// Most addresses of each.
const ADDRESSES_MAX: usize = 8;

/// An Airlane that announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Those that routers reach most easily first.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Announces this node until the future is dropped, or for ever.
pub(super) async fn announce(name: &str, port: u16) {
    let announced = (|| {
        let daemon = ServiceDaemon::new()?;
        let host = format!("{name}.local.");
        let facts = [("role", "node"), ("name", name), ("version", env!("CARGO_PKG_VERSION"))];
        let service = ServiceInfo::new(SERVICE, name, &host, "", port, &facts[..])?.enable_addr_auto();
        daemon.register(service)?;
        Ok::<_, mdns_sd::Error>(daemon)
    })();
    match announced {
        Ok(daemon) => {
            let _leave = Leave(daemon);
            std::future::pending::<()>().await;
        }
        Err(error) => warn!("this node cannot announce itself: {error}; pair it by its address"),
    }
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
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        let Ok(event) = events.recv_timeout(left) else { break };
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
    // A link-local address of IPv6 needs its interface; IPv4 needs nothing.
    addresses.retain(|address| !matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local()));
    addresses.sort();
    addresses.truncate(ADDRESSES_MAX);
    Some(Found { name: name.to_owned(), version, addresses })
}

/// Ends the service's thread.
struct Leave(ServiceDaemon);

impl Drop for Leave {
    fn drop(&mut self) {
        // Only a thread that has ended cannot be told to end.
        let _ = self.0.shutdown();
    }
}
