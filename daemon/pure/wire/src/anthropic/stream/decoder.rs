//! Reads an upstream's events.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::{block, error, finish, usage};
use crate::chat::ToolCall;
use crate::failure::{FailureKind, UpstreamFailure};
use crate::json;
use crate::malformed::Malformed;
use crate::reply::Event;
use crate::sse;

/// Turns frames into events. Every answer is choice 0.
#[derive(Debug, Default)]
pub struct Decoder {
    usage: usage::Received,
    /// The calls whose blocks are open, by the block's index.
    calls: HashMap<u64, Call>,
    /// How many calls have begun.
    begun: u32,
    done: bool,
}

#[derive(Debug)]
struct Call {
    index: u32,
    /// What to add at the block's end: the arguments that stood in its start, unless pieces followed. Anthropic writes
    /// `{}` there, and no pieces for a call without arguments.
    rest: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Received {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<Message>,
    index: u64,
    content_block: Option<block::Received>,
    delta: Option<Delta>,
    usage: Option<usage::Received>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    model: Option<String>,
    usage: Option<usage::Received>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl Decoder {
    /// Reads one frame and appends its events to `out`. Events of unknown types say nothing.
    ///
    /// # Errors
    /// The frame's data is not what its type promises.
    pub fn frame(&mut self, frame: &sse::Frame, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(data) = frame.data.as_deref().filter(|data| !data.is_empty()) else { return Ok(()) };
        if data == b"[DONE]" {
            // OpenAI's end, which some copies of this dialect add to their own.
            self.end(out);
            return Ok(());
        }
        let received: Received = json::read(data)?;
        if received.error.is_some() {
            out.push(Event::Failed(failure(data)));
            return Ok(());
        }
        let kind = received.kind.as_deref().unwrap_or(&frame.event);
        match kind {
            "message_start" => self.message_start(received.message.unwrap_or_default(), out),
            "content_block_start" => self.block_start(received.index, received.content_block.unwrap_or_default(), out),
            "content_block_delta" => self.block_delta(received.index, received.delta.unwrap_or_default(), out),
            "content_block_stop" => self.block_stop(received.index, out),
            "message_delta" => self.message_delta(received.delta.unwrap_or_default(), received.usage, out),
            "message_stop" => self.end(out),
            "error" => out.push(Event::Failed(failure(data))),
            _ => {}
        }
        Ok(())
    }

    fn message_start(&mut self, message: Message, out: &mut Vec<Event>) {
        out.push(Event::Start { model: message.model });
        self.count(message.usage, out);
    }

    fn count(&mut self, usage: Option<usage::Received>, out: &mut Vec<Event>) {
        if let Some(usage) = usage {
            self.usage.update(&usage);
            out.push(Event::Usage(self.usage.usage()));
        }
    }

    fn block_start(&mut self, index: u64, block: block::Received, out: &mut Vec<Event>) {
        match block.kind.as_str() {
            "text" => out.extend(text(block.text)),
            "thinking" => {
                out.extend(thinking(block.thinking));
                out.extend(signature(block.signature));
            }
            "redacted_thinking" => {
                out.push(Event::RedactedThinking { choice: 0, data: block.data.unwrap_or_default() });
            }
            "tool_use" => self.call_start(index, block, out),
            _ => {}
        }
    }

    fn call_start(&mut self, index: u64, block: block::Received, out: &mut Vec<Event>) {
        let rest = block.input.map_or_else(|| "{}".to_owned(), |input| input.get().to_owned());
        self.calls.insert(index, Call { index: self.begun, rest: Some(rest) });
        let (id, name) = (block.id.unwrap_or_default(), block.name.unwrap_or_default());
        out.push(Event::ToolCall {
            choice: 0,
            index: self.begun,
            call: ToolCall { id, name, arguments: String::new() },
        });
        self.begun += 1;
    }

    fn block_delta(&mut self, index: u64, delta: Delta, out: &mut Vec<Event>) {
        match delta.kind.as_str() {
            "text_delta" => out.extend(text(delta.text)),
            "thinking_delta" => out.extend(thinking(delta.thinking)),
            "signature_delta" => out.extend(signature(delta.signature)),
            "input_json_delta" => {
                let piece = delta.partial_json.filter(|piece| !piece.is_empty());
                let (Some(call), Some(piece)) = (self.calls.get_mut(&index), piece) else { return };
                call.rest = None;
                out.push(Event::ToolArguments { choice: 0, index: call.index, piece });
            }
            _ => {}
        }
    }

    fn block_stop(&mut self, index: u64, out: &mut Vec<Event>) {
        if let Some(Call { index, rest: Some(piece) }) = self.calls.remove(&index) {
            out.push(Event::ToolArguments { choice: 0, index, piece });
        }
    }

    fn message_delta(&mut self, delta: Delta, usage: Option<usage::Received>, out: &mut Vec<Event>) {
        if let Some(reason) = delta.stop_reason {
            out.push(Event::Finish { choice: 0, finish: finish::decode(&reason, delta.stop_sequence) });
        }
        self.count(usage, out);
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if !self.done {
            self.done = true;
            out.push(Event::Done);
        }
    }
}

fn text(text: Option<String>) -> Option<Event> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(Event::Text { choice: 0, text, logprobs: None })
}

fn thinking(text: Option<String>) -> Option<Event> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(Event::Thinking { choice: 0, text })
}

fn signature(signature: Option<String>) -> Option<Event> {
    let signature = signature.filter(|signature| !signature.is_empty())?;
    Some(Event::Signature { choice: 0, signature })
}

fn failure(data: &[u8]) -> UpstreamFailure {
    let value: Value = serde_json::from_slice(data).unwrap_or_default();
    error::of_value(FailureKind::Upstream, &value)
        .unwrap_or_else(|| UpstreamFailure::new(FailureKind::Upstream, "an error event without an explanation"))
}
