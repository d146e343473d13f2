//! What somebody may use, and what they have used: the limits and budgets of tenants, keys, devices, models and upstreams.

mod quota;
mod tally;

use std::fmt;
use std::sync::Arc;

use crate::budget::{Account, Price, Step};
use crate::limit::{Needed, Reached, Standing, Window};
use crate::moment::Moment;

pub use quota::{Allowance, Charge, Quota};
pub use tally::{Held, Tally};

/// What kind of subject limits and budgets belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Who pays.
    #[default]
    Tenant,
    /// One of a tenant's keys.
    Key,
    /// A machine of the LAN.
    Device,
    /// A model, by the name under which it is offered.
    Model,
    /// A place that answers.
    Upstream,
}

/// One of those that limits and budgets belong to. Subjects are in the order in which their counts are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// Under which policy.
    pub policy: Arc<str>,
    /// Which one. Nothing for clients: it may be an address.
    pub name: Arc<str>,
}

/// What a request needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Tokens and bytes.
    pub needed: Needed,
    /// Money.
    pub price: Price,
}

/// The time of a decision: limits drain by one clock, and budgets follow the calendar's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// On the clock that only goes forward.
    pub moment: Moment,
    /// Seconds since the Unix epoch.
    pub unix_s: i64,
}

/// Why a request is not let in, and for whom. `Display` is the sentence that the client reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this {} {cause} (policy {:?})", .subject.kind, .subject.policy)]
pub struct Exceeded {
    /// Whose limit or budget it is.
    pub subject: Subject,
    /// Which one.
    pub cause: Cause,
    /// How the limits stand, for headers.
    pub standing: Standing,
    /// What the owner should know of it.
    pub notices: Vec<Notice>,
}

/// The reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A limit.
    Limit(Reached),
    /// A budget. It does not pass before its period ends, so no client should try again on its own.
    Budget(Account),
}

/// Something of a budget that the owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose budget.
    pub subject: Subject,
    /// What happened.
    pub step: Step,
    /// How it stands.
    pub account: Account,
}

/// What one subject has used, for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Who.
    pub subject: Subject,
    /// Requests that run.
    pub running: u32,
    /// The limits under which something was counted.
    pub windows: Vec<Window>,
    /// The budgets under which something was counted.
    pub accounts: Vec<Account>,
}

impl Kind {
    /// All, in the order in which they are looked at.
    pub const ALL: [Self; 5] = [Self::Tenant, Self::Key, Self::Device, Self::Model, Self::Upstream];

    /// All of them under their names in the config.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("tenant", Self::Tenant),
        ("key", Self::Key),
        ("device", Self::Device),
        ("model", Self::Model),
        ("upstream", Self::Upstream),
    ];

    /// Whether it is known only when a place is tried.
    #[must_use]
    pub const fn is_of_place(self) -> bool {
        matches!(self, Self::Model | Self::Upstream)
    }
}

impl Cause {
    /// The one of two that says more: money before limits, save for limits that never pass.
    #[must_use]
    pub fn graver(self, other: Self) -> Self {
        match (self, other) {
            (Self::Limit(one), Self::Limit(another)) => Self::Limit(one.graver(another)),
            (Self::Limit(limit), budget @ Self::Budget(_)) | (budget @ Self::Budget(_), Self::Limit(limit)) => {
                if limit.passes() { budget } else { Self::Limit(limit) }
            }
            (Self::Budget(one), Self::Budget(another)) => {
                Self::Budget(if another.period.end_unix_s > one.period.end_unix_s { another } else { one })
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(Self::NAMES[*self as usize].0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(reached) => reached.fmt(out),
            Self::Budget(account) => {
                let amount = Usd(account.amount_micro_usd);
                let cycle = account.period.key.cycle();
                let article = if cycle == crate::calendar::Cycle::Hour { "an" } else { "a" };
                write!(
                    out,
                    "may spend {amount} {article} {cycle}, and what is left of it in {} is not enough; use a model that \
                     costs nothing, or ask the owner for more",
                    account.period.key
                )
            }
        }
    }
}

/// Money as people write it, with two to six places: `$1.50`, `$0.000001`.
struct Usd(u64);

impl fmt::Display for Usd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = format!("{:06}", self.0 % 1_000_000);
        let (always, seldom) = cents.split_at(2);
        write!(out, "${}.{always}{}", self.0 / 1_000_000, seldom.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Cycle, Period, Zone};
    use std::time::Duration;

    fn budget(cycle: Cycle) -> Cause {
        Cause::Budget(Account {
            period: Period::at(1_795_849_200, cycle, &Zone::utc()),
            amount_micro_usd: 2_500_000,
            spent_micro_usd: 2_500_000,
            reserved_micro_usd: 0,
        })
    }

    #[test]
    fn what_the_client_reads() {
        let exceeded = |kind, cause| Exceeded {
            subject: Subject { kind, policy: "kids".into(), name: "10.0.0.7".into() },
            cause,
            standing: Standing::default(),
            notices: Vec::new(),
        };
        for (exceeded, want) in [
            (
                exceeded(Kind::Tenant, budget(Cycle::Month)),
                "this tenant may spend $2.50 a month, and what is left of it in 2026-11 is not enough; use a model that costs \
                 nothing, or ask the owner for more (policy \"kids\")",
            ),
            (
                exceeded(Kind::Device, Cause::Limit(Reached::InputBytes { allowed: 10, needed: 11 })),
                "this device may send requests of 10 bytes, and this one has 11; send less (policy \"kids\")",
            ),
        ] {
            assert_eq!(exceeded.to_string(), want);
        }
    }

    #[test]
    fn money_is_written_as_people_do() {
        for (micro, want) in [(0, "$0.00"), (1, "$0.000001"), (1_500_000, "$1.50"), (12_345_000, "$12.345")] {
            assert_eq!(Usd(micro).to_string(), want);
        }
    }

    #[test]
    fn the_gravest_cause_is_told() {
        let rate = Cause::Limit(Reached::Rate {
            limit: crate::limit::Limit { what: crate::limit::What::Requests, amount: 1, per: crate::limit::Per::Day },
            retry_after: Duration::from_secs(9),
        });
        let large = Cause::Limit(Reached::InputBytes { allowed: 1, needed: 2 });
        let [day, month] = [Cycle::Day, Cycle::Month].map(budget);
        for (one, other, want) in [(rate, day, day), (day, month, month), (month, large, large), (rate, large, large)] {
            assert_eq!(one.graver(other), want);
            assert_eq!(other.graver(one), want);
        }
    }
}
