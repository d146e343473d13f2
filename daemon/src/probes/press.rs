//! Which cards an upstream uses, on which machine, and what these mean for it.

use std::time::Duration;

use domain::config::Config;
use domain::gpu::{Card, GpuState, Press, Uses};
use domain::node::{Node, Nodes, Origin};
use domain::upstream::Upstream;
use tokio::time::Instant;

use super::owners::Owners;
use crate::live::{Live, Snapshot};

/// How often is looked who owns the processes on this machine's cards.
const OWNERS_EVERY: Duration = Duration::from_secs(5);

/// How old a reading of cards may be that still counts, in seconds.
const LATE_MAX_S: u64 = 30;

/// Follows who uses which card.
#[derive(Default)]
pub(super) struct Pressers {
    owners: Owners,
    looked: Option<Instant>,
}

impl Pressers {
    /// What the cards of each upstream mean for it: nothing, where nobody tells of them any more.
    pub(super) async fn look<'s>(&mut self, live: &Live, snapshot: &'s Snapshot) -> Vec<(&'s str, Press)> {
        let nodes = live.nodes();
        let upstreams = snapshot.config.upstreams.iter();
        let on_nodes: Vec<(&'s Upstream, Option<&Node>)> =
            upstreams.map(|upstream| (upstream, node_of(&nodes, &snapshot.config, upstream))).collect();
        self.look_for_owners(&on_nodes).await;
        let press = |upstream, node: Option<&Node>| node.map(|node| self.press(upstream, node)).unwrap_or_default();
        on_nodes.into_iter().map(|(upstream, node)| (upstream.name.as_str(), press(upstream, node))).collect()
    }

    async fn look_for_owners(&mut self, on_nodes: &[(&Upstream, Option<&Node>)]) {
        let is_here = |node: &&Node| node.origin == Origin::Here;
        let here = || on_nodes.iter().filter_map(|(upstream, node)| Some((*upstream, node.filter(is_here)?)));
        let Some((_, node)) = here().next() else { return };
        let cards = &node.telemetry.gpus.cards;
        // With one card there is nothing to find out.
        if cards.len() > 1 && self.looked.is_none_or(|at| at.elapsed() >= OWNERS_EVERY) {
            self.looked = Some(Instant::now());
            self.owners.look(cards, here().map(|(upstream, _)| upstream)).await;
        }
    }

    fn press(&self, upstream: &Upstream, node: &Node) -> Press {
        let gpus = &node.telemetry.gpus;
        // What is old says nothing of now; a driver under full load may be late.
        let is_late = matches!(gpus.state, GpuState::Late { age_s } if age_s <= LATE_MAX_S);
        if gpus.state != GpuState::Reading && !is_late {
            return Press::default();
        }
        let is_here = node.origin == Origin::Here;
        let found = if is_here { self.owners.uses(&upstream.name) } else { Uses::Unknown };
        Press::of(&gpus.cards, &named(upstream, &gpus.cards).unwrap_or(found))
    }
}

/// The machine of an upstream: whichever tells of itself, unless the owner named an exporter.
fn node_of<'n>(nodes: &'n Nodes, config: &Config, upstream: &Upstream) -> Option<&'n Node> {
    let Some(address) = &upstream.gpu_metrics else { return nodes.of(upstream) };
    // Its node is called after the first upstream that names it.
    let first = config.upstreams.iter().find(|other| other.gpu_metrics.as_ref() == Some(address))?;
    nodes.named(&first.name).filter(|node| node.origin == Origin::Exporter)
}

/// The cards that the config names for it.
fn named(upstream: &Upstream, cards: &[Card]) -> Option<Uses> {
    let is_named = |card: &&Card| upstream.gpu.iter().any(|name| name.is_of(card));
    let indexes = || cards.iter().filter(is_named).map(|card| card.index).collect();
    (!upstream.gpu.is_empty()).then(|| Uses::Cards(indexes()))
}
