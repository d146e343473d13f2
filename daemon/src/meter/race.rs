//! Two hundred workers against one limit and one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use domain::allowance::{Charge, Kind, Now, Quota};
use domain::limit::{Limit, Limits, Per, What};
use domain::moment::Moment;

use super::tests::{demand, limits, month, quota};
use super::{Meter, Permit};

const WORKERS: u64 = 200;
const REQUESTS: u64 = 100_000;

/// 2026-11-28 07:00 UTC, and the clock of the race: it goes on by so much with every request.
const UNIX_S: i64 = 1_795_849_200;
const STEP: Duration = Duration::from_millis(2);

/// What became of one request.
#[derive(Clone, Copy)]
struct Done {
    admitted: Duration,
    settled: Duration,
    held: u64,
    used: u64,
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn tick(&self) -> Duration {
        STEP * u32::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }

    fn now(&self) -> Duration {
        STEP * u32::try_from(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// All workers send their share of the requests, each with one or two in flight; what is let in ends in one of four ways.
fn race(meter: &Meter, quotas: &[Quota], clock: &Clock, requests: u64, seed: u64) -> Vec<Done> {
    thread::scope(|scope| {
        let worker = |number: u64| move || work(meter, quotas, clock, requests / WORKERS, Dice(seed + number * 7_919));
        let workers: Vec<_> = (1..=WORKERS).map(|number| scope.spawn(worker(number))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn work(meter: &Meter, quotas: &[Quota], clock: &Clock, requests: u64, mut dice: Dice) -> Vec<Done> {
    let key = format!("key {}", dice.below(20));
    let name = |kind| if kind == Kind::Key { key.as_str() } else { "house" };
    // Only one key is limited.
    let holds = |quota: &&Quota| quota.kind != Kind::Key || key == "key 7";
    let mut who: Vec<_> = quotas.iter().filter(holds).map(|quota| Charge { quota, name: name(quota.kind) }).collect();
    // In whatever order they come, nobody waits for ever.
    if dice.below(2) == 0 {
        who.reverse();
    }
    let (mut done, mut in_flight) = (Vec::new(), None);
    for _ in 0..requests {
        let (admitted, held) = (clock.tick(), 50 + dice.below(100));
        let now = Now { moment: Moment::after_start(admitted), unix_s: UNIX_S };
        if let Ok(permit) = meter.admit(&who, &demand(held, held), now) {
            let next = (permit, Done { admitted, settled: admitted, held, used: 0 });
            let before = in_flight.replace(next);
            done.extend(before.map(|request| end(request, clock, &mut dice)));
        }
        if dice.below(8) == 0 {
            thread::yield_now();
        }
    }
    done.extend(in_flight.map(|request| end(request, clock, &mut dice)));
    done
}

/// It needed less than was held, or more, or was cut in the middle, or came to nothing.
fn end((permit, mut done): (Permit, Done), clock: &Clock, dice: &mut Dice) -> Done {
    let used = match dice.below(20) {
        0 | 1 => None,
        2 | 3 => Some(dice.below(done.held)),
        4..=7 => Some(done.held + dice.below(20)),
        _ => Some(done.held - dice.below(20)),
    };
    match used {
        Some(used) => drop(permit.settle(used, used, UNIX_S)),
        None => drop(permit),
    }
    done.used = used.unwrap_or_default();
    done.settled = clock.now();
    done
}

fn sum(done: &[Done], of: impl Fn(&Done) -> u64) -> u64 {
    done.iter().map(of).sum()
}

/// In any span of time: at most the whole amount and what drains in it, plus what the requests in flight at its beginning
/// held too much, plus what those within needed beyond what was held.
fn assert_never_over(done: &[Done], amount: u64, until: Duration) {
    const MARKS: u32 = 24;
    for first in 0..MARKS {
        let from = until * first / MARKS;
        let in_flight = |one: &&Done| one.admitted < from && from <= one.settled;
        let too_much: u64 = done.iter().filter(in_flight).map(|one| one.held.saturating_sub(one.used)).sum();
        for last in first + 1..=MARKS {
            let to = until * last / MARKS;
            let within = |one: &&Done| from <= one.admitted && one.admitted < to;
            let used: u64 = done.iter().filter(within).map(|one| one.used).sum();
            let beyond: u64 = done.iter().filter(within).map(|one| one.used.saturating_sub(one.held)).sum();
            let drained = u64::try_from(u128::from(amount) * (to - from).as_nanos() / 60_000_000_000).unwrap();
            let most = amount + drained + too_much + beyond;
            assert!(used <= most, "{used} of {most} between {from:?} and {to:?}");
        }
    }
}

#[test]
fn no_more_tokens_than_the_limit_and_hardly_less() {
    const TOKENS_A_MINUTE: u64 = 1_200_000;
    let tokens = Limit { what: What::Tokens, amount: TOKENS_A_MINUTE, per: Per::Minute };
    let (meter, clock) = (Meter::new(64), Clock::default());
    let house = quota(Kind::Tenant, Limits::default().with(tokens), Vec::new());
    // One key has next to nothing: that it is refused must cost the house nothing.
    let quotas = [house, quota(Kind::Key, limits(1, 200), Vec::new())];
    let done = race(&meter, &quotas, &clock, REQUESTS, 11);
    let until = clock.now();
    assert_never_over(&done, TOKENS_A_MINUTE, until);
    let most = TOKENS_A_MINUTE + u64::try_from(until.as_millis()).unwrap() * TOKENS_A_MINUTE / 60_000;
    let used = sum(&done, |one| one.used);
    assert!(used * 100 >= most * 99, "{used} of {most}");
    assert!(used * 100 <= most * 101, "{used} of {most}: it is what the limit lets in");
    let standing = &meter.standings(Kind::Tenant, Now { moment: Moment::after_start(until), unix_s: UNIX_S })[0];
    assert_eq!(standing.running, 0);
}

#[test]
fn exactly_as_many_requests_as_the_limit() {
    let (meter, clock) = (Meter::new(64), Clock::default());
    let quotas = [quota(Kind::Tenant, limits(6_000, 1 << 40), Vec::new())];
    let done = race(&meter, &quotas, &clock, REQUESTS, 23);
    let elapsed_ms = u64::try_from(clock.now().as_millis()).unwrap();
    let most = 6_000 + elapsed_ms / 10;
    let let_in = u64::try_from(done.len()).unwrap();
    assert!(let_in <= most && let_in * 1_000 >= most * 999, "{let_in} of {most}");
}

/// With a restart in the middle: the ledger tells the new meter what was spent.
#[test]
fn no_more_money_than_the_budget_and_the_sums_agree() {
    const AMOUNT_MICRO_USD: u64 = 4_000_000;
    let quotas = [quota(Kind::Tenant, Limits::default(), month(AMOUNT_MICRO_USD, None))];
    let house = Charge { quota: &quotas[0], name: "house" };
    let now = Now { moment: Moment::START, unix_s: UNIX_S };
    let (mut ledger, mut beyond) = (0, 0);
    for (half, clock) in [Clock::default(), Clock::default()].iter().enumerate() {
        let meter = Arc::new(Meter::new(64));
        meter.restore(&house, "2026-11".parse().unwrap(), ledger, now);
        // The first half alone does not reach the end.
        let done = race(&meter, &quotas, clock, [REQUESTS * 3 / 10, REQUESTS * 7 / 10][half], 37);
        ledger += sum(&done, |one| one.used);
        beyond += sum(&done, |one| one.used.saturating_sub(one.held));
        let account = meter.standings(Kind::Tenant, now)[0].accounts[0];
        assert_eq!((account.spent_micro_usd, account.reserved_micro_usd), (ledger, 0), "to the micro-dollar");
        assert!(ledger <= AMOUNT_MICRO_USD + beyond, "{ledger} is more than {AMOUNT_MICRO_USD} and {beyond}");
        assert_eq!(ledger * 100 >= AMOUNT_MICRO_USD * 99, half == 1, "{ledger} of {AMOUNT_MICRO_USD}");
    }
}
