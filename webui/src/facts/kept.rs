//! Kept answers.

use domain::cache::Listed;
use serde::{Deserialize, Serialize};

/// What is kept, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntries {
    /// Everything but the answers.
    pub entries: Vec<Listed>,
}

/// A request whose answer was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongAnswer {
    /// Its name, from its answer's header `x-request-id`.
    pub request_id: String,
}
