//! Kept answers.

use domain::cache::Listed;
use serde::{Deserialize, Serialize};

/// What is kept, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntries {
    /// Everything but the answers.
    pub entries: Vec<Listed>,
}
