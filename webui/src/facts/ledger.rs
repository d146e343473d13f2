//! The ledger: single requests, and what they add up to.

use domain::ledger::{Line, Sums};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Entries of the ledger, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerPage {
    /// All that is known of each, as an export has it; what is unknown is null, never zero.
    pub entries: Vec<Value>,
    /// After which name to go on; `None` at the end. A page may hold little and yet not be the last.
    pub next: Option<String>,
}

/// Which entries are reckoned anew, by the prices that hold now; what is not given names all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepriceWish {
    /// Who paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The model, as it was asked for or as it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// From this moment on: a day in UTC, a time (RFC 3339), or Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repriced {
    /// Entries that were looked at.
    pub looked: u64,
    /// Entries that cost something else now; what they cost before stays beside it.
    pub changed: u64,
}

/// What days add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// The first day, in UTC, like `2026-11-01`.
    pub from: String,
    /// The last day.
    pub to: String,
    /// By tenant, model and upstream, the dearest first.
    pub lines: Vec<LedgerLine>,
    /// Lines that are only in the total, because there are too many.
    pub lines_left_out: u64,
    /// All of it.
    pub total: LedgerSums,
}

/// What the requests of a tenant to a model of an upstream add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Who pays; empty for nobody.
    pub tenant: String,
    /// The model that answered; empty for none.
    pub model: String,
    /// Where; empty for nowhere.
    pub upstream: String,
    /// What it adds up to.
    #[serde(flatten)]
    pub sums: LedgerSums,
}

/// Sums of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSums {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Those that did not end well.
    pub failed: u64,
    /// Those that were answered from before, or by another's call.
    pub kept: u64,
    /// Tokens of prompts, cached ones included.
    pub input_tokens: u64,
    /// Tokens of answers, reasoning included.
    pub output_tokens: u64,
    /// Tokens that were read from upstreams' caches.
    pub cached_read_tokens: u64,
    /// Tokens that were written into upstreams' caches.
    pub cache_write_tokens: u64,
    /// Tokens that were spent on reasoning.
    pub reasoning_tokens: u64,
    /// What they cost, in micro-dollars; the least that it can be where the cost of some is unknown, and `None` where that
    /// of all is.
    pub cost_micro_usd: Option<i64>,
    /// Requests of which not everything is known that they cost.
    pub unknown_cost: u64,
    /// What the reference models would have cost more, in micro-dollars, of requests of which it is known.
    pub saved_micro_usd: i64,
}

impl From<&Sums> for LedgerSums {
    fn from(sums: &Sums) -> Self {
        let is_unknown = sums.unknown > 0 && sums.unknown == sums.requests && sums.cost.0 == 0;
        Self {
            requests: sums.requests,
            failed: sums.failed,
            kept: sums.kept,
            input_tokens: sums.input,
            output_tokens: sums.output,
            cached_read_tokens: sums.cached_read,
            cache_write_tokens: sums.cache_write,
            reasoning_tokens: sums.reasoning,
            cost_micro_usd: (!is_unknown).then_some(sums.cost.0),
            unknown_cost: sums.unknown,
            saved_micro_usd: sums.saved.0,
        }
    }
}

impl LedgerSummary {
    /// Most lines that are told one by one.
    pub const LINES_MAX: usize = 10_000;

    /// Of lines, the dearest first; beyond [`LedgerSummary::LINES_MAX`] they are in the total only.
    #[must_use]
    pub fn of(from: String, to: String, lines: &[Line]) -> Self {
        let total = lines.iter().fold(Sums::default(), |total, line| total.plus(&line.sums));
        let told = lines.iter().take(Self::LINES_MAX).map(|line| LedgerLine {
            tenant: line.tenant.clone(),
            model: line.model.clone(),
            upstream: line.upstream.clone(),
            sums: (&line.sums).into(),
        });
        Self {
            from,
            to,
            lines: told.collect(),
            lines_left_out: lines.len().saturating_sub(Self::LINES_MAX) as u64,
            total: (&total).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::MicroUsd;

    #[test]
    fn a_cost_that_nobody_knows_is_no_zero() {
        for (requests, unknown, cost, want) in
            [(0, 0, 0, Some(0)), (2, 0, 0, Some(0)), (2, 2, 0, None), (2, 1, 0, Some(0)), (2, 2, 5, Some(5))]
        {
            let sums = Sums { requests, unknown, cost: MicroUsd(cost), ..Sums::default() };
            assert_eq!(LedgerSums::from(&sums).cost_micro_usd, want, "{sums:?}");
        }
    }

    #[test]
    fn what_is_not_told_one_by_one_is_in_the_total() {
        let sums = Sums { requests: 1, cost: MicroUsd(2), ..Sums::default() };
        let lines = vec![Line { sums, ..Line::default() }; LedgerSummary::LINES_MAX + 3];
        let summary = LedgerSummary::of(String::new(), String::new(), &lines);
        assert_eq!((summary.lines.len(), summary.lines_left_out), (LedgerSummary::LINES_MAX, 3));
        assert_eq!((summary.total.requests, summary.total.cost_micro_usd), (10_003, Some(20_006)));
    }
}
