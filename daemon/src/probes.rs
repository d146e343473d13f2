//! Looks at the house's own upstreams while nobody asks them: are they there, what have they loaded, who presses them?

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::health::{Permission, Symptom};
use domain::node::Node;
use domain::upstream::{Upstream, UpstreamKind};
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::dispatch::Dispatcher;
use crate::live::{Live, Snapshot};
use crate::upstreams::Clients;

/// How often is decided who is looked at. A server that works for us is looked at each time.
const TICK: Duration = Duration::from_millis(700);
/// How often a server is looked at that has nothing to do for us.
const IDLE_EVERY: Duration = Duration::from_secs(10);
/// Looks without an answer after which a server is taken for gone: a stopped one still accepts connections. A busy one
/// may miss a single look.
const MISSES_MAX: u32 = 2;

/// Watches the upstreams.
pub(crate) struct Probes {
    live: Arc<Live>,
    clients: Arc<Clients>,
    dispatcher: Arc<Dispatcher>,
    looked: HashMap<String, Looked>,
}

#[derive(Clone, Copy)]
struct Looked {
    at: Instant,
    misses: u32,
}

impl Probes {
    pub(crate) fn new(live: Arc<Live>, clients: Arc<Clients>, dispatcher: Arc<Dispatcher>) -> Self {
        Self { live, clients, dispatcher, looked: HashMap::new() }
    }

    /// Works for ever.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let snapshot = self.live.now();
            self.dispatcher.see(&snapshot);
            self.press(&snapshot);
            self.look(&snapshot).await;
        }
    }

    /// Passes on how busy the GPUs behind each upstream are with the work of others.
    fn press(&self, snapshot: &Snapshot) {
        let nodes = self.live.nodes();
        for upstream in &snapshot.config.upstreams {
            let Some(node) = nodes.of(upstream) else { continue };
            self.dispatcher.pressed(&upstream.name, pressure(node));
        }
    }

    /// Looks at those whose turn it is, all at once.
    async fn look(&mut self, snapshot: &Snapshot) {
        self.looked.retain(|name, _| snapshot.config.upstream(name).is_some());
        let clients = &self.clients;
        let due = snapshot.config.upstreams.iter().filter(|upstream| self.is_due(upstream));
        let looks: Vec<_> =
            due.map(|upstream| async move { (&upstream.name, clients.probe(upstream, TICK).await) }).collect();
        for (name, result) in join_all(looks).await {
            let known = self.looked.entry(name.clone()).or_insert(Looked { at: Instant::now(), misses: 0 });
            known.at = Instant::now();
            let is_miss = matches!(result, Err((Symptom::Failing, _)));
            known.misses = if is_miss { known.misses.saturating_add(1) } else { 0 };
            match result {
                Err((Symptom::Failing, _)) if known.misses < MISSES_MAX => {}
                Err((Symptom::Failing, cause)) => self.dispatcher.probed(name, Err((Symptom::Unreachable, cause))),
                told => self.dispatcher.probed(name, told),
            }
        }
    }

    fn is_due(&self, upstream: &Upstream) -> bool {
        // Clouds are not looked at: their health shows in the requests, and they count every call.
        if !upstream.local || upstream.kind == UpstreamKind::Loopback {
            return false;
        }
        if self.dispatcher.watches(&upstream.name) {
            return true;
        }
        let permission = self
            .dispatcher
            .with(|dispatch, now| dispatch.places.site(&upstream.name).map(|site| site.health.permission(now)));
        let looked = self.looked.get(&upstream.name);
        match permission {
            Some(Permission::Trial) => true,
            Some(Permission::Not { .. }) => false,
            Some(Permission::Yes) | None => {
                looked.is_none_or(|looked| looked.misses > 0 || looked.at.elapsed() >= IDLE_EVERY)
                    || self.dispatcher.calls_at(&upstream.name) > 0
            }
        }
    }
}

/// How busy a node's cards are with the work of others, in percent.
fn pressure(node: &Node) -> u8 {
    let foreign = node.telemetry.gpus.cards.iter().filter_map(|card| card.foreign.as_ref());
    // With several cards nobody knows which one a server uses: it is believed to use the free one.
    let pressure = foreign.map(|load| if load.backed_off { load.pressure_percent } else { 0 }).min().unwrap_or(0);
    u8::try_from(pressure).unwrap_or(100)
}
