//! What an Airlane on a GPU box tells the router, once a second.

use std::net::SocketAddr;

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

impl Report {
    /// Cuts off what goes over the bounds, before it is sent and after it was read.
    pub fn bound(&mut self) {
        let cards = &mut self.telemetry.gpus.cards;
        cards.truncate(CARDS_MAX);
        for card in cards {
            if let Some(sample) = &mut card.sample {
                sample.processes.iter_mut().for_each(|known| known.truncate(PROCESSES_MAX));
            }
        }
        if let Some(machine) = &mut self.telemetry.machine {
            machine.disks.truncate(DISKS_MAX);
            machine.networks.truncate(NETWORKS_MAX);
            machine.networks.iter_mut().for_each(|network| network.addresses.truncate(ADDRESSES_MAX));
        }
        self.servers.truncate(SERVERS_MAX);
        self.servers.iter_mut().for_each(|server| server.models.truncate(MODELS_MAX));
    }
}
