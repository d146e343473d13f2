//! Budgets: how much money somebody may spend in an hour, a day, a week or a month of the calendar.
//!
//! What is reserved for requests in flight counts as spent, so that many at once cannot go over together. On the way to
//! its end a budget warns, then keeps requests in the house, then stops them. What costs nothing is never stopped.

use std::sync::Arc;

use crate::calendar::{Cycle, Period, PeriodKey, Zone};

/// A budget as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// What may be spent in a period, in millionths of a US dollar.
    pub amount_micro_usd: u64,
    /// When it begins anew.
    pub cycle: Cycle,
    /// Whose calendar counts.
    pub zone: Zone,
    /// Soft limits: shares of the amount, in percent, of which somebody is told.
    pub warn_percents: Vec<u8>,
    /// From this share on, in percent, requests stay in the house. `None`: never, they stop at the whole amount.
    pub degrade_percent: Option<u8>,
}

/// What one subject has spent under one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purse {
    budget: Arc<Budget>,
    period: Period,
    spent_micro_usd: u64,
    reserved_micro_usd: u64,
    /// The highest soft limit of which somebody was told in this period; zero if nobody was.
    told_percent: u8,
    told_degraded: bool,
    told_stopped: bool,
}

/// What a request may cost, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Wherever it may be served.
    pub anywhere_micro_usd: u64,
    /// If it stays in the house.
    pub local_micro_usd: u64,
}

/// Something that the owner should know of a budget: once in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many percent are spent.
    Spent(u8),
    /// Requests stay in the house from now on.
    Degraded,
    /// A request was stopped.
    Stopped,
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The period.
    pub period: Period,
    /// What may be spent in it.
    pub amount_micro_usd: u64,
    /// What was settled in it.
    pub spent_micro_usd: u64,
    /// What is held for requests in flight.
    pub reserved_micro_usd: u64,
}

/// A clock that is put right may go back over the beginning of a period: up to this, the period goes on.
const BACK_S: i64 = 3_600;

impl Budget {
    /// A share of the amount.
    fn share(&self, percent: u8) -> u128 {
        u128::from(self.amount_micro_usd) * u128::from(percent) / 100
    }
}

impl Purse {
    /// A new one, in which nothing is spent.
    #[must_use]
    pub fn new(budget: Arc<Budget>, unix_s: i64) -> Self {
        let period = Period::at(unix_s, budget.cycle, &budget.zone);
        Self {
            budget,
            period,
            spent_micro_usd: 0,
            reserved_micro_usd: 0,
            told_percent: 0,
            told_degraded: false,
            told_stopped: false,
        }
    }

    /// One as it was before a restart, if its period has not ended. Soft limits that it had passed are not told again.
    #[must_use]
    pub fn restore(budget: Arc<Budget>, key: PeriodKey, spent_micro_usd: u64, unix_s: i64) -> Option<Self> {
        let mut purse = Self::new(budget, unix_s);
        if purse.period.key != key {
            return None;
        }
        purse.spent_micro_usd = spent_micro_usd;
        purse.warn(|_| ());
        Some(purse)
    }

    /// Takes over what another purse of the same period knows to be spent, where that is more.
    pub fn learn(&mut self, other: &Self) {
        if self.period.key == other.period.key {
            self.spent_micro_usd = self.spent_micro_usd.max(other.spent_micro_usd);
            self.told_percent = self.told_percent.max(other.told_percent);
        }
    }

    /// Follows the budget's rules, which may have changed, and the calendar. What is reserved goes along into a new period.
    ///
    /// A change of zone holds from the next period on.
    pub fn follow(&mut self, budget: &Arc<Budget>, unix_s: i64) {
        if !Arc::ptr_eq(&self.budget, budget) {
            self.budget = Arc::clone(budget);
        }
        self.turn(unix_s);
    }

    /// Begins anew when the period is over.
    fn turn(&mut self, unix_s: i64) {
        let back_s = self.period.start_unix_s.saturating_sub(unix_s);
        if self.period.contains(unix_s) || (1..=BACK_S).contains(&back_s) {
            return;
        }
        let period = Period::at(unix_s, self.budget.cycle, &self.budget.zone);
        // A clock that was far ahead is right again: what was spent under the wrong date was spent all the same.
        let is_same = period.key == self.period.key || period.start_unix_s < self.period.start_unix_s;
        self.period = period;
        if !is_same {
            self.spent_micro_usd = 0;
            self.told_percent = 0;
            self.told_degraded = false;
            self.told_stopped = false;
        }
    }

    /// Whether a request of this price has to stay in the house. Call [`Purse::follow`] before.
    #[must_use]
    pub fn wants_local(&self, anywhere_micro_usd: u64) -> bool {
        let beyond = |percent: u8| self.with(anywhere_micro_usd) > self.budget.share(percent.min(100));
        self.budget.degrade_percent.is_some_and(beyond)
    }

    /// Whether so much may still be spent. Nothing always may. Call [`Purse::follow`] before.
    #[must_use]
    pub fn has_room(&self, micro_usd: u64) -> bool {
        micro_usd == 0 || self.with(micro_usd) <= self.budget.share(100)
    }

    /// Holds money for a request that is let in.
    pub fn reserve(&mut self, micro_usd: u64) {
        self.reserved_micro_usd = self.reserved_micro_usd.saturating_add(micro_usd);
    }

    /// Gives money back that was held.
    pub fn release(&mut self, micro_usd: u64) {
        self.reserved_micro_usd = self.reserved_micro_usd.saturating_sub(micro_usd);
    }

    /// Counts money as spent, in the period of now.
    pub fn spend(&mut self, micro_usd: u64, unix_s: i64) {
        self.turn(unix_s);
        self.spent_micro_usd = self.spent_micro_usd.saturating_add(micro_usd);
    }

    /// Tells each soft limit that was passed since the last time, once in a period.
    pub fn warn(&mut self, mut tell: impl FnMut(Step)) {
        let mut told = self.told_percent;
        let budget = Arc::clone(&self.budget);
        for percent in budget.warn_percents.iter().copied().filter(|percent| *percent > self.told_percent) {
            if self.has_spent(percent) {
                tell(Step::Spent(percent));
                told = told.max(percent);
            }
        }
        self.told_percent = told;
    }

    /// Notes that requests stay in the house; true for the first time in a period.
    pub const fn degrade(&mut self) -> bool {
        !std::mem::replace(&mut self.told_degraded, true)
    }

    /// Notes that a request was stopped; true for the first time in a period.
    pub const fn stop(&mut self) -> bool {
        !std::mem::replace(&mut self.told_stopped, true)
    }

    /// The highest soft limit that is passed.
    #[must_use]
    pub fn passed_percent(&self) -> Option<u8> {
        let passed = |percent: &u8| self.has_spent(*percent);
        self.budget.warn_percents.iter().copied().filter(passed).max()
    }

    /// How it stands.
    #[must_use]
    pub fn account(&self) -> Account {
        Account {
            period: self.period,
            amount_micro_usd: self.budget.amount_micro_usd,
            spent_micro_usd: self.spent_micro_usd,
            reserved_micro_usd: self.reserved_micro_usd,
        }
    }

    /// How often it begins anew.
    #[must_use]
    pub fn cycle(&self) -> Cycle {
        self.period.key.cycle()
    }

    /// Whether a new one would do as well.
    #[must_use]
    pub fn is_idle(&self, unix_s: i64) -> bool {
        let is_over = unix_s >= self.period.end_unix_s;
        self.reserved_micro_usd == 0 && (is_over || self.spent_micro_usd == 0)
    }

    /// Whether something is spent, and it is this share.
    fn has_spent(&self, percent: u8) -> bool {
        self.spent_micro_usd > 0 && u128::from(self.spent_micro_usd) >= self.budget.share(percent)
    }

    /// What would be spent and held with so much more.
    fn with(&self, micro_usd: u64) -> u128 {
        u128::from(self.spent_micro_usd) + u128::from(self.reserved_micro_usd) + u128::from(micro_usd)
    }
}

impl Price {
    /// What is held for it: all that it may cost where it may go.
    #[must_use]
    pub const fn reservation(self, is_degraded: bool) -> u64 {
        if is_degraded { self.local_micro_usd } else { self.anywhere_micro_usd }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
