//! Which limits and budgets belong to whom.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Kind, Subject};
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

/// What one subject may use, and how it came to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// What it may use.
    pub allowance: &'a Allowance,
    /// Whether the rules name it.
    pub is_named: bool,
}

/// The allowances of all subjects, as one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// By [`Kind`], in its order.
    tables: [Table; 5],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Table {
    named: HashMap<Arc<str>, Arc<Allowance>, foldhash::fast::FixedState>,
    /// For all that have no name there.
    others: Arc<Allowance>,
}

impl Allowance {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty() && self.limits.is_empty()
    }
}

impl Rules {
    /// What one subject may use, in place of what all others of its kind may. Subjects of one policy best share one.
    pub fn set(&mut self, subject: Subject, allowance: impl Into<Arc<Allowance>>) {
        self.tables[subject.kind as usize].named.insert(subject.name, allowance.into());
    }

    /// What each subject of a kind may use that was not named.
    pub fn set_others(&mut self, kind: Kind, allowance: impl Into<Arc<Allowance>>) {
        self.tables[kind as usize].others = allowance.into();
    }

    /// What a subject may use; `None` where nothing limits it.
    #[must_use]
    pub fn of(&self, kind: Kind, name: &str) -> Option<Found<'_>> {
        let table = &self.tables[kind as usize];
        let named = table.named.get(name);
        let allowance = &**named.unwrap_or(&table.others);
        (!allowance.is_empty()).then_some(Found { allowance, is_named: named.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Limit, Per, What};

    fn rpm(amount: u64) -> Allowance {
        let limit = Limit { what: What::Requests, amount, per: Per::Minute };
        Allowance { limits: Limits::default().with(limit), budgets: Vec::new() }
    }

    #[test]
    fn the_named_and_the_others() {
        let mut rules = Rules::default();
        rules.set_others(Kind::Device, rpm(10));
        rules.set(Subject { kind: Kind::Device, name: "desk".into() }, rpm(60));
        rules.set(Subject { kind: Kind::Device, name: "nas".into() }, Allowance::default());
        for (kind, name, want) in [
            (Kind::Device, "desk", Some((rpm(60), true))),
            (Kind::Device, "phone", Some((rpm(10), false))),
            (Kind::Device, "nas", None),
            (Kind::Key, "desk", None),
        ] {
            let found = rules.of(kind, name).map(|found| (found.allowance.clone(), found.is_named));
            assert_eq!(found, want, "{name}");
        }
    }
}
