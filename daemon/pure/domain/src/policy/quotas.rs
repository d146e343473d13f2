//! What the limits and budgets of one policy come to.

use std::sync::Arc;

use super::{AtLimit, BudgetRule, LimitRule, Rules, Window};
use crate::allowance::{Allowance, Kind, Quota};
use crate::budget::Budget;
use crate::limit::{Limit, Limits, What};

impl Rules {
    /// Works out the quotas of the policy that bears this name. Of two limits for the same the smaller one counts.
    pub fn find_quotas(&mut self, policy: &str) {
        let policy: Arc<str> = policy.into();
        let quotas = Kind::ALL.map(|kind| Quota { policy: policy.clone(), kind, allowance: self.allowance(kind) });
        self.quotas = quotas.into_iter().filter(|quota| !quota.allowance.is_empty()).collect();
    }

    fn allowance(&self, kind: Kind) -> Allowance {
        let limits = self.limits.iter().filter(|rule| rule.per == kind);
        let mut budgets: Vec<&BudgetRule> = self.budgets.iter().filter(|rule| rule.per == kind).collect();
        budgets.sort_by_key(|rule| (rule.period as u8, rule.micro_usd, rule.at_limit == AtLimit::Local));
        budgets.dedup_by_key(|rule| rule.period);
        Allowance {
            limits: limits.fold(Limits::default(), with),
            budgets: budgets.into_iter().map(|rule| Arc::new(budget(rule))).collect(),
        }
    }
}

fn with(mut limits: Limits, rule: &LimitRule) -> Limits {
    let rates = [(What::Requests, rule.requests), (What::Tokens, rule.tokens)];
    for (what, amount) in rates.into_iter().filter_map(|(what, amount)| Some((what, amount?))) {
        let per: Window = rule.window;
        limits = limits.with(Limit { what, amount, per });
    }
    let concurrent = rule.concurrent.map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    limits.concurrent = limits.concurrent.into_iter().chain(concurrent).min();
    limits.input_tokens = limits.input_tokens.into_iter().chain(rule.input_tokens_max).min();
    limits
}

fn budget(rule: &BudgetRule) -> Budget {
    Budget {
        amount_micro_usd: rule.micro_usd,
        cycle: rule.period,
        zone: rule.zone.clone(),
        warn_percents: rule.warn.clone(),
        degrade_percent: (rule.at_limit == AtLimit::Local).then_some(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Cycle;

    #[test]
    fn rules_of_a_kind_come_together() {
        let limit =
            |per, window, requests, concurrent| LimitRule { per, window, requests, concurrent, ..LimitRule::default() };
        let budget = |period, micro_usd, at_limit| BudgetRule { period, micro_usd, at_limit, ..BudgetRule::default() };
        let mut rules = Rules {
            limits: vec![
                limit(Kind::Device, Window::Minute, Some(60), None),
                limit(Kind::Device, Window::Minute, Some(50), Some(4)),
                limit(Kind::Device, Window::Day, Some(500), Some(3)),
                limit(Kind::Model, Window::Hour, Some(7), None),
            ],
            budgets: vec![
                budget(Cycle::Month, 900, AtLimit::Local),
                budget(Cycle::Day, 100, AtLimit::Local),
                budget(Cycle::Month, 800, AtLimit::Local),
                budget(Cycle::Day, 100, AtLimit::Stop),
            ],
            ..Rules::default()
        };
        rules.find_quotas("kids");
        let [tenant, device, model] = &rules.quotas[..] else { panic!("{:?}", rules.quotas) };
        assert_eq!([tenant.kind, device.kind, model.kind], [Kind::Tenant, Kind::Device, Kind::Model]);
        let rate = |amount, per| Limit { what: What::Requests, amount, per };
        let want = Limits { concurrent: Some(3), ..Limits::default() };
        let want = want.with(rate(50, Window::Minute)).with(rate(500, Window::Day));
        assert_eq!((&*device.policy, &device.allowance.limits), ("kids", &want));
        let mut budgets: Vec<_> =
            (tenant.allowance.budgets.iter()).map(|budget| (budget.amount_micro_usd, budget.degrade_percent)).collect();
        budgets.sort_unstable();
        assert_eq!(budgets, [(100, None), (800, Some(100))]);
    }
}
