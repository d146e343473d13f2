//! What the owner is told of the cache.

use serde::Serialize;

/// One kind of storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Entries in it.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub bytes_max: u64,
}

/// The cache now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// How the database is, as a sentence; empty when all is well.
    pub trouble: String,
    /// In memory.
    pub memory: Place,
    /// In the database.
    pub database: Place,
    /// What each tenant takes in the database, in bytes, the largest first.
    pub tenants: Vec<(String, u64)>,
    /// Entries written since the start.
    pub written: u64,
    /// Entries that were not written, because the disk was full, slow or ill.
    pub unwritten: u64,
    /// Entries that made room for others.
    pub evicted: u64,
}
