//! What the owner says of a semantic cache.

use super::Goal;

/// `[policy.semantic]`: the apps of this policy get kept answers to questions that ask the same in other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What makes vectors of questions.
    pub embeddings: Embeddings,
    /// The model that compares answers afterwards, as it is asked for; only servers of the house are asked.
    pub judge: String,
    /// How sure a kept answer must be.
    pub goal: Goal,
}

/// What makes vectors of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Embeddings {
    /// The table of `[cache.table]`.
    Table,
    /// A model for embeddings, as it is asked for.
    Model(String),
}

impl Embeddings {
    /// How the table is called in the config.
    pub const TABLE: &'static str = "table";

    /// Which one it is: vectors of two are not compared.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Table => Self::TABLE,
            Self::Model(name) => name,
        }
    }
}
