//! Servers that answer that they load their model.

use super::*;
use crate::places::Place;

fn loading() -> Outcome {
    Outcome::Failed { symptom: Symptom::Loading, cause: "Loading model".to_owned() }
}

/// The request was told "not yet", and comes again.
fn again(tower: &Tower, until: Option<u64>) -> Entry {
    let until = until.map(|seconds| tower.now + Duration::from_secs(seconds));
    Entry { attempt: Attempt::AfterLoss, until, ..tower.entry("m", Lane::Normal, "c") }
}

fn place(tower: &Tower) -> &Place {
    tower.dispatch.places.place(&target("a", "m")).unwrap()
}

#[test]
fn it_is_waited_for_and_tried_now_and_then_by_one() {
    let mut tower = Tower::new(&[("a", 4)]);
    let first = tower.go("m");
    tower.dispatch.ended(&first, loading(), tower.now);
    let Ok(Entered::Wait(ticket)) = tower.enter(again(&tower, None)) else { panic!("it goes") };
    let other = tower.wait("m", Lane::Normal, "d");
    let turn = tower.dispatch.turn(ticket, tower.now).unwrap();
    assert_eq!((turn.loads_in, turn.wakes_in), (Some(Duration::from_secs(10)), None), "its client is told so");
    assert!(tower.wake().is_empty());
    for _ in 0..30 {
        // One of them looks whether it is ready; it is not, and comes again.
        tower.pass(2);
        let woken = tower.wake();
        assert_eq!(woken.len(), 1, "{woken:?}");
        let grant = woken[0].result.as_ref().unwrap();
        assert!(!grant.leg.is_last_resort);
        tower.dispatch.ended(grant, loading(), tower.now);
        assert!(matches!(tower.enter(again(&tower, None)), Ok(Entered::Wait(_))));
    }
    assert!(tower.dispatch.patience(other, tower.now).is_zero() || tower.dispatch.waiting() == 2);
    tower.pass(2);
    let woken = tower.wake();
    let grant = woken[0].result.clone().unwrap();
    tower.dispatch.first_token(&grant, tower.now);
    assert_eq!(place(&tower).health.state(), State::Healthy, "the first token shows that it is ready");
    assert_eq!(tower.wake().len(), 1, "then all go");
}

#[test]
fn the_wait_for_it_is_none_in_the_queue_and_ends_at_its_limit() {
    let mut tower = Tower::new(&[("a", 4)]);
    tower.config.endpoint.load_wait = Duration::from_secs(120);
    let ill =
        |tower: &mut Tower| tower.dispatch.probed("a", Err((Symptom::Loading, "Loading model".to_owned())), tower.now);
    ill(&mut tower);
    let ticket = tower.wait("m", Lane::Normal, "c");
    let queue_wait = tower.config.endpoint.queue_wait;
    let mut waited = Duration::ZERO;
    loop {
        tower.pass(1);
        ill(&mut tower);
        let woken = tower.wake();
        if let Some(woken) = woken.first() {
            // It is tried once more, so that the client hears what the server says.
            assert!(woken.result.as_ref().is_ok_and(|grant| grant.leg.is_last_resort), "{woken:?}");
            break;
        }
        waited += Duration::from_secs(1);
        assert!(tower.dispatch.patience(ticket, tower.now) >= queue_wait, "{waited:?}");
    }
    assert_eq!(waited.as_secs(), 119);
}

#[test]
fn when_the_whole_server_has_loaded_its_models_have() {
    let mut tower = Tower::new(&[("a", 4)]);
    let first = tower.go("m");
    tower.dispatch.ended(&first, loading(), tower.now);
    // A look that finds it well from the start says nothing of its models.
    tower.dispatch.probed("a", Ok(()), tower.now);
    let ticket = tower.wait("m", Lane::Normal, "c");
    tower.dispatch.probed("a", Err((Symptom::Loading, "Loading model".to_owned())), tower.now);
    assert!(tower.wake().is_empty());
    tower.dispatch.probed("a", Ok(()), tower.now);
    assert_eq!(tower.wake()[0].ticket, ticket);
}

#[test]
fn another_place_serves_meanwhile() {
    let mut tower = Tower::new(&[("a", 1), ("b", 1)]);
    tower.dispatch.probed("a", Err((Symptom::Loading, "Loading model".to_owned())), tower.now);
    let on_b = tower.go("m");
    assert_eq!(on_b.leg.target.upstream, "b");
    let ticket = tower.wait("m", Lane::Normal, "c");
    tower.dispatch.probed("a", Ok(()), tower.now);
    let woken = tower.wake();
    assert_eq!((woken[0].ticket, woken[0].result.as_ref().unwrap().leg.target.upstream.as_str()), (ticket, "a"));
}

#[test]
fn the_clients_own_time_ends_the_wait() {
    let mut tower = Tower::new(&[("a", 1)]);
    tower.dispatch.probed("a", Err((Symptom::Loading, "Loading model".to_owned())), tower.now);
    let Ok(Entered::Wait(ticket)) = tower.enter(again(&tower, Some(5))) else { panic!("it goes") };
    assert_eq!(tower.dispatch.patience(ticket, tower.now), Duration::from_secs(5), "the prediction is a guess");
    tower.pass(6);
    let woken = tower.wake();
    assert!(matches!(woken[0].result, Err(Refusal::Late { timeout_s: 5, .. })), "{woken:?}");
}

#[test]
fn a_tool_call_goes_on_elsewhere() {
    let mut tower = Tower::new(&[("a", 1), ("b", 1)]);
    let prefix = vec![crate::route::Mark { hash: 7, tokens: 90 }];
    let mut entry = tower.entry("m", Lane::Normal, "c");
    let wish = Wish { prefix, tool_loop: true, ..entry.wish.as_ref().clone() };
    entry.wish = Arc::new(wish);
    tower.dispatch.sessions.note(&entry.wish.prefix, &target("a", "m"), tower.now);
    tower.dispatch.probed("a", Err((Symptom::Loading, "Loading model".to_owned())), tower.now);
    let Ok(Entered::Go(grant)) = tower.enter(entry) else { panic!("it waits") };
    assert_eq!(grant.leg.target.upstream, "b");
}
