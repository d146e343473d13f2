use super::*;
use proptest::prelude::*;

/// 2026-11-28 07:00 UTC.
const NOW: i64 = 1_795_849_200;
/// 2026-12-01 00:00 UTC.
const DECEMBER: i64 = 1_796_083_200;

fn budget(degrade_percent: Option<u8>) -> Arc<Budget> {
    Arc::new(Budget {
        amount_micro_usd: 1_000,
        cycle: Cycle::Month,
        zone: Zone::utc(),
        warn_percents: vec![50, 80],
        degrade_percent,
    })
}

fn purse(spent: u64, reserved: u64, degrade_percent: Option<u8>) -> Purse {
    let mut purse = Purse::new(budget(degrade_percent), NOW);
    purse.spend(spent, NOW);
    purse.reserve(reserved);
    purse
}

fn steps(purse: &mut Purse) -> Vec<Step> {
    let mut steps = Vec::new();
    purse.warn(|step| steps.push(step));
    steps
}

#[test]
fn on_the_way_to_its_end() {
    for (spent, reserved, price_micro_usd, fits) in [
        (0, 0, 1_000, true),
        (0, 0, 1_001, false),
        (600, 300, 100, true),
        (600, 300, 101, false),
        (2_000, 0, 0, true),
        (2_000, 0, 1, false),
        (u64::MAX, u64::MAX, u64::MAX, false),
    ] {
        assert_eq!(
            purse(spent, reserved, None).has_room(price_micro_usd),
            fits,
            "{spent} + {reserved} + {price_micro_usd}"
        );
    }
    for (degrade, spent, reserved, price_micro_usd, local) in [
        (None, 2_000, 0, 100, false),
        (Some(90), 700, 100, 100, false),
        (Some(90), 700, 100, 101, true),
        (Some(90), 800, 101, 0, true),
        (Some(255), 900, 0, 100, false),
        (Some(0), 0, 0, 1, true),
    ] {
        let purse = purse(spent, reserved, degrade);
        assert_eq!(purse.wants_local(price_micro_usd), local, "{degrade:?}: {spent} + {reserved} + {price_micro_usd}");
    }
}

#[test]
fn soft_limits_are_told_once_in_a_period() {
    let mut purse = purse(499, 400, None);
    assert_eq!((steps(&mut purse), purse.passed_percent()), (vec![], None), "what is reserved is not spent");
    purse.spend(1, NOW);
    assert_eq!((steps(&mut purse), purse.passed_percent()), (vec![Step::Spent(50)], Some(50)));
    assert_eq!(steps(&mut purse), []);
    purse.spend(400, NOW);
    assert_eq!((steps(&mut purse), purse.passed_percent()), (vec![Step::Spent(80)], Some(80)));
    purse.spend(900, DECEMBER);
    assert_eq!(steps(&mut purse), [Step::Spent(50), Step::Spent(80)]);
}

#[test]
fn the_end_is_told_once_in_a_period() {
    let mut purse = purse(0, 0, None);
    assert_eq!([purse.degrade(), purse.degrade(), purse.stop(), purse.stop()], [true, false, true, false]);
    purse.spend(0, DECEMBER);
    assert_eq!([purse.degrade(), purse.stop()], [true, true]);
}

#[test]
fn a_new_period_begins_with_nothing_but_what_is_in_flight() {
    let mut purse = purse(900, 80, None);
    purse.follow(&budget(None), DECEMBER - 1);
    assert!(!purse.has_room(21));
    purse.follow(&budget(None), DECEMBER);
    let account = purse.account();
    assert_eq!((account.spent_micro_usd, account.reserved_micro_usd), (0, 80));
    assert_eq!(account.period.key.to_string(), "2026-12");
    purse.release(80);
    purse.spend(70, DECEMBER);
    assert_eq!((purse.account().spent_micro_usd, purse.account().reserved_micro_usd), (70, 0));
}

/// Wrong clocks give nobody a new budget.
#[test]
fn clocks_that_go_back_take_nothing_back() {
    for (now, key, spent) in [
        (DECEMBER - 1, "2026-12", 30),
        (DECEMBER - BACK_S, "2026-12", 30),
        (DECEMBER - BACK_S - 1, "2026-11", 30),
        (0, "1970-01", 30),
        (DECEMBER + 31 * 86_400, "2027-01", 0),
    ] {
        let mut purse = Purse::new(budget(None), DECEMBER);
        purse.spend(30, DECEMBER);
        purse.follow(&budget(None), now);
        let account = purse.account();
        assert_eq!((account.period.key.to_string().as_str(), account.spent_micro_usd), (key, spent), "{now}");
    }
}

#[test]
fn another_amount_keeps_what_was_spent() {
    let mut purse = purse(900, 0, None);
    let larger = Arc::new(Budget { amount_micro_usd: 5_000, ..Budget::clone(&budget(None)) });
    purse.follow(&larger, NOW);
    assert!(purse.has_room(4_100));
    assert!(!purse.has_room(4_101));
}

#[test]
fn a_restart_takes_nothing_back() {
    let november = Period::at(NOW, Cycle::Month, &Zone::utc()).key;
    let mut restored = Purse::restore(budget(None), november, 600, NOW).unwrap();
    assert_eq!(restored.account().spent_micro_usd, 600);
    assert_eq!(steps(&mut restored), [], "told before the restart");
    restored.spend(200, NOW);
    assert_eq!(steps(&mut restored), [Step::Spent(80)]);
    assert_eq!(Purse::restore(budget(None), november, 600, DECEMBER), None);
    assert_eq!(Purse::restore(budget(None), "2026-W48".parse().unwrap(), 600, NOW), None);
}

#[test]
fn idle_is_when_a_new_one_would_do_as_well() {
    for (spent, reserved, now, want) in
        [(0, 0, NOW, true), (1, 0, NOW, false), (0, 1, NOW, false), (1, 0, DECEMBER, true), (1, 1, DECEMBER, false)]
    {
        assert_eq!(purse(spent, reserved, None).is_idle(now), want, "{spent} {reserved} {now}");
    }
}

proptest! {
    /// However requests come, end, fail and cost more or less than was held for them: what is spent and held is never
    /// more than the amount and what requests cost beyond what was held for them.
    #[test]
    fn never_over_but_by_the_error_of_reservations(
        steps in prop::collection::vec((0_u64..400, 0_u64..500, 0_i64..900_000, any::<bool>()), 1..80),
        percent in prop::option::of(0_u8..=100),
        cycle in 0_usize..4,
    ) {
        let berlin = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let budget = Arc::new(Budget { cycle: Cycle::ALL[cycle], zone: berlin, ..Budget::clone(&budget(percent)) });
        let (mut purse, mut now) = (Purse::new(Arc::clone(&budget), NOW), NOW);
        let (mut in_flight, mut error, mut spent) = (Vec::new(), 0, 0);
        let mut key = purse.account().period.key;
        for (estimate, used, pause_s, ends) in steps {
            now += pause_s;
            purse.follow(&budget, now);
            if purse.account().period.key != key {
                (key, error, spent) = (purse.account().period.key, 0, 0);
            }
            if purse.has_room(estimate) && !purse.wants_local(estimate) {
                purse.reserve(estimate);
                in_flight.push(estimate);
            }
            if let Some(held) = ends.then(|| in_flight.pop()).flatten() {
                purse.release(held);
                purse.spend(used, now);
                (error, spent) = (error + used.saturating_sub(held), spent + used);
            }
            let account = purse.account();
            prop_assert!(account.period.contains(now));
            prop_assert_eq!(account.spent_micro_usd, spent);
            prop_assert_eq!(account.reserved_micro_usd, in_flight.iter().sum::<u64>());
            prop_assert!(spent + account.reserved_micro_usd <= 1_000 + error);
        }
    }
}
