//! Lanes under load: the urgent ones go first, and the others are not starved.

use super::*;

/// Who came when.
type Came = std::collections::HashMap<u64, (Lane, Moment)>;

fn come(tower: &mut Tower, came: &mut Came, lane: Lane) {
    let ticket = tower.wait("m", lane, "c");
    came.insert(ticket, (lane, tower.now));
}

#[test]
fn urgent_ones_pass() {
    let mut tower = Tower::new(&[("a", 1)]);
    let running = tower.go("m");
    let bulk = tower.wait("m", Lane::Bulk, "c");
    let urgent = tower.wait("m", Lane::Interactive, "c");
    let woken = tower.end(&running);
    assert_eq!(woken[0].0, urgent);
    // However long it has waited, an urgent one that has just come goes before it.
    tower.pass(3_600);
    let late = tower.wait("m", Lane::Interactive, "c");
    let woken = tower.end(&woken[0].1);
    assert_eq!(woken[0].0, late);
    assert_eq!(tower.end(&woken[0].1)[0].0, bulk);
}

#[test]
fn a_turn_is_no_advantage() {
    let mut tower = Tower::new(&[("a", 1)]);
    let mut running = tower.go("m");
    let urgent: Vec<u64> = (0..15).map(|_| tower.wait("m", Lane::Interactive, "c")).collect();
    tower.pass(1);
    let bulk = tower.wait("m", Lane::Bulk, "c");
    let mut served = Vec::new();
    for _ in 0..16 {
        tower.pass(1);
        let (ticket, grant) = tower.end(&running).remove(0);
        served.push(ticket);
        running = grant;
    }
    assert_eq!(served, [urgent, vec![bulk]].concat(), "they came before it");
}

#[test]
fn turns_are_counted_at_each_place() {
    let mut turns = Turns::default();
    assert!(!turns.look([true, false, true]));
    (0..8).for_each(|_| turns.went(Lane::Interactive));
    assert!(!turns.is_due(Lane::Bulk) && !turns.is_due(Lane::Normal), "nobody of the normal lane waits");
    turns.went(Lane::Normal);
    assert!(turns.is_due(Lane::Bulk) && turns.look([true, false, true]));
    assert!(!turns.look([true, false, false]), "nobody to have a turn");
    turns.look([true, false, true]);
    turns.went(Lane::Bulk);
    assert!(!turns.is_due(Lane::Bulk));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A place with more to do than it can: of ten requests in a row one is bulk, unless the urgent ones would wait for
    /// more than a part of what it has waited; and so these hardly wait.
    #[test]
    fn a_long_overload_starves_nobody(seed in 0_u64..1_000, slots in 1_u32..4, urgent_percent in 50_u64..85) {
        let mut tower = Tower::new(&[("a", slots)]);
        tower.config.endpoint.queue_wait = Duration::from_secs(3_600);
        let mut running: Vec<Grant> = (0..slots).map(|_| tower.go("m")).collect();
        let mut came = Came::new();
        (0..80).for_each(|_| come(&mut tower, &mut came, Lane::Bulk));
        let mut served: Vec<(Lane, u64)> = Vec::new();
        // How long the first of bulk had waited when the last requests went.
        let mut passed: Vec<u64> = Vec::new();
        let mut random = seed;
        // Five minutes, in each second of which one request ends.
        for _ in 0..300 {
            tower.pass(1);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (random >> 33) % 100 < urgent_percent {
                come(&mut tower, &mut came, Lane::Interactive);
            }
            if (random >> 50) % 2 == 0 {
                come(&mut tower, &mut came, Lane::Bulk);
            }
            let ended = running.remove(0);
            for (ticket, grant) in tower.end(&ended) {
                let longest = came.values().filter(|(lane, _)| *lane == Lane::Bulk).map(|(_, since)| *since).min();
                passed.push(longest.map_or(0, |since| tower.now.since(since).as_secs()));
                let (lane, since) = came.remove(&ticket).unwrap();
                served.push((lane, tower.now.since(since).as_secs()));
                running.push(grant);
            }
        }
        for (ten, passed) in served.windows(10).zip(passed.windows(10)) {
            let is_fair = |(lane, wait): &(Lane, u64)| *lane == Lane::Bulk || 25 * (wait + 1) >= passed[9];
            prop_assert!(ten.iter().any(is_fair), "bulk starves: {ten:?} {passed:?}");
        }
        prop_assert!(served.iter().any(|(lane, _)| *lane == Lane::Bulk));
        let waits = |lane: Lane| {
            let mut waits: Vec<u64> = served.iter().filter(|(of, _)| *of == lane).map(|(_, wait)| *wait).collect();
            waits.sort_unstable();
            waits
        };
        let (urgent, bulk) = (waits(Lane::Interactive), waits(Lane::Bulk));
        let p99 = urgent[urgent.len() * 99 / 100];
        prop_assert!(p99 * 10 <= bulk[bulk.len() / 2].max(100), "urgent {p99} s, bulk {} s", bulk[bulk.len() / 2]);
    }
}
