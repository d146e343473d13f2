//! Traffic through one place with two slots, through a house of two, and through a server that holds one model.

use super::*;
use crate::catalogue::{Listings, ModelInfo};
use crate::health::{State, Symptom};
use crate::pace::{Around, Measured};
use crate::route::Wish;
use crate::upstream::UpstreamKind;
use crate::upstream::tests::upstream;
use proptest::prelude::*;

mod budget;
mod cancel;
mod deadline;
mod hedge;
mod look;
mod turns;
mod wake;
mod warm;

struct Tower {
    dispatch: Dispatch,
    config: Config,
    catalogue: Catalogue,
    now: Moment,
}

impl Tower {
    /// Upstreams with their slots; each has the models `m` and `n`.
    fn new(upstreams: &[(&str, u32)]) -> Self {
        let mut config = Config::default();
        let mut listings = Listings::new();
        for (name, slots) in upstreams {
            config.upstreams.push(upstream(name, UpstreamKind::Openai));
            let models = ["m", "n"].map(|id| ModelInfo { id: id.to_owned(), ..ModelInfo::default() });
            listings.insert((*name).to_owned(), models.to_vec());
            let _ = slots;
        }
        let mut dispatch = Dispatch::default();
        for (name, slots) in upstreams {
            for model in ["m", "n"] {
                dispatch.told(&target(name, model), Some(*slots), None, true);
            }
        }
        let catalogue = Catalogue::build(&config, &listings);
        Self { dispatch, config, catalogue, now: Moment::after_start(Duration::from_secs(10)) }
    }

    fn entry(&self, model: &str, lane: Lane, client: &str) -> Entry {
        Entry {
            near: Surface::OpenaiChat,
            wish: Arc::new(Wish { models: vec![model.to_owned()], prompt_tokens: 100, ..Wish::default() }),
            lane,
            client: client.into(),
            since: self.now,
            tried: Vec::new(),
            is_stream: true,
            until: None,
            attempt: Attempt::First,
        }
    }

    fn enter(&mut self, entry: Entry) -> Result<Entered, Refusal> {
        let house = House { config: &self.config, catalogue: &self.catalogue };
        self.dispatch.enter(entry, house, self.now)
    }

    fn go(&mut self, model: &str) -> Grant {
        let entry = self.entry(model, Lane::Normal, "c");
        let Entered::Go(grant) = self.enter(entry).unwrap() else { panic!("it waits") };
        grant
    }

    fn wait(&mut self, model: &str, lane: Lane, client: &str) -> u64 {
        let entry = self.entry(model, lane, client);
        let Entered::Wait(ticket) = self.enter(entry).unwrap() else { panic!("it goes") };
        ticket
    }

    fn wake(&mut self) -> Vec<Woken> {
        let house = House { config: &self.config, catalogue: &self.catalogue };
        self.dispatch.wake(house, self.now)
    }

    /// Ends a call well, and gives the tickets that go then.
    fn end(&mut self, grant: &Grant) -> Vec<(u64, Grant)> {
        let measured = Measured { output_tokens: 10, total: Duration::from_secs(1), ..Measured::default() };
        self.dispatch.ended(grant, Outcome::Answered(measured), self.now);
        self.wake().into_iter().map(|woken| (woken.ticket, woken.result.unwrap())).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }
}

fn target(upstream: &str, model: &str) -> Target {
    Target::new(upstream, model)
}

#[test]
fn slots_are_filled_and_the_rest_waits_in_order() {
    let mut tower = Tower::new(&[("a", 2)]);
    let (first, _second) = (tower.go("m"), tower.go("m"));
    let (third, fourth) = (tower.wait("m", Lane::Normal, "c"), tower.wait("m", Lane::Normal, "c"));
    assert_eq!((tower.dispatch.running(), tower.dispatch.waiting()), (2, 2));
    assert_eq!(
        [third, fourth].map(|ticket| tower.dispatch.turn(ticket, tower.now).map(|turn| turn.ahead)),
        [Some(0), Some(1)]
    );
    assert!(tower.wake().is_empty());
    let woken = tower.end(&first);
    assert_eq!(woken.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [third]);
    tower.dispatch.leave(fourth);
    assert!(tower.end(&woken[0].1).is_empty());
    assert_eq!((tower.dispatch.running(), tower.dispatch.waiting()), (1, 0));
}

#[test]
fn a_call_ends_once() {
    let mut tower = Tower::new(&[("a", 2)]);
    let grant = tower.go("m");
    tower.end(&grant);
    tower.end(&grant);
    assert_eq!(tower.dispatch.running(), 0);
}

#[test]
fn a_flood_of_one_client_does_not_shut_out_another() {
    let mut tower = Tower::new(&[("a", 1)]);
    let mut running = tower.go("m");
    let flood: Vec<u64> = (0..50).map(|_| tower.wait("m", Lane::Normal, "flood")).collect();
    let small = tower.wait("m", Lane::Normal, "small");
    let mut served = Vec::new();
    while let Some((ticket, grant)) = tower.end(&running).into_iter().next() {
        served.push(ticket);
        running = grant;
    }
    assert!(served.iter().position(|ticket| *ticket == small).unwrap() <= 2, "{served:?}");
    assert_eq!(served.len(), flood.len() + 1);
}

#[test]
fn whoever_waits_goes_where_room_is_first() {
    let mut tower = Tower::new(&[("a", 1), ("b", 1)]);
    let (first, second) = (tower.go("m"), tower.go("m"));
    assert_ne!(first.leg.target, second.leg.target);
    let ticket = tower.wait("m", Lane::Normal, "c");
    let woken = tower.end(&second);
    assert_eq!((woken[0].0, &woken[0].1.leg.target), (ticket, &second.leg.target));
}

#[test]
fn a_place_that_dies_loses_those_who_wait_for_it() {
    let mut tower = Tower::new(&[("a", 1), ("b", 1)]);
    let (first, second) = (tower.go("m"), tower.go("m"));
    let ticket = tower.wait("m", Lane::Normal, "c");
    let dead = Outcome::Failed { symptom: Symptom::Unreachable, cause: "refused".to_owned() };
    tower.dispatch.ended(&first, dead, tower.now);
    // The dead one has room, but nobody goes there while another place lives.
    assert!(tower.wake().is_empty());
    assert_eq!(tower.end(&second)[0].0, ticket);
    assert_eq!(tower.dispatch.places.site(&first.leg.target.upstream).unwrap().health.state(), State::Offline);
}

#[test]
fn failures_tell_of_the_model_or_of_the_whole_upstream() {
    for (symptom, site, model) in [
        (Symptom::Unreachable, State::Offline, State::Unknown),
        (Symptom::Unauthorized, State::Misconfigured, State::Unknown),
        (Symptom::RateLimited { retry_after: None }, State::Healthy, State::RateLimited),
        (Symptom::Loading, State::Healthy, State::Warming),
        (Symptom::Overloaded, State::Healthy, State::Busy),
    ] {
        let mut tower = Tower::new(&[("a", 1)]);
        let grant = tower.go("m");
        tower.dispatch.ended(&grant, Outcome::Failed { symptom, cause: "why".to_owned() }, tower.now);
        let places = &tower.dispatch.places;
        let states =
            (places.site("a").unwrap().health.state(), places.place(&target("a", "m")).unwrap().health.state());
        assert_eq!(states, (site, model), "{symptom:?}");
    }
}

#[test]
fn the_queue_is_bounded_by_length_and_by_wait() {
    let mut tower = Tower::new(&[("a", 1)]);
    tower.config.endpoint.max_waiting = 1;
    let first = tower.go("m");
    tower.wait("m", Lane::Normal, "c");
    let entry = tower.entry("m", Lane::Normal, "c");
    assert!(
        matches!(tower.enter(entry.clone()), Err(Refusal::QueueFull { waiting: 1, retry_after }) if !retry_after.is_zero())
    );
    tower.config.endpoint.max_waiting = 1_000;
    // Three answers at a crawl: now the prediction is believed.
    let measured = Measured {
        output_tokens: 100,
        first_token: Some(Duration::ZERO),
        total: Duration::from_secs(100),
        ..Measured::default()
    };
    let place = tower.dispatch.places.known_mut(&first.leg.target).unwrap();
    (0..30).for_each(|_| place.pace.note(&measured, Around::NOTHING));
    tower.now = tower.now + Duration::from_secs(1);
    let second = tower.wait("m", Lane::Normal, "d");
    assert!(matches!(tower.enter(entry), Err(Refusal::LongQueue { waiting: 2, .. })));
    tower.dispatch.leave(second);
}

#[test]
fn the_house_has_places_for_so_many() {
    let mut tower = Tower::new(&[("a", 10)]);
    tower.config.endpoint.max_concurrent = 1;
    let grant = tower.go("m");
    let ticket = tower.wait("m", Lane::Normal, "c");
    assert_eq!(tower.end(&grant)[0].0, ticket);
}

#[test]
fn a_model_is_swapped_when_nobody_needs_it() {
    let mut tower = Tower::new(&[("a", 2)]);
    tower.config.upstreams[0].one_model = true;
    let first = tower.go("m");
    // Busy: nobody pushes it out.
    let other = tower.wait("n", Lane::Normal, "c");
    tower.pass(4);
    // Those who want what is loaded still go.
    let second = tower.go("m");
    assert!(tower.end(&first).is_empty());
    assert_eq!(tower.end(&second)[0].0, other);
}

#[test]
fn a_swap_is_predicted_with_its_wait() {
    let mut tower = Tower::new(&[("a", 2)]);
    tower.config.upstreams[0].one_model = true;
    let running = tower.go("m");
    let house = House { config: &tower.config, catalogue: &tower.catalogue };
    let score = |model| {
        let entry = tower.entry(model, Lane::Normal, "c");
        tower.dispatch.choose(&entry, house, tower.now).unwrap().legs[0].score
    };
    let (here, other) = (score("m"), score("n"));
    assert_eq!((here.load, other.load), (Duration::ZERO, crate::pace::Pace::local().load));
    // It waits until the one that runs is through.
    assert!(other.wait >= running.leg.score.first_token() + running.leg.score.decode, "{other:?}");
}

#[test]
fn a_fresh_model_stays_for_a_moment() {
    let mut tower = Tower::new(&[("a", 2)]);
    tower.config.upstreams[0].one_model = true;
    let first = tower.go("m");
    let other = tower.wait("n", Lane::Normal, "c");
    assert!(tower.end(&first).is_empty());
    tower.pass(3);
    let woken = tower.wake();
    assert_eq!(woken[0].ticket, other);
}

#[test]
fn those_who_want_another_model_do_not_starve() {
    let mut tower = Tower::new(&[("a", 1)]);
    tower.config.upstreams[0].one_model = true;
    let mut running = tower.go("m");
    let other = tower.wait("n", Lane::Normal, "c");
    let mut served = Vec::new();
    for _ in 0..30 {
        tower.wait("m", Lane::Normal, "c");
        tower.pass(1);
        if let Some((ticket, grant)) = tower.end(&running).into_iter().next() {
            served.push(ticket);
            running = grant;
        }
    }
    let turn = served.iter().position(|ticket| *ticket == other).unwrap();
    assert!((13..=17).contains(&turn), "turn {turn}");
}

proptest! {
    /// Whatever happens, slots are kept, nobody is lost, and everybody is served in the end.
    #[test]
    fn traffic_is_conserved(events in prop::collection::vec((0_u8..5, 0_usize..8, 0_usize..3), 1..200)) {
        let mut tower = Tower::new(&[("a", 2), ("b", 1)]);
        let (mut running, mut waiting, mut entered, mut done): (Vec<Grant>, Vec<u64>, usize, usize) = Default::default();
        for (what, pick, lane) in events {
            match what {
                0 | 1 => {
                    let entry = tower.entry(["m", "n"][pick % 2], Lane::NAMES[lane].1, ["x", "y"][pick / 4]);
                    entered += 1;
                    match tower.enter(entry) {
                        Ok(Entered::Go(grant)) => running.push(grant),
                        Ok(Entered::Wait(ticket)) => waiting.push(ticket),
                        Err(_) => done += 1,
                    }
                }
                2 if !running.is_empty() => {
                    let grant = running.swap_remove(pick % running.len());
                    let failed = Outcome::Failed { symptom: Symptom::Failing, cause: "500".to_owned() };
                    let outcomes = [Outcome::Left, Outcome::Rejected, failed];
                    tower.dispatch.ended(&grant, outcomes[lane].clone(), tower.now);
                    done += 1;
                }
                3 if !waiting.is_empty() => {
                    tower.dispatch.leave(waiting.swap_remove(pick % waiting.len()));
                    done += 1;
                }
                _ => tower.pass(1),
            }
            for woken in tower.wake() {
                waiting.retain(|ticket| *ticket != woken.ticket);
                match woken.result {
                    Ok(grant) => running.push(grant),
                    Err(_) => done += 1,
                }
            }
            for (place, slots) in [(target("a", "m"), 2), (target("b", "m"), 1)] {
                prop_assert!(tower.dispatch.places.place(&place).unwrap().running.len() <= slots);
            }
            prop_assert_eq!((tower.dispatch.running(), tower.dispatch.waiting()), (running.len(), waiting.len()));
            prop_assert_eq!(running.len() + waiting.len() + done, entered);
        }
        for _ in 0..10_000 {
            if running.is_empty() && waiting.is_empty() {
                break;
            }
            if let Some(grant) = running.pop() {
                tower.dispatch.ended(&grant, Outcome::Rejected, tower.now);
            }
            tower.pass(1);
            for woken in tower.wake() {
                waiting.retain(|ticket| *ticket != woken.ticket);
                running.extend(woken.result);
            }
        }
        prop_assert!(waiting.is_empty(), "{waiting:?} wait for ever");
        for (_, place) in tower.dispatch.places.iter() {
            prop_assert_eq!(place.waiting, [Duration::ZERO; 3]);
        }
    }
}

#[test]
fn names_that_nobody_offers_are_forgotten_in_all_places() {
    let mut tower = Tower::new(&[("a", 2)]);
    let prefix = vec![crate::route::Mark { hash: 7, tokens: 100 }];
    let entry = tower.entry("m", Lane::Normal, "c");
    let wish = Arc::new(Wish { prefix: prefix.clone(), ..(*entry.wish).clone() });
    let Ok(Entered::Go(grant)) = tower.enter(Entry { wish, ..entry }) else { panic!("it waits") };
    let known = |tower: &Tower| tower.dispatch.sessions.last(&prefix, tower.now).is_some();
    tower.dispatch.retain(|_| false, |_| true);
    assert!(known(&tower), "it runs there");
    tower.end(&grant);
    tower.dispatch.retain(|target| target.model == "m", |_| true);
    assert!(known(&tower) && tower.dispatch.places.place(&target("a", "n")).is_none());
    tower.dispatch.retain(|_| false, |_| true);
    assert!(!known(&tower) && tower.dispatch.places.place(&target("a", "m")).is_none());
}
