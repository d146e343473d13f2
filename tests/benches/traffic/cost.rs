//! What a decision costs, in real time on this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use airlane_tests::traffic::{Scenario, many};
use domain::catalogue::{Catalogue, Target};
use domain::config::Config;
use domain::dispatch::{Attempt, Dispatch, Entered, Entry, Grant, House, Outcome};
use domain::lane::Lane;
use domain::moment::Moment;
use domain::pace::Measured;
use domain::route::{Mark, Wish};
use domain::surface::Surface;

/// The costs.
pub(crate) struct Cost {
    /// Candidates, and microseconds to choose among them.
    pub choose_us: Vec<(usize, f64)>,
    /// Requests that go, and others that come, a second, while [`WAITING`] wait for ten places.
    pub turns_per_s: f64,
}

/// Requests that wait while the queue is measured.
pub(crate) const WAITING: usize = 1_000;
const CANDIDATES: [usize; 4] = [1, 10, 100, 1_000];
/// Rounds of which the middle one counts.
const ROUNDS: usize = 15;
/// Length of a round.
const ROUND: Duration = Duration::from_millis(40);

struct Tower {
    dispatch: Dispatch,
    config: Config,
    catalogue: Catalogue,
    now: Moment,
    running: Vec<Grant>,
    turn: u64,
}

pub(crate) fn measure() -> Cost {
    let choose_us = CANDIDATES.map(|candidates| (candidates, choose(candidates))).to_vec();
    Cost { choose_us, turns_per_s: turns() }
}

impl Tower {
    /// A house with so many places, each with four slots and half of them in use.
    fn new(places: usize) -> Self {
        let (config, catalogue) = Scenario::empty(many(places, 1)).house();
        let mut tower =
            Self { dispatch: Dispatch::default(), config, catalogue, now: Moment::START, running: Vec::new(), turn: 0 };
        for upstream in &tower.config.upstreams {
            let target = Target::new(&upstream.name, &Scenario::model(0));
            tower.dispatch.told(&target, Some(4), Some(true), true);
        }
        for _ in 0..places * 2 {
            tower.enter();
        }
        tower
    }

    fn entry(&mut self) -> Entry {
        self.turn += 1;
        let turn = self.turn;
        let prefix = (0..6).map(|mark| Mark { hash: turn * 8 + mark, tokens: 100 * (mark + 1) }).collect();
        Entry {
            near: Surface::OpenaiChat,
            wish: Arc::new(Wish { models: vec![Scenario::model(0)], prompt_tokens: 600, prefix, ..Wish::default() }),
            lane: Lane::Normal,
            client: format!("client-{}", turn % 10).into(),
            since: self.now,
            tried: Vec::new(),
            is_stream: true,
            until: None,
            attempt: Attempt::First,
        }
    }

    fn enter(&mut self) {
        let entry = self.entry();
        let house = House { config: &self.config, catalogue: &self.catalogue };
        if let Ok(Entered::Go(grant)) = self.dispatch.enter(entry, house, self.now) {
            self.running.push(grant);
        }
    }

    /// One ends, those that may go then do, and another one comes.
    fn pass_on(&mut self) {
        self.now = self.now + Duration::from_millis(20);
        let position = (self.turn as usize * 7) % self.running.len();
        let grant = self.running.swap_remove(position);
        let second = Duration::from_secs(1);
        let measured = Measured {
            prompt_tokens: 600,
            output_tokens: 100,
            first_token: Some(second / 4),
            total: second * 3,
            was_cold: false,
        };
        self.dispatch.first_token(&grant, self.now);
        self.dispatch.ended(&grant, Outcome::Answered(measured), self.now);
        let house = House { config: &self.config, catalogue: &self.catalogue };
        self.running.extend(self.dispatch.wake(house, self.now).into_iter().filter_map(|woken| woken.result.ok()));
        self.enter();
    }
}

/// Microseconds to choose among so many places.
fn choose(candidates: usize) -> f64 {
    let mut tower = Tower::new(candidates);
    let entry = tower.entry();
    let house = House { config: &tower.config, catalogue: &tower.catalogue };
    let round = || {
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < ROUND {
            for _ in 0..10 {
                let _ = std::hint::black_box(tower.dispatch.choose(std::hint::black_box(&entry), house, tower.now));
            }
            count += 10;
        }
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    };
    middle((0..ROUNDS).map(|_| round()).collect())
}

/// Turns of a full queue a second.
fn turns() -> f64 {
    let mut tower = Tower::new(10);
    while tower.dispatch.waiting() < WAITING {
        tower.enter();
    }
    let mut round = || {
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < ROUND {
            tower.pass_on();
            count += 1;
        }
        f64::from(count) / begun.elapsed().as_secs_f64()
    };
    middle((0..ROUNDS).map(|_| round()).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
