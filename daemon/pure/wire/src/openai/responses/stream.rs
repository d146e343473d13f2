//! The streamed answer: typed events, each with its place in the sequence.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::usage::Usage;
use serde_json::{Value, json};

use crate::chat::ToolCall;
use crate::failure::{ErrorBody, FailureKind};
use crate::reply::{Event, Finish, ReplyContext};

use super::echo::Echo;
use super::output::{self, Body, Content, Item, Status};
use super::reasoning;

/// Writes a stream. A message or a reasoning is complete before the next item begins; tool calls may grow side by
/// side and are complete when the answer is.
#[derive(Debug)]
pub struct Encoder {
    context: ReplyContext,
    echo: Echo,
    sequence: u64,
    begun: bool,
    ended: bool,
    items: Vec<Item>,
    /// The message or reasoning that still grows.
    open: Option<usize>,
    /// The calls that still grow: their index in the answer → their place among the items.
    calls: BTreeMap<u32, usize>,
    finish: Option<Finish>,
    usage: Usage,
}

impl Encoder {
    /// Begins a stream whose responses repeat `echo`.
    #[must_use]
    pub fn new(context: ReplyContext, echo: Echo) -> Self {
        Self {
            context,
            echo,
            sequence: 0,
            begun: false,
            ended: false,
            items: Vec::new(),
            open: None,
            calls: BTreeMap::new(),
            finish: None,
            usage: Usage::default(),
        }
    }

    /// Appends the frames that an event becomes. There is room for the first alternative only. [`Event::Failed`] is
    /// not written: see [`Encoder::fail`].
    pub fn event(&mut self, event: &Event, _elapsed: Duration, out: &mut Vec<u8>) {
        if self.ended || matches!(event, Event::Failed(_)) {
            return;
        }
        self.begin(out);
        match event {
            Event::Text { choice: 0, text, logprobs } => {
                let logprobs = output::logprobs(logprobs.as_ref());
                if !text.is_empty() || !logprobs.is_empty() {
                    self.text(text, logprobs, out);
                }
            }
            Event::Refusal { choice: 0, text } if !text.is_empty() => self.refusal(text, out),
            Event::Thinking { choice: 0, text } if !text.is_empty() => self.thinking(text, out),
            Event::Signature { choice: 0, signature } => self.signature(signature, out),
            Event::RedactedThinking { choice: 0, data } => {
                let encrypted = Some(reasoning::of_redacted(data));
                self.open(Body::Reasoning { text: String::new(), encrypted }, out);
                self.close(out);
            }
            Event::ToolCall { choice: 0, index, call } => self.call(*index, call, out),
            Event::ToolArguments { choice: 0, index, piece } => self.arguments(*index, piece, out),
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
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

    /// Notes that the client got an event of another writer: a failure then ends that response.
    pub fn passed(&mut self) {
        self.begun = true;
        self.sequence += 1;
    }

    /// Ends the stream with an `error` event, which the official clients raise, and a failed response.
    pub fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.begin(out);
        self.ended = true;
        let known = code(error.kind);
        let code = error.code.as_deref().unwrap_or(known);
        let detail = json!({"type": code, "code": code, "message": error.message, "param": error.param});
        let flat = json!({"code": code, "message": error.message, "param": error.param, "error": detail});
        self.frame("error", flat, out);
        for item in self.items.iter_mut().filter(|item| item.status == "in_progress") {
            item.status = "incomplete";
        }
        // A closed list of words: an upstream's own would not be read by strict clients.
        let failed = json!({"code": known, "message": error.message});
        self.response("response.failed", Status::Failed, failed, out);
    }

    /// Appends a comment, so that nobody takes the connection for dead.
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        if !self.ended {
            out.extend_from_slice(b": ping\n\n");
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.response("response.created", Status::InProgress, Value::Null, out);
            self.response("response.in_progress", Status::InProgress, Value::Null, out);
        }
    }

    fn text(&mut self, delta: &str, tokens: Vec<Value>, out: &mut Vec<u8>) {
        let (item, content) = self.place(Content::Text { text: String::new(), logprobs: Vec::new() }, out);
        let fields = json!({"content_index": content, "delta": delta, "logprobs": tokens});
        self.of_item("response.output_text.delta", item, fields, out);
        if let Some(Content::Text { text, logprobs }) = self.content(item) {
            text.push_str(delta);
            logprobs.extend(tokens);
        }
    }

    fn refusal(&mut self, delta: &str, out: &mut Vec<u8>) {
        let (item, content) = self.place(Content::Refusal(String::new()), out);
        self.of_item("response.refusal.delta", item, json!({"content_index": content, "delta": delta}), out);
        if let Some(Content::Refusal(text)) = self.content(item) {
            text.push_str(delta);
        }
    }

    /// Finds the message that grows, or begins one, and in it a content of the wanted kind.
    fn place(&mut self, wanted: Content, out: &mut Vec<u8>) -> (usize, usize) {
        let grows =
            self.open.filter(|&at| self.items.get(at).is_some_and(|item| matches!(item.body, Body::Message(_))));
        let item = match grows {
            Some(at) => at,
            None => self.open(Body::Message(Vec::new()), out),
        };
        let same = |content: &Content| std::mem::discriminant(content) == std::mem::discriminant(&wanted);
        let contents = self.contents(item);
        let count = contents.len();
        if contents.last().is_some_and(same) {
            return (item, count - 1);
        }
        if count > 0 {
            self.close_content(item, out);
        }
        let fields = json!({"content_index": count, "part": wanted.announced()});
        if let Some(Body::Message(contents)) = self.items.get_mut(item).map(|item| &mut item.body) {
            contents.push(wanted);
        }
        self.of_item("response.content_part.added", item, fields, out);
        (item, count)
    }

    fn thinking(&mut self, delta: &str, out: &mut Vec<u8>) {
        let item = match self.open_reasoning() {
            // A signature ends what it signs.
            Some((at, _, None)) => at,
            Some(_) | None => self.open(Body::Reasoning { text: String::new(), encrypted: None }, out),
        };
        if let Some((_, "", _)) = self.open_reasoning() {
            let fields = json!({"summary_index": 0, "part": output::summary("")});
            self.of_item("response.reasoning_summary_part.added", item, fields, out);
        }
        let fields = json!({"summary_index": 0, "delta": delta});
        self.of_item("response.reasoning_summary_text.delta", item, fields, out);
        if let Some(Body::Reasoning { text, .. }) = self.items.get_mut(item).map(|item| &mut item.body) {
            text.push_str(delta);
        }
    }

    fn signature(&mut self, signature: &str, out: &mut Vec<u8>) {
        let at = match self.open_reasoning() {
            Some((at, ..)) => at,
            None => self.open(Body::Reasoning { text: String::new(), encrypted: None }, out),
        };
        if let Some(Body::Reasoning { encrypted, .. }) = self.items.get_mut(at).map(|item| &mut item.body) {
            *encrypted = Some(reasoning::of_signature(signature));
        }
    }

    /// The reasoning that grows: its place, its text and its encrypted form.
    fn open_reasoning(&self) -> Option<(usize, &str, Option<&str>)> {
        let at = self.open?;
        match &self.items.get(at)?.body {
            Body::Reasoning { text, encrypted } => Some((at, text, encrypted.as_deref())),
            Body::Message(_) | Body::Call(_) => None,
        }
    }

    fn call(&mut self, index: u32, call: &ToolCall, out: &mut Vec<u8>) {
        if self.calls.contains_key(&index) {
            return self.arguments(index, &call.arguments, out);
        }
        let empty = ToolCall { arguments: String::new(), ..call.clone() };
        let at = self.open(Body::Call(empty), out);
        self.open = None;
        self.calls.insert(index, at);
        self.arguments(index, &call.arguments, out);
    }

    fn arguments(&mut self, index: u32, piece: &str, out: &mut Vec<u8>) {
        if let Some(&at) = self.calls.get(&index).filter(|_| !piece.is_empty()) {
            self.grow(at, piece, out);
        }
    }

    fn grow(&mut self, at: usize, piece: &str, out: &mut Vec<u8>) {
        if let Some(Body::Call(call)) = self.items.get_mut(at).map(|item| &mut item.body) {
            call.arguments.push_str(piece);
        }
        self.of_item("response.function_call_arguments.delta", at, json!({ "delta": piece }), out);
    }

    /// Begins an item and makes it the one that grows.
    fn open(&mut self, body: Body, out: &mut Vec<u8>) -> usize {
        self.close(out);
        let at = self.items.len();
        let item = Item::new(&self.context, at, body);
        let fields = json!({"output_index": at, "item": item.announced()});
        self.items.push(item);
        self.open = Some(at);
        self.frame("response.output_item.added", fields, out);
        at
    }

    /// Completes the message or reasoning that grows.
    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(at) = self.open.take() {
            self.complete(at, "completed", out);
        }
    }

    fn complete(&mut self, at: usize, status: &'static str, out: &mut Vec<u8>) {
        // Clients parse the arguments: no text at all is no JSON.
        if matches!(self.items.get(at).map(|item| &item.body), Some(Body::Call(call)) if call.arguments.is_empty()) {
            self.grow(at, "{}", out);
        }
        match self.items.get(at).map(|item| &item.body) {
            Some(Body::Message(contents)) if !contents.is_empty() => self.close_content(at, out),
            Some(Body::Reasoning { text, .. }) if !text.is_empty() => {
                let part = output::summary(text);
                let done = json!({"summary_index": 0, "text": text});
                self.of_item("response.reasoning_summary_text.done", at, done, out);
                let done = json!({"summary_index": 0, "part": part});
                self.of_item("response.reasoning_summary_part.done", at, done, out);
            }
            Some(Body::Call(call)) => {
                let done = json!({"name": call.name, "arguments": call.arguments});
                self.of_item("response.function_call_arguments.done", at, done, out);
            }
            Some(Body::Message(_) | Body::Reasoning { .. }) | None => {}
        }
        if let Some(item) = self.items.get_mut(at) {
            item.status = status;
            let fields = json!({"output_index": at, "item": item.value()});
            self.frame("response.output_item.done", fields, out);
        }
    }

    fn close_content(&mut self, item: usize, out: &mut Vec<u8>) {
        let contents = self.contents(item);
        let at = contents.len().saturating_sub(1);
        let Some(content) = contents.last() else { return };
        let part = json!({"content_index": at, "part": content.value()});
        let (kind, done) = match content {
            Content::Text { text, logprobs } => {
                ("response.output_text.done", json!({"content_index": at, "text": text, "logprobs": logprobs}))
            }
            Content::Refusal(refusal) => ("response.refusal.done", json!({"content_index": at, "refusal": refusal})),
        };
        self.of_item(kind, item, done, out);
        self.of_item("response.content_part.done", item, part, out);
    }

    fn contents(&self, item: usize) -> &[Content] {
        match self.items.get(item).map(|item| &item.body) {
            Some(Body::Message(contents)) => contents,
            Some(Body::Reasoning { .. } | Body::Call(_)) | None => &[],
        }
    }

    /// The last content of a message.
    fn content(&mut self, item: usize) -> Option<&mut Content> {
        match &mut self.items.get_mut(item)?.body {
            Body::Message(contents) => contents.last_mut(),
            Body::Reasoning { .. } | Body::Call(_) => None,
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let status = Status::of(self.finish.as_ref(), output::refused(&self.items));
        let cut = matches!(status, Status::Incomplete(_));
        let last = self.items.len().checked_sub(1);
        let growing: Vec<usize> =
            self.open.take().into_iter().chain(std::mem::take(&mut self.calls).into_values()).collect();
        for at in growing {
            self.complete(at, if cut && Some(at) == last { "incomplete" } else { "completed" }, out);
        }
        let kind = if cut { "response.incomplete" } else { "response.completed" };
        self.response(kind, status, Value::Null, out);
        self.ended = true;
    }

    /// Writes an event that holds the whole response.
    fn response(&mut self, kind: &str, status: Status, error: Value, out: &mut Vec<u8>) {
        let response = output::response(&self.context, &self.echo, status, &self.items, &self.usage, error);
        self.frame(kind, json!({ "response": response }), out);
    }

    /// Writes an event about one item.
    fn of_item(&mut self, kind: &str, at: usize, mut fields: Value, out: &mut Vec<u8>) {
        if let Some(item) = self.items.get(at) {
            fields["item_id"] = item.id.as_str().into();
        }
        fields["output_index"] = at.into();
        self.frame(kind, fields, out);
    }

    fn frame(&mut self, kind: &str, mut fields: Value, out: &mut Vec<u8>) {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        // Texts and numbers always serialise, and a Vec never fails to grow short of an abort.
        let _ = serde_json::to_writer(&mut *out, &fields);
        out.extend_from_slice(b"\n\n");
    }
}

/// The word for programs where the failure brings none.
const fn code(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::RateLimit => "rate_limit_exceeded",
        FailureKind::Quota => "insufficient_quota",
        FailureKind::ContextLength => "context_length_exceeded",
        FailureKind::NotFound => "model_not_found",
        FailureKind::InvalidRequest | FailureKind::TooLarge => "invalid_prompt",
        FailureKind::Authentication
        | FailureKind::Permission
        | FailureKind::Overloaded
        | FailureKind::Upstream
        | FailureKind::Timeout
        | FailureKind::Internal => "server_error",
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
