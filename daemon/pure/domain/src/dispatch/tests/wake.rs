//! Machines that sleep.

use super::*;
use crate::route::Strategy;

/// `near` is awake; `far` sleeps, and needs 30 s to wake as far as its owner knows.
fn house(near: u32, far: u32) -> Tower {
    let mut tower = Tower::new(&[("near", near), ("far", far)]);
    asleep(&mut tower, "far");
    tower
}

fn asleep(tower: &mut Tower, name: &str) {
    tower.dispatch.places.site_mut(name).sleep.guess = Some(Duration::from_secs(30));
    tower.dispatch.probed(name, Err((Symptom::Unreachable, "no answer".to_owned())), tower.now);
}

fn calls(tower: &mut Tower) -> Vec<String> {
    tower.dispatch.calls_to_wake(tower.now)
}

#[test]
fn a_sleeping_machine_is_woken_when_nobody_else_can_serve() {
    let mut tower = Tower::new(&[("far", 1)]);
    asleep(&mut tower, "far");
    let ticket = tower.wait("m", Lane::Bulk, "c");
    let turn = tower.dispatch.turn(ticket, tower.now).unwrap();
    assert_eq!((turn.ahead, turn.wakes_in), (0, Some(Duration::from_secs(30))));
    assert_eq!(
        tower.dispatch.patience(ticket, tower.now),
        Duration::from_secs(60),
        "it may wait longer than in a queue"
    );
    assert_eq!((calls(&mut tower), calls(&mut tower)), (vec!["far".to_owned()], vec![]));
    tower.pass(12);
    assert!(tower.wake().is_empty(), "not even for a trial: it sleeps");
    assert_eq!(tower.dispatch.turn(ticket, tower.now).unwrap().wakes_in, Some(Duration::from_secs(18)));
    tower.dispatch.probed("far", Ok(()), tower.now);
    assert_eq!(tower.wake()[0].ticket, ticket);
    assert!(calls(&mut tower).is_empty());
    // What was learned is reckoned with the next time.
    asleep(&mut tower, "far");
    let again = tower.wait("m", Lane::Normal, "c");
    assert_eq!(tower.dispatch.turn(again, tower.now).unwrap().wakes_in, Some(Duration::from_secs(12)));
}

#[test]
fn it_sleeps_on_while_others_serve_soon() {
    let mut tower = house(1, 1);
    let running = tower.go("m");
    assert_eq!(running.leg.target.upstream, "near");
    let ticket = tower.wait("m", Lane::Normal, "c");
    assert!(calls(&mut tower).is_empty(), "the other one is soon free");
    assert_eq!(tower.end(&running)[0].0, ticket);
}

#[test]
fn it_is_woken_when_all_others_are_much_later_and_not_for_bulk() {
    for (lane, is_woken) in [(Lane::Bulk, false), (Lane::Normal, true), (Lane::Interactive, true)] {
        let mut tower = house(1, 1);
        let place = tower.dispatch.places.known_mut(&target("near", "m")).unwrap();
        place.running.push(Running { end: tower.now + Duration::from_secs(300), ..Running::default() });
        let ticket = tower.wait("m", lane, "c");
        assert_eq!(!calls(&mut tower).is_empty(), is_woken, "{lane:?}");
        // The other one is free sooner than it should be: the request goes there.
        tower.dispatch.places.known_mut(&target("near", "m")).unwrap().running.clear();
        let woken = tower.wake();
        assert_eq!(woken[0].ticket, ticket);
        assert_eq!(woken[0].result.as_ref().unwrap().leg.target.upstream, "near");
    }
}

#[test]
fn an_order_of_places_wakes_nobody_while_another_one_lives() {
    let mut tower = house(1, 1);
    tower.config.route.strategy = Strategy::Ordered;
    tower.config.upstreams.rotate_left(1);
    let house = House { config: &tower.config, catalogue: &tower.catalogue };
    let route = tower.dispatch.choose(&tower.entry("m", Lane::Normal, "c"), house, tower.now).unwrap();
    let names: Vec<&str> = route.legs.iter().map(|leg| leg.target.upstream.as_str()).collect();
    assert_eq!(names, ["near", "far"]);
    assert!(route.legs[1].reason().to_string().ends_with("machine to be woken"), "{}", route.legs[1].reason());
}

#[test]
fn one_that_does_not_wake_is_given_up() {
    let mut tower = Tower::new(&[("far", 1)]);
    asleep(&mut tower, "far");
    tower.wait("m", Lane::Normal, "c");
    calls(&mut tower);
    tower.pass(91);
    tower.dispatch.probed("far", Err((Symptom::Unreachable, "no answer".to_owned())), tower.now);
    // It is tried once more in the old way, so that the client hears what is wrong.
    let woken = tower.wake();
    assert!(woken[0].result.as_ref().is_ok_and(|grant| grant.leg.is_last_resort), "{woken:?}");
    assert!(calls(&mut tower).is_empty());
}

#[test]
fn a_client_that_would_be_gone_wakes_nobody() {
    let mut tower = Tower::new(&[("far", 1)]);
    let place = tower.dispatch.places.known_mut(&target("far", "m")).unwrap();
    place.pace.answers = 10;
    asleep(&mut tower, "far");
    assert!(tower.dispatch.places.site_mut("far").sleep.call(tower.now));
    tower.pass(20);
    tower.dispatch.probed("far", Ok(()), tower.now);
    asleep(&mut tower, "far");
    let until = Some(tower.now + Duration::from_secs(5));
    let entry = Entry { until, ..tower.entry("m", Lane::Normal, "c") };
    assert!(matches!(tower.enter(entry), Err(Refusal::Late { timeout_s: 5, .. })));
}

#[test]
fn one_whose_place_falls_asleep_while_it_waits_is_as_patient() {
    let mut tower = Tower::new(&[("far", 1)]);
    let running = tower.go("m");
    let ticket = tower.wait("m", Lane::Normal, "c");
    let patience = |tower: &Tower| tower.dispatch.patience(ticket, tower.now).as_secs();
    assert_eq!(patience(&tower), 30);
    tower.pass(20);
    assert!(tower.wake().is_empty());
    assert_eq!(patience(&tower), 10, "a queue is no reason to wait for longer");
    tower.dispatch.ended(&running, Outcome::Left, tower.now);
    asleep(&mut tower, "far");
    tower.pass(1);
    assert!(tower.wake().is_empty());
    assert_eq!((patience(&tower), calls(&mut tower)), (60, vec!["far".to_owned()]));
}

#[test]
fn it_is_said_to_sleep_until_it_was_called_in_vain() {
    let mut tower = Tower::new(&[("far", 1)]);
    let standing = |tower: &Tower| {
        let standing = tower.dispatch.places.standing("far", tower.now);
        (standing.state, standing.wakes_in.map(|wait| wait.as_secs()))
    };
    asleep(&mut tower, "far");
    assert_eq!(standing(&tower), (State::Sleeping, Some(30)));
    tower.wait("m", Lane::Normal, "c");
    calls(&mut tower);
    tower.pass(12);
    assert_eq!(standing(&tower), (State::Sleeping, Some(18)));
    tower.pass(100);
    assert_eq!(standing(&tower), (State::Offline, None));
    tower.dispatch.probed("far", Ok(()), tower.now);
    assert_eq!(standing(&tower), (State::Healthy, None));
}
