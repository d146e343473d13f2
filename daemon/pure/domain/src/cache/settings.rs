//! What the owner says of the cache.

use std::path::PathBuf;
use std::time::Duration;

/// `[cache]`: where answers are kept, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Keep answers at all.
    pub enabled: bool,
    /// What the answers in memory may take.
    pub memory_max_bytes: u64,
    /// What the database may take.
    pub disk_max_bytes: u64,
    /// How much of it one tenant may take, in percent.
    pub tenant_share: u8,
    /// Where the database is.
    pub store: Store,
    /// `[cache.table]`: the files of a table that makes vectors of questions.
    pub table: Option<TableFiles>,
}

/// The files of a table of vectors, one for each token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// The vectors, as safetensors.
    pub vectors: PathBuf,
    /// The tokens, as the JSON of a tokenizer.
    pub tokenizer: PathBuf,
}

/// Where the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file in the data directory.
    Disk,
    /// In memory, for flash that must not be written all the time; copied to a file in the data directory so often, and
    /// read from there at the start.
    Memory {
        /// Time between two copies.
        copy_every: Duration,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            memory_max_bytes: 32 << 20,
            disk_max_bytes: 512 << 20,
            tenant_share: 50,
            store: Store::Disk,
            table: None,
        }
    }
}

/// What of a tenant's answers is kept and for whom: the `cache` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Which answers of chats and completions are kept.
    pub chat: Chat,
    /// Vectors are kept.
    pub embeddings: bool,
    /// Who may get them.
    pub scope: Scope,
    /// How long they may be served.
    pub ttl: Duration,
    /// How fast a kept answer is streamed, in tokens per second; 0 is as fast as the client reads.
    pub replay_tokens_per_s: u32,
}

/// Which answers of chats are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chat {
    /// None.
    Off,
    /// Those of which the client wants the same one each time: temperature 0, or a seed.
    Deterministic,
    /// All.
    All,
}

impl Chat {
    /// All of them under their names in the config.
    pub const NAMES: [(&'static str, Self); 3] =
        [("off", Self::Off), ("deterministic", Self::Deterministic), ("all", Self::All)];
}

/// Who may get a kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The tenant whose request it was.
    Tenant,
    /// Every tenant whose policy names this group.
    Group(String),
    /// Everybody in the house.
    House,
}

impl Scope {
    /// The scope's name as part of a [`super::Key`], for a request of `tenant`.
    #[must_use]
    pub fn of(&self, tenant: &str) -> String {
        match self {
            Self::Tenant => format!("tenant:{tenant}"),
            Self::Group(group) => format!("group:{group}"),
            Self::House => "house".to_owned(),
        }
    }
}

impl Rules {
    /// What they say of the answer, as bytes: part of a key, so that what was kept under other rules is not served under these.
    #[must_use]
    pub const fn revision(&self) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h] = self.ttl.as_secs().to_be_bytes();
        [self.chat as u8, self.embeddings as u8, a, b, c, d, e, f, g, h]
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            chat: Chat::Deterministic,
            embeddings: true,
            scope: Scope::Tenant,
            ttl: Duration::from_secs(86_400),
            replay_tokens_per_s: 0,
        }
    }
}
