//! The machines of the house as the console tells them.

use domain::node::{NodeState, Origin, Server};
use domain::telemetry::Telemetry;
use serde::{Deserialize, Serialize};

/// All machines, this one first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nodes {
    /// The machines.
    pub nodes: Vec<NodeRow>,
    /// The name under which this machine is a node of others; absent where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The router that this machine reports to as a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports_to: Option<RouterRow>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its name; for a node also that of its upstream.
    pub name: String,
    /// Who reads it.
    pub origin: Origin,
    /// Where its endpoint is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How the reading goes.
    #[serde(flatten)]
    pub state: NodeState,
    /// What is so, where not all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Cards and machine as last told.
    pub telemetry: Telemetry,
    /// Its model servers as last told.
    pub servers: Vec<Server>,
    /// What its owner should know besides, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The router that a node reports to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterRow {
    /// What it calls itself.
    pub name: String,
    /// Where its endpoint is.
    pub address: String,
    /// Why reports do not arrive there, where they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who announces itself on the network as a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundNodes {
    /// Each of them.
    pub found: Vec<FoundRow>,
}

/// An Airlane that announces itself; nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRow {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is called here, where it says that it is one of ours. It may have moved, and nothing of this is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paired_as: Option<String>,
    /// Where its endpoint may be.
    pub addresses: Vec<String>,
}

/// A wish to pair with a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairWish {
    /// A name that was found, or an address with a port.
    pub node: String,
    /// The code that the node shows.
    pub code: String,
    /// What to call it here, if not by its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A node by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeName {
    /// The name.
    pub name: String,
}

/// A pairing code, to be typed on the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingCode {
    /// Its digits.
    pub code: String,
}
