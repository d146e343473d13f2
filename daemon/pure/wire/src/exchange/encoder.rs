//! The client's side of a stream: events to bytes.

use std::time::Duration;

use domain::surface::Surface;

use super::Ask;
use crate::failure::ErrorBody;
use crate::reply::{Event, ReplyContext};
use crate::{anthropic, ollama, openai};

/// Writes a stream in the client's surface.
#[derive(Debug)]
pub(super) enum Encoder {
    Chat(openai::chat_stream::Encoder),
    Completions(openai::completions::Encoder),
    Responses(Box<openai::responses::stream::Encoder>),
    Anthropic(anthropic::stream::Encoder),
    OllamaChat(ollama::stream::Encoder),
    OllamaGenerate(ollama::generate::Encoder),
}

macro_rules! each {
    ($self:ident, $encoder:ident => $call:expr) => {
        match $self {
            Encoder::Chat($encoder) => $call,
            Encoder::Completions($encoder) => $call,
            Encoder::Responses($encoder) => $call,
            Encoder::Anthropic($encoder) => $call,
            Encoder::OllamaChat($encoder) => $call,
            Encoder::OllamaGenerate($encoder) => $call,
        }
    };
}

impl Encoder {
    pub(super) fn new(ask: &Ask, context: ReplyContext) -> Self {
        match ask.near {
            Surface::OpenaiCompletions => Self::Completions(openai::completions::Encoder::new(context)),
            Surface::OpenaiResponses => Self::Responses(Box::new(openai::responses::stream::Encoder::new(
                context,
                openai::responses::Echo::of(&ask.object),
            ))),
            Surface::AnthropicMessages => {
                let mut encoder = anthropic::stream::Encoder::new(context);
                if let Ok(chat) = ask.chat() {
                    encoder.set_input_estimate(anthropic::count_tokens::estimate(&chat));
                }
                Self::Anthropic(encoder)
            }
            Surface::OllamaChat => Self::OllamaChat(ollama::stream::Encoder::new(context)),
            Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
                Self::OllamaGenerate(ollama::generate::Encoder::new(context))
            }
            _ => Self::Chat(openai::chat_stream::Encoder::new(context)),
        }
    }

    pub(super) fn event(&mut self, event: &Event, elapsed: Duration, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.event(event, elapsed, out));
    }

    pub(super) fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.fail(error, out));
    }

    pub(super) fn heartbeat(&mut self, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.heartbeat(out));
    }
}
