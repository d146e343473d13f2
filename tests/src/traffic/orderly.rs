//! The oracle in a house with lanes and clients: it knows the future as the other one does, and lets requests wait in the
//! dispatcher's order: by lane, then by the turn of the client. What it does better than the dispatcher, better predictions would do; what the other oracle
//! does better still is the price of lanes and fair shares.

use std::sync::Arc;

use domain::dispatch::Shares;
use domain::lane::Lane;
use domain::pace::Measured;

use super::node::{Job, Node};
use super::oracle::first_token;
use super::world::{Policy, World};

#[derive(Debug, Default)]
pub(super) struct Orderly {
    shares: Shares,
    /// Lane, turn of the client, number.
    waiting: Vec<(Lane, u64, u32)>,
}

impl Orderly {
    fn enter(&mut self, world: &World, id: u32) {
        let request = &world.requests[id as usize];
        let client = Arc::from(request.client.to_string());
        let start = self.shares.start(&client, request.prompt + request.output);
        self.waiting.push((request.lane, start, id));
        self.waiting.sort_unstable();
    }

    /// Plays the future of all that wait, one after another, and calls the nodes for those whose best node has room now.
    fn go(&mut self, world: &mut World) {
        if self.waiting.is_empty() {
            return;
        }
        let mut futures = world.nodes.clone();
        for (_, start, id) in self.waiting.clone() {
            let has_room = |node: &Node| node.is_up && node.load() < node.spec.slots;
            if !futures.iter().any(has_room) {
                break;
            }
            let job = Job::new(id, &world.requests[id as usize]);
            let Some(best) = soonest(&futures, &job, world) else { continue };
            let goes = has_room(&futures[best]);
            futures[best].accept(job, world.now);
            if goes && world.call(id, best) {
                self.waiting.retain(|(.., waiting)| *waiting != id);
                self.shares.served(start);
            }
        }
    }
}

/// The node with the truly earliest first token, those before it being where they are; any that is up where all will die.
fn soonest(nodes: &[Node], job: &Job, world: &World) -> Option<usize> {
    let mut best = None;
    for (number, node) in nodes.iter().enumerate().filter(|(_, node)| node.is_up) {
        let limit = best.map_or(u64::MAX, |(first, _)| first);
        let first = first_token(node, job.clone(), world.now, limit);
        best = best.into_iter().chain(first.map(|first| (first, number))).min();
    }
    best.map(|(_, number)| number).or_else(|| nodes.iter().position(|node| node.is_up))
}

impl Policy for Orderly {
    fn arrive(&mut self, world: &mut World, id: u32) {
        self.enter(world, id);
        self.go(world);
    }

    fn ended(&mut self, world: &mut World, _id: u32, _measured: &Measured) {
        self.go(world);
    }

    fn lost(&mut self, world: &mut World, id: u32, is_begun: bool) {
        if !is_begun {
            self.enter(world, id);
        }
        self.go(world);
    }

    fn look(&mut self, world: &mut World) {
        self.go(world);
    }
}
