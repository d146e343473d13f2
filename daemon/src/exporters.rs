//! Reads the cards of machines without an Airlane of their own, from the exporter that the owner named: dcgm-exporter
//! or nvidia_gpu_exporter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::config::Config;
use domain::gpu::{GpuState, Gpus, Ours};
use domain::node::{Node, NodeState, Origin};
use domain::telemetry::{Telemetry, TelemetryFold};
use domain::upstream::Upstream;
use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use wire::readings::Exported;

use crate::live::Live;
use crate::metrics::Metrics;
use crate::upstreams::Clients;

/// How often they are asked: a game should be noticed soon, and nvidia_gpu_exporter starts a program each time.
const EVERY: Duration = Duration::from_secs(2);
/// Longest wait for an answer: `nvidia-smi` may take a second or two on a large machine.
const WAIT_MAX: Duration = Duration::from_millis(2_900);

/// One exporter, by the first upstream at which it is named.
#[derive(Default)]
struct Exporter {
    fold: TelemetryFold,
    /// Its machine's name, where it tells.
    host_name: Option<String>,
    is_read: bool,
    /// Why it told nothing the last time.
    problem: Option<String>,
}

/// Reads them for ever.
pub(crate) async fn keep(live: Arc<Live>, clients: Arc<Clients>, metrics: Arc<Metrics>) {
    let started = Instant::now();
    let mut exporters: HashMap<String, Exporter> = HashMap::new();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let config = live.now().config.clone();
        let asked = named(&config);
        exporters.retain(|name, _| asked.iter().any(|(upstream, _)| upstream.name == *name));
        let answers = join_all(asked.iter().map(|(_, exporter)| read(&clients, exporter))).await;
        let mut nodes = Vec::new();
        for ((upstream, _), answer) in asked.iter().zip(answers) {
            let known = exporters.entry(upstream.name.clone()).or_default();
            known.note(upstream, answer, ours(&config, &metrics, upstream), started.elapsed());
            nodes.push(known.node(upstream, started.elapsed()));
        }
        live.publish_nodes(Origin::Exporter, &nodes);
    }
}

/// Each exporter once, with the first upstream that names it.
fn named(config: &Config) -> Vec<(&Upstream, Upstream)> {
    let mut all: Vec<(&Upstream, Upstream)> = Vec::new();
    for upstream in &config.upstreams {
        let Some(exporter) = upstream.exporter() else { continue };
        if !all.iter().any(|(known, _)| known.gpu_metrics == upstream.gpu_metrics) {
            all.push((upstream, exporter));
        }
    }
    all
}

async fn read(clients: &Clients, exporter: &Upstream) -> Result<Exported, String> {
    let text = clients.metrics_of(exporter, WAIT_MAX).await.map_err(|error| error.to_string())?;
    let found = wire::readings::gpus(&text);
    found.ok_or_else(|| {
        format!(
            "upstream {}: what answers there tells of no card in the form of dcgm-exporter or nvidia_gpu_exporter",
            exporter.name
        )
    })
}

/// What we do on the machine of an upstream.
fn ours(config: &Config, metrics: &Metrics, upstream: &Upstream) -> Ours {
    let is_there = |other: &&Upstream| {
        other.gpu_metrics == upstream.gpu_metrics
            || (other.gpu_metrics.is_none() && other.host().eq_ignore_ascii_case(upstream.host()))
    };
    config.upstreams.iter().filter(is_there).fold(Ours::default(), |sum, upstream| {
        let (in_flight, begun) = metrics.traffic(&upstream.name);
        Ours {
            upstreams: sum.upstreams + 1,
            in_flight: sum.in_flight + in_flight,
            begun: sum.begun.wrapping_add(begun),
        }
    })
}

impl Exporter {
    fn note(&mut self, upstream: &Upstream, answer: Result<Exported, String>, ours: Ours, now: Duration) {
        match answer {
            Ok(told) => {
                if self.problem.take().is_some() || !self.is_read {
                    info!(upstream = %upstream.name, cards = told.gpus.cards.len(), "its graphics cards are read");
                }
                self.is_read = true;
                self.host_name = told.host_name;
                self.fold.gpus(told.gpus, ours, now);
            }
            Err(problem) => {
                if self.problem.is_none() {
                    warn!(upstream = %upstream.name, "its graphics cards cannot be read: {problem}");
                }
                self.problem = Some(problem);
            }
        }
    }

    fn node(&self, upstream: &Upstream, now: Duration) -> Node {
        let telemetry = self.telemetry(now);
        let age_s = telemetry.gpus.age_ms.map(|age_ms| age_ms / 1_000);
        let hosts = std::iter::once(upstream.host().to_owned()).chain(self.host_name.clone());
        Node {
            name: upstream.name.clone(),
            origin: Origin::Exporter,
            hosts: hosts.collect(),
            state: NodeState::of_age(age_s),
            telemetry: Arc::new(telemetry),
            servers: Arc::default(),
            notes: Arc::default(),
        }
    }

    /// The cards, or why there are none.
    fn telemetry(&self, now: Duration) -> Telemetry {
        let telemetry = self.fold.sum(now);
        let Some(problem) = self.problem.clone().filter(|_| telemetry.gpus.state != GpuState::Reading) else {
            return telemetry;
        };
        Telemetry { gpus: Gpus { state: GpuState::Untold { reason: problem }, ..telemetry.gpus }, ..telemetry }
    }
}
