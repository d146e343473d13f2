//! What the owner says of the ledger, and what the ledger says of itself.

use serde::{Deserialize, Serialize};

use crate::cache::Store;

/// How the ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where the database is.
    pub store: Store,
    /// Days that entries are kept.
    pub days: u32,
    /// Days that their sums are kept, which statements and budgets are made of.
    pub sums_days: u32,
    /// What the database may take, in bytes: the oldest entries go first.
    pub bytes_max: u64,
    /// What entries that cannot be written yet may take in memory, in bytes; what does not fit is lost, and counted.
    pub spool_bytes_max: u64,
}

impl Settings {
    /// What entries may take in memory at each of the two places where they wait: the queue, and the writer.
    #[must_use]
    pub fn spool_max(&self) -> usize {
        usize::try_from(self.spool_bytes_max / 2).unwrap_or(usize::MAX)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { store: Store::Disk, days: 400, sums_days: 400, bytes_max: 512 << 20, spool_bytes_max: 16 << 20 }
    }
}

/// How entries are written into a file for programs of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A table with a first line of names, as spreadsheets read it (RFC 4180).
    Csv,
    /// A JSON object a line.
    JsonL,
}

impl Format {
    /// The name that programs know it by.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonL => "application/x-ndjson",
        }
    }
}

/// How the ledger is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// A sentence for the owner; empty if all is well.
    pub trouble: String,
    /// Entries that wait in memory to be written.
    pub spooled: u64,
    /// Entries that were written since the start.
    pub written: u64,
    /// Entries that were lost since the start, because the memory for those that wait was full.
    pub lost: u64,
    /// What the database takes, in bytes.
    pub bytes: u64,
    /// What it may take, in bytes.
    pub bytes_max: u64,
}
