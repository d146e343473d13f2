//! A look tells what entering would do.

use super::*;
use crate::route::Why;

fn look(tower: &Tower, entry: &Entry) -> Look {
    let house = House { config: &tower.config, catalogue: &tower.catalogue };
    tower.dispatch.look(entry, house, tower.now)
}

#[test]
fn a_look_tells_where_a_request_goes_and_changes_nothing() {
    let mut tower = Tower::new(&[("gpu", 1)]);
    let entry = tower.entry("m", Lane::Normal, "c");
    let first = look(&tower, &entry);
    assert_eq!((first.room.as_slice(), &first.refusal), (&[true][..], &None));
    assert_eq!(look(&tower, &entry), first, "looking changes nothing");
    assert_eq!((tower.dispatch.running(), tower.dispatch.waiting()), (0, 0));
    let grant = tower.go("m");
    assert_eq!(first.goes, Some(grant.leg), "what was told is what happens");

    let full = look(&tower, &entry);
    assert_eq!((full.room.as_slice(), full.goes, full.refusal), (&[false][..], None, None), "it would wait");
    assert!(matches!(tower.enter(entry.clone()), Ok(Entered::Wait(_))));
    assert_eq!(tower.dispatch.queues(), [(&target("gpu", "m"), 1)].into());

    tower.config.endpoint.max_waiting = 1;
    assert!(matches!(look(&tower, &entry).refusal, Some(Refusal::QueueFull { waiting: 1, .. })));
}

#[test]
fn a_refusal_keeps_what_was_dropped() {
    let mut tower = Tower::new(&[("gpu", 1), ("mac", 1)]);
    let limited = Symptom::RateLimited { retry_after: Some(Duration::from_secs(30)) };
    for name in ["gpu", "mac"] {
        tower.dispatch.probed(name, Err((limited, "slow down".to_owned())), tower.now);
    }
    let look = look(&tower, &tower.entry("m", Lane::Normal, "c"));
    assert!(matches!(look.refusal, Some(Refusal::RateLimited { .. })), "{look:?}");
    assert_eq!((look.route.legs.len(), look.goes), (0, None));
    let is_held = |why: &Why| matches!(why, Why::Health { state: State::RateLimited, .. });
    assert_eq!(look.route.dropped.iter().filter(|dropped| is_held(&dropped.why)).count(), 2);
}
