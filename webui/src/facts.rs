//! What the console tells, as plain data: the pages render it and the status API serialises it.

mod decision;
mod kept;
mod ledger;
mod nodes;
mod places;
mod tenants;

use std::time::Duration;

use domain::health::State;
use serde::{Deserialize, Serialize};

pub use decision::{Asker, Candidate, Chosen, DecidedBy, Decision, DroppedRow, Parts, PolicyRow, Question, RefusalRow};
pub use kept::{CacheEntries, WrongAnswer};
pub use ledger::{LedgerLine, LedgerPage, LedgerSummary, LedgerSums, RepriceWish, Repriced};
pub use nodes::{FoundNodes, FoundRow, NodeName, NodeRow, Nodes, PairWish, PairingCode, RouterRow};
pub use places::{HealthRow, PlaceRow, Places, SiteRow};
pub use tenants::{KeyName, KeyWish, Keys, NewKey, Rotation, TenantName, Tenants};

/// The house at one moment. In JSON, `uptime` is whole seconds under the name `uptime_s`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Airlane's version.
    pub version: String,
    /// Time since the start.
    #[serde(rename = "uptime_s", with = "seconds")]
    pub uptime: Duration,
    /// URLs of the endpoint as clients on the LAN write them, without a path, the best one first.
    pub base_urls: Vec<String>,
    /// The upstreams in the order of the config.
    pub upstreams: Vec<UpstreamRow>,
    /// The models that can be asked for.
    pub models: Vec<ModelRow>,
    /// Requests that are being answered.
    pub in_flight: u64,
    /// Requests that wait for a slot.
    pub waiting: u64,
    /// Number of the config in force, counted from the start.
    pub revision: u64,
    /// Why the last change of the config was refused; `None` when the last change is in force.
    pub config_problem: Option<String>,
    /// Changed settings that only a restart puts in force.
    pub restart_needed: Vec<String>,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamRow {
    /// Its name in the config.
    pub name: String,
    /// What it speaks, by its name in the config.
    pub kind: String,
    /// Its origin (scheme, host and port), never with a key or a password.
    #[serde(rename = "where")]
    pub where_: String,
    /// How it does.
    #[serde(flatten)]
    pub state: UpstreamState,
    /// How it answers requests.
    pub health: HealthRow,
}

/// Whether an upstream tells its models. In JSON, the member `state` beside the upstream's own members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UpstreamState {
    /// It has been asked for the first time and has not answered yet.
    Asking,
    /// It answered when it was last asked.
    Answers {
        /// Models it told.
        models: u64,
    },
    /// It did not answer when it was last asked.
    Silent {
        /// Why, for people.
        reason: String,
    },
}

/// One model that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRow {
    /// The name that clients ask for.
    pub id: String,
    /// The upstream that offers it, or `airlane` for an alias.
    pub upstream: String,
    /// Longest prompt plus answer, where the upstream tells.
    pub context_tokens: Option<u64>,
    /// Whether it holds conversations, where the upstream tells.
    pub chat: Option<bool>,
}

impl Overview {
    /// The models that can answer a prompt: all but the loopback's.
    pub(crate) fn real_models(&self) -> impl Iterator<Item = &ModelRow> {
        let echoes =
            |model: &ModelRow| self.upstreams.iter().any(|row| row.is_loopback() && row.name == model.upstream);
        self.models.iter().filter(move |model| !echoes(model))
    }
}

impl UpstreamRow {
    /// Whether it is the built-in one that gives the prompt back.
    pub(crate) fn is_loopback(&self) -> bool {
        self.kind == "loopback"
    }

    /// Whether it does not tell its models, and should.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.state, UpstreamState::Silent { .. }) && self.health.state != State::Sleeping
    }

    /// Whether the whole upstream does not do well, and not only a model of it.
    pub(crate) const fn is_ill(&self) -> bool {
        !self.health.state.is_well() && self.health.model.is_none()
    }

    /// Class of the style sheet for an upstream that does not do well.
    pub(crate) const fn tone(&self) -> &'static str {
        match self.health.state {
            State::Offline | State::Misconfigured => "bad",
            State::Sleeping | State::Warming => "wait",
            State::Unknown | State::Healthy | State::Busy | State::Degraded | State::RateLimited => "warn",
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(uptime: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(uptime.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}
