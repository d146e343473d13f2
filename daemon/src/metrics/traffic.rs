//! What was sent to each upstream, and what is there now. Counters are found once and kept, as those of a place are.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Upstream {
    upstream: String,
}

/// The traffic of all upstreams.
#[derive(Default)]
pub(super) struct Traffic {
    attempts: Family<Upstream, Counter>,
    in_flight: Family<Upstream, Gauge>,
    hedges: Family<Upstream, Counter>,
    hedges_won: Family<Upstream, Counter>,
    others: Family<Upstream, Gauge>,
    known: RwLock<HashMap<String, (Counter, Gauge)>>,
}

impl Traffic {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("upstream_attempts", "Requests sent to the upstream", self.attempts.clone());
        registry.register("upstream_in_flight", "Requests that are at the upstream", self.in_flight.clone());
        let others = "Requests of others that the upstream works on, as far as it tells";
        registry.register("upstream_others", others, self.others.clone());
        registry.register("hedges", "Second copies sent to the upstream", self.hedges.clone());
        registry.register("hedges_won", "Second copies that were answered first", self.hedges_won.clone());
    }

    /// A second copy goes to an upstream.
    pub(super) fn hedged(&self, upstream: &str) {
        self.hedges.get_or_create(&Upstream { upstream: upstream.to_owned() }).inc();
    }

    /// A second copy was answered first.
    pub(super) fn hedge_won(&self, upstream: &str) {
        self.hedges_won.get_or_create(&Upstream { upstream: upstream.to_owned() }).inc();
    }

    /// A request goes to an upstream.
    pub(super) fn begins(&self, upstream: &str) -> AtUpstream {
        let (attempts, in_flight) = self.known(upstream).unwrap_or_else(|| {
            let labels = Upstream { upstream: upstream.to_owned() };
            let made = (self.attempts.get_or_create_owned(&labels), self.in_flight.get_or_create_owned(&labels));
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.entry(upstream.to_owned()).or_insert(made).clone()
        });
        attempts.inc();
        in_flight.inc();
        AtUpstream(in_flight)
    }

    /// The upstream says that it works on so many requests of others, or nothing of the kind.
    pub(super) fn note_others(&self, upstream: &str, running: Option<u32>) {
        let labels = Upstream { upstream: upstream.to_owned() };
        match running {
            Some(running) => drop(self.others.get_or_create(&labels).set(i64::from(running))),
            None => drop(self.others.remove(&labels)),
        }
    }

    /// Requests that are there, those of others among them, and all that we ever sent there.
    pub(super) fn of(&self, upstream: &str) -> (u64, u64) {
        let others = self.others.get(&Upstream { upstream: upstream.to_owned() }).map_or(0, |gauge| gauge.get());
        let (in_flight, begun) =
            self.known(upstream).map_or((0, 0), |(attempts, in_flight)| (in_flight.get(), attempts.get()));
        (u64::try_from(in_flight.saturating_add(others)).unwrap_or(0), begun)
    }

    fn known(&self, upstream: &str) -> Option<(Counter, Gauge)> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(upstream).cloned()
    }
}

/// A request that is at an upstream.
pub(crate) struct AtUpstream(Gauge);

impl Drop for AtUpstream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
