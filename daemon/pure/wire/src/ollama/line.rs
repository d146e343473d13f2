//! One answer object: a line of a stream, or a whole answer. Chat and generate differ only in where the text is.

use std::time::Duration;

use domain::usage::Usage;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::chat::ToolCall;
use crate::reply::{Finish, ReplyContext};
use crate::rfc3339;
use crate::saved::Saved;

use super::{Form, arguments};

/// What an upstream sends, in either form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Incoming {
    pub(super) model: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) message: Option<IncomingMessage>,
    pub(super) response: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) logprobs: Option<Vec<Value>>,
    pub(super) done: Option<bool>,
    pub(super) done_reason: Option<String>,
    #[serde(deserialize_with = "count")]
    pub(super) prompt_eval_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    pub(super) eval_count: Option<u64>,
    pub(super) error: Option<Value>,
}

/// A count; what is no whole number is unknown, and no reason to lose the answer.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64())
}

/// The `message` of a chat answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IncomingMessage {
    pub(super) content: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) tool_calls: Option<Vec<IncomingCall>>,
}

/// A tool call; old servers give no id.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IncomingCall {
    id: Option<String>,
    function: IncomingFunction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IncomingFunction {
    name: Option<String>,
    arguments: Option<Value>,
}

impl Incoming {
    pub(super) fn take_text(&mut self) -> String {
        let text = self.message.as_mut().and_then(|message| message.content.take());
        text.or_else(|| self.response.take()).unwrap_or_default()
    }

    pub(super) fn take_thinking(&mut self) -> String {
        let thinking = self.message.as_mut().and_then(|message| message.thinking.take());
        thinking.or_else(|| self.thinking.take()).unwrap_or_default()
    }

    pub(super) fn take_calls(&mut self) -> Vec<IncomingCall> {
        self.message.as_mut().and_then(|message| message.tool_calls.take()).unwrap_or_default()
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { input: self.prompt_eval_count, output: self.eval_count, ..Usage::default() }
    }

    pub(super) fn finish(&self, called: bool) -> Finish {
        match self.done_reason.as_deref() {
            Some("length") => Finish::Length,
            Some("content_filter") => Finish::ContentFilter,
            None | Some("" | "stop" | "load" | "unload") if called => Finish::ToolCalls,
            None | Some("" | "stop" | "load" | "unload") => Finish::Stop,
            Some(other) => Finish::Other(other.to_owned()),
        }
    }
}

impl IncomingCall {
    /// The call as the neutral words want it. `seed` and `position` make an id where the server gives none: the same
    /// for the same bytes, and different from those of other turns.
    pub(super) fn into_call(self, seed: &str, position: u32) -> ToolCall {
        let id = self.id.filter(|id| !id.is_empty());
        ToolCall {
            id: id.unwrap_or_else(|| format!("call_{:016x}_{position}", fnv1a(seed.as_bytes()))),
            name: self.function.name.unwrap_or_default(),
            arguments: arguments::text(self.function.arguments.as_ref()),
        }
    }
}

/// 64-bit FNV-1a: short, and the same on every machine and in every build.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What is written of an answer at one moment.
#[derive(Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) thinking: &'a str,
    pub(super) calls: Vec<Value>,
    pub(super) logprobs: Option<Value>,
    pub(super) ending: Option<Ending<'a>>,
}

/// The members that only the last line of an answer has.
#[derive(Debug, Serialize)]
pub(super) struct Ending<'a> {
    done_reason: &'a str,
    total_duration: u64,
    load_duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_count: Option<u64>,
    prompt_eval_duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_count: Option<u64>,
    eval_duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    airlane: Option<Saved>,
}

impl<'a> Ending<'a> {
    /// `first` is when the first token came, `elapsed` when the last did, both since the request came.
    pub(super) fn new(finish: Option<&'a Finish>, usage: &Usage, first: Duration, elapsed: Duration) -> Self {
        Self {
            done_reason: reason(finish),
            total_duration: nanos(elapsed),
            load_duration: 0,
            prompt_eval_count: usage.input,
            prompt_eval_duration: nanos(first),
            eval_count: usage.output,
            eval_duration: nanos(elapsed.saturating_sub(first)),
            airlane: Saved::of(usage),
        }
    }
}

fn reason(finish: Option<&Finish>) -> &str {
    match finish {
        Some(Finish::Length) => "length",
        Some(Finish::ContentFilter) => "content_filter",
        Some(Finish::Other(word)) => word,
        Some(Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls) | None => "stop",
    }
}

/// Nanoseconds, at least one: clients divide by them.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[derive(Serialize)]
struct Outgoing<'a> {
    model: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<OutgoingMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a Value>,
    done: bool,
    #[serde(flatten)]
    ending: Option<&'a Ending<'a>>,
}

#[derive(Serialize)]
struct OutgoingMessage<'a> {
    role: &'a str,
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tool_calls: &'a [Value],
}

/// Appends an answer object, without a line feed.
pub(super) fn write(form: Form, context: &ReplyContext, elapsed: Duration, piece: &Piece<'_>, out: &mut Vec<u8>) {
    let created = Duration::from_millis(context.created_ms).saturating_add(elapsed);
    let chat = form == Form::Chat;
    let message =
        OutgoingMessage { role: "assistant", content: piece.text, thinking: piece.thinking, tool_calls: &piece.calls };
    let object = Outgoing {
        model: &context.model,
        created_at: rfc3339::format(created),
        message: chat.then_some(message),
        response: (!chat).then_some(piece.text),
        thinking: Some(piece.thinking).filter(|thinking| !chat && !thinking.is_empty()),
        logprobs: piece.logprobs.as_ref(),
        done: piece.ending.is_some(),
        ending: piece.ending.as_ref(),
    };
    // Texts and numbers always serialise, and a Vec never fails to grow short of an abort.
    let _ = serde_json::to_writer(out, &object);
}

/// A tool call as Ollama writes it.
pub(super) fn call(call: &ToolCall, position: usize) -> Value {
    serde_json::json!({
        "id": call.id,
        "function": {"index": position, "name": call.name, "arguments": arguments::object(&call.arguments)},
    })
}
