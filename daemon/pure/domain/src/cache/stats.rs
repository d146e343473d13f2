//! What the owner is told of the cache.

use serde::{Deserialize, Serialize};

/// One kind of storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Entries in it.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub bytes_max: u64,
}

/// What one tenant takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The tenant.
    pub tenant: String,
    /// What its answers take, in bytes.
    pub bytes: u64,
}

/// The cache now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// How the database is, as a sentence; empty when all is well.
    pub trouble: String,
    /// In memory.
    pub memory: Place,
    /// In the database.
    pub database: Place,
    /// What each tenant takes in the database, the largest first; the hundred largest at most.
    pub tenants: Vec<Share>,
    /// Entries written since the start.
    pub written: u64,
    /// Entries that were not written, because the disk was full, slow or ill.
    pub unwritten: u64,
    /// Entries that made room for others.
    pub evicted: u64,
}

/// One entry, as its owner sees it: everything but the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// [`super::Key::name`].
    pub name: String,
    /// Who may get it.
    pub scope: String,
    /// The name that the client asked for.
    pub model: String,
    /// Whose request was sent.
    pub tenant: String,
    /// How the conversation begins.
    pub head: String,
    /// Seconds since the answer was complete.
    pub age_s: u64,
    /// What the answer takes unpacked, in bytes.
    pub bytes: u64,
}

/// What a purge threw away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Entries, those in memory and in the database counted once.
    pub entries: u64,
    /// What they took, in bytes.
    pub bytes: u64,
}
