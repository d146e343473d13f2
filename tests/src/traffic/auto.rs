//! Airlane's dispatcher in the simulated house: told what the gateway and the probes tell it, and nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::catalogue::{Catalogue, Target};
use domain::config::Config;
use domain::dispatch::{Attempt, Dispatch, Entered, Entry, Grant, House, Outcome};
use domain::health::{Permission, Symptom};
use domain::pace::Measured;
use domain::refusal::Refusal;
use domain::route::Wish;
use domain::surface::Surface;

use super::Nanos;
use super::scenario::Scenario;
use super::world::{Policy, World};

/// The dispatcher, with what the gateway remembers of its requests.
#[derive(Debug)]
pub struct Auto {
    dispatch: Dispatch,
    config: Config,
    catalogue: Catalogue,
    clients: Vec<Arc<str>>,
    numbers: HashMap<String, usize>,
    /// Leaves to call, by request.
    grants: HashMap<u32, Grant>,
    /// Requests that wait, by ticket.
    waiting: HashMap<u64, u32>,
    /// Nodes that failed a request.
    tried: HashMap<u32, Vec<Target>>,
    /// Nodes that have calls or were found to be gone: probes look at no others.
    watched: HashSet<usize>,
    told: Option<Nanos>,
}

/// How often the catalogue is refreshed, and with it what nodes tell of their models: the daemon's `refresh_s`.
const TELL_EVERY: Nanos = 60_000_000_000;
/// Telemetry sees this share of what a game takes: it counts time slices, not memory bandwidth.
const SEEN: f64 = 0.9;

impl Auto {
    /// The dispatcher of a house, as at its start.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let (config, catalogue) = scenario.house();
        let most = scenario.requests.iter().map(|request| request.client).max().unwrap_or_default();
        Self {
            dispatch: Dispatch::default(),
            clients: (0..=most).map(|client| Arc::from(format!("client-{client}"))).collect(),
            numbers: scenario.nodes.iter().enumerate().map(|(number, node)| (node.name.clone(), number)).collect(),
            config,
            catalogue,
            grants: HashMap::new(),
            waiting: HashMap::new(),
            tried: HashMap::new(),
            watched: HashSet::new(),
            told: None,
        }
    }

    fn enter(&mut self, world: &mut World, id: u32) {
        let entry = self.entry(world, id);
        let house = House { config: &self.config, catalogue: &self.catalogue };
        match self.dispatch.enter(entry, house, world.moment()) {
            Ok(Entered::Go(grant)) => self.call(world, id, grant),
            Ok(Entered::Wait(ticket)) => {
                self.waiting.insert(ticket, id);
            }
            Err(refusal) => refuse(world, id, &refusal),
        }
    }

    fn entry(&self, world: &World, id: u32) -> Entry {
        let request = &world.requests[id as usize];
        let wish = Wish {
            models: vec![Scenario::model(request.model)],
            prompt_tokens: request.prefix.last().map_or(0, |mark| mark.tokens),
            output_tokens_max: request.output_max,
            prefix: request.prefix.clone(),
            stream: true,
            ..Wish::default()
        };
        Entry {
            near: Surface::OpenaiChat,
            wish: Arc::new(wish),
            lane: request.lane,
            client: self.clients[usize::from(request.client)].clone(),
            since: domain::moment::Moment::after_start(Duration::from_nanos(request.at)),
            tried: self.tried.get(&id).cloned().unwrap_or_default(),
            is_stream: true,
            until: None,
            // Nodes do not fail otherwise than by dying.
            attempt: if self.tried.contains_key(&id) { Attempt::AfterLoss } else { Attempt::First },
        }
    }

    fn call(&mut self, world: &mut World, id: u32, grant: Grant) {
        let node = self.numbers[&grant.leg.target.upstream];
        self.watched.insert(node);
        if world.call(id, node) {
            self.grants.insert(id, grant);
        } else {
            self.failed(world, id, &grant, Symptom::Unreachable);
            self.enter(world, id);
        }
    }

    fn failed(&mut self, world: &World, id: u32, grant: &Grant, symptom: Symptom) {
        self.tried.entry(id).or_default().push(grant.leg.target.clone());
        self.dispatch.ended(grant, Outcome::Failed { symptom, cause: "it died".to_owned() }, world.moment());
    }

    fn wake(&mut self, world: &mut World) {
        let house = House { config: &self.config, catalogue: &self.catalogue };
        for woken in self.dispatch.wake(house, world.moment()) {
            let Some(id) = self.waiting.remove(&woken.ticket) else { continue };
            match woken.result {
                Ok(grant) => self.call(world, id, grant),
                Err(refusal) => refuse(world, id, &refusal),
            }
        }
    }

    /// What nodes tell of their models, with the catalogue.
    fn tell(&mut self, world: &World) {
        if self.told.is_some_and(|told| world.now < told + TELL_EVERY) {
            return;
        }
        self.told = Some(world.now);
        for node in world.nodes.iter().filter(|node| node.is_up) {
            for model in 0..world.models {
                let target = Target::new(&node.spec.name, &Scenario::model(model));
                let slots = u32::try_from(node.spec.slots).ok();
                self.dispatch.told(&target, slots, Some(!node.lacks(model)), true);
            }
        }
    }
}

fn refuse(world: &mut World, id: u32, _refusal: &Refusal) {
    world.records[id as usize].refused = true;
    world.fail(id);
}

impl Policy for Auto {
    fn arrive(&mut self, world: &mut World, id: u32) {
        self.enter(world, id);
    }

    fn first_token(&mut self, world: &mut World, id: u32) {
        if let Some(grant) = self.grants.get(&id) {
            self.dispatch.first_token(grant, world.moment());
        }
    }

    fn ended(&mut self, world: &mut World, id: u32, measured: &Measured) {
        let Some(grant) = self.grants.remove(&id) else { return };
        // The gateway does not know what was in memory, only what was predicted.
        let measured = Measured { was_cold: !grant.leg.score.load.is_zero(), ..*measured };
        self.dispatch.ended(&grant, Outcome::Answered(measured), world.moment());
        self.wake(world);
    }

    fn lost(&mut self, world: &mut World, id: u32, is_begun: bool) {
        let Some(grant) = self.grants.remove(&id) else { return };
        // A connection that breaks off is a failure of the call; only the next one finds nobody there.
        self.failed(world, id, &grant, Symptom::Failing);
        if !is_begun {
            self.enter(world, id);
        }
        self.wake(world);
    }

    fn look(&mut self, world: &mut World) {
        self.wake(world);
    }

    fn probe(&mut self, world: &mut World) {
        self.tell(world);
        let now = world.moment();
        for (number, node) in world.nodes.iter().enumerate() {
            let name = &node.spec.name;
            let site = self.dispatch.places.site_mut(name);
            site.pressure = ((1.0 - node.ease()) * SEEN * 100.0) as u8;
            let is_due = !matches!(site.health.permission(now), Permission::Not { .. });
            if is_due && self.watched.contains(&number) {
                let gone = || Err((Symptom::Unreachable, "nobody is there".to_owned()));
                self.dispatch.probed(name, if node.is_up { Ok(()) } else { gone() }, now);
            }
        }
        self.wake(world);
    }
}
