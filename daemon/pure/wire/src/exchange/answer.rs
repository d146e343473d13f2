//! A whole answer on its way back.

use std::time::Duration;

use bytes::Bytes;
use domain::surface::{Dialect, Surface};
use domain::usage::Usage;

use super::Ask;
use super::encoder::{self, Encoder};
use crate::embedding::{EmbeddingReply, VectorEncoding};
use crate::failure::UpstreamFailure;
use crate::malformed::Malformed;
use crate::ollama::{Form, Load};
use crate::reply::{ChatReply, Event, ReplyContext};
use crate::{anthropic, json, ollama, openai};

/// A body for the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// JSON in the client's surface.
    pub body: Bytes,
    /// Tokens used.
    pub usage: Usage,
}

/// Why a body with a good status is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is not what the surface promises.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// It reports a failure.
    #[error("{}", .0.message)]
    Failed(UpstreamFailure),
}

/// Turns the upstream's whole answer into the client's.
///
/// # Errors
/// The body is no answer.
pub fn answer(
    ask: &Ask,
    far: Surface,
    body: &Bytes,
    context: &ReplyContext,
    elapsed: Duration,
) -> Result<Answer, BadAnswer> {
    if far == ask.near && matches!(far, Surface::OpenaiChat | Surface::OpenaiCompletions) {
        return match openai::peek::usage(body)? {
            Some(usage) => Ok(Answer { body: body.clone(), usage }),
            None => Err(BadAnswer::Failed(error_body(far.dialect(), 500, body))),
        };
    }
    refuse_error(far.dialect(), body)?;
    match far {
        Surface::OpenaiEmbeddings | Surface::OllamaEmbed | Surface::OllamaEmbeddings => {
            vectors(ask, far, body, context, elapsed)
        }
        Surface::AnthropicCountTokens => {
            let tokens = anthropic::count_tokens::decode_reply(body)?;
            Ok(Answer { body: body.clone(), usage: Usage { input: Some(tokens), ..Usage::default() } })
        }
        Surface::OpenaiResponses => {
            Ok(Answer { body: body.clone(), usage: openai::responses::peek::usage_of_reply(body)? })
        }
        Surface::OpenaiChat
        | Surface::OpenaiCompletions
        | Surface::AnthropicMessages
        | Surface::OllamaChat
        | Surface::OllamaGenerate
        | Surface::OllamaGenerateRaw => {
            let reply = reply(far, body)?;
            let body = if far == ask.near { body.clone() } else { encode(ask, &reply, context, elapsed).into() };
            Ok(Answer { body, usage: reply.usage })
        }
    }
}

/// Some servers report a failure under a good status.
pub(super) fn refuse_error(dialect: Dialect, body: &[u8]) -> Result<(), BadAnswer> {
    #[derive(serde::Deserialize)]
    struct Peek<'a> {
        #[serde(borrow, default)]
        error: Option<&'a serde_json::value::RawValue>,
    }
    let peek: Peek<'_> = serde_json::from_slice(body)
        .map_err(|error| Malformed::new("the answer's body", format!("is no JSON object ({error})")))?;
    match peek.error {
        None => Ok(()),
        Some(error) if error.get() == "null" => Ok(()),
        Some(_) => Err(BadAnswer::Failed(error_body(dialect, 500, body))),
    }
}

/// Turns an answer in one piece into a stream, for an upstream that does not stream although it was asked to. Its first
/// frames come apart, like those of [`super::Step`].
///
/// # Errors
/// The body is no answer.
pub fn whole_as_stream(
    ask: &Ask,
    far: Surface,
    body: &Bytes,
    context: ReplyContext,
    elapsed: Duration,
) -> Result<(Bytes, Answer), BadAnswer> {
    refuse_error(far.dialect(), body)?;
    let reply = reply(far, body)?;
    let mut encoder = Encoder::new(ask, context);
    encoder.estimate_input(ask);
    let (mut preamble, mut out) = (Vec::new(), Vec::new());
    // First, because Anthropic's streams begin with the prompt's count.
    encoder.event(&Event::Usage(reply.usage), elapsed, &mut preamble);
    for event in reply.events() {
        let begins = matches!(event, Event::Start { .. });
        encoder.event(&event, elapsed, if begins { &mut preamble } else { &mut out });
    }
    Ok((preamble.into(), Answer { body: out.into(), usage: reply.usage }))
}

/// The answer to Ollama's wish to have a model loaded or unloaded, for upstreams that do so by themselves.
#[must_use]
pub fn load_reply(ask: &Ask, load: Load, context: &ReplyContext, elapsed: Duration) -> Vec<u8> {
    ollama::load::reply(load, context, ask.ollama_form().unwrap_or(Form::Chat), elapsed)
}

/// Reads an upstream's error body.
#[must_use]
pub fn error_body(dialect: Dialect, status: u16, body: &[u8]) -> UpstreamFailure {
    match dialect {
        Dialect::Openai => openai::error::decode(status, body),
        Dialect::Anthropic => anthropic::error::decode(status, body),
        Dialect::Ollama => ollama::error::decode(status, body),
    }
}

pub(super) fn reply(far: Surface, body: &[u8]) -> Result<ChatReply, Malformed> {
    read_reply(far, body).or_else(|error| read_reply(far, &json::mended(body).ok_or(error)?))
}

fn read_reply(far: Surface, body: &[u8]) -> Result<ChatReply, Malformed> {
    match far {
        Surface::OpenaiCompletions => openai::completions::decode_reply(body),
        Surface::AnthropicMessages => anthropic::reply::decode(body),
        Surface::OllamaChat | Surface::OllamaGenerate | Surface::OllamaGenerateRaw => ollama::reply::decode(body),
        _ => openai::chat_reply::decode(body),
    }
}

pub(super) fn encode(ask: &Ask, reply: &ChatReply, context: &ReplyContext, elapsed: Duration) -> Vec<u8> {
    match ask.near {
        Surface::OpenaiCompletions => openai::completions::encode_reply(reply, context),
        Surface::OpenaiResponses => openai::responses::reply::encode(reply, context, &encoder::echo(ask)),
        Surface::AnthropicMessages => anthropic::reply::encode(reply, context),
        Surface::OllamaChat => ollama::reply::encode(reply, context, Form::Chat, elapsed),
        Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
            ollama::reply::encode(reply, context, Form::Generate, elapsed)
        }
        _ => openai::chat_reply::encode(reply, context),
    }
}

fn vectors(
    ask: &Ask,
    far: Surface,
    body: &Bytes,
    context: &ReplyContext,
    elapsed: Duration,
) -> Result<Answer, BadAnswer> {
    if ask.near == far {
        return passed_vectors(ask, far, body);
    }
    let reply = read_vectors(far, body)?;
    let written: Bytes = match ask.near {
        Surface::OllamaEmbed => ollama::embed::encode_reply(&reply, context, elapsed).into(),
        Surface::OllamaEmbeddings => ollama::embed::encode_reply_legacy(&reply).into(),
        _ => openai::embeddings::encode_reply(&reply, ask.vectors, &context.model).into(),
    };
    Ok(Answer { body: written, usage: reply.usage })
}

pub(super) fn read_vectors(far: Surface, body: &[u8]) -> Result<EmbeddingReply, Malformed> {
    match far {
        Surface::OpenaiEmbeddings => openai::embeddings::decode_reply(body),
        _ => ollama::embed::decode_reply(body),
    }
}

fn passed_vectors(ask: &Ask, far: Surface, body: &Bytes) -> Result<Answer, BadAnswer> {
    if far != Surface::OpenaiEmbeddings {
        return Ok(Answer { body: body.clone(), usage: ollama::embed::usage(body)? });
    }
    let usage = openai::embeddings::usage(body)?;
    // The OpenAI SDKs ask for base64, and many servers answer with numbers all the same.
    let written = match ask.vectors {
        VectorEncoding::Base64 => openai::embeddings::to_base64(body)?,
        VectorEncoding::Float => None,
    };
    Ok(Answer { body: written.map_or_else(|| body.clone(), Bytes::from), usage })
}
