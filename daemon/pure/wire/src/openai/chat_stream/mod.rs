//! `POST /v1/chat/completions`, the answer in pieces.

mod calls;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::usage::Usage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use self::calls::Calls;
use super::assistant::{self, RawMessage, Thought};
use super::chunk::{self, ChunkWriter, Incoming};
use super::loose::Loose;
use super::usage::{self, RawUsage};
use crate::failure::ErrorBody;
use crate::json::{self, write_string};
use crate::malformed::Malformed;
use crate::reply::{Event, Finish, ReplyContext};
use crate::sse::Frame;

#[derive(Deserialize)]
struct RawChunk<'b> {
    /// Read in the first chunk only: the others repeat it.
    #[serde(borrow)]
    id: Option<&'b RawValue>,
    #[serde(borrow)]
    model: Option<&'b RawValue>,
    choices: Option<Vec<RawChoice>>,
    usage: Option<RawUsage>,
    /// Groq's place for usage.
    x_groq: Option<RawGroq>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct RawGroq {
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct RawChoice {
    index: Option<u32>,
    delta: Option<RawMessage>,
    #[serde(default)]
    finish_reason: Loose,
    #[serde(default)]
    stop_reason: Loose,
    logprobs: Option<Value>,
}

/// Reads an upstream's stream. The last content and the finish may come in one chunk.
#[derive(Debug, Default)]
pub struct Decoder {
    id: String,
    has_begun: bool,
    has_ended: bool,
    choices: BTreeMap<u32, ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    calls: Calls,
    /// Reasoning comes in a plain member: texts in `reasoning_details` alone repeat it.
    has_plain_reasoning: bool,
    has_finished: bool,
}

impl Decoder {
    /// Takes a frame and appends what it tells to `out`. Frames after the end are passed over.
    ///
    /// # Errors
    /// The frame is no JSON of this dialect, or counts beyond all reason.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.has_ended {
            return Ok(());
        }
        match chunk::incoming(frame) {
            Incoming::Nothing => {}
            Incoming::Failed(failure) => {
                self.has_ended = true;
                out.push(Event::Failed(failure));
            }
            Incoming::Done => {
                self.has_ended = true;
                for (choice, state) in &mut self.choices {
                    state.calls.finish(*choice, &self.id, out);
                }
                out.push(Event::Done);
            }
            Incoming::Data(data) => self.chunk(json::read(data)?, data, out)?,
        }
        Ok(())
    }

    fn chunk(&mut self, raw: RawChunk<'_>, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let is_bare = raw.choices.is_none() && raw.usage.is_none();
        if let Some(failure) = chunk::failure(raw.error).or_else(|| chunk::bare_failure(is_bare, data)) {
            self.has_ended = true;
            out.push(Event::Failed(failure));
            return Ok(());
        }
        if !self.has_begun {
            self.has_begun = true;
            self.id = text_of(raw.id).unwrap_or_default();
            out.push(Event::Start { model: text_of(raw.model) });
        }
        for (choice, position) in raw.choices.unwrap_or_default().into_iter().zip(0_u32..) {
            self.choice(choice, position, out)?;
        }
        let counts = raw.usage.or_else(|| raw.x_groq.and_then(|groq| groq.usage)).map(|usage| usage.facts());
        out.extend(counts.filter(|counts| *counts != Usage::default()).map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, raw: RawChoice, position: u32, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let choice = chunk::choice(raw.index.unwrap_or(position))?;
        let state = self.choices.entry(choice).or_default();
        let said = raw.delta.unwrap_or_default().said();
        let repeats = state.has_plain_reasoning && !said.has_plain_reasoning;
        state.has_plain_reasoning |= said.has_plain_reasoning;
        for thought in said.thoughts {
            match thought {
                Thought::Text { text, signature } => {
                    if !text.is_empty() && !repeats {
                        out.push(Event::Thinking { choice, text });
                    }
                    out.extend(signature.map(|signature| Event::Signature { choice, signature }));
                }
                Thought::Redacted(data) => out.push(Event::RedactedThinking { choice, data }),
            }
        }
        let logprobs = raw.logprobs.filter(|value| !value.is_null());
        if said.text.is_some() || logprobs.is_some() {
            out.push(Event::Text { choice, text: said.text.unwrap_or_default(), logprobs });
        }
        out.extend(said.refusal.map(|text| Event::Refusal { choice, text }));
        for call in said.calls {
            state.calls.piece(call, choice, &self.id, out)?;
        }
        let Some(word) = raw.finish_reason.into_text() else { return Ok(()) };
        if usage::is_given_up(&word) {
            self.has_ended = true;
            out.push(Event::Failed(chunk::given_up(&word)));
            return Ok(());
        }
        state.calls.finish(choice, &self.id, out);
        if !state.has_finished {
            state.has_finished = true;
            let finish = usage::finish(&word, &raw.stop_reason, !state.calls.is_empty());
            out.push(Event::Finish { choice, finish });
        }
        Ok(())
    }
}

fn text_of(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str::<Loose>(raw?.get()).ok()?.into_text()
}

/// The reasoning of a choice, kept so that a signature goes out together with the text that it signs.
#[derive(Debug, Default)]
struct Thoughts {
    /// Since the last signature.
    unsigned: String,
    /// Number of details written.
    details: u32,
}

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Encoder {
    chunks: ChunkWriter,
    /// Choices whose first delta, with the role, is written.
    begun: BTreeSet<u32>,
    finished: BTreeSet<u32>,
    /// Tool calls by choice and position, and whether they have arguments.
    calls: BTreeMap<(u32, u32), bool>,
    /// Reasoning by choice.
    thoughts: BTreeMap<u32, Thoughts>,
    used: Usage,
    has_ended: bool,
}

impl Encoder {
    /// Begins a stream; nothing is written yet.
    #[must_use]
    pub fn new(context: ReplyContext) -> Self {
        Self {
            chunks: ChunkWriter::new(&context, "chatcmpl-", "chat.completion.chunk"),
            begun: BTreeSet::new(),
            finished: BTreeSet::new(),
            calls: BTreeMap::new(),
            thoughts: BTreeMap::new(),
            used: Usage::default(),
            has_ended: false,
        }
    }

    /// Writes an event. `Usage` is held back until `Done`, which also finishes choices that had no `Finish`.
    /// `Failed` writes nothing: the gateway words the error and calls [`Encoder::fail`].
    pub fn event(&mut self, event: &Event, _elapsed: Duration, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start { .. } => self.begin(0, out),
            Event::Text { choice, text, logprobs } => self.text(*choice, text, logprobs.as_ref(), out),
            Event::Thinking { choice, text } => {
                self.thoughts.entry(*choice).or_default().unsigned.push_str(text);
                self.delta(*choice, &[("reasoning_content", text), ("reasoning", text)], out);
            }
            Event::Signature { choice, signature } => {
                let text = std::mem::take(&mut self.thoughts.entry(*choice).or_default().unsigned);
                self.detail(*choice, assistant::readable(&text, Some(signature)), out);
            }
            Event::RedactedThinking { choice, data } => self.detail(*choice, assistant::redacted(data), out),
            Event::Refusal { choice, text } => self.delta(*choice, &[("refusal", text)], out),
            Event::ToolCall { choice, index, call } => {
                self.call_piece(*choice, *index, Some((&call.id, &call.name)), &call.arguments, out);
            }
            Event::ToolArguments { choice, index, piece } => self.call_piece(*choice, *index, None, piece, out),
            Event::Finish { choice, finish } => self.finish(*choice, finish, out),
            Event::Usage(counts) => self.used.update(counts),
            Event::Done => self.end(out),
            Event::Failed(_) => {}
        }
    }

    /// Ends the stream with an error event; nothing follows it, not even `[DONE]`.
    pub fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        if !self.has_ended {
            self.has_ended = true;
            chunk::fail(error, out);
        }
    }

    /// Writes a comment that keeps the connection alive.
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        chunk::heartbeat(out);
    }

    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.begun.insert(choice) {
            self.raw_delta(choice, |out| out.extend_from_slice(br#""role":"assistant","content":"""#), None, out);
        }
    }

    fn text(&mut self, choice: u32, text: &str, logprobs: Option<&Value>, out: &mut Vec<u8>) {
        self.begin(choice, out);
        let content = |out: &mut Vec<u8>| named(out, "content", text);
        self.raw_delta(choice, content, logprobs, out);
    }

    fn delta(&mut self, choice: u32, texts: &[(&str, &str)], out: &mut Vec<u8>) {
        self.begin(choice, out);
        let members = |out: &mut Vec<u8>| {
            for (position, (name, text)) in texts.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                named(out, name, text);
            }
        };
        self.raw_delta(choice, members, None, out);
    }

    fn detail(&mut self, choice: u32, mut detail: Value, out: &mut Vec<u8>) {
        self.begin(choice, out);
        let thoughts = self.thoughts.entry(choice).or_default();
        detail["index"] = thoughts.details.into();
        thoughts.details = thoughts.details.saturating_add(1);
        let members = |out: &mut Vec<u8>| out.extend_from_slice(format!("\"reasoning_details\":[{detail}]").as_bytes());
        self.raw_delta(choice, members, None, out);
    }

    fn call_piece(&mut self, choice: u32, index: u32, head: Option<(&str, &str)>, piece: &str, out: &mut Vec<u8>) {
        self.begin(choice, out);
        *self.calls.entry((choice, index)).or_default() |= !piece.is_empty();
        let members = |out: &mut Vec<u8>| {
            out.extend_from_slice(format!("\"tool_calls\":[{{\"index\":{index},").as_bytes());
            if let Some((id, _)) = head {
                named(out, "id", id);
                out.extend_from_slice(b",\"type\":\"function\",");
            }
            out.extend_from_slice(b"\"function\":{");
            if let Some((_, name)) = head {
                named(out, "name", name);
                out.push(b',');
            }
            named(out, "arguments", piece);
            out.extend_from_slice(b"}}]");
        };
        self.raw_delta(choice, members, None, out);
    }

    fn raw_delta(&self, choice: u32, members: impl FnOnce(&mut Vec<u8>), logprobs: Option<&Value>, out: &mut Vec<u8>) {
        let rest = |out: &mut Vec<u8>| {
            out.extend_from_slice(b",\"delta\":{");
            members(out);
            out.push(b'}');
            chunk::member(out, "logprobs", logprobs);
            chunk::member(out, "finish_reason", None);
        };
        self.chunks.choice(choice, rest, out);
    }

    fn finish(&mut self, choice: u32, finish: &Finish, out: &mut Vec<u8>) {
        self.begin(choice, out);
        if !self.finished.insert(choice) {
            return;
        }
        // Clients parse the arguments: no text at all is no JSON.
        let bare: Vec<u32> = self.calls_of(choice).filter(|(_, filled)| !filled).map(|(index, _)| index).collect();
        bare.into_iter().for_each(|index| self.call_piece(choice, index, None, "{}", out));
        let word = Value::from(usage::finish_word(finish));
        let rest = |out: &mut Vec<u8>| {
            out.extend_from_slice(b",\"delta\":{},\"logprobs\":null");
            chunk::member(out, "finish_reason", Some(&word));
            if let Finish::Other(native) = finish {
                chunk::member(out, "native_finish_reason", Some(&native.as_str().into()));
            }
        };
        self.chunks.choice(choice, rest, out);
    }

    fn calls_of(&self, choice: u32) -> impl Iterator<Item = (u32, bool)> {
        self.calls.range((choice, 0)..=(choice, u32::MAX)).map(|((_, index), filled)| (*index, *filled))
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(0, out);
        let open: Vec<u32> = self.begun.difference(&self.finished).copied().collect();
        for choice in open {
            let has_calls = self.calls_of(choice).next().is_some();
            let finish = if has_calls { Finish::ToolCalls } else { Finish::Stop };
            self.finish(choice, &finish, out);
        }
        self.has_ended = true;
        self.chunks.end(&self.used, out);
    }
}

/// Appends `"name":"text"`.
fn named(out: &mut Vec<u8>, name: &str, text: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_string(out, text);
}
