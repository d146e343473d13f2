//! Cancelled calls at servers that go on with them.

use super::*;
use crate::reading::{Engine, Load, Reading};

fn has_room(tower: &Tower) -> bool {
    tower.dispatch.places.place(&target("a", "m")).unwrap().has_room()
}

/// The server tells how many requests it works on.
fn seen(tower: &mut Tower, running: u32) -> Option<bool> {
    let load = Load { running, ..Load::default() };
    let reading = Reading { loads: vec![load], models: None };
    tower.dispatch.read("a", Engine::LlamaCpp, &reading, tower.now, tower.now).ignores_cancel
}

/// A place with one slot, whose only call has just lost its client.
fn left() -> Tower {
    let mut tower = Tower::new(&[("a", 1)]);
    let place = tower.dispatch.places.known_mut(&target("a", "m")).unwrap();
    place.pace.decode_per_s = 10.0;
    let grant = tower.go("m");
    assert_eq!(seen(&mut tower, 1), None, "that is ours");
    tower.dispatch.ended(&grant, Outcome::Left, tower.now);
    tower
}

#[test]
fn a_server_that_stops_has_room_at_once() {
    let mut tower = left();
    assert!(has_room(&tower) && tower.dispatch.watches("a"));
    tower.pass(3);
    assert_eq!(seen(&mut tower, 0), None);
    assert!(
        has_room(&tower) && !tower.dispatch.watches("a") && !tower.dispatch.places.site("a").unwrap().ignores_cancel
    );
}

#[test]
fn a_server_that_goes_on_is_known_for_it_and_its_slot_is_taken() {
    let mut tower = left();
    assert_eq!(seen(&mut tower, 1), None, "what ended meanwhile may still be in the answer");
    tower.pass(1);
    assert_eq!(seen(&mut tower, 1), None, "it may need a moment");
    tower.pass(2);
    assert_eq!((seen(&mut tower, 1), has_room(&tower)), (Some(true), false));
    let ticket = tower.wait("m", Lane::Normal, "c");
    tower.pass(1);
    assert!(tower.wake().is_empty());
    // It is seen gone: whoever waits goes, and the server keeps its name.
    assert_eq!(seen(&mut tower, 0), None);
    let woken = tower.wake();
    assert_eq!(woken[0].ticket, ticket);
    let grant = woken[0].result.clone().unwrap();
    tower.dispatch.ended(&grant, Outcome::Left, tower.now);
    assert!(!has_room(&tower), "the next one takes its slot at once");
    tower.pass(3);
    assert_eq!(seen(&mut tower, 0), Some(false), "it has learned");
    assert!(has_room(&tower));
}

#[test]
fn without_a_word_the_slot_is_free_when_the_work_must_be_over() {
    let mut tower = left();
    tower.dispatch.places.site_mut("a").ignores_cancel = true;
    let grant = tower.go("m");
    tower.dispatch.ended(&grant, Outcome::Left, tower.now);
    let ticket = tower.wait("m", Lane::Normal, "c");
    tower.pass(5);
    assert!(tower.wake().is_empty());
    tower.pass(60);
    assert_eq!(tower.wake()[0].ticket, ticket);
}

#[test]
fn a_card_that_stays_busy_tells_it_where_the_server_does_not() {
    let mut tower = Tower::new(&[("a", 1)]);
    tower.dispatch.places.known_mut(&target("a", "m")).unwrap().pace.decode_per_s = 10.0;
    let leave = |tower: &mut Tower| {
        let grant = tower.go("m");
        tower.dispatch.ended(&grant, Outcome::Left, tower.now);
    };
    leave(&mut tower);
    tower.pass(5);
    assert!(!tower.dispatch.busy_by_itself("a", tower.now) && has_room(&tower), "readings of cards are smooth");
    tower.pass(4);
    let running = tower.go("m");
    assert!(!tower.dispatch.busy_by_itself("a", tower.now), "it works for us");
    tower.dispatch.ended(&running, Outcome::Rejected, tower.now);
    assert!(tower.dispatch.busy_by_itself("a", tower.now) && !has_room(&tower));
    assert!(!tower.dispatch.busy_by_itself("a", tower.now), "it is said once");
    // Where the card was pressed before, or the server tells of its requests, the card tells nothing.
    for tells in [false, true] {
        let mut tower = Tower::new(&[("a", 1)]);
        if tells {
            seen(&mut tower, 0);
        } else {
            tower.dispatch.places.site_mut("a").pressure = 60;
        }
        leave(&mut tower);
        tower.pass(9);
        assert!(!tower.dispatch.busy_by_itself("a", tower.now) && has_room(&tower), "tells: {tells}");
    }
}

#[test]
fn the_work_of_others_is_not_held_against_it() {
    let mut tower = Tower::new(&[("a", 4)]);
    let (first, _second) = (tower.go("m"), tower.go("m"));
    seen(&mut tower, 4);
    tower.dispatch.ended(&first, Outcome::Left, tower.now);
    tower.pass(3);
    // Two of others and one of ours go on.
    assert_eq!(seen(&mut tower, 3), None);
    assert!(!tower.dispatch.watches("a") && !tower.dispatch.places.site("a").unwrap().ignores_cancel);
}

#[test]
fn what_ended_while_it_was_asked_is_no_evidence() {
    let mut tower = left();
    let mut other = tower.go("m");
    tower.pass(3);
    let rejected = |tower: &mut Tower, grant: &Grant| tower.dispatch.ended(grant, Outcome::Rejected, tower.now);
    rejected(&mut tower, &other);
    other = tower.go("m");
    assert_eq!(seen(&mut tower, 2), None);
    rejected(&mut tower, &other);
}

#[test]
fn what_was_never_sent_takes_no_slot_and_tells_nothing() {
    let mut tower = Tower::new(&[("a", 1)]);
    tower.dispatch.places.site_mut("a").ignores_cancel = true;
    tower.dispatch.places.site_mut("a").health.failed(tower.now, Symptom::Unreachable, "gone");
    tower.pass(3_600);
    let grant = tower.go("m");
    tower.dispatch.ended(&grant, Outcome::Unsent, tower.now);
    let place = tower.dispatch.places.place(&target("a", "m")).unwrap();
    assert_eq!((tower.dispatch.running(), place.taken(), place.abandoned.is_open()), (0, 0, false));
    let states = [&tower.dispatch.places.site("a").unwrap().health, &place.health].map(|health| health.state());
    assert_eq!(states, [State::Offline, State::Unknown]);
}
