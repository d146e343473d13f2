//! Further attempts in a house where everything fails.

use super::*;

fn again(tower: &mut Tower, attempt: Attempt, tried: &str) -> Result<Entered, Refusal> {
    let entry = Entry { attempt, tried: vec![target(tried, "m")], ..tower.entry("m", Lane::Normal, "c") };
    tower.enter(entry)
}

#[test]
fn a_house_on_fire_is_not_hammered() {
    let mut tower = Tower::new(&[("a", 1_000), ("b", 1_000)]);
    let outcomes: Vec<bool> = (0..30).map(|_| again(&mut tower, Attempt::AfterFailure, "a").is_ok()).collect();
    assert_eq!(outcomes.iter().filter(|may| **may).count(), 10, "the reserve");
    let refused = again(&mut tower, Attempt::AfterFailure, "a");
    assert!(matches!(refused, Err(Refusal::RetriesSpent { retry_after }) if !retry_after.is_zero()), "{refused:?}");
    // First attempts go on, and earn further ones: five of them one.
    (0..5).for_each(|_| drop(tower.go("m")));
    assert!(again(&mut tower, Attempt::AfterFailure, "a").is_ok());
    assert!(again(&mut tower, Attempt::AfterFailure, "a").is_err());
    tower.pass(2);
    assert!(again(&mut tower, Attempt::AfterFailure, "a").is_ok(), "time gives some back");
}

#[test]
fn who_is_not_let_in_spends_nothing() {
    let mut tower = Tower::new(&[("a", 1), ("b", 1)]);
    tower.config.endpoint.max_waiting = 0;
    tower.go("m");
    let last = tower.go("m");
    for _ in 0..50 {
        let refused = again(&mut tower, Attempt::AfterFailure, "a");
        assert!(matches!(refused, Err(Refusal::QueueFull { .. })), "{refused:?}");
    }
    assert_eq!(last.leg.target.upstream, "b");
    tower.end(&last);
    assert!(again(&mut tower, Attempt::AfterFailure, "a").is_ok());
}

#[test]
fn those_whose_place_died_go_to_one_that_lives() {
    let mut tower = Tower::new(&[("a", 1_000), ("b", 1_000)]);
    assert!((0..300).all(|_| again(&mut tower, Attempt::AfterLoss, "a").is_ok()), "a place dies once");
    // Where nobody lives, they are attempts like all others.
    tower.dispatch.probed("b", Err((Symptom::Unreachable, "gone".to_owned())), tower.now);
    assert_eq!((0..300).filter(|_| again(&mut tower, Attempt::AfterLoss, "a").is_ok()).count(), 10);
}

#[test]
fn where_nobody_else_is_left_nothing_is_spent() {
    let mut tower = Tower::new(&[("a", 1_000)]);
    for _ in 0..50 {
        assert!(matches!(again(&mut tower, Attempt::AfterFailure, "a"), Err(Refusal::CannotServe { .. })));
    }
    let mut two = Tower::new(&[("a", 1_000), ("b", 1_000)]);
    std::mem::swap(&mut two.dispatch, &mut tower.dispatch);
    assert!((0..10).all(|_| again(&mut two, Attempt::AfterFailure, "a").is_ok()));
}
