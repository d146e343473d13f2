//! How requests met the kept answers.

use std::sync::atomic::AtomicI64;

use domain::usage::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Met {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// Kept and shared answers.
#[derive(Default)]
pub(super) struct Recalls {
    requests: Family<Met, Counter>,
    saved: Family<Kind, Counter>,
}

impl Recalls {
    pub(super) fn register(&self, registry: &mut Registry) {
        let met = "Requests by how they met the kept answers: hit, miss, collapsed, refused or bypass";
        registry.register("cache_requests", met, self.requests.clone());
        let saved = "Tokens that were not used, because the answer was kept or shared";
        registry.register("cache_saved_tokens", saved, self.saved.clone());
    }

    pub(super) fn ended(&self, result: &'static str, usage: &Usage) {
        self.requests.get_or_create(&Met { result }).inc();
        let Some(saved) = usage.saved else { return };
        for (kind, count) in [("input", saved.input), ("output", saved.output)] {
            self.saved.get_or_create(&Kind { kind }).inc_by(count);
        }
    }
}

/// A client that reads an answer which no upstream of its own makes.
pub(crate) struct Listening(Gauge<i64, AtomicI64>);

impl Listening {
    pub(super) fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.dec();
    }
}
