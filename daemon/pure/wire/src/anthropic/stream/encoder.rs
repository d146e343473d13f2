//! Writes a stream for a client.

use std::time::Duration;

use domain::usage::Usage;
use serde::Serialize;

use super::super::finish::{self, Held};
use super::super::reply::{Message, call_id};
use super::super::{error, usage};
use super::blocks::Blocks;
use crate::chat::ToolCall;
use crate::failure::ErrorBody;
use crate::reply::{Event, Finish, ReplyContext};

/// Turns events into Anthropic's. The dialect has one alternative: events of choices above 0 are passed over.
#[derive(Debug)]
pub struct Encoder {
    context: ReplyContext,
    input_estimate: Option<u64>,
    usage: Usage,
    blocks: Blocks,
    held: Held,
    finish: Option<Finish>,
    begun: bool,
    ended: bool,
}

#[derive(Debug, Serialize)]
struct MessageStart<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: Message<'a>,
}

#[derive(Debug, Serialize)]
struct MessageDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    delta: Stop<'a>,
    usage: usage::Written,
}

#[derive(Debug, Serialize)]
struct Stop<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

impl Encoder {
    /// Begins a stream; nothing is written yet.
    #[must_use]
    pub fn new(context: ReplyContext) -> Self {
        Self {
            context,
            input_estimate: None,
            usage: Usage::default(),
            blocks: Blocks::default(),
            held: Held::default(),
            finish: None,
            begun: false,
            ended: false,
        }
    }

    /// Gives an estimate of the prompt's tokens, shown wherever the upstream's own count is not known (yet):
    /// `message_start` comes before most upstreams count, and clients take its number for the truth.
    pub const fn set_input_estimate(&mut self, tokens: u64) {
        self.input_estimate = Some(tokens);
    }

    /// Appends what `event` comes to. Stop reason and usage are held back until [`Event::Done`].
    pub fn event(&mut self, event: &Event, _elapsed: Duration, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { .. } => self.begin(out),
            Event::Usage(usage) => self.usage.update(usage),
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            Event::Done => self.end(out),
            Event::Text { choice: 0, .. }
            | Event::Thinking { choice: 0, .. }
            | Event::Signature { choice: 0, .. }
            | Event::RedactedThinking { choice: 0, .. }
            | Event::Refusal { choice: 0, .. }
            | Event::ToolCall { choice: 0, .. }
            | Event::ToolArguments { choice: 0, .. } => {
                self.begin(out);
                self.content(event, out);
            }
            Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::RedactedThinking { .. }
            | Event::Refusal { .. }
            | Event::ToolCall { .. }
            | Event::ToolArguments { .. }
            | Event::Finish { .. }
            | Event::Failed(_) => {}
        }
    }

    /// Ends the stream with an error event.
    pub fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        if !self.ended {
            self.ended = true;
            frame(out, "error", &error::encode(error));
        }
    }

    /// Shows that the stream is alive. Clients accept it anywhere, also before `message_start`.
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        if !self.ended {
            frame(out, "ping", br#"{"type":"ping"}"#);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        // Anthropic, too, begins with one token of output.
        let usage = Usage { output: self.usage.output.or(Some(1)), ..self.known() };
        let message = Message::new(&self.context, usage::Written::from(&usage));
        write(out, "message_start", &MessageStart { kind: "message_start", message });
    }

    fn content(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { text, .. } => self.blocks.text(text, out),
            Event::Refusal { text, .. } => {
                self.held.refusal = true;
                self.blocks.text(text, out);
            }
            Event::Thinking { text, .. } => self.blocks.thinking(text, out),
            Event::Signature { signature, .. } => self.blocks.signature(signature, out),
            Event::RedactedThinking { data, .. } => self.blocks.redacted(data, out),
            Event::ToolCall { index, call, .. } => {
                self.held.calls = true;
                if call.id.is_empty() {
                    let id = call_id(&self.context, usize::try_from(*index).unwrap_or(usize::MAX));
                    self.blocks.call(*index, &ToolCall { id, ..call.clone() }, out);
                } else {
                    self.blocks.call(*index, call, out);
                }
            }
            Event::ToolArguments { index, piece, .. } => self.blocks.arguments(*index, piece, out),
            Event::Start { .. } | Event::Finish { .. } | Event::Usage(_) | Event::Done | Event::Failed(_) => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.ended = true;
        self.blocks.finish(out);
        let (stop_reason, stop_sequence) = finish::encode(self.finish.as_ref(), self.held);
        let usage = usage::Written::from(&self.known());
        let delta = MessageDelta { kind: "message_delta", delta: Stop { stop_reason, stop_sequence }, usage };
        write(out, "message_delta", &delta);
        frame(out, "message_stop", br#"{"type":"message_stop"}"#);
    }

    /// The upstream's counts, with the estimate where it does not count the prompt.
    fn known(&self) -> Usage {
        Usage { input: self.usage.input.or(self.input_estimate), ..self.usage }
    }
}

fn write<T: Serialize>(out: &mut Vec<u8>, event: &str, value: &T) {
    // Strings and numbers always serialise.
    frame(out, event, &serde_json::to_vec(value).unwrap_or_default());
}

fn frame(out: &mut Vec<u8>, event: &str, data: &[u8]) {
    for part in [b"event: ", event.as_bytes(), b"\ndata: ", data, b"\n\n"] {
        out.extend_from_slice(part);
    }
}
