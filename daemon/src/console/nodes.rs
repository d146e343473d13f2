//! The machines in the words of the console.

use domain::node::Node;
use domain::telemetry::Telemetry;
use webui::{FoundNodes, FoundRow, NodeRow, Nodes, RouterRow};

use crate::live::Live;
use crate::nodes::{self, Found};

/// All machines, this one first.
pub(super) fn all(live: &Live, nodes: &nodes::Nodes) -> Nodes {
    let row = |node: &Node| NodeRow {
        name: node.name.clone(),
        origin: node.origin,
        address: nodes.address(&node.name).map(|address| address.to_string()),
        state: node.state.clone(),
        sentence: node.state.sentence(node.origin),
        telemetry: Telemetry::clone(&node.telemetry),
        servers: node.servers.to_vec(),
        notes: node.notes.to_vec(),
    };
    let router =
        nodes.router().map(|(name, address, problem)| RouterRow { name, address: address.to_string(), problem });
    Nodes { nodes: live.nodes().all().iter().map(row).collect(), node: nodes.name_as_node(), reports_to: router }
}

/// Who announces itself.
pub(super) fn found(found: Vec<Found>, nodes: &nodes::Nodes) -> FoundNodes {
    let row = |found: Found| FoundRow {
        paired_as: found.id.as_deref().and_then(|id| nodes.name_of(id)),
        name: found.name,
        version: found.version,
        addresses: found.addresses.iter().map(ToString::to_string).collect(),
    };
    FoundNodes { found: found.into_iter().map(row).collect() }
}
