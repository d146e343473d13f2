//! What ordinary load balancers do: pick a node as a request comes, and let it wait there.

use super::Nanos;
use super::chance::Chance;
use super::scenario::Scenario;
use super::world::{Policy, World};

/// How the node is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Random,
    RoundRobin,
    LeastConnections,
}

/// Picks by a rule. A node that failed is left alone for a while, and its requests go elsewhere: nginx with
/// `proxy_next_upstream`.
#[derive(Debug)]
pub(super) struct Simple {
    rule: Rule,
    chance: Chance,
    turn: usize,
    /// Until when a node is left alone.
    down: Vec<Nanos>,
}

/// nginx's `fail_timeout`.
const DOWN: Nanos = 10_000_000_000;

impl Simple {
    pub(super) fn new(scenario: &Scenario, rule: Rule) -> Self {
        Self { rule, chance: Chance::new(scenario.seed ^ 0x51), turn: 0, down: vec![0; scenario.nodes.len()] }
    }

    fn pick(&mut self, world: &World, may: &[usize]) -> Option<usize> {
        let count = may.len();
        if count == 0 {
            return None;
        }
        self.turn += 1;
        let turn = self.turn;
        match self.rule {
            Rule::Random => may.get(self.chance.below(count)).copied(),
            Rule::RoundRobin => may.get(turn % count).copied(),
            // In turn among equals, as nginx does.
            Rule::LeastConnections => {
                let order = (0..count).map(|step| may[(turn + step) % count]);
                order.min_by_key(|node| world.nodes[*node].load())
            }
        }
    }

    fn send(&mut self, world: &mut World, id: u32) {
        let mut tried = Vec::new();
        loop {
            let free: Vec<usize> = (0..world.nodes.len()).filter(|node| !tried.contains(node)).collect();
            let well: Vec<usize> = free.iter().copied().filter(|node| self.down[*node] <= world.now).collect();
            let Some(node) = self.pick(world, if well.is_empty() { &free } else { &well }) else {
                world.records[id as usize].refused = true;
                return world.fail(id);
            };
            if world.call(id, node) {
                return;
            }
            self.down[node] = world.now + DOWN;
            tried.push(node);
        }
    }
}

impl Policy for Simple {
    fn arrive(&mut self, world: &mut World, id: u32) {
        self.send(world, id);
    }

    fn lost(&mut self, world: &mut World, id: u32, is_begun: bool) {
        if let Some(node) = world.records[id as usize].node {
            self.down[node] = world.now + DOWN;
        }
        if !is_begun {
            self.send(world, id);
        }
    }
}
