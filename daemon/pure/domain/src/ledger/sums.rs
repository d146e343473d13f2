//! What entries add up to.

use super::Entry;
use crate::money::MicroUsd;
use crate::price::Cost;

/// Sums of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Those that did not end well.
    pub failed: u64,
    /// Those that were answered from before, or by another's call.
    pub kept: u64,
    /// Tokens of prompts, cached ones included.
    pub input: u64,
    /// Tokens of answers, reasoning included.
    pub output: u64,
    /// Tokens that were read from upstreams' caches.
    pub cached_read: u64,
    /// Tokens that were written into upstreams' caches.
    pub cache_write: u64,
    /// Tokens that were spent on reasoning.
    pub reasoning: u64,
    /// What is known to have been paid.
    pub cost: MicroUsd,
    /// What the reference models would have cost more.
    pub saved: MicroUsd,
    /// Requests of which not everything is known that they cost.
    pub unknown: u64,
}

impl Sums {
    /// The sums of one entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let (usage, count) = (&entry.usage, |count: Option<u64>| count.unwrap_or(0));
        Self {
            requests: 1,
            failed: u64::from(entry.outcome != "ok"),
            kept: u64::from(usage.saved.is_some()),
            input: count(usage.input),
            output: count(usage.output),
            cached_read: count(usage.cached_read),
            cache_write: count(usage.cache_write),
            reasoning: count(usage.reasoning),
            cost: entry.current_cost().unwrap_or_default().micro_usd,
            saved: entry.saved.unwrap_or_default(),
            unknown: u64::from(entry.known_cost().is_none()),
        }
    }

    /// The same requests, of which one costs something else now.
    #[must_use]
    pub fn corrected(self, was: Option<Cost>, is: Option<Cost>) -> Self {
        let amount = |cost: Option<Cost>| cost.unwrap_or_default().micro_usd;
        let unknown = |cost: Option<Cost>| u64::from(cost.and_then(Cost::complete).is_none());
        Self {
            cost: self.cost.minus(amount(was)).plus(amount(is)),
            unknown: self.unknown.saturating_sub(unknown(was)).saturating_add(unknown(is)),
            ..self
        }
    }

    /// Both together; each count stops at its largest.
    #[must_use]
    pub const fn plus(self, other: &Self) -> Self {
        macro_rules! sum {
            ($($count:ident),*) => {
                Self {
                    $( $count: self.$count.saturating_add(other.$count), )*
                    cost: self.cost.plus(other.cost),
                    saved: self.saved.plus(other.saved),
                }
            };
        }
        sum!(requests, failed, kept, input, output, cached_read, cache_write, reasoning, unknown)
    }
}

/// One line of a summary or a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Who pays.
    pub tenant: String,
    /// The model that answered; empty for none.
    pub model: String,
    /// Where; empty for nowhere.
    pub upstream: String,
    /// What it adds up to.
    pub sums: Sums,
}
