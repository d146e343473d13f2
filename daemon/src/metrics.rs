//! Counters and histograms for Prometheus. Labels are bounded: names from the config and fixed words only.

mod cache;
mod gpu;
mod kept;
mod place;
mod state;
mod traffic;

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use domain::cache::Stats;
use domain::health::State;
use domain::node::Nodes;
use domain::usage::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use cache::Recalls;
use place::Places;
use traffic::Traffic;

pub(crate) use cache::Listening;
pub(crate) use traffic::AtUpstream;

/// Where a request went and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    surface: &'static str,
    upstream: String,
    model: String,
    outcome: &'static str,
}

/// A place that answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    upstream: String,
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenKind {
    upstream: String,
    model: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorKind {
    upstream: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyName {
    policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

type Seconds = Family<Place, Histogram, fn() -> Histogram>;

/// What is counted for each place.
struct Families {
    requests: Family<Outcome, Counter>,
    tokens: Family<TokenKind, Counter>,
    duration: Seconds,
    first_token: Seconds,
    between_tokens: Seconds,
}

/// All of Airlane's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    families: Families,
    places: Places,
    errors: Family<ErrorKind, Counter>,
    cancelled: Family<Phase, Counter>,
    policy_slips: Family<PolicyName, Counter>,
    /// Requests that are being served.
    pub(crate) in_flight: Gauge<i64, AtomicI64>,
    /// Requests that wait for a place.
    pub(crate) waiting: Gauge<i64, AtomicI64>,
    /// Requests that read a shared or a kept answer.
    pub(crate) listening: Gauge<i64, AtomicI64>,
    recalls: Recalls,
    /// Whether an upstream answered when it was last asked for its models.
    reachable: Family<Place, Gauge>,
    traffic: Traffic,
    retries_refused: Counter,
    memory: Gauge,
}

/// What is counted when a request has ended.
pub(crate) struct Ended<'a> {
    pub(crate) surface: &'static str,
    pub(crate) upstream: &'a str,
    pub(crate) model: &'a str,
    pub(crate) outcome: &'static str,
    pub(crate) total: Duration,
    /// Time to the first visible token of a stream.
    pub(crate) first_token: Option<Duration>,
    /// Mean time between visible pieces of a stream.
    pub(crate) between_tokens: Option<Duration>,
    pub(crate) usage: Usage,
    /// How it met the kept answers.
    pub(crate) cache: Option<&'static str>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut whole = Registry::default();
        let registry = whole.sub_registry_with_prefix("airlane");
        let long = || Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]);
        let short = || Histogram::new([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0]);
        let families = Families {
            requests: Family::default(),
            tokens: Family::default(),
            duration: Family::new_with_constructor(long),
            first_token: Family::new_with_constructor(long),
            between_tokens: Family::new_with_constructor(short),
        };
        let metrics = Self {
            families,
            places: Places::default(),
            errors: Family::default(),
            cancelled: Family::default(),
            policy_slips: Family::default(),
            in_flight: Gauge::default(),
            waiting: Gauge::default(),
            listening: Gauge::default(),
            recalls: Recalls::default(),
            reachable: Family::default(),
            traffic: Traffic::default(),
            retries_refused: Counter::default(),
            memory: Gauge::default(),
            registry: Registry::default(),
        };
        let seconds = || Unit::Seconds;
        registry.register("requests", "Requests that have ended", metrics.families.requests.clone());
        registry.register("tokens", "Tokens as the upstreams counted them", metrics.families.tokens.clone());
        registry.register("upstream_errors", "Failed attempts, by what failed", metrics.errors.clone());
        registry.register("cancelled", "Requests whose client left, by phase", metrics.cancelled.clone());
        let slips = "Requests for which a policy's condition could not be worked out, so that it held";
        registry.register("policy_slips", slips, metrics.policy_slips.clone());
        registry.register_with_unit("request_duration", "Whole request", seconds(), metrics.families.duration.clone());
        registry.register_with_unit(
            "time_to_first_token",
            "To the first visible token",
            seconds(),
            metrics.families.first_token.clone(),
        );
        registry.register_with_unit(
            "inter_token",
            "Mean time between visible pieces of one stream",
            seconds(),
            metrics.families.between_tokens.clone(),
        );
        registry.register("requests_in_flight", "Requests that are being served", metrics.in_flight.clone());
        registry.register("requests_waiting", "Requests that wait for a place", metrics.waiting.clone());
        registry.register(
            "upstream_reachable",
            "1 if the upstream answered when last asked",
            metrics.reachable.clone(),
        );
        metrics.traffic.register(registry);
        let listening = "Requests that read an answer which is shared or written slowly";
        registry.register("requests_listening", listening, metrics.listening.clone());
        metrics.recalls.register(registry);
        registry.register("retries_refused", "Attempts too many for a failing house", metrics.retries_refused.clone());
        whole.register("process_resident_memory_bytes", "Memory of this process", metrics.memory.clone());
        Self { registry: whole, ..metrics }
    }

    /// Counts a request that has ended.
    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        self.places.ended(&self.families, ended);
        if let Some(result) = ended.cache {
            self.recalls.ended(result, &ended.usage);
        }
    }

    /// Counts a request as long as it reads an answer that no upstream of its own makes.
    pub(crate) fn listening(&self) -> Listening {
        Listening::new(&self.listening)
    }

    /// Counts a failed attempt.
    pub(crate) fn failed(&self, upstream: &str, kind: &'static str) {
        self.errors.get_or_create(&ErrorKind { upstream: upstream.to_owned(), kind }).inc();
    }

    /// Counts a request for which a policy's condition could not be worked out. Says whether it was the policy's first one.
    pub(crate) fn policy_slipped(&self, policy: &str) -> bool {
        self.policy_slips.get_or_create(&PolicyName { policy: policy.to_owned() }).inc() == 0
    }

    /// Counts a request whose client left.
    pub(crate) fn cancelled(&self, phase: &'static str) {
        self.cancelled.get_or_create(&Phase { phase }).inc();
    }

    /// Notes whether an upstream answers.
    pub(crate) fn reachable(&self, upstream: &str, reachable: bool) {
        let labels = Place { upstream: upstream.to_owned(), model: String::new() };
        self.reachable.get_or_create(&labels).set(i64::from(reachable));
    }

    /// Counts a request at an upstream as long as the answer lives.
    pub(crate) fn at_upstream(&self, upstream: &str) -> AtUpstream {
        self.traffic.begins(upstream)
    }

    /// Counts a second copy that is sent to the upstream.
    pub(crate) fn hedged(&self, upstream: &str) {
        self.traffic.hedged(upstream);
    }

    /// Counts a second copy that was answered first.
    pub(crate) fn hedge_won(&self, upstream: &str) {
        self.traffic.hedge_won(upstream);
    }

    /// Counts an attempt that was not made, since too many fail.
    pub(crate) fn retry_refused(&self) {
        self.retries_refused.inc();
    }

    /// Requests of others that the upstream says it works on; `None` where it does not say.
    pub(crate) fn others(&self, upstream: &str, running: Option<u32>) {
        self.traffic.note_others(upstream, running);
    }

    /// Requests that the upstream works on, of ours and as far as it tells of others, and all that we ever sent there.
    /// Those of others that it tells take its slots: what it computes for them presses it no more than ours does.
    pub(crate) fn traffic(&self, upstream: &str) -> (u64, u64) {
        self.traffic.of(upstream)
    }

    /// Everything in the text format, with how each upstream does and what is kept.
    pub(crate) fn text(&self, nodes: &Nodes, states: &[(&str, State)], cache: &Stats) -> String {
        self.memory.set(resident_bytes().unwrap_or(0));
        let mut cards = Registry::with_prefix("airlane_gpu");
        gpu::register(nodes, &mut cards);
        let mut upstreams = Registry::with_prefix("airlane_upstream");
        state::register(states, &mut upstreams);
        let mut kept = Registry::with_prefix("airlane_cache");
        kept::register(cache, &mut kept);
        let mut out = String::new();
        // Writing into a String does not fail.
        let _ = encode_registry(&mut out, &self.registry)
            .and_then(|()| encode_registry(&mut out, &cards))
            .and_then(|()| encode_registry(&mut out, &upstreams))
            .and_then(|()| encode_registry(&mut out, &kept))
            .and_then(|()| encode_eof(&mut out));
        out
    }
}

/// Memory of this process, as the kernel tells it.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<i64>().ok().map(|kib| kib * 1_024)
}
