//! The models of all upstreams under names that clients can ask for.

/// What an upstream tells of one of its models. `None` means that it does not tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInfo {
    /// The upstream's own id.
    pub id: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// Who made it, or the server's word for itself.
    pub owned_by: Option<String>,
    /// Seconds since the Unix epoch.
    pub created_s: Option<u64>,
    /// Longest prompt plus answer that the server accepts, in tokens.
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub output_tokens_max: Option<u64>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Size of the weights on disk.
    pub size_bytes: Option<u64>,
    /// Digest of the weights (Ollama).
    pub digest: Option<String>,
    /// Architecture family, like `llama`.
    pub family: Option<String>,
    /// Like `8.2B`.
    pub parameter_size: Option<String>,
    /// Like `Q4_K_M`.
    pub quantization: Option<String>,
    /// Whether it is in memory.
    pub loaded: Option<bool>,
}

/// What a model can do, as far as its upstream tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Conversations and completions.
    pub chat: Option<bool>,
    /// Vectors for texts.
    pub embeddings: Option<bool>,
    /// Tool calls.
    pub tools: Option<bool>,
    /// Pictures as input.
    pub vision: Option<bool>,
    /// Reasoning.
    pub reasoning: Option<bool>,
}

/// One line of the catalogue: a name that clients may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The name for clients, unique in the catalogue.
    pub id: String,
    /// The upstream that offers it, or `airlane` for an alias.
    pub upstream: String,
    /// What is known of it; for an alias, of the first model behind it.
    pub info: ModelInfo,
}
