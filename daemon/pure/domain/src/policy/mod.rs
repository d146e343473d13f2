//! Policies: what holds for whom. All that hold for a request apply, from the outermost layer to the innermost; each may
//! narrow what the others leave, and none may widen it (ADR 0017).

mod bounds;
mod conditions;
mod effective;
mod hours;
mod quotas;
mod rules;
#[cfg(test)]
mod tests;
mod when;

pub use bounds::{Barred, Bounds};
pub(crate) use conditions::names;
pub use conditions::{Asks, Conditions, Pulse, Traits};
pub use effective::{Decided, Effective};
pub use hours::{DAYS, Hours};
pub use rules::{AtLimit, BudgetRule, CacheRules, Capabilities, LimitRule, Privacy, Rules, Subject, Window};
pub use when::{Mistake, SOURCE_BYTES_MAX, When};

/// `[[policy]]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// For its owner, and in explanations and refusals.
    pub name: String,
    /// For which requests it holds.
    pub conditions: Conditions,
    /// What holds for them.
    pub rules: Rules,
}

/// Where a policy stands. Outer layers come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// It holds for everybody.
    #[default]
    House,
    /// It names tenants, keys or networks of clients.
    Tenant,
    /// It names programs.
    App,
    /// It names groups of users.
    Group,
    /// It looks at the request itself.
    Request,
}

impl Layer {
    /// All layers under their names, outermost first.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("house", Self::House),
        ("tenant", Self::Tenant),
        ("app", Self::App),
        ("group", Self::Group),
        ("request", Self::Request),
    ];

    /// The name in explanations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Tenant => "tenant",
            Self::App => "app",
            Self::Group => "group",
            Self::Request => "request",
        }
    }
}

/// The policy of devices that nobody knows; no policy of the owner can have this name.
pub const STRANGERS: &str = "unknown devices";

/// The policy of requests that a budget keeps in the house; no policy of the owner can have this name.
pub const SPENT: &str = "budgets that are used up";

impl Policy {
    /// What holds for devices that nobody knows: they cost nothing.
    #[must_use]
    pub fn of_strangers() -> Self {
        let rules = Rules { privacy: Privacy::LocalOnly, ..Rules::default() };
        Self { name: STRANGERS.to_owned(), conditions: Conditions::default(), rules }
    }

    /// What holds for a request that a budget keeps in the house.
    #[must_use]
    pub fn of_spent() -> Self {
        Self { name: SPENT.to_owned(), ..Self::of_strangers() }
    }

    /// The layer of its innermost condition.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        self.conditions.layer()
    }
}
