//! The words for "which API": a surface is one endpoint's wire format, a dialect is the family it belongs to.

use serde::{Deserialize, Serialize};

/// A family of wire formats, with its own errors, models list and stream framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI's API and the many servers that copy it.
    Openai,
    /// Anthropic's Messages API.
    Anthropic,
    /// Ollama's native API.
    Ollama,
}

/// One endpoint's wire format: what a client calls, or what an upstream is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST /v1/chat/completions`
    OpenaiChat,
    /// `POST /v1/completions`
    OpenaiCompletions,
    /// `POST /v1/embeddings`
    OpenaiEmbeddings,
    /// `POST /v1/responses`
    OpenaiResponses,
    /// `POST /v1/messages`
    AnthropicMessages,
    /// `POST /v1/messages/count_tokens`
    AnthropicCountTokens,
    /// `POST /api/chat`
    OllamaChat,
    /// `POST /api/generate`
    OllamaGenerate,
    /// `POST /api/generate` with `raw: true`: no template, so a raw completion
    OllamaGenerateRaw,
    /// `POST /api/embed`
    OllamaEmbed,
    /// `POST /api/embeddings`, the older form with one prompt
    OllamaEmbeddings,
}

/// What a request asks for, whatever its dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// The next message of a conversation.
    Chat,
    /// The continuation of a raw text.
    Completion,
    /// Vectors for texts.
    Embedding,
    /// The number of tokens of a conversation.
    TokenCount,
}

impl Surface {
    /// All surfaces, in a fixed order.
    pub const ALL: [Self; 11] = [
        Self::OpenaiChat,
        Self::OpenaiCompletions,
        Self::OpenaiEmbeddings,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::AnthropicCountTokens,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::OllamaGenerateRaw,
        Self::OllamaEmbed,
        Self::OllamaEmbeddings,
    ];

    /// The family of this endpoint.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions | Self::OpenaiEmbeddings | Self::OpenaiResponses => {
                Dialect::Openai
            }
            Self::AnthropicMessages | Self::AnthropicCountTokens => Dialect::Anthropic,
            Self::OllamaChat
            | Self::OllamaGenerate
            | Self::OllamaGenerateRaw
            | Self::OllamaEmbed
            | Self::OllamaEmbeddings => Dialect::Ollama,
        }
    }

    /// What the endpoint is for. Ollama's `generate` counts as chat: it applies the model's template.
    #[must_use]
    pub const fn task(self) -> Task {
        match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::OllamaChat
            | Self::OllamaGenerate => Task::Chat,
            Self::OpenaiCompletions | Self::OllamaGenerateRaw => Task::Completion,
            Self::OpenaiEmbeddings | Self::OllamaEmbed | Self::OllamaEmbeddings => Task::Embedding,
            Self::AnthropicCountTokens => Task::TokenCount,
        }
    }

    /// A name that never changes: kept answers bear it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiCompletions => "openai_completions",
            Self::OpenaiEmbeddings => "openai_embeddings",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::AnthropicCountTokens => "anthropic_count_tokens",
            Self::OllamaChat => "ollama_chat",
            Self::OllamaGenerate => "ollama_generate",
            Self::OllamaGenerateRaw => "ollama_generate_raw",
            Self::OllamaEmbed => "ollama_embed",
            Self::OllamaEmbeddings => "ollama_embeddings",
        }
    }

    /// The surface of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|surface| surface.name() == name)
    }

    /// The path below the server's root, as clients and upstreams know it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => "/v1/chat/completions",
            Self::OpenaiCompletions => "/v1/completions",
            Self::OpenaiEmbeddings => "/v1/embeddings",
            Self::OpenaiResponses => "/v1/responses",
            Self::AnthropicMessages => "/v1/messages",
            Self::AnthropicCountTokens => "/v1/messages/count_tokens",
            Self::OllamaChat => "/api/chat",
            Self::OllamaGenerate | Self::OllamaGenerateRaw => "/api/generate",
            Self::OllamaEmbed => "/api/embed",
            Self::OllamaEmbeddings => "/api/embeddings",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back() {
        for surface in Surface::ALL {
            assert_eq!(Surface::of_name(surface.name()), Some(surface));
        }
        assert_eq!(Surface::of_name("x"), None);
    }
}
