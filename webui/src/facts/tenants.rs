//! Tenants and their keys.

use domain::key::KeyFacts;
use domain::tenant::Tenant;
use serde::{Deserialize, Serialize};

/// All tenants, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenants {
    /// Each of them.
    pub tenants: Vec<Tenant>,
}

/// A tenant by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantName {
    /// The name.
    pub name: String,
}

/// All keys, the newest first; never the keys themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// What is known of each.
    pub keys: Vec<KeyFacts>,
}

/// A wish for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyWish {
    /// Who pays; made as well where there is none of this name.
    pub tenant: String,
    /// What to call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// How long it is good, in seconds from now; for ever unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<u64>,
}

/// A key in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The name of the old one.
    pub id: String,
    /// How long both are good, in seconds.
    #[serde(default = "overlap_s")]
    pub overlap_s: u64,
}

/// A day: long enough to change it everywhere.
const fn overlap_s() -> u64 {
    86_400
}

/// A key by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyName {
    /// The eight letters after `sk-airlane-`.
    pub id: String,
}

/// A key that was just made: it is told this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// The key.
    pub key: String,
    /// What is known of it.
    #[serde(flatten)]
    pub facts: KeyFacts,
}
