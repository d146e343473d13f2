//! Gauges of the graphics cards. They are made of one telemetry at each scrape, so that a card that is gone, or a value
//! that a card does not offer, has no line. Labels are bounded by the cards of the paired
//! nodes; processes have none.

use std::sync::atomic::AtomicU64;

use domain::gpu::{Card, Sample, Throttle};
use domain::node::{Node, NodeState, Nodes, Origin};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

type Labels = Vec<(&'static str, String)>;

/// Name, help and value of a gauge that each card has at most once.
type Row = (&'static str, &'static str, fn(&Sample) -> Option<f64>);

const ROWS: [Row; 11] = [
    ("utilization_ratio", "Share of the last moment in which the card computed", |s| ratio(s.utilization_percent)),
    ("memory_utilization_ratio", "Share of the last moment in which its memory was used", |s| {
        ratio(s.memory_utilization_percent)
    }),
    ("memory_used_bytes", "Memory of the card in use", |s| s.vram.map(|vram| vram.used_bytes as f64)),
    ("memory_free_bytes", "Memory of the card that is free", |s| s.vram.map(|vram| vram.free_bytes as f64)),
    ("memory_total_bytes", "Memory of the card", |s| s.vram.map(|vram| vram.total_bytes as f64)),
    ("temperature_celsius", "Temperature of the chip", |s| s.temperature_c.map(f64::from)),
    ("slowdown_temperature_celsius", "Temperature from which the card slows down", |s| s.slowdown_c.map(f64::from)),
    ("fan_speed_ratio", "Speed of the fastest fan", |s| ratio(s.fan_percent)),
    ("power_watts", "Power drawn", |s| thousandth(s.power_mw)),
    ("power_limit_watts", "Power that may be drawn", |s| thousandth(s.power_limit_mw)),
    ("mig_enabled", "1 if the card is split into several", |s| flag(s.mig_enabled)),
];

/// Registers everything that the nodes tell, under names that begin with `gpu_`. Cards of this machine have no label
/// `node`; those of others do.
pub(super) fn register(nodes: &Nodes, registry: &mut Registry) {
    let all = nodes.all();
    let state = all.iter().map(|node| {
        let mut labels = of_node(node);
        labels.push(("state", node.telemetry.gpus.state.name().to_owned()));
        (labels, 1.0)
    });
    add::<Reading>(registry, "reading", "1 for the state of reading the cards", state);
    let age = all.iter().filter_map(|node| Some((of_node(node), node.telemetry.gpus.age_ms? as f64 / 1_000.0)));
    add::<Reading>(registry, "reading_age_seconds", "Time since the cards were read", age);
    for (name, help, value) in ROWS {
        add::<Reading>(registry, name, help, each(all, |sample| value(sample).map(|value| (None, value))));
    }
    add::<Reading>(registry, "clock_hertz", "Clocks", each(all, clocks));
    add::<Reading>(registry, "throttled", "1 while this lowers the clocks", each(all, throttle));
    add::<Reading>(registry, "pcie_bytes_per_second", "Traffic with the machine", each(all, pcie));
    add::<Count>(
        registry,
        "energy_joules",
        "Energy used since the driver was loaded",
        each(all, |sample| sample.energy_mj.map(|mj| (None, mj as f64 / 1_000.0))),
    );
    add::<Count>(registry, "ecc_errors", "Memory errors since the driver was loaded", each(all, ecc));
    let up = cards(all).map(|(node, card)| (labels(node, card), f64::from(u8::from(card.sample.is_some()))));
    add::<Reading>(registry, "up", "1 if the card can be read", up);
    let foreign = || cards(all).filter_map(|(node, card)| Some((labels(node, card), card.foreign.as_ref()?)));
    let pressure = foreign().map(|(labels, load)| (labels, f64::from(load.pressure_percent) / 100.0));
    add::<Reading>(registry, "foreign_pressure_ratio", "Load that is not Airlane's, smoothed", pressure);
    let backed_off = foreign().map(|(labels, load)| (labels, f64::from(u8::from(load.backed_off))));
    add::<Reading>(registry, "backed_off", "1 while the card is left to others", backed_off);
}

/// A value with one more label, or none.
type Labelled = (Option<(&'static str, &'static str)>, f64);

/// The cards of nodes that tell: old values would look like new ones.
fn cards(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Card)> {
    let telling = nodes.iter().filter(|node| node.state == NodeState::Reporting);
    telling.flat_map(|node| node.telemetry.gpus.cards.iter().map(move |card| (node, card)))
}

fn each<I: IntoIterator<Item = Labelled>>(nodes: &[Node], values: impl Fn(&Sample) -> I) -> Vec<(Labels, f64)> {
    let cards = cards(nodes).filter_map(|(node, card)| Some((node, card, card.sample.as_ref()?)));
    let lines = cards.flat_map(|(node, card, sample)| values(sample).into_iter().map(move |line| (node, card, line)));
    lines
        .map(|(node, card, (more, value))| {
            let mut labels = labels(node, card);
            labels.extend(more.map(|(name, value)| (name, value.to_owned())));
            (labels, value)
        })
        .collect()
}

fn labels(node: &Node, card: &Card) -> Labels {
    let mut labels = of_node(node);
    labels.extend([("gpu", card.index.to_string()), ("uuid", card.uuid.clone().unwrap_or_default())]);
    labels
}

fn of_node(node: &Node) -> Labels {
    if node.origin == Origin::Here { Labels::new() } else { vec![("node", node.name.clone())] }
}

fn clocks(sample: &Sample) -> Vec<Labelled> {
    let clocks = sample.clocks;
    let named = [
        ("graphics", clocks.graphics_mhz),
        ("sm", clocks.sm_mhz),
        ("memory", clocks.memory_mhz),
        ("video", clocks.video_mhz),
    ];
    named.into_iter().filter_map(|(name, mhz)| Some((Some(("clock", name)), f64::from(mhz?) * 1e6))).collect()
}

fn throttle(sample: &Sample) -> Vec<Labelled> {
    let Some(reasons) = &sample.throttle else { return Vec::new() };
    let line = |(reason, name): (Throttle, _)| (Some(("reason", name)), f64::from(u8::from(reasons.contains(&reason))));
    Throttle::ALL.into_iter().map(line).collect()
}

fn pcie(sample: &Sample) -> Vec<Labelled> {
    let named = [("received", sample.pcie.received_kb_per_s), ("sent", sample.pcie.sent_kb_per_s)];
    named.into_iter().filter_map(|(name, kb)| Some((Some(("direction", name)), f64::from(kb?) * 1e3))).collect()
}

fn ecc(sample: &Sample) -> Vec<Labelled> {
    let named = [("corrected", sample.ecc.corrected), ("uncorrected", sample.ecc.uncorrected)];
    named.into_iter().filter_map(|(name, count)| Some((Some(("kind", name)), count? as f64))).collect()
}

/// A metric that takes a value once.
trait Once: Metric + TypedMetric + Default + Clone {
    fn set_once(&self, value: f64);
}

type Reading = Gauge<f64, AtomicU64>;
type Count = Counter<f64, AtomicU64>;

impl Once for Reading {
    fn set_once(&self, value: f64) {
        self.set(value);
    }
}

impl Once for Count {
    fn set_once(&self, value: f64) {
        self.inc_by(value);
    }
}

fn add<M: Once>(registry: &mut Registry, name: &str, help: &str, lines: impl IntoIterator<Item = (Labels, f64)>) {
    let family = Family::<Labels, M>::default();
    let mut is_empty = true;
    for (labels, value) in lines {
        family.get_or_create(&labels).set_once(value);
        is_empty = false;
    }
    // A name without a line would only make people look for it.
    if !is_empty {
        registry.register(name, help, family);
    }
}

fn ratio(percent: Option<u32>) -> Option<f64> {
    percent.map(|percent| f64::from(percent) / 100.0)
}

fn thousandth(value: Option<u32>) -> Option<f64> {
    value.map(|value| f64::from(value) / 1_000.0)
}

fn flag(value: Option<bool>) -> Option<f64> {
    value.map(|value| f64::from(u8::from(value)))
}
