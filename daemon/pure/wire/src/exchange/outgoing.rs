//! What an upstream is sent.

use bytes::Bytes;
use domain::surface::Surface;

use super::Ask;
use crate::chat::ChatRequest;
use crate::completion::CompletionRequest;
use crate::embedding::EmbeddingRequest;
use crate::malformed::{Malformed, Uncarried};
use crate::openai::server::Server;
use crate::{anthropic, ollama, openai};

/// Why a request cannot be sent on in the upstream's dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The body is wrong in a member that only a change of dialect looks at.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A member would be lost.
    #[error(transparent)]
    Uncarried(#[from] Uncarried),
}

/// What clients of `near` call a member of OpenAI's chat; `None` where it is the same.
fn own_name(near: Surface, field: &str) -> Option<&'static str> {
    let names: &[(&str, &str)] = match near {
        Surface::AnthropicMessages => &[
            ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
            ("reasoning_effort", "output_config.effort"),
            ("response_format", "output_config.format"),
        ],
        Surface::OpenaiResponses => {
            &[("logprobs", "include"), ("reasoning_effort", "reasoning.effort"), ("response_format", "text.format")]
        }
        Surface::OllamaChat | Surface::OllamaGenerate => &[
            ("frequency_penalty", "options.frequency_penalty"),
            ("min_p", "options.min_p"),
            ("presence_penalty", "options.presence_penalty"),
            ("reasoning_effort", "think"),
            ("repeat_penalty", "options.repeat_penalty"),
            ("response_format", "format"),
            ("seed", "options.seed"),
            ("temperature", "options.temperature"),
            ("top_k", "options.top_k"),
            ("top_p", "options.top_p"),
        ],
        _ => &[],
    };
    // Of the neutral messages, whose numbers stand in a path, there may be more than the client's.
    match near {
        Surface::OpenaiResponses if field.starts_with("messages[") => Some("input"),
        Surface::AnthropicMessages if field.starts_with("messages[") => Some("messages"),
        _ => names.iter().find(|(known, _)| *known == field).map(|(_, own)| *own),
    }
}

impl Ask {
    /// The body for an upstream that is called on `far` and calls the model `model`. `host` is the upstream's, since
    /// servers of OpenAI's dialect differ in what they accept.
    ///
    /// # Errors
    /// The dialects differ and a member is wrong or has no counterpart.
    pub fn outgoing(&self, far: Surface, model: &str, host: &str) -> Result<Bytes, NotSent> {
        let server = Server::of_host(host);
        if far == self.near { Ok(self.passed(model, server)?) } else { Ok(self.translated(far, model, server)?.into()) }
    }

    /// The client's own body with the upstream's model name, and usage asked for.
    fn passed(&self, model: &str, server: Server) -> Result<Bytes, Malformed> {
        let mut object = self.object.clone();
        object.remove("models");
        if self.near.dialect() == domain::surface::Dialect::Ollama {
            object.remove("name");
        }
        object.set("model", model);
        if self.near.dialect() == domain::surface::Dialect::Anthropic && model.contains("claude") {
            anthropic::request::drop_unsigned(&mut object)?;
        }
        if !matches!(self.near, Surface::OpenaiChat | Surface::OpenaiCompletions) {
            return Ok(object.to_bytes());
        }
        if !server.takes_stream_options() {
            object.remove("stream_options");
        } else if self.stream && !self.include_usage {
            let mut options: serde_json::Map<String, serde_json::Value> =
                object.get("stream_options")?.unwrap_or_default();
            options.insert("include_usage".to_owned(), true.into());
            object.set("stream_options", &options);
        }
        Ok(object.to_bytes())
    }

    fn translated(&self, far: Surface, model: &str, server: Server) -> Result<Vec<u8>, NotSent> {
        let body = match far {
            Surface::OpenaiChat | Surface::AnthropicMessages | Surface::OllamaChat => {
                let chat = self.chat()?;
                let written = match far {
                    Surface::AnthropicMessages => anthropic::request::encode(&chat, model),
                    Surface::OllamaChat => ollama::chat_request::encode(&chat, model),
                    _ => openai::chat_request::encode(&chat, model, server),
                };
                written.map_err(|error| self.renamed(&chat, error))?
            }
            Surface::OpenaiCompletions => openai::completions::encode_request(&self.completion()?, model)?,
            Surface::OllamaGenerateRaw => ollama::generate::encode(&self.completion()?, model)?,
            Surface::OpenaiEmbeddings => openai::embeddings::encode(&self.embedding()?, model)?,
            Surface::OllamaEmbed => ollama::embed::encode(&self.embedding()?, model)?,
            Surface::OpenaiResponses
            | Surface::AnthropicCountTokens
            | Surface::OllamaGenerate
            | Surface::OllamaEmbeddings => {
                return Err(Uncarried::new(far.path(), "nothing is translated into this surface").into());
            }
        };
        Ok(body)
    }

    /// Encoders know members by OpenAI's names: tells the client's own instead.
    fn renamed(&self, chat: &ChatRequest, error: Uncarried) -> Uncarried {
        match own_name(self.near, &error.field) {
            // What went to `extra` has the client's own name already.
            Some(name) if !chat.extra.contains_key(&error.field) => Uncarried { field: name.to_owned(), ..error },
            _ => error,
        }
    }

    /// The conversation in neutral terms.
    ///
    /// # Errors
    /// A member is wrong.
    pub fn chat(&self) -> Result<ChatRequest, Malformed> {
        self.object.check_values()?;
        match self.near {
            Surface::OpenaiResponses => openai::responses::request::decode(&self.object),
            Surface::AnthropicMessages => anthropic::request::decode(&self.object),
            Surface::AnthropicCountTokens => anthropic::count_tokens::decode(&self.object),
            Surface::OllamaChat => ollama::chat_request::decode(&self.object),
            Surface::OllamaGenerate => ollama::generate::decode(&self.object),
            Surface::OpenaiChat
            | Surface::OpenaiCompletions
            | Surface::OpenaiEmbeddings
            | Surface::OllamaGenerateRaw
            | Surface::OllamaEmbed
            | Surface::OllamaEmbeddings => openai::chat_request::decode(&self.object),
        }
    }

    fn completion(&self) -> Result<CompletionRequest, Malformed> {
        self.object.check_values()?;
        if self.near == Surface::OllamaGenerateRaw {
            ollama::generate::decode_raw(&self.object)
        } else {
            openai::completions::decode_request(&self.object)
        }
    }

    fn embedding(&self) -> Result<EmbeddingRequest, Malformed> {
        self.object.check_values()?;
        match self.near {
            Surface::OllamaEmbed => ollama::embed::decode(&self.object),
            Surface::OllamaEmbeddings => ollama::embed::decode_legacy(&self.object),
            _ => openai::embeddings::decode(&self.object).map(|(request, _)| request),
        }
    }
}
