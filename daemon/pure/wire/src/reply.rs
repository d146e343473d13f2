//! An answer between dialects, whole ([`ChatReply`]) or in pieces ([`Event`]).

use domain::usage::Usage;
use serde_json::Value;

use crate::chat::{Part, ToolCall};

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatReply {
    /// The model the upstream says it used.
    pub model: Option<String>,
    /// The alternatives, in order of their index.
    pub choices: Vec<Choice>,
    /// Tokens used.
    pub usage: Usage,
}

impl ChatReply {
    /// The answer that came in these pieces.
    #[must_use]
    pub fn of_events(events: impl IntoIterator<Item = Event>) -> Self {
        let mut reply = Self::default();
        for event in events {
            if let Event::Usage(usage) = &event {
                reply.usage.update(usage);
            }
            let Some(index) = event.choice() else {
                if let Event::Start { model } = event {
                    reply.model = model.or(reply.model);
                }
                continue;
            };
            let position = reply.choices.partition_point(|choice| choice.index < index);
            if reply.choices.get(position).is_none_or(|choice| choice.index != index) {
                reply.choices.insert(position, Choice::new(index));
            }
            if let Some(choice) = reply.choices.get_mut(position) {
                choice.take(event);
            }
        }
        reply
    }

    /// The same answer in pieces.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Start { model: self.model.clone() }];
        for choice in &self.choices {
            choice.events(&mut events);
        }
        events.push(Event::Usage(self.usage));
        events.push(Event::Done);
        events
    }
}

impl Choice {
    fn new(index: u32) -> Self {
        Self { index, parts: Vec::new(), finish: Finish::Other(String::new()), logprobs: None }
    }

    /// Appends to the last part where it is of the same kind.
    fn take(&mut self, event: Event) {
        match event {
            Event::Text { text, logprobs, .. } => {
                if let Some(logprobs) = logprobs {
                    append_logprobs(&mut self.logprobs, logprobs);
                }
                match self.parts.last_mut() {
                    Some(Part::Text(known)) => known.push_str(&text),
                    _ if text.is_empty() => {}
                    _ => self.parts.push(Part::Text(text)),
                }
            }
            Event::Thinking { text, .. } => match self.parts.last_mut() {
                Some(Part::Thinking { text: known, signature: None }) => known.push_str(&text),
                _ => self.parts.push(Part::Thinking { text, signature: None }),
            },
            Event::Signature { signature: piece, .. } => {
                if let Some(Part::Thinking { signature, .. }) = self.parts.last_mut() {
                    *signature = Some(piece);
                }
            }
            Event::RedactedThinking { data, .. } => self.parts.push(Part::RedactedThinking(data)),
            Event::Refusal { text, .. } => match self.parts.last_mut() {
                Some(Part::Refusal(known)) => known.push_str(&text),
                _ => self.parts.push(Part::Refusal(text)),
            },
            Event::ToolCall { call, .. } => self.parts.push(Part::ToolCall(call)),
            Event::ToolArguments { index, piece, .. } => {
                let calls = self.parts.iter_mut().filter_map(|part| match part {
                    Part::ToolCall(call) => Some(call),
                    Part::Text(_)
                    | Part::Thinking { .. }
                    | Part::RedactedThinking(_)
                    | Part::Refusal(_)
                    | Part::Image { .. }
                    | Part::ToolResult { .. } => None,
                });
                if let Some(call) = calls.into_iter().nth(usize::try_from(index).unwrap_or(usize::MAX)) {
                    call.arguments.push_str(&piece);
                }
            }
            Event::Finish { finish, .. } => self.finish = finish,
            Event::Start { .. } | Event::Usage(_) | Event::Done | Event::Failed(_) => {}
        }
    }

    fn events(&self, events: &mut Vec<Event>) {
        let choice = self.index;
        let mut logprobs = self.logprobs.clone();
        let mut calls = 0;
        for part in &self.parts {
            match part {
                Part::Text(text) => events.push(Event::Text { choice, text: text.clone(), logprobs: logprobs.take() }),
                Part::Thinking { text, signature } => {
                    events.push(Event::Thinking { choice, text: text.clone() });
                    events.extend(signature.clone().map(|signature| Event::Signature { choice, signature }));
                }
                Part::RedactedThinking(data) => events.push(Event::RedactedThinking { choice, data: data.clone() }),
                Part::Refusal(text) => events.push(Event::Refusal { choice, text: text.clone() }),
                Part::ToolCall(call) => {
                    events.push(Event::ToolCall { choice, index: calls, call: call.clone() });
                    calls += 1;
                }
                // Requests only.
                Part::Image { .. } | Part::ToolResult { .. } => {}
            }
        }
        if logprobs.is_some() {
            events.push(Event::Text { choice, text: String::new(), logprobs });
        }
        events.push(Event::Finish { choice, finish: self.finish.clone() });
    }
}

/// Adds the tokens of a later `logprobs` object to those of an earlier one.
fn append_logprobs(known: &mut Option<Value>, more: Value) {
    let Some(Value::Object(known)) = known else {
        *known = Some(more);
        return;
    };
    let Value::Object(more) = more else { return };
    for (name, more) in more {
        match (known.get_mut(&name), more) {
            (Some(Value::Array(tokens)), Value::Array(more)) => tokens.extend(more),
            (Some(Value::Null) | None, more) => drop(known.insert(name, more)),
            _ => {}
        }
    }
}

/// One alternative of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// 0-based.
    pub index: u32,
    /// Thinking, texts and tool calls in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
    /// OpenAI's `logprobs` object, as it came.
    pub logprobs: Option<Value>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// A stop text of the request was met; the text where the upstream tells it.
    StopSequence(Option<String>),
    /// The token limit was met.
    Length,
    /// The model waits for tool results.
    ToolCalls,
    /// A filter of the upstream stepped in, or the model declined.
    ContentFilter,
    /// A word that this build does not know.
    Other(String),
}

/// One step of an answer that comes in pieces.
///
/// Order: `Start`, then content events, then for each choice a `Finish`, then `Usage`, then `Done`. `Usage` may come
/// several times; later counts replace earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The upstream has begun.
    Start {
        /// The model the upstream says it uses.
        model: Option<String>,
    },
    /// More text of a choice.
    Text {
        /// 0-based.
        choice: u32,
        /// May be empty when only `logprobs` come.
        text: String,
        /// OpenAI's `logprobs` object of these tokens.
        logprobs: Option<Value>,
    },
    /// More reasoning of a choice.
    Thinking {
        /// 0-based.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// The signature of the reasoning so far.
    Signature {
        /// 0-based.
        choice: u32,
        /// As it came.
        signature: String,
    },
    /// A block of encrypted reasoning.
    RedactedThinking {
        /// 0-based.
        choice: u32,
        /// As it came.
        data: String,
    },
    /// More of the text with which the model declines.
    Refusal {
        /// 0-based.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// A tool call begins; `call.arguments` holds what is known of them, often nothing.
    ToolCall {
        /// 0-based.
        choice: u32,
        /// Position among the choice's calls, 0-based.
        index: u32,
        /// Id, name, first arguments.
        call: ToolCall,
    },
    /// More of a tool call's arguments.
    ToolArguments {
        /// 0-based.
        choice: u32,
        /// Position among the choice's calls, 0-based.
        index: u32,
        /// The piece of JSON text.
        piece: String,
    },
    /// A choice is complete.
    Finish {
        /// 0-based.
        choice: u32,
        /// Why it ended.
        finish: Finish,
    },
    /// Tokens used so far.
    Usage(Usage),
    /// The upstream said that the stream is complete (`[DONE]`, `message_stop`, `"done": true`).
    Done,
    /// The upstream reported a failure inside the stream.
    Failed(crate::failure::UpstreamFailure),
}

impl Event {
    /// The alternative that this piece belongs to.
    #[must_use]
    pub const fn choice(&self) -> Option<u32> {
        match self {
            Self::Text { choice, .. }
            | Self::Thinking { choice, .. }
            | Self::Signature { choice, .. }
            | Self::RedactedThinking { choice, .. }
            | Self::Refusal { choice, .. }
            | Self::ToolCall { choice, .. }
            | Self::ToolArguments { choice, .. }
            | Self::Finish { choice, .. } => Some(*choice),
            Self::Start { .. } | Self::Usage(_) | Self::Done | Self::Failed(_) => None,
        }
    }

    /// Whether a person or program would see this piece: from then on no other upstream may take over.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        match self {
            Self::Text { text, .. } | Self::Thinking { text, .. } | Self::Refusal { text, .. } => !text.is_empty(),
            Self::ToolCall { .. } | Self::ToolArguments { .. } | Self::RedactedThinking { .. } => true,
            Self::Start { .. }
            | Self::Signature { .. }
            | Self::Finish { .. }
            | Self::Usage(_)
            | Self::Done
            | Self::Failed(_) => false,
        }
    }
}

/// What an encoder needs to know besides the answer itself. Given in, because the pure crates have no clock and no
/// random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyContext {
    /// Letters and digits that make the ids of this answer unique; encoders put their dialect's prefix before it.
    pub unique: String,
    /// The model name to show.
    pub model: String,
    /// Milliseconds since the Unix epoch at which the request came.
    pub created_ms: u64,
    /// Whether the client asked for usage in a stream (OpenAI's `include_usage`; the other dialects always tell).
    pub include_usage: bool,
}
