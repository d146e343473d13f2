//! Somebody who knows the future: the length of every answer, every node's true speed and queue and cache, and what will
//! happen to it.
//!
//! As a request comes, the future of each node is played with it, and it goes to the one where its first token truly
//! comes first. Nodes serve first come first served, so nobody who comes later changes that time: the oracle is exact. It
//! does not plan for requests that have not come, knows no lanes, and does not move a request once it has gone.

use super::Nanos;
use super::node::{Deed, Job, Node, nanos};
use super::scenario::Scenario;
use super::world::{Policy, World};

#[derive(Debug)]
pub(super) struct Oracle {
    /// Nodes in the order in which they are looked at, with the shortest time to the first token that is possible.
    order: Vec<(Nanos, usize)>,
}

impl Oracle {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { order: Vec::with_capacity(scenario.nodes.len()) }
    }

    fn send(&mut self, world: &mut World, id: u32) {
        let request = &world.requests[id as usize];
        let up = world.nodes.iter().enumerate().filter(|(_, node)| node.is_up);
        self.order.clear();
        self.order.extend(up.map(|(number, node)| (world.now + nanos(node.soonest_s(request)), number)));
        self.order.sort_unstable();
        let mut best: Option<(Nanos, usize)> = None;
        for &(soonest, number) in &self.order {
            if best.is_some_and(|(first, _)| first <= soonest) {
                break;
            }
            let limit = best.map_or(Nanos::MAX, |(first, _)| first);
            let first = first_token(&world.nodes[number], Job::new(id, request), world.now, limit);
            best = best.into_iter().chain(first.map(|first| (first, number))).min();
        }
        // Where all will die before, it goes where it may be lost, and from there to the next.
        let node = best.or(self.order.first().copied()).map(|(_, number)| number);
        if node.is_none_or(|node| !world.call(id, node)) {
            world.records[id as usize].refused = true;
            world.fail(id);
        }
    }
}

/// When a node would give a request its first token, if it lives so long and that is before the limit.
pub(super) fn first_token(node: &Node, job: Job, now: Nanos, limit: Nanos) -> Option<Nanos> {
    let (mut future, id, mut found) = (node.clone(), job.id, None);
    future.accept(job, now);
    while found.is_none() {
        let (next, change) = (future.next(), future.next_change());
        let at = [next, change.map(|(at, _)| at)].into_iter().flatten().min().filter(|at| *at < limit)?;
        future.advance(at, |job, deed, at| {
            if job.id == id && deed == Deed::FirstToken {
                found = Some(at);
            }
        });
        if change.is_some_and(|(due, _)| due <= at) && future.change().contains(&id) {
            return None;
        }
    }
    found
}

impl Policy for Oracle {
    fn arrive(&mut self, world: &mut World, id: u32) {
        self.send(world, id);
    }

    fn lost(&mut self, world: &mut World, id: u32, is_begun: bool) {
        if !is_begun {
            self.send(world, id);
        }
    }
}
