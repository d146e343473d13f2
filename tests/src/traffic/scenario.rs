//! The houses that are played.

use std::sync::Arc;
use std::time::Duration;

use domain::catalogue::{Catalogue, Listings, ModelInfo};
use domain::config::{Config, Draft, UpstreamDraft, check};

use super::Nanos;
use super::chance::Chance;
use super::load::{Request, Shape, requests};
use super::node::{Change, Spec};

/// A house and what happens in it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name in tables.
    pub name: &'static str,
    /// What everything that looks random comes from.
    pub seed: u64,
    /// How many models are asked for.
    pub models: u8,
    /// The nodes, in the order of the config.
    pub nodes: Vec<Spec>,
    /// What comes in.
    pub requests: Arc<Vec<Request>>,
}

/// Chats of one lane and one model, as a house has them.
const CHATS: Shape = Shape {
    requests: 0,
    load: 0.75,
    burst: 3.0,
    turns: 4.0,
    long: 0.03,
    lanes: [0.0, 1.0, 0.0],
    // One client, so that its requests are served in their order and only the choice of the place is compared.
    clients: 1,
    models: 1,
};
/// Work for people, for programs, and for tomorrow.
const LANES: [f64; 3] = [0.5, 0.3, 0.2];
/// People and programs of a large household.
const CLIENTS: usize = 12;

/// All scenarios, each with about this many requests.
#[must_use]
pub fn scenarios(count: usize, seed: u64) -> Vec<Scenario> {
    let shape = Shape { requests: count, ..CHATS };
    let make = |name, nodes, shape| Scenario::new(name, nodes, &shape, seed);
    let one_model = |mut nodes: Vec<Spec>| {
        nodes.iter_mut().for_each(|node| node.one_model = true);
        nodes
    };
    vec![
        make("chats", three(), shape),
        make("bursts", three(), Shape { burst: 8.0, load: 0.6, ..shape }),
        make("long prompts", three(), Shape { long: 0.15, ..shape }),
        make("lanes, bulk floods", three(), Shape { lanes: [0.2, 0.2, 0.6], clients: CLIENTS, load: 0.85, ..shape }),
        make("model swaps", one_model(three()), Shape { models: 3, load: 0.3, ..shape }),
        make("a node dies", with_changes(three(), 1, &deaths()), Shape { load: 0.6, ..shape }),
        make("a game starts", with_changes(three(), 0, &games()), Shape { load: 0.5, ..shape }),
        mixed(count, seed),
        // A thousand nodes answer some hundred a second: there is no time for conversations within so many requests.
        make("1,000 nodes", many(1_000, seed), Shape { turns: 1.0, load: 0.85, ..shape }),
    ]
}

/// Everything at once: lanes, conversations, bursts, documents, a game on the fastest node, and one node that dies.
#[must_use]
pub fn mixed(count: usize, seed: u64) -> Scenario {
    let nodes = with_changes(with_changes(three(), 0, &games()), 1, &deaths());
    let shape = Shape { requests: count, lanes: LANES, clients: CLIENTS, load: 0.55, ..CHATS };
    Scenario::new("mixed", nodes, &shape, seed)
}

const fn seconds(seconds: u64) -> Nanos {
    seconds * 1_000_000_000
}

/// Every half hour a node is gone for two minutes, as long as it takes to restart a machine.
fn deaths() -> Vec<(Nanos, Change)> {
    let times = (1..200).map(|number| seconds(number * 1_800));
    times.flat_map(|at| [(at, Change::Dies), (at + seconds(120), Change::Returns)]).collect()
}

/// Every hour somebody plays for twenty minutes, and leaves a third of the card.
fn games() -> Vec<(Nanos, Change)> {
    let times = (0..100).map(|number| seconds(number * 3_600 + 600));
    times.flat_map(|at| [(at, Change::Eases(0.33)), (at + seconds(1_200), Change::Eases(1.0))]).collect()
}

fn with_changes(mut nodes: Vec<Spec>, node: usize, changes: &[(Nanos, Change)]) -> Vec<Spec> {
    nodes[node].changes = changes.to_vec();
    nodes
}

/// Three unequal nodes with an 8B model: a big card, a middling one, and a small computer. Speeds are of the order that
/// llama.cpp's own bench gives for an RTX 4090 with long contexts, an RTX 3080 and an Apple M2 Pro.
fn three() -> Vec<Spec> {
    let node = |name: &str, slots, [prefill_per_s, decode_per_s, contention, load_s]: [f64; 4], cache_tokens| Spec {
        name: name.to_owned(),
        slots,
        prefill_per_s,
        decode_per_s,
        contention,
        load_s,
        one_model: false,
        cache_tokens,
        changes: Vec::new(),
    };
    vec![
        node("big", 8, [4_000.0, 80.0, 0.08, 4.0], 120_000),
        node("middle", 4, [2_000.0, 50.0, 0.10, 6.0], 80_000),
        node("small", 3, [700.0, 25.0, 0.15, 10.0], 40_000),
    ]
}

/// Many nodes of the three kinds, none quite like another.
#[must_use]
pub fn many(count: usize, seed: u64) -> Vec<Spec> {
    let (kinds, mut chance) = (three(), Chance::new(seed ^ 0x1000));
    let nodes = (0..count).map(|number| {
        let mut node = kinds[number % kinds.len()].clone();
        let speed = 0.7 + 0.6 * chance.unit();
        node.name = format!("{}-{number}", node.name);
        (node.prefill_per_s, node.decode_per_s) = (node.prefill_per_s * speed, node.decode_per_s * speed);
        node
    });
    nodes.collect()
}

impl Scenario {
    /// Makes the requests for the nodes.
    #[must_use]
    pub fn new(name: &'static str, nodes: Vec<Spec>, shape: &Shape, seed: u64) -> Self {
        let requests = Arc::new(requests(shape, &nodes, seed));
        Self { name, seed, models: shape.models, nodes, requests }
    }

    /// Nodes to which nobody comes.
    #[must_use]
    pub fn empty(nodes: Vec<Spec>) -> Self {
        Self { name: "empty", seed: 0, models: 1, nodes, requests: Arc::default() }
    }

    /// The name of a model.
    #[must_use]
    pub fn model(number: u8) -> String {
        format!("model-{number}")
    }

    /// The nodes as the owner would write them down, and as they would tell of themselves.
    ///
    /// # Panics
    /// A node has a name that no upstream may have.
    #[must_use]
    pub fn house(&self) -> (Config, Catalogue) {
        let upstreams = self.nodes.iter().map(|node| UpstreamDraft {
            name: Some(node.name.clone()),
            kind: Some("openai".to_owned()),
            url: Some("http://10.0.0.1:8080".to_owned()),
            local: Some(true),
            one_model: Some(node.one_model),
            ..UpstreamDraft::default()
        });
        let mut config = check(&Draft { upstreams: upstreams.collect(), ..Draft::default() }).expect("a valid house");
        // Ordinary load balancers refuse nobody, so for the comparison Airlane does not either.
        config.endpoint.max_concurrent = usize::MAX;
        config.endpoint.max_waiting = usize::MAX;
        config.endpoint.queue_wait = Duration::from_secs(86_400);
        let model = |number| ModelInfo { id: Self::model(number), ..ModelInfo::default() };
        let models: Vec<ModelInfo> = (0..self.models).map(model).collect();
        let listings: Listings = self.nodes.iter().map(|node| (node.name.clone(), models.clone())).collect();
        let catalogue = Catalogue::build(&config, &listings);
        (config, catalogue)
    }
}
