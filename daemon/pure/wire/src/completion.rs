//! A raw text completion request between dialects. Its answers are [`crate::reply::ChatReply`]s and
//! [`crate::reply::Event`]s that hold nothing but text.

use serde_json::{Map, Value};

use crate::chat::Sampling;

/// One completion request: no template, no roles.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CompletionRequest {
    /// The model name as the client wrote it.
    pub model: String,
    /// The texts to continue; OpenAI allows several.
    pub prompts: Vec<String>,
    /// What comes after the gap to fill.
    pub suffix: Option<String>,
    /// Give the prompt back before the continuation.
    pub echo: bool,
    /// Length, randomness and alternatives.
    pub sampling: Sampling,
    /// Whether the client wants the answer in pieces.
    pub stream: bool,
    /// The client's own name for its end user.
    pub user: Option<String>,
    /// Members that no neutral field stands for, as in [`crate::chat::ChatRequest::extra`].
    pub extra: Map<String, Value>,
}
