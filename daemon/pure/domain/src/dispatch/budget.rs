//! The retry budget: further attempts, as a share of the requests. Where everything fails, attempts on top of attempts
//! would hammer what is left of the house (Finagle's `RetryBudget` and Envoy's `retry_budget`: 20 % and a reserve).

use std::time::Duration;

use crate::moment::Moment;

/// Further attempts that a request earns for all.
const SHARE: f64 = 0.2;
/// What there is without any request: a house with few of them needs some, too.
const RESERVE: f64 = 10.0;
/// Time in which what was earned or spent is forgotten by two thirds: so the reserve comes back with about one attempt a
/// second, and no burst of attempts is paid by the requests of an hour ago.
const MEMORY: Duration = Duration::from_secs(10);

/// What is left for further attempts.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    balance: f64,
    last: Moment,
}

impl Default for Budget {
    fn default() -> Self {
        Self { balance: RESERVE, last: Moment::START }
    }
}

impl Budget {
    /// A request has come.
    pub(super) fn earn(&mut self, now: Moment) {
        self.settle(now);
        self.balance += SHARE;
    }

    /// Takes a further attempt, if there is one left.
    pub(super) fn spend(&mut self, now: Moment) -> bool {
        self.settle(now);
        let may = self.balance >= 1.0;
        if may {
            self.balance -= 1.0;
        }
        may
    }

    /// The balance goes back to the reserve, from above and from below.
    fn settle(&mut self, now: Moment) {
        let passed = now.since(self.last);
        if !passed.is_zero() {
            let kept = (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
            self.balance = RESERVE + (self.balance - RESERVE) * kept;
            self.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    #[test]
    fn a_small_house_has_a_reserve_that_comes_back() {
        let mut budget = Budget::default();
        assert_eq!((0..50).filter(|_| budget.spend(at(1_000))).count(), 10);
        assert!(!budget.spend(at(1_500)));
        assert!(budget.spend(at(2_500)), "about one a second");
        assert_eq!((0..50).filter(|_| budget.spend(at(120_000))).count(), 9, "never more than the reserve");
    }

    #[test]
    fn a_busy_house_tries_a_fifth_again() {
        let mut budget = Budget::default();
        // 100 requests a second, all of which fail and want another attempt.
        let tried = (0..6_000).filter(|number| {
            budget.earn(at(number * 10));
            budget.spend(at(number * 10))
        });
        let tried = tried.count();
        // A fifth, and what the reserve gives back in a minute.
        assert!((1_200..=1_200 + 10 + 60 + 5).contains(&tried), "{tried}");
    }

    proptest! {
        #[test]
        fn attempts_stay_a_share(steps in prop::collection::vec((0_u64..2_000, 0_u32..20, 0_u32..20), 1..100)) {
            let (mut budget, mut now, mut requests, mut attempts) = (Budget::default(), 0, 0_u32, 0_u32);
            for (pause, come, fail) in steps {
                now += pause;
                (0..come).for_each(|_| budget.earn(at(now)));
                requests += come;
                attempts += u32::try_from((0..fail).filter(|_| budget.spend(at(now))).count()).unwrap();
            }
            let most = f64::from(requests) * SHARE + RESERVE * (1.0 + now as f64 / 10_000.0) + 1.0;
            prop_assert!(f64::from(attempts) <= most, "{attempts} for {requests} in {now} ms");
        }
    }
}
