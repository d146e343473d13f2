//! What an Airlane on a GPU box tells the router, once a second.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::machine::{DISKS_MAX, NETWORKS_MAX};
use crate::telemetry::Telemetry;

/// Most cards in a report.
const CARDS_MAX: usize = 64;
/// Most processes of a card in a report.
const PROCESSES_MAX: usize = 16;
/// Most addresses of a network interface in a report.
const ADDRESSES_MAX: usize = 8;
/// Most model servers in a report.
pub const SERVERS_MAX: usize = 32;
/// Most models of a server in a report.
pub const MODELS_MAX: usize = 128;

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where its endpoint is reached.
    pub address: SocketAddr,
    /// Its Airlane's version.
    pub version: String,
    /// Cards and machine, with what of the load is foreign there.
    pub telemetry: Telemetry,
    /// Its model servers.
    pub servers: Vec<Server>,
    /// A number for its list of models as others may read it: another list has another number. `None` from versions that
    /// do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<u64>,
    /// Its clock, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_s: Option<u64>,
    /// What there was too much of.
    #[serde(default, skip_serializing_if = "LeftOut::is_nothing")]
    pub left_out: LeftOut,
}

/// What a report leaves out because it would be too large; each is a number of things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// Cards.
    pub cards: u32,
    /// Processes on cards.
    pub processes: u32,
    /// Disks, network interfaces and their addresses.
    pub machine: u32,
    /// Model servers.
    pub servers: u32,
    /// Models of servers.
    pub models: u32,
}

/// A model server on a node, as its Airlane tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name there.
    pub name: String,
    /// What it speaks, in the word of the config.
    pub kind: String,
    /// How it does, in the word of the API.
    pub health: String,
    /// Why, where it does not do well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What it offers.
    #[serde(default)]
    pub models: Vec<ServedModel>,
}

/// A model of a [`Server`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedModel {
    /// The name under which it can be asked for there.
    pub id: String,
    /// Whether it is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<bool>,
    /// Requests that it answers at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Requests that it works on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub running: u32,
    /// Requests that wait for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Highest share in a report, in percent.
const PERCENT_MAX: u32 = 100;

impl Report {
    /// Where the node is to be called from now on, if not at `known`: reports say it, and come from `peer`. Whoever
    /// reports must not send our requests to somebody else, so that only the port is the node's own word. A node behind an
    /// address that is not its own (a container) stays where its owner said that it is.
    #[must_use]
    pub fn moved(&self, known: SocketAddr, peer: IpAddr) -> Option<SocketAddr> {
        let told = SocketAddr::new(self.address.ip().to_canonical(), self.address.port());
        (told != known && told.ip() == peer.to_canonical() && told.port() != 0).then_some(told)
    }

    /// Cuts off what goes over the bounds, before it is sent and after it was read, and counts it.
    pub fn bound(&mut self) {
        self.cut(&BOUNDS);
        for card in &mut self.telemetry.gpus.cards {
            if let Some(foreign) = &mut card.foreign {
                foreign.pressure_percent = foreign.pressure_percent.min(PERCENT_MAX);
            }
        }
        for model in self.servers.iter_mut().flat_map(|server| &mut server.models) {
            // A place without slots would never have room, and requests would wait for it.
            model.slots = model.slots.filter(|slots| *slots > 0);
        }
    }

    /// Halves the longest lists, for a report that is too large within its bounds; a few times make any report small.
    pub fn halve(&mut self) {
        let half = |longest: Option<usize>| longest.unwrap_or(0) / 2;
        let cards = &self.telemetry.gpus.cards;
        let samples = || cards.iter().filter_map(|card| card.sample.as_ref()?.processes.as_ref());
        let networks = self.telemetry.machine.as_ref().map(|machine| machine.networks.as_slice()).unwrap_or_default();
        let models = self.servers.iter().map(|server| server.models.len()).max();
        let processes = samples().map(Vec::len).max();
        let bounds = if models > Some(1) || processes > Some(1) {
            Bounds { models: half(models), processes: half(processes), ..BOUNDS }
        } else {
            Bounds {
                cards: cards.len() / 2,
                networks: networks.len() / 2,
                servers: self.servers.len() / 2,
                ..Bounds::default()
            }
        };
        self.cut(&bounds);
    }

    fn cut(&mut self, bounds: &Bounds) {
        let left_out = &mut self.left_out;
        cut(&mut self.telemetry.gpus.cards, bounds.cards, &mut left_out.cards);
        for card in &mut self.telemetry.gpus.cards {
            if let Some(foreign) = &mut card.foreign {
                // They are among those of the sample.
                foreign.by.truncate(bounds.processes);
            }
            if let Some(processes) = card.sample.as_mut().and_then(|sample| sample.processes.as_mut()) {
                cut(processes, bounds.processes, &mut left_out.processes);
            }
        }
        if let Some(machine) = &mut self.telemetry.machine {
            cut(&mut machine.disks, bounds.disks, &mut left_out.machine);
            cut(&mut machine.networks, bounds.networks, &mut left_out.machine);
            for network in &mut machine.networks {
                cut(&mut network.addresses, bounds.addresses, &mut left_out.machine);
            }
        }
        for server in self.servers.iter().skip(bounds.servers) {
            left_out.models = left_out.models.saturating_add(count(server.models.len()));
        }
        cut(&mut self.servers, bounds.servers, &mut left_out.servers);
        for server in &mut self.servers {
            cut(&mut server.models, bounds.models, &mut left_out.models);
        }
    }

    /// What the owner should know of it, in sentences; `now_s` is our clock, in seconds since the Unix epoch.
    #[must_use]
    pub fn notes(&self, now_s: u64) -> Vec<String> {
        self.left_out.sentence().into_iter().chain(self.clock_note(now_s)).collect()
    }

    fn clock_note(&self, now_s: u64) -> Option<String> {
        let clock_s = self.clock_s?;
        let off_s = clock_s.abs_diff(now_s);
        let (amount, unit) = match off_s {
            0..120 => (off_s, "seconds"),
            120..7_200 => (off_s / 60, "minutes"),
            7_200..172_800 => (off_s / 3_600, "hours"),
            172_800.. => (off_s / 86_400, "days"),
        };
        let side = if clock_s > now_s { "ahead of" } else { "behind" };
        (off_s > CLOCK_OFF_MAX_S).then(|| {
            format!(
                "Its clock is {amount} {unit} {side} ours: switch on time synchronisation on the one that is wrong \
                 (`timedatectl set-ntp true`), or the times in their logs do not fit."
            )
        })
    }
}

impl LeftOut {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What is missing and what that means; `None` where nothing is.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let counted = [
            (self.cards, "cards"),
            (self.processes, "processes"),
            (self.servers, "servers"),
            (self.models, "models"),
            (self.machine, "disks and addresses"),
        ];
        let parts = counted.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        (!parts.is_empty()).then(|| {
            format!(
                "It has more than a report holds: {parts} more are not shown. Its models can be asked for all the same, \
                 but how busy those that are not shown are is not known here."
            )
        })
    }
}

/// Clocks that are further apart are said to be, in seconds: reports travel, and clocks without a time service drift.
const CLOCK_OFF_MAX_S: u64 = 30;

/// How many of each a report may hold.
#[derive(Default)]
struct Bounds {
    cards: usize,
    processes: usize,
    disks: usize,
    networks: usize,
    addresses: usize,
    servers: usize,
    models: usize,
}

const BOUNDS: Bounds = Bounds {
    cards: CARDS_MAX,
    processes: PROCESSES_MAX,
    disks: DISKS_MAX,
    networks: NETWORKS_MAX,
    addresses: ADDRESSES_MAX,
    servers: SERVERS_MAX,
    models: MODELS_MAX,
};

/// Cuts a list, and counts what is cut off.
fn cut<T>(list: &mut Vec<T>, bound: usize, left_out: &mut u32) {
    *left_out = left_out.saturating_add(count(list.len().saturating_sub(bound)));
    list.truncate(bound);
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            address: "192.168.1.20:8484".parse().unwrap(),
            version: String::new(),
            telemetry: Telemetry::default(),
            servers: Vec::new(),
            list: None,
            clock_s: None,
            left_out: LeftOut::default(),
        }
    }

    fn servers(servers: usize, models: usize) -> Vec<Server> {
        vec![Server { models: vec![ServedModel::default(); models], ..Server::default() }; servers]
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let mut report = Report { servers: servers(SERVERS_MAX, MODELS_MAX), ..report() };
        report.bound();
        assert_eq!((report.left_out, report.notes(0)), (LeftOut::default(), Vec::new()));
        report.servers = servers(SERVERS_MAX + 2, MODELS_MAX + 1);
        report.bound();
        let models = count(2 * (MODELS_MAX + 1) + SERVERS_MAX);
        assert_eq!(report.left_out, LeftOut { servers: 2, models, ..LeftOut::default() });
        assert!(report.notes(0)[0].contains(&format!("2 servers, {models} models more")), "{:?}", report.notes(0));
        report.bound();
        assert_eq!(report.left_out.models, models, "what was counted is not counted again");
        let all = SERVERS_MAX * MODELS_MAX;
        for _ in 0..20 {
            report.halve();
            let left: usize = report.servers.iter().map(|server| server.models.len()).sum();
            assert_eq!(report.left_out.models - models, count(all - left));
        }
        assert!(report.servers.is_empty(), "any report gets small");
    }

    #[test]
    fn a_clock_that_is_wrong_is_told() {
        for (clock_s, want) in [
            (None, None),
            (Some(1_000), None),
            (Some(1_030), None),
            (Some(1_031), Some("31 seconds ahead of")),
            (Some(0), Some("16 minutes behind")),
            (Some(1_000 + 3 * 86_400), Some("3 days ahead of")),
        ] {
            let notes = Report { clock_s, ..report() }.notes(1_000);
            assert_eq!(notes.len(), usize::from(want.is_some()), "{clock_s:?}: {notes:?}");
            assert!(want.is_none_or(|want| notes[0].contains(want)), "{clock_s:?}: {notes:?}");
        }
    }

    #[test]
    fn a_node_moves_only_to_where_its_reports_come_from() {
        let known = "192.168.1.20:8484";
        for (told, peer, moves) in [
            (known, "192.168.1.20", false),
            ("192.168.1.20:9000", "192.168.1.20", true),
            ("192.168.1.21:8484", "192.168.1.21", true),
            ("192.168.1.21:8484", "::ffff:192.168.1.21", true),
            ("[fd00::20]:8484", "fd00::20", true),
            ("192.168.1.20:0", "192.168.1.20", false),
            ("8.8.8.8:80", "192.168.1.20", false),
            ("127.0.0.1:8485", "192.168.1.20", false),
            ("0.0.0.0:8484", "192.168.1.20", false),
            ("192.168.1.30:80", "192.168.1.20", false),
            // A container tells its own address; the owner gave the one that works.
            ("172.17.0.2:8484", "192.168.1.20", false),
        ] {
            let told: SocketAddr = told.parse().unwrap();
            let report = Report { address: told, ..report() };
            let moved = report.moved(known.parse().unwrap(), peer.parse().unwrap());
            assert_eq!(moved, moves.then_some(told), "{told} {peer}");
        }
    }
}
