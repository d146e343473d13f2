//! Which cards a server on this machine uses: those with a process that is the server's own or a child of it, the
//! server being whoever listens on the upstream's port.
//!
//! Linux tells this in `/proc`, to root of all processes and to others of their own. Where it tells nothing, nobody knows.

use std::collections::HashMap;
use std::fs;

use domain::gpu::{Card, Uses};
use domain::upstream::Upstream;

/// Longest line of ancestors that is followed.
const ANCESTORS_MAX: usize = 32;
/// Most open files of one process that are looked at.
const FILES_MAX: usize = 65_536;

/// Who uses which card, by upstream.
#[derive(Debug, Default)]
pub(super) struct Owners {
    cards: HashMap<String, Vec<u32>>,
}

impl Owners {
    /// Looks again, for upstreams on this machine. Whoever runs thousands of processes has much to read there, so that is
    /// done beside everything else.
    pub(super) async fn look<'u>(&mut self, cards: &[Card], upstreams: impl Iterator<Item = &'u Upstream>) {
        let ports: Vec<(String, u16)> =
            upstreams.filter_map(|upstream| Some((upstream.name.clone(), port(&upstream.origin)?))).collect();
        let pids = pids(cards);
        if let Ok(cards) = tokio::task::spawn_blocking(move || owners(&pids, ports)).await {
            self.cards = cards;
        }
    }

    /// The cards that an upstream uses.
    pub(super) fn uses(&self, upstream: &str) -> Uses {
        self.cards.get(upstream).map_or(Uses::Unknown, |cards| Uses::Cards(cards.clone()))
    }
}

/// For each process on a card: the card's position, and its number.
fn pids(cards: &[Card]) -> Vec<(u32, u32)> {
    let on = |card: &Card| card.sample.as_ref().and_then(|sample| sample.processes.clone()).unwrap_or_default();
    cards.iter().flat_map(|card| on(card).into_iter().map(|process| (card.index, process.pid))).collect()
}

/// Which cards each upstream uses, by the port on which it listens.
fn owners(pids: &[(u32, u32)], ports: Vec<(String, u16)>) -> HashMap<String, Vec<u32>> {
    let tables: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let sockets = |port| tables.iter().flat_map(|table| listeners(table, port)).collect::<Vec<u64>>();
    let line = |pid| {
        let ancestors = std::iter::successors(Some(pid), |pid| parent(*pid)).take(ANCESTORS_MAX);
        ancestors.flat_map(sockets_of).collect::<Vec<u64>>()
    };
    let users: Vec<(u32, Vec<u64>)> = pids.iter().map(|(card, pid)| (*card, line(*pid))).collect();
    let cards_of = |(upstream, port)| {
        let sockets = sockets(port);
        let mut own: Vec<u32> = users.iter().filter(|(_, line)| holds(line, &sockets)).map(|(card, _)| *card).collect();
        own.dedup();
        (!own.is_empty()).then_some((upstream, own))
    };
    ports.into_iter().filter_map(cards_of).collect()
}

fn holds(own: &[u64], sockets: &[u64]) -> bool {
    own.iter().any(|socket| sockets.contains(socket))
}

/// The sockets that listen on a port, in the form of `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> Vec<u64> {
    const LISTENS: &str = "0A";
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, own_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(own_port, 16).ok()? == port && *fields.get(3)? == LISTENS;
        fields.get(9)?.parse().ok().filter(|_| is_it)
    };
    table.lines().filter_map(socket).collect()
}

/// The parent of a process; none for the first one.
fn parent(pid: u32) -> Option<u32> {
    parent_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in brackets may hold anything, brackets too.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok().filter(|pid| *pid > 1)
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = files.take(FILES_MAX).filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

fn port(origin: &str) -> Option<u16> {
    let (scheme, authority) = origin.split_once("://")?;
    let told = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    told.or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::gpu::{Process, Sample};

    #[test]
    fn ports_and_parents_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0\n\
            1: 0100007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0\n\
            2: 00000000000000000000000000000000:1F91 0:0 0A 0:0 00:0 0 0 0 4713\n";
        assert_eq!((listeners(table, 8_080), listeners(table, 8_081)), (vec![4_711], vec![4_713]));
        assert!(listeners(table, 80).is_empty());
        assert_eq!(parent_in("42 (a ) b) S 7 42 42 0"), Some(7));
        assert_eq!((parent_in("42 (init) S 1 1"), parent_in("nonsense")), (None, None));
        for (origin, want) in [
            ("http://127.0.0.1:8080", Some(8_080)),
            ("http://[::1]:9", Some(9)),
            ("http://[::1]", Some(80)),
            ("http://gpu-box", Some(80)),
            ("https://gpu-box", Some(443)),
            ("", None),
        ] {
            assert_eq!(port(origin), want, "{origin}");
        }
    }

    #[tokio::test]
    async fn whoever_listens_on_the_port_uses_the_card() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let upstream = |name: &str, port: u16| {
            let url = format!("http://127.0.0.1:{port}");
            let draft = domain::config::UpstreamDraft {
                name: Some(name.to_owned()),
                kind: Some("openai".to_owned()),
                url: Some(url),
                ..domain::config::UpstreamDraft::default()
            };
            let draft = domain::config::Draft { upstreams: vec![draft], ..domain::config::Draft::default() };
            domain::config::check(&draft).expect("a config").upstreams.remove(0)
        };
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().expect("a child");
        let card = |index, pid| {
            let processes = Some(vec![Process { pid, ..Process::default() }]);
            Card { index, sample: Some(Sample { processes, ..Sample::default() }), ..Card::default() }
        };
        // A child of ours on the second card, somebody else on the first.
        let cards = [card(0, 1), card(1, child.id())];
        let upstreams = [upstream("here", address.port()), upstream("nobody", 1)];
        let mut owners = Owners::default();
        owners.look(&cards, upstreams.iter()).await;
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(owners.uses("here"), Uses::Cards(vec![1]));
        assert_eq!(owners.uses("nobody"), Uses::Unknown);
    }
}
