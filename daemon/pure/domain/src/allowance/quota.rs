//! What a policy gives to each of its subjects.

use std::sync::Arc;

use super::Kind;
use crate::budget::Budget;
use crate::limit::Limits;

/// What one subject may use. Nothing here means that nothing is limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Rates and sizes.
    pub limits: Limits,
    /// Money: at most one budget for each cycle; of two, the first counts.
    pub budgets: Vec<Arc<Budget>>,
}

/// What each subject of one kind may use under one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The policy's name: each policy has counts of its own, since it counts only the requests for which it holds.
    pub policy: Arc<str>,
    /// Whose.
    pub kind: Kind,
    /// How much each.
    pub allowance: Allowance,
}

/// One subject under which a request counts.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// What it may use.
    pub quota: &'a Quota,
    /// Who it is.
    pub name: &'a str,
}

impl Allowance {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty() && self.limits.is_empty()
    }
}
