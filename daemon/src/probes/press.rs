//! Which cards an upstream uses, on which machine, and what these mean for it.

use std::time::Duration;

use domain::gpu::{Card, GpuState, Gpus, Press, Uses};
use domain::machine::Machine;
use domain::upstream::Upstream;
use tokio::time::Instant;

use super::owners::Owners;
use crate::live::{Exported, Live, Snapshot};

/// How often is looked who owns the processes on this machine's cards.
const OWNERS_EVERY: Duration = Duration::from_secs(5);

/// Follows who uses which card.
#[derive(Default)]
pub(super) struct Pressers {
    owners: Owners,
    looked: Option<Instant>,
}

impl Pressers {
    /// What the cards of each upstream mean for it.
    pub(super) fn look<'s>(&mut self, live: &Live, snapshot: &'s Snapshot) -> Vec<(&'s str, Press)> {
        let (telemetry, exported) = (live.telemetry(), live.exported());
        let nothing = Machine::default();
        let machine = telemetry.machine.as_ref().unwrap_or(&nothing);
        let upstreams = || snapshot.config.upstreams.iter().filter(|upstream| upstream.local);
        let is_here = |upstream: &Upstream| machine.holds(upstream) && upstream.gpu_metrics.is_none();
        // With one card there is nothing to find out.
        if telemetry.gpus.cards.len() > 1 && self.looked.is_none_or(|at| at.elapsed() >= OWNERS_EVERY) {
            self.looked = Some(Instant::now());
            self.owners.look(&telemetry.gpus.cards, upstreams().filter(|upstream| is_here(upstream)));
        }
        let press = |upstream: &'s Upstream| {
            let own =
                if is_here(upstream) { Some(&telemetry.gpus) } else { exported_for(&exported, snapshot, upstream) };
            let Some(gpus) = own.filter(|gpus| gpus.state == GpuState::Reading) else { return Press::default() };
            let found = if is_here(upstream) { self.owners.uses(&upstream.name) } else { Uses::Unknown };
            Press::of(&gpus.cards, &named(upstream, &gpus.cards).unwrap_or(found))
        };
        upstreams().map(|upstream| (upstream.name.as_str(), press(upstream))).collect()
    }
}

/// The cards that the config names for it.
fn named(upstream: &Upstream, cards: &[Card]) -> Option<Uses> {
    let is_named = |card: &&Card| upstream.gpu.iter().any(|name| name.is_of(card));
    let indexes = || cards.iter().filter(is_named).map(|card| card.index).collect();
    (!upstream.gpu.is_empty()).then(|| Uses::Cards(indexes()))
}

/// The cards of its machine as an exporter tells them: its own, or that of another upstream on the same machine.
fn exported_for<'e>(exported: &'e Exported, snapshot: &Snapshot, upstream: &Upstream) -> Option<&'e Gpus> {
    let on_same = |other: &&Upstream| other.host().eq_ignore_ascii_case(upstream.host());
    let own = exported.get(&upstream.name);
    let beside = || snapshot.config.upstreams.iter().filter(on_same).find_map(|other| exported.get(&other.name));
    own.or_else(beside).map(|telemetry| &telemetry.gpus)
}
