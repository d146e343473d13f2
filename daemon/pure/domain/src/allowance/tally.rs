//! What one subject has used of its allowance.

use std::sync::Arc;

use super::{Allowance, Cause, Now};
use crate::budget::{Account, Budget, Price, Purse, Step};
use crate::limit::{Buckets, Charged, Needed, Standing, Window};

/// The counts of one subject, kept while rules come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    buckets: Buckets,
    /// At most one for each cycle.
    purses: Vec<Purse>,
}

/// Where a request was counted, for settling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    charged: Charged,
    /// One bit for each cycle.
    purses: u8,
}

impl Tally {
    /// The budget that wants a request to stay in the house, if one does.
    pub fn wants_local(&mut self, allowance: &Allowance, price: Price, now: Now) -> Option<Account> {
        allowance.budgets.iter().find_map(|budget| {
            let purse = self.purse(budget, now);
            purse.wants_local(price.anywhere_micro_usd).then(|| purse.account())
        })
    }

    /// Whether a request has room under all limits and budgets, if so much money is held for it. Nothing is counted.
    ///
    /// # Errors
    /// The gravest reason why not.
    pub fn look(&mut self, allowance: &Allowance, needed: &Needed, held_micro_usd: u64, now: Now) -> Result<(), Cause> {
        let limit = self.buckets.look(&allowance.limits, needed, now.moment).err().map(Cause::Limit);
        let stops = allowance.budgets.iter().filter_map(|budget| {
            let purse = self.purse(budget, now);
            (!purse.has_room(held_micro_usd)).then(|| Cause::Budget(purse.account()))
        });
        limit.into_iter().chain(stops).reduce(Cause::graver).map_or(Ok(()), Err)
    }

    /// Counts a request that is let in, and holds this much money for it.
    pub fn take(&mut self, allowance: &Allowance, needed: &Needed, held_micro_usd: u64, now: Now) -> Held {
        let charged = self.buckets.take(&allowance.limits, needed, now.moment);
        let mut purses = 0;
        for budget in &allowance.budgets {
            self.purse(budget, now).reserve(held_micro_usd);
            purses |= 1 << budget.cycle as u8;
        }
        Held { charged, purses }
    }

    /// A request has ended: `held` and `used` are tokens and micro-dollars. That it was let in stays counted.
    pub fn settle(&mut self, place: Held, held: (u64, u64), used: (u64, u64), unix_s: i64) {
        self.release(place, held, used.0);
        self.purses.iter_mut().for_each(|purse| purse.spend(used.1, unix_s));
    }

    /// A request has ended of which no money is known to be spent.
    pub fn release(&mut self, place: Held, held: (u64, u64), used_tokens: u64) {
        self.buckets.settle(place.charged, held.0, used_tokens);
        self.lower(place, held.1);
    }

    /// Gives back a part of the money that is held for a request.
    pub fn lower(&mut self, place: Held, micro_usd: u64) {
        let of_ours = |purse: &&mut Purse| place.purses & (1 << purse.cycle() as u8) != 0;
        self.purses.iter_mut().filter(of_ours).for_each(|purse| purse.release(micro_usd));
    }

    /// Tells which budgets keep a request of this price in the house, each once in a period.
    pub fn tell_degraded(
        &mut self,
        allowance: &Allowance,
        price: Price,
        now: Now,
        tell: &mut dyn FnMut(Step, Account),
    ) {
        for budget in &allowance.budgets {
            let purse = self.purse(budget, now);
            if purse.wants_local(price.anywhere_micro_usd) && purse.degrade() {
                tell(Step::Degraded, purse.account());
            }
        }
    }

    /// Tells which budgets have no room for so much more, each once in a period.
    pub fn tell_stopped(
        &mut self,
        allowance: &Allowance,
        micro_usd: u64,
        now: Now,
        tell: &mut dyn FnMut(Step, Account),
    ) {
        for budget in &allowance.budgets {
            let purse = self.purse(budget, now);
            if !purse.has_room(micro_usd) && purse.stop() {
                tell(Step::Stopped, purse.account());
            }
        }
    }

    /// Tells the soft limits that were passed since the last time.
    pub fn warn(&mut self, tell: &mut dyn FnMut(Step, Account)) {
        for purse in &mut self.purses {
            let account = purse.account();
            purse.warn(|step| tell(step, account));
        }
    }

    /// Takes over what was spent before a restart, or before there was a budget. What is known already counts once.
    pub fn restore(&mut self, purse: Purse) {
        match self.purses.iter_mut().find(|kept| kept.cycle() == purse.cycle()) {
            Some(kept) => kept.learn(&purse),
            None => self.purses.push(purse),
        }
    }

    /// How the limits of an allowance stand.
    #[must_use]
    pub fn standing(&self, allowance: &Allowance, now: Now) -> Standing {
        self.buckets.standing(&allowance.limits, now.moment)
    }

    /// The highest soft limit that any of its budgets has passed.
    #[must_use]
    pub fn passed_percent(&self) -> Option<u8> {
        self.purses.iter().filter_map(Purse::passed_percent).max()
    }

    /// All limits under which something was counted.
    pub fn windows(&self, now: Now) -> impl Iterator<Item = Window> + '_ {
        self.buckets.windows(now.moment)
    }

    /// All budgets under which something was counted.
    pub fn accounts(&self) -> impl Iterator<Item = Account> + '_ {
        self.purses.iter().map(Purse::account)
    }

    /// Requests that run.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.buckets.running()
    }

    /// Whether a new one would do as well.
    #[must_use]
    pub fn is_idle(&self, now: Now) -> bool {
        self.buckets.is_idle(now.moment) && self.purses.iter().all(|purse| purse.is_idle(now.unix_s))
    }

    /// The purse of a budget, which follows its rules and the calendar.
    fn purse(&mut self, budget: &Arc<Budget>, now: Now) -> &mut Purse {
        let index = self.purses.iter().position(|purse| purse.cycle() == budget.cycle).unwrap_or_else(|| {
            // Most subjects have one or two, and there are many subjects.
            self.purses.reserve_exact(1);
            self.purses.push(Purse::new(Arc::clone(budget), now.unix_s));
            self.purses.len() - 1
        });
        let purse = &mut self.purses[index];
        purse.follow(budget, now.unix_s);
        purse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowance::Demand;
    use crate::calendar::Cycle;
    use crate::limit::{Limit, Limits, Per, What};
    use crate::moment::Moment;

    const NOW: Now = Now { moment: Moment::START, unix_s: 1_795_849_200 };

    fn allowance(day: u64, month: u64) -> Allowance {
        let limit = Limit { what: What::Tokens, amount: 1_000, per: Per::Minute };
        let budget = |cycle, amount_micro_usd, degrade_percent| {
            Arc::new(Budget { cycle, amount_micro_usd, degrade_percent, warn_percents: vec![50], ..Budget::default() })
        };
        Allowance {
            limits: Limits::default().with(limit),
            budgets: vec![budget(Cycle::Day, day, Some(80)), budget(Cycle::Month, month, None)],
        }
    }

    fn demand(tokens: u64, anywhere_micro_usd: u64) -> Demand {
        Demand {
            needed: Needed { tokens, ..Needed::default() },
            price: Price { anywhere_micro_usd, local_micro_usd: 0 },
        }
    }

    fn spent(tally: &Tally) -> Vec<(u64, u64)> {
        tally.accounts().map(|account| (account.spent_micro_usd, account.reserved_micro_usd)).collect()
    }

    #[test]
    fn one_request_from_beginning_to_end() {
        let (allowance, demand, mut tally) = (allowance(100, 500), demand(400, 30), Tally::default());
        assert_eq!(tally.wants_local(&allowance, demand.price, NOW), None);
        assert_eq!(tally.look(&allowance, &demand.needed, 30, NOW), Ok(()));
        let held = tally.take(&allowance, &demand.needed, 30, NOW);
        assert_eq!((spent(&tally), tally.running()), (vec![(0, 30), (0, 30)], 1));
        tally.lower(held, 10);
        assert_eq!(spent(&tally), [(0, 20), (0, 20)]);
        tally.settle(held, (400, 20), (250, 70), NOW.unix_s);
        assert_eq!((spent(&tally), tally.running()), (vec![(70, 0), (70, 0)], 0));
        assert_eq!(tally.standing(&allowance, NOW).tokens.map(|window| window.remaining), Some(750));
        assert_eq!(tally.passed_percent(), Some(50));
        assert!(tally.wants_local(&allowance, demand.price, NOW).is_some());
        let mut told = Vec::new();
        for _ in 0..2 {
            tally.tell_degraded(&allowance, demand.price, NOW, &mut |step, _| told.push(step));
            tally.tell_stopped(&allowance, 31, NOW, &mut |step, _| told.push(step));
            tally.warn(&mut |step, _| told.push(step));
        }
        assert_eq!(told, [Step::Degraded, Step::Stopped, Step::Spent(50)]);
    }

    #[test]
    fn one_that_came_to_nothing_leaves_nothing() {
        let (allowance, demand, mut tally) = (allowance(100, 500), demand(400, 30), Tally::default());
        let held = tally.take(&allowance, &demand.needed, 30, NOW);
        tally.release(held, (400, 30), 0);
        assert_eq!(spent(&tally), [(0, 0), (0, 0)]);
        assert!(tally.is_idle(NOW));
    }

    #[test]
    fn the_gravest_of_all_limits_and_budgets() {
        let (allowance, mut tally) = (allowance(100, 500), Tally::default());
        let says = |tally: &mut Tally, tokens, money| tally.look(&allowance, &demand(tokens, money).needed, money, NOW);
        let cycle = |said| match said {
            Err(Cause::Budget(account)) => Some(account.period.key.cycle()),
            Err(Cause::Limit(_)) | Ok(()) => None,
        };
        assert_eq!(says(&mut tally, 1_000, 100), Ok(()));
        assert_eq!(cycle(says(&mut tally, 1_000, 101)), Some(Cycle::Day));
        assert_eq!(cycle(says(&mut tally, 1_000, 501)), Some(Cycle::Month));
        assert!(matches!(says(&mut tally, 1_001, 501), Err(Cause::Limit(reached)) if !reached.passes()));
        tally.take(&allowance, &demand(1_000, 0).needed, 0, NOW);
        assert!(matches!(says(&mut tally, 10, 0), Err(Cause::Limit(reached)) if reached.passes()));
        assert_eq!(cycle(says(&mut tally, 10, 101)), Some(Cycle::Day));
    }

    #[test]
    fn what_was_spent_before_a_restart_counts_once() {
        let (allowance, mut tally) = (allowance(100, 500), Tally::default());
        for spent in [40, 90, 60] {
            let [day, _] = &allowance.budgets[..] else { panic!("two budgets") };
            let key = Purse::new(Arc::clone(day), NOW.unix_s).account().period.key;
            tally.restore(Purse::restore(Arc::clone(day), key, spent, NOW.unix_s).unwrap());
        }
        assert_eq!(spent(&tally), [(90, 0)]);
        assert!(tally.wants_local(&allowance, demand(1, 0).price, NOW).is_some());
    }
}
