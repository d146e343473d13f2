//! A house played in simulated time: nodes with a truth of their own, requests from a seed, and policies that bring the
//! two together. The dispatcher sees what it sees in a real house, and nothing of the truth.
//!
//! Everything is deterministic: the same scenario and seed give the same figures to the last digit.

mod auto;
mod cache;
mod chance;
mod load;
mod node;
mod oracle;
mod orderly;
mod record;
mod scenario;
mod simple;
mod world;

pub use auto::Auto;
pub use chance::Chance;
pub use load::{Request, Shape};
pub use node::{Change, Spec};
pub use record::{Record, Summary};
pub use scenario::{Scenario, many, mixed, scenarios};
pub use world::{Policy, World, play};

use oracle::Oracle;
use orderly::Orderly;
use simple::{Rule, Simple};

/// A point in simulated time, in nanoseconds.
pub type Nanos = u64;

/// The policies that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Airlane's dispatcher.
    Auto,
    /// Any node that is not known to be down.
    Random,
    /// One after another.
    RoundRobin,
    /// The node with the fewest requests.
    LeastConnections,
    /// The node with the truly earliest first token.
    Oracle,
    /// The same, in the dispatcher's order of lanes and clients.
    Orderly,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::Random, Self::RoundRobin, Self::LeastConnections, Self::Oracle, Self::Orderly];

    /// Those that are played in a scenario: where one client sends in one lane, there is no order but that of coming.
    pub fn of(scenario: &Scenario) -> impl Iterator<Item = Self> {
        let has_order = scenario.requests.iter().any(|request| request.client > 0);
        Self::ALL.into_iter().filter(move |kind| has_order || *kind != Self::Orderly)
    }

    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-conn",
            Self::Oracle => "oracle",
            Self::Orderly => "orderly",
        }
    }
}

/// Plays a scenario under a policy.
#[must_use]
pub fn run(scenario: &Scenario, kind: Kind) -> Summary {
    let mut world = World::new(scenario);
    match kind {
        Kind::Auto => play(&mut world, &mut Auto::new(scenario)),
        Kind::Random => play(&mut world, &mut Simple::new(scenario, Rule::Random)),
        Kind::RoundRobin => play(&mut world, &mut Simple::new(scenario, Rule::RoundRobin)),
        Kind::LeastConnections => play(&mut world, &mut Simple::new(scenario, Rule::LeastConnections)),
        Kind::Oracle => play(&mut world, &mut Oracle::new(scenario)),
        Kind::Orderly => play(&mut world, &mut Orderly::default()),
    }
    Summary::of(&world)
}
