//! Simulated time: what happens next, to whom, and who is told.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use domain::moment::Moment;
use domain::pace::Measured;
use std::time::Duration;

use super::Nanos;
use super::load::Request;
use super::node::{Change, Deed, Job, Node};
use super::record::Record;
use super::scenario::Scenario;

/// The house, its requests, and the time.
#[derive(Debug)]
pub struct World {
    pub(super) now: Nanos,
    pub(super) models: u8,
    pub(super) nodes: Vec<Node>,
    pub(super) requests: Arc<Vec<Request>>,
    pub(super) records: Vec<Record>,
    /// Requests that have not come to an end.
    open: usize,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    /// Numbers events, so that those of one moment keep their order.
    sequence: u64,
    /// The number of a node's last forecast; older ones are void.
    forecasts: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(u32),
    /// A node said that something happens there, in its forecast of this number.
    Node(u32, u64),
    Changes(u32),
    Look,
    Probe,
}

/// Somebody who brings requests to nodes.
pub trait Policy {
    /// A request has come.
    fn arrive(&mut self, world: &mut World, id: u32);
    /// A call has given its first token.
    fn first_token(&mut self, _world: &mut World, _id: u32) {}
    /// A call has ended well.
    fn ended(&mut self, _world: &mut World, _id: u32, _measured: &Measured) {}
    /// A call broke off since its node died. If nothing of the answer was shown yet, it may go elsewhere.
    fn lost(&mut self, world: &mut World, id: u32, is_begun: bool);
    /// Comes round every 200 ms, as in the daemon.
    fn look(&mut self, _world: &mut World) {}
    /// Comes round every 600 ms, as the daemon's probes do.
    fn probe(&mut self, _world: &mut World) {}
}

const LOOK_EVERY: Nanos = 200_000_000;
const PROBE_EVERY: Nanos = 600_000_000;

impl World {
    /// The beginning of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let requests = scenario.requests.clone();
        let mut world = Self {
            now: 0,
            models: scenario.models,
            nodes: scenario.nodes.iter().map(Node::new).collect(),
            records: vec![Record::default(); requests.len()],
            open: requests.len(),
            events: BinaryHeap::new(),
            sequence: 0,
            forecasts: vec![0; scenario.nodes.len()],
            requests,
        };
        for (id, request) in (0_u32..).zip(scenario.requests.iter()) {
            world.plan(request.at, Event::Arrives(id));
        }
        for (node, spec) in (0_u32..).zip(&scenario.nodes) {
            spec.changes.iter().for_each(|(at, _)| world.plan(*at, Event::Changes(node)));
        }
        world.plan(0, Event::Probe);
        world.plan(0, Event::Look);
        world
    }

    /// The time as the dispatcher sees it.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(self.now))
    }

    fn plan(&mut self, at: Nanos, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, event)));
    }

    /// Calls a node for a request; `false` if nobody is there.
    pub(super) fn call(&mut self, id: u32, node: usize) -> bool {
        if !self.nodes[node].is_up {
            return false;
        }
        let record = &mut self.records[id as usize];
        (record.called, record.node) = (self.now, Some(node));
        let mut job = Job::new(id, &self.requests[id as usize]);
        job.was_cold = self.nodes[node].lacks(self.requests[id as usize].model);
        self.nodes[node].accept(job, self.now);
        self.forecast(node);
        true
    }

    /// A request ends without an answer.
    pub(super) fn fail(&mut self, id: u32) {
        self.records[id as usize].failed = true;
        self.open -= 1;
    }

    fn forecast(&mut self, node: usize) {
        self.forecasts[node] += 1;
        if let Some(at) = self.nodes[node].next() {
            self.plan(at, Event::Node(node as u32, self.forecasts[node]));
        }
    }

    fn deeds(&mut self, node: usize) -> Vec<(Job, Deed, Nanos)> {
        let mut deeds = Vec::new();
        self.nodes[node].advance(self.now, |job, deed, at| deeds.push((job.clone(), deed, at)));
        self.forecast(node);
        deeds
    }

    fn note(&mut self, job: &Job, deed: Deed, at: Nanos) -> Measured {
        let request = &self.requests[job.id as usize];
        let record = &mut self.records[job.id as usize];
        match deed {
            Deed::FirstToken => {
                record.first_token = Some(at);
                record.began = job.began;
            }
            Deed::Ended => {
                record.ended = Some(at);
                self.open -= 1;
            }
        }
        let first = record.first_token.unwrap_or(at);
        Measured {
            prompt_tokens: request.prompt - job.warm,
            output_tokens: request.output,
            first_token: Some(Duration::from_nanos(first - record.called)),
            total: Duration::from_nanos(at - record.called),
            was_cold: job.was_cold,
        }
    }
}

/// Lets a policy serve all requests of a world, until the last one has ended.
pub fn play(world: &mut World, policy: &mut dyn Policy) {
    while world.open > 0 {
        let Some(Reverse((at, _, event))) = world.events.pop() else { break };
        world.now = at;
        match event {
            Event::Arrives(id) => policy.arrive(world, id),
            Event::Node(node, number) if world.forecasts[node as usize] == number => work(world, policy, node as usize),
            Event::Node(..) => {}
            Event::Changes(node) => {
                work(world, policy, node as usize);
                change(world, policy, node as usize);
            }
            Event::Look => {
                policy.look(world);
                world.plan(at + LOOK_EVERY, Event::Look);
            }
            Event::Probe => {
                policy.probe(world);
                world.plan(at + PROBE_EVERY, Event::Probe);
            }
        }
    }
}

fn work(world: &mut World, policy: &mut dyn Policy, node: usize) {
    for (job, deed, at) in world.deeds(node) {
        let measured = world.note(&job, deed, at);
        match deed {
            Deed::FirstToken => policy.first_token(world, job.id),
            Deed::Ended => policy.ended(world, job.id, &measured),
        }
    }
}

fn change(world: &mut World, policy: &mut dyn Policy, node: usize) {
    let is_death = world.nodes[node].next_change().is_some_and(|(_, change)| change == Change::Dies);
    let lost = world.nodes[node].change();
    world.forecast(node);
    debug_assert!(is_death || lost.is_empty(), "only death loses requests");
    for id in lost {
        let is_begun = world.records[id as usize].first_token.is_some();
        if is_begun {
            world.fail(id);
        }
        policy.lost(world, id, is_begun);
    }
}
