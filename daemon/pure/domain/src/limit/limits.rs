//! The limits of one subject, as they are configured.

use super::{Limit, Per, What};

/// What one subject may use: at most one limit for each kind and span, and how much at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many requests and tokens in which span.
    pub rates: Rates,
    /// Requests that may run at the same time; streams are requests too.
    pub concurrent: Option<u32>,
    /// Tokens of a prompt, estimated.
    pub input_tokens: Option<u64>,
    /// Bytes of a request.
    pub input_bytes: Option<u64>,
}

/// Limits of requests and tokens, by `slot`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates([Option<u64>; SLOTS]);

/// How many limits of requests and tokens there can be.
pub(super) const SLOTS: usize = 6;

impl Limits {
    /// Adds a limit; of two for the same kind and span the smaller one counts.
    #[must_use]
    pub fn with(mut self, limit: Limit) -> Self {
        let amount = &mut self.rates.0[slot(limit.what, limit.per)];
        *amount = Some(amount.map_or(limit.amount, |kept| kept.min(limit.amount)));
        self
    }

    /// The limits of requests and tokens, with their slots.
    pub(super) fn rates(&self) -> impl Iterator<Item = (usize, Limit)> + '_ {
        self.rates.0.iter().enumerate().filter_map(|(slot, amount)| Some((slot, limit_of(slot, (*amount)?))))
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a limit's bucket stands: requests before tokens, the shortest span first.
const fn slot(what: What, per: Per) -> usize {
    let what = match what {
        What::Requests => 0,
        What::Tokens => 3,
    };
    what + match per {
        Per::Minute => 0,
        Per::Hour => 1,
        Per::Day => 2,
    }
}

/// The limit that has this slot.
pub(super) const fn limit_of(slot: usize, amount: u64) -> Limit {
    let what = if slot < 3 { What::Requests } else { What::Tokens };
    Limit { what, amount, per: Per::ALL[slot % 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_slot_and_the_smaller_counts() {
        let mut limits = Limits::default();
        assert!(limits.is_empty());
        let mut want = Vec::new();
        for what in [What::Requests, What::Tokens] {
            for per in Per::ALL {
                let limit = Limit { what, amount: 5, per };
                limits = limits.with(limit).with(Limit { amount: 9, ..limit });
                want.push((want.len(), limit));
            }
        }
        assert_eq!(limits.rates().collect::<Vec<_>>(), want);
    }
}
