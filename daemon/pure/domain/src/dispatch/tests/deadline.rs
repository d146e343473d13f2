//! Clients that say how long they wait.

use super::*;

/// A place with one slot on which work for about 100 s lies, measured often enough to be believed.
fn slow() -> Tower {
    let mut tower = Tower::new(&[("a", 1)]);
    let measured = Measured {
        output_tokens: 100,
        first_token: Some(Duration::from_millis(500)),
        total: Duration::from_secs(100),
        ..Measured::default()
    };
    let place = tower.dispatch.places.known_mut(&target("a", "m")).unwrap();
    (0..30).for_each(|_| place.pace.note(&measured, Around::NOTHING));
    tower.config.endpoint.queue_wait = Duration::from_secs(600);
    tower
}

fn hurried(tower: &Tower, seconds: u64) -> Entry {
    Entry { until: Some(tower.now + Duration::from_secs(seconds)), ..tower.entry("m", Lane::Normal, "c") }
}

#[test]
fn who_would_be_gone_before_its_turn_is_told_at_once() {
    let mut tower = slow();
    tower.go("m");
    let refused = tower.enter(hurried(&tower, 10));
    let Err(Refusal::Late { timeout_s: 10, wait, retry_after }) = refused else { panic!("{refused:?}") };
    assert!(wait > Duration::from_secs(50) && retry_after == wait, "{wait:?}");
    assert!(matches!(tower.enter(hurried(&tower, 500)), Ok(Entered::Wait(_))));
    let look = tower.dispatch.look(
        &hurried(&tower, 10),
        House { config: &tower.config, catalogue: &tower.catalogue },
        tower.now,
    );
    assert!(matches!(look.refusal, Some(Refusal::Late { .. })), "an explanation says it, too");
}

#[test]
fn a_guess_sends_nobody_away() {
    let mut tower = slow();
    tower.dispatch.places.known_mut(&target("a", "m")).unwrap().pace.answers = 2;
    tower.go("m");
    assert!(matches!(tower.enter(hurried(&tower, 10)), Ok(Entered::Wait(_))));
}

#[test]
fn what_was_predicted_before_the_first_answers_sends_nobody_away() {
    let mut tower = Tower::new(&[("a", 4)]);
    let mut running: Vec<Grant> = (0..4).map(|_| tower.go("m")).collect();
    // Nothing is known of the place: a hundred answers of usual length are believed to take minutes.
    for _ in 0..100 {
        tower.wait("m", Lane::Bulk, "c");
    }
    let wait = |tower: &Tower| tower.dispatch.places.place(&target("a", "m")).unwrap().ahead(Lane::Bulk);
    assert!(wait(&tower) > Duration::from_secs(400));
    tower.now = tower.now + Duration::from_millis(200);
    let measured = Measured {
        output_tokens: 10,
        first_token: Some(Duration::from_millis(100)),
        total: Duration::from_millis(200),
        ..Measured::default()
    };
    for _ in 0..3 {
        let woken = {
            tower.dispatch.ended(&running.remove(0), Outcome::Answered(measured), tower.now);
            tower.wake()
        };
        assert_eq!(woken.len(), 1);
    }
    assert!(wait(&tower) < Duration::from_secs(40), "{:?}", wait(&tower));
    let entry = tower.entry("m", Lane::Bulk, "c");
    assert!(matches!(tower.enter(entry), Ok(Entered::Wait(_))));
    // Whoever leaves takes no more along than was counted.
    (1..=tower.dispatch.last_id).for_each(|ticket| tower.dispatch.leave(ticket));
    assert_eq!(wait(&tower), Duration::ZERO);
}

#[test]
fn one_that_waits_is_sent_away_when_it_becomes_certain() {
    let mut tower = slow();
    let running = tower.go("m");
    let Ok(Entered::Wait(ticket)) = tower.enter(hurried(&tower, 110)) else { panic!("it goes") };
    assert_eq!(tower.dispatch.patience(ticket, tower.now), Duration::from_secs(110));
    tower.pass(60);
    assert!(tower.wake().is_empty());
    // The one before it takes much longer than predicted: another one like it is put there.
    tower.dispatch.ended(&running, Outcome::Left, tower.now);
    let house = House { config: &tower.config, catalogue: &tower.catalogue };
    let entry = tower.entry("m", Lane::Normal, "c");
    let leg = tower.dispatch.choose(&entry, house, tower.now).unwrap().legs[0].clone();
    tower.dispatch.occupy(&entry, leg, house, tower.now);
    tower.pass(1);
    let woken = tower.wake();
    assert_eq!(woken[0].ticket, ticket);
    assert!(matches!(woken[0].result, Err(Refusal::Late { timeout_s: 110, .. })), "{woken:?}");
    assert_eq!(tower.dispatch.waiting(), 0);
}

#[test]
fn what_earlier_attempts_took_is_not_waited_for_again() {
    let mut tower = slow();
    tower.go("m");
    let entry = Entry { attempt: Attempt::AfterFailure, ..hurried(&tower, 500) };
    tower.pass(300);
    let Ok(Entered::Wait(ticket)) = tower.enter(entry) else { panic!("it goes") };
    assert_eq!(tower.dispatch.patience(ticket, tower.now), Duration::from_secs(200));
}

#[test]
fn no_attempt_is_begun_that_cannot_be_in_time() {
    let mut tower = slow();
    let place = tower.dispatch.places.known_mut(&target("a", "m")).unwrap();
    place.pace.prefill_per_s = 10.0;
    let entry = hurried(&tower, 5);
    let again = Entry { attempt: Attempt::AfterFailure, ..entry.clone() };
    assert!(matches!(tower.enter(again), Err(Refusal::Late { .. })), "100 tokens are not read in time");
    assert!(matches!(tower.enter(entry.clone()), Ok(Entered::Go(_))), "a first attempt is its client's own risk");
    tower.pass(6);
    assert!(matches!(tower.enter(entry), Err(Refusal::Late { .. })), "the time is over");
}
