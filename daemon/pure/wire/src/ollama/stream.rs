//! Streamed answers of `/api/chat` and `/api/generate`: one object a line, the last one with `"done": true`.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::usage::Usage;
use serde_json::Value;

use crate::chat::ToolCall;
use crate::failure::ErrorBody;
use crate::json;
use crate::malformed::Malformed;
use crate::reply::{Event, Finish, ReplyContext};

use super::line::{self, Ending, Incoming, Piece};
use super::{Form, error, logprobs};

/// Reads the lines of a stream of either form.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    /// The first line's time: what the ids of tool calls are made from.
    seed: String,
    calls: u32,
}

impl Decoder {
    /// Reads one line and appends what it says. Empty lines say nothing.
    ///
    /// # Errors
    /// The line is no JSON object with the types that Ollama writes.
    pub fn line(&mut self, line: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let mut incoming: Incoming = json::read(line)?;
        if let Some(error) = &incoming.error {
            out.push(Event::Failed(error::from_value(500, error)));
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            self.seed = incoming.created_at.take().unwrap_or_default();
            out.push(Event::Start { model: incoming.model.take() });
        }
        self.content(&mut incoming, out);
        if incoming.done == Some(true) {
            out.push(Event::Finish { choice: 0, finish: incoming.finish(self.calls > 0) });
            out.push(Event::Usage(incoming.usage()));
            out.push(Event::Done);
        }
        Ok(())
    }

    fn content(&mut self, incoming: &mut Incoming, out: &mut Vec<Event>) {
        let thinking = incoming.take_thinking();
        if !thinking.is_empty() {
            out.push(Event::Thinking { choice: 0, text: thinking });
        }
        let text = incoming.take_text();
        let logprobs = logprobs::decode(incoming.logprobs.take().unwrap_or_default());
        if !text.is_empty() || logprobs.is_some() {
            out.push(Event::Text { choice: 0, text, logprobs });
        }
        for call in incoming.take_calls() {
            let index = self.calls;
            self.calls = self.calls.saturating_add(1);
            out.push(Event::ToolCall { choice: 0, index, call: call.into_call(&self.seed, index) });
        }
    }
}

/// Writes a stream of either form.
#[derive(Debug)]
pub struct Encoder {
    context: ReplyContext,
    form: Form,
    /// When the first visible piece came.
    first: Option<Duration>,
    last: Duration,
    /// Calls that are still growing: Ollama's clients get each one whole.
    calls: BTreeMap<u32, ToolCall>,
    finish: Option<Finish>,
    usage: Usage,
    ended: bool,
}

impl Encoder {
    /// Begins a stream.
    #[must_use]
    pub fn new(context: ReplyContext, form: Form) -> Self {
        Self {
            context,
            form,
            first: None,
            last: Duration::ZERO,
            calls: BTreeMap::new(),
            finish: None,
            usage: Usage::default(),
            ended: false,
        }
    }

    /// Appends the lines that an event becomes. `elapsed` is the time since the request came. Ollama has room for the
    /// first alternative only. [`Event::Failed`] is not written: see [`Encoder::fail`].
    pub fn event(&mut self, event: &Event, elapsed: Duration, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.last = elapsed;
        if event.is_visible() {
            self.first.get_or_insert(elapsed);
        }
        match event {
            Event::Text { choice: 0, text, logprobs } => {
                let logprobs = logprobs::encode(logprobs.as_ref());
                if !text.is_empty() || logprobs.is_some() {
                    self.write(&Piece { text, logprobs, ..Piece::default() }, out);
                }
            }
            Event::Refusal { choice: 0, text } if !text.is_empty() => {
                self.write(&Piece { text, ..Piece::default() }, out);
            }
            Event::Thinking { choice: 0, text } if !text.is_empty() => {
                self.write(&Piece { thinking: text, ..Piece::default() }, out);
            }
            Event::ToolCall { choice: 0, index, call } => {
                self.calls.insert(*index, call.clone());
            }
            Event::ToolArguments { choice: 0, index, piece } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.arguments.push_str(piece);
                }
            }
            Event::Finish { choice: 0, finish } => {
                self.flush_calls(out);
                self.finish = Some(finish.clone());
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Done => self.end(out),
            Event::Start { .. }
            | Event::Text { .. }
            | Event::Refusal { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::RedactedThinking { .. }
            | Event::ToolCall { .. }
            | Event::ToolArguments { .. }
            | Event::Finish { .. }
            | Event::Failed(_) => {}
        }
    }

    /// Ends the stream with an error line.
    pub fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.ended, true) {
            out.extend_from_slice(&error::encode(error));
            out.push(b'\n');
        }
    }

    /// Appends a line that says nothing, so that nobody takes the connection for dead.
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        if !self.ended {
            self.write(&Piece::default(), out);
        }
    }

    fn flush_calls(&mut self, out: &mut Vec<u8>) {
        let calls: Vec<Value> =
            std::mem::take(&mut self.calls).values().enumerate().map(|(n, call)| line::call(call, n)).collect();
        if !calls.is_empty() {
            self.write(&Piece { calls, ..Piece::default() }, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.flush_calls(out);
        let finish = self.finish.take();
        let ending = Ending::new(finish.as_ref(), &self.usage, self.first.unwrap_or(self.last), self.last);
        self.write(&Piece { ending: Some(ending), ..Piece::default() }, out);
        self.ended = true;
    }

    fn write(&self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        line::write(self.form, &self.context, self.last, piece, out);
        out.push(b'\n');
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
