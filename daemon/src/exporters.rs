//! Reads the cards of machines without an Airlane of their own, from the exporter that the owner named: dcgm-exporter
//! or nvidia_gpu_exporter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::gpu::{GpuState, Gpus, Ours};
use domain::machine::Machine;
use domain::telemetry::{Telemetry, TelemetryFold};
use domain::upstream::Upstream;
use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::live::{Exported, Live, Snapshot};
use crate::metrics::Metrics;
use crate::upstreams::Clients;

/// How often they are asked: dcgm-exporter collects anew only every 30 s unless it is told otherwise, and
/// nvidia_gpu_exporter starts a program each time.
const EVERY: Duration = Duration::from_secs(2);
/// Longest wait for an answer: `nvidia-smi` may take a second or two on a large machine.
const WAIT_MAX: Duration = Duration::from_millis(2_900);

/// One exporter, by the upstream at which it was named.
#[derive(Default)]
struct Exporter {
    fold: TelemetryFold,
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
        let snapshot = live.now();
        let asked = snapshot.config.upstreams.iter().filter_map(|upstream| Some((upstream, upstream.exporter()?)));
        let asked: Vec<(&Upstream, Upstream)> = asked.collect();
        exporters.retain(|name, _| asked.iter().any(|(upstream, _)| upstream.name == *name));
        let answers = join_all(asked.iter().map(|(_, exporter)| read(&clients, exporter))).await;
        for ((upstream, _), answer) in asked.iter().zip(answers) {
            let known = exporters.entry(upstream.name.clone()).or_default();
            known.note(upstream, answer, ours(&snapshot, &metrics, upstream), started.elapsed());
        }
        let sums = exporters.iter().map(|(name, exporter)| (name.clone(), exporter.sum(started.elapsed())));
        live.publish_exported(sums.collect::<Exported>());
    }
}

async fn read(clients: &Clients, exporter: &Upstream) -> Result<wire::readings::Exported, String> {
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
fn ours(snapshot: &Snapshot, metrics: &Metrics, upstream: &Upstream) -> Ours {
    let there = |other: &&Upstream| other.host().eq_ignore_ascii_case(upstream.host());
    snapshot.config.upstreams.iter().filter(there).fold(Ours::default(), |sum, upstream| {
        let (in_flight, begun) = metrics.traffic(&upstream.name);
        Ours {
            upstreams: sum.upstreams + 1,
            in_flight: sum.in_flight + in_flight,
            begun: sum.begun.wrapping_add(begun),
        }
    })
}

impl Exporter {
    fn note(
        &mut self,
        upstream: &Upstream,
        answer: Result<wire::readings::Exported, String>,
        ours: Ours,
        now: Duration,
    ) {
        match answer {
            Ok(told) => {
                if self.problem.take().is_some() || self.fold.known_machine().is_none() {
                    info!(upstream = %upstream.name, cards = told.gpus.cards.len(), "its graphics cards are read");
                }
                self.fold.machine(Machine { host_name: told.host_name, ..Machine::default() });
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

    /// The cards, or why there are none.
    fn sum(&self, now: Duration) -> Telemetry {
        let telemetry = self.fold.sum(now);
        let Some(problem) = self.problem.clone().filter(|_| telemetry.gpus.state != GpuState::Reading) else {
            return telemetry;
        };
        Telemetry { gpus: Gpus { state: GpuState::Untold { reason: problem }, ..telemetry.gpus }, ..telemetry }
    }
}
