//! The client's side of a stream: events to bytes.

use std::time::Duration;

use domain::surface::Surface;

use super::Ask;
use crate::failure::ErrorBody;
use crate::ollama::Form;
use crate::openai::responses::echo::Echo;
use crate::reply::{Event, ReplyContext};
use crate::{anthropic, ollama, openai};

/// Writes a stream in the client's surface.
#[derive(Debug)]
pub(super) enum Encoder {
    Chat(openai::chat_stream::Encoder),
    Completions(openai::completions::Encoder),
    Responses(Box<openai::responses::stream::Encoder>),
    Anthropic(anthropic::stream::Encoder),
    Ollama(ollama::stream::Encoder),
}

macro_rules! each {
    ($self:ident, $encoder:ident => $call:expr) => {
        match $self {
            Encoder::Chat($encoder) => $call,
            Encoder::Completions($encoder) => $call,
            Encoder::Responses($encoder) => $call,
            Encoder::Anthropic($encoder) => $call,
            Encoder::Ollama($encoder) => $call,
        }
    };
}

impl Encoder {
    pub(super) fn new(ask: &Ask, context: ReplyContext) -> Self {
        match ask.near {
            Surface::OpenaiCompletions => Self::Completions(openai::completions::Encoder::new(context)),
            Surface::OpenaiResponses => {
                Self::Responses(Box::new(openai::responses::stream::Encoder::new(context, echo(ask))))
            }
            Surface::AnthropicMessages => Self::Anthropic(anthropic::stream::Encoder::new(context)),
            Surface::OllamaChat => Self::Ollama(ollama::stream::Encoder::new(context, Form::Chat)),
            Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
                Self::Ollama(ollama::stream::Encoder::new(context, Form::Generate))
            }
            _ => Self::Chat(openai::chat_stream::Encoder::new(context)),
        }
    }

    /// Counts the prompt for a dialect that tells the count before most upstreams do.
    pub(super) fn estimate_input(&mut self, ask: &Ask) {
        let Self::Anthropic(encoder) = self else { return };
        if let Ok(chat) = ask.chat() {
            encoder.set_input_estimate(anthropic::count_tokens::estimate(&chat));
        }
    }

    pub(super) fn event(&mut self, event: &Event, elapsed: Duration, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.event(event, elapsed, out));
    }

    /// Notes that a frame of the upstream's went to the client as it came.
    pub(super) fn passed(&mut self) {
        if let Self::Responses(encoder) = self {
            encoder.passed();
        }
    }

    pub(super) fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.fail(error, out));
    }

    pub(super) fn heartbeat(&mut self, out: &mut Vec<u8>) {
        each!(self, encoder => encoder.heartbeat(out));
    }
}

/// What a response repeats of its request. What cannot be repeated was refused when the request was sent on.
pub(super) fn echo(ask: &Ask) -> Echo {
    Echo::of(&ask.object).unwrap_or_default()
}
