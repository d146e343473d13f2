//! The nodes as rows to show: each with its cards in a line.

use domain::gpu::{Card, Process};
use domain::node::{NodeState, Origin};

use super::gpus;
use crate::facts::{NodeRow, Nodes};
use crate::texts;

/// One node.
pub(super) struct NodeView {
    pub(super) name: String,
    pub(super) address: Option<String>,
    /// Class of the style sheet.
    pub(super) tone: &'static str,
    /// In a word or two.
    pub(super) state: &'static str,
    /// What is so and what to do about it, where not all is well.
    pub(super) sentence: Option<String>,
    pub(super) cards: Vec<String>,
    pub(super) servers: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// All but this machine.
pub(super) fn all(nodes: &Nodes) -> Vec<NodeView> {
    nodes.nodes.iter().filter(|node| node.origin != Origin::Here).map(view).collect()
}

fn view(node: &NodeRow) -> NodeView {
    let (tone, state) = match node.state {
        NodeState::Reporting if node.origin == Origin::Exporter => ("good", texts::NODE_READ),
        NodeState::Reporting => ("good", texts::NODE_REPORTS),
        NodeState::Awaited => ("wait", texts::NODE_AWAITED),
        NodeState::Silent { .. } => ("bad", texts::NODE_SILENT),
    };
    let gpus = &node.telemetry.gpus;
    let mut cards: Vec<String> = gpus.cards.iter().map(card).collect();
    // A node that has told nothing yet has no state of its cards either; an exporter's failure stands there.
    if node.state != NodeState::Awaited || node.origin == Origin::Exporter {
        cards.extend(gpus.state.sentence().map(std::borrow::Cow::into_owned));
    }
    let servers = node.servers.iter();
    NodeView {
        name: node.name.clone(),
        address: node.address.clone(),
        tone,
        state,
        sentence: node.sentence.clone(),
        cards,
        notes: node.notes.clone(),
        servers: servers.map(|server| texts::node_server(&server.name, server.models.len(), &server.health)).collect(),
    }
}

fn card(card: &Card) -> String {
    let mut parts = vec![format!("{} {}", texts::GPU, card.index), card.title()];
    parts.extend(card.state.sentence().map(std::borrow::Cow::into_owned));
    if let Some(sample) = &card.sample {
        parts.extend(sample.utilization_percent.map(|percent| format!("{percent} %")));
        parts.extend(sample.vram.map(|vram| texts::part_of(vram.used_bytes, vram.total_bytes)));
        parts.extend(sample.temperature_c.map(|celsius| format!("{celsius} °C")));
        parts.extend(gpus::troubles(sample).into_iter().map(str::to_owned));
    }
    let pressure = card.foreign.as_ref().map(|load| load.pressure_percent).filter(|percent| *percent > 0);
    parts.extend(pressure.map(texts::pressure));
    if let Some(load) = card.foreign.as_ref().filter(|load| load.backed_off) {
        parts.push(texts::in_use_by(&load.by.iter().map(Process::title).collect::<Vec<_>>()));
    }
    parts.join(" · ")
}
