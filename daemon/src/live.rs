//! What is true now: one immutable snapshot that everyone reads and one task writes.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use domain::catalogue::{Catalogue, Target};
use domain::config::Config;
use domain::node::{Node, Nodes, Origin};
use domain::policy::Pulse;
use domain::price::Prices;
use domain::telemetry::Telemetry;
use tokio::sync::watch;

/// One state of the house. A request uses one from start to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) config: Arc<Config>,
    pub(crate) catalogue: Catalogue,
    pub(crate) upstreams: Vec<UpstreamState>,
    /// Every upstream has been asked at least once.
    pub(crate) first_round_over: bool,
}

/// Servers of the house are paid for with current, which nobody bills by the request.
static HOUSE: LazyLock<Option<Arc<Prices>>> =
    LazyLock::new(|| Prices::from_line("input 0 output 0 | this house | ").map(Arc::new));

impl Snapshot {
    /// What a model costs at a place: what the upstream tells, or the vendor's list. `None` where nobody knows.
    pub(crate) fn prices(&self, target: &Target) -> Option<Arc<Prices>> {
        let told = self.catalogue.info(target).and_then(|info| info.prices.clone());
        let is_local = || self.config.upstream(&target.upstream).is_some_and(|upstream| upstream.local);
        told.or_else(|| if is_local() { HOUSE.clone() } else { None })
    }
}

/// How an upstream does.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamState {
    pub(crate) name: String,
    /// It has been asked for its models.
    pub(crate) asked: bool,
    /// Why it did not answer when it was last asked.
    pub(crate) error: Option<String>,
    /// Models it told.
    pub(crate) models: usize,
}

/// Which config is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigState {
    /// Counted from 1 at start.
    pub(crate) revision: u64,
    /// Why the file as it stands was not taken over.
    pub(crate) problem: Option<String>,
    /// Keys whose change waits for a restart.
    pub(crate) restart_needed: Vec<&'static str>,
}

/// The current snapshot.
pub(crate) struct Live {
    current: ArcSwap<Snapshot>,
    config_state: ArcSwap<ConfigState>,
    nodes: ArcSwap<Nodes>,
    first_round: watch::Sender<bool>,
}

impl Live {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let snapshot = Snapshot { config, ..Snapshot::default() };
        Self {
            current: ArcSwap::from_pointee(snapshot),
            config_state: ArcSwap::default(),
            nodes: ArcSwap::default(),
            first_round: watch::Sender::new(false),
        }
    }

    /// Which config is in force.
    pub(crate) fn config_state(&self) -> Arc<ConfigState> {
        self.config_state.load_full()
    }

    pub(crate) fn note_config(&self, state: ConfigState) {
        self.config_state.store(Arc::new(state));
    }

    /// All machines with graphics cards, this one first.
    pub(crate) fn nodes(&self) -> Arc<Nodes> {
        self.nodes.load_full()
    }

    /// Puts these in the place of all nodes of that origin; each origin has one author.
    pub(crate) fn publish_nodes(&self, origin: Origin, nodes: &[Node]) {
        self.nodes.rcu(|known| known.with(origin, nodes.to_vec()));
    }

    /// Graphics cards of this machine and itself as last read.
    pub(crate) fn telemetry(&self) -> Arc<Telemetry> {
        self.nodes.load().here()
    }

    /// How the house does, for policies that ask; `queue_waiting` requests wait for their turn.
    pub(crate) fn pulse(&self, snapshot: &Snapshot, queue_waiting: i64) -> Pulse {
        if !snapshot.config.asks_pulse() {
            return Pulse::default();
        }
        let telemetry = self.telemetry();
        let foreign = telemetry.gpus.cards.iter().filter_map(|card| card.foreign.as_ref());
        let answers = |state: &&UpstreamState| state.asked && state.error.is_none();
        let is_local = |state: &&UpstreamState| snapshot.config.upstream(&state.name).is_some_and(|known| known.local);
        Pulse {
            gpu_pressure: foreign.map(|load| f64::from(load.pressure_percent) / 100.0).fold(0.0, f64::max),
            queue_waiting: u64::try_from(queue_waiting).unwrap_or(0),
            local_healthy: snapshot.upstreams.iter().filter(answers).filter(is_local).count() as u64,
        }
    }

    pub(crate) fn publish_telemetry(&self, telemetry: Telemetry) {
        self.publish_nodes(Origin::Here, &[Node::here(Arc::new(telemetry))]);
    }

    /// The snapshot to use from here on.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let over = snapshot.first_round_over;
        self.current.store(Arc::new(snapshot));
        self.first_round.send_if_modified(|known| over && !std::mem::replace(known, over));
    }

    /// Waits until every upstream has been asked once.
    pub(crate) async fn first_round(&self) {
        let mut receiver = self.first_round.subscribe();
        // The sender lives as long as `self`.
        let _ = receiver.wait_for(|over| *over).await;
    }
}
