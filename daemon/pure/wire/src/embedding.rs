//! An embeddings request and its answer between dialects.

use domain::usage::Usage;
use serde_json::{Map, Value};

/// One embeddings request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbeddingRequest {
    /// The model name as the client wrote it.
    pub model: String,
    /// The texts, at least one.
    pub inputs: Vec<String>,
    /// Length of the vectors where the model can choose.
    pub dimensions: Option<u64>,
    /// Cut texts that are too long (Ollama) instead of refusing them.
    pub truncate: Option<bool>,
    /// The client's own name for its end user.
    pub user: Option<String>,
    /// Members that no neutral field stands for, as in [`crate::chat::ChatRequest::extra`].
    pub extra: Map<String, Value>,
}

/// The vectors, in the order of the inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbeddingReply {
    /// The model the upstream says it used.
    pub model: Option<String>,
    /// One vector an input.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens used; no output.
    pub usage: Usage,
}

/// How the client wants its vectors written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VectorEncoding {
    /// JSON numbers.
    #[default]
    Float,
    /// Base64 of little-endian 32-bit floats: what the OpenAI SDKs ask for unless told otherwise.
    Base64,
}
