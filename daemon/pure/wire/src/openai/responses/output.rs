//! The items of an answer, and the response object around them.

use domain::usage::Usage;
use serde_json::{Map, Value, json};

use crate::chat::ToolCall;
use crate::reply::{Finish, ReplyContext};
use crate::saved;

use super::echo::Echo;

/// One item of `output`.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) body: Body,
    /// `in_progress`, `completed` or `incomplete`.
    pub(super) status: &'static str,
}

/// What an item holds.
#[derive(Debug)]
pub(super) enum Body {
    /// Text for the reader.
    Message(Vec<Content>),
    /// Reasoning, as a summary: that is what clients show.
    Reasoning {
        text: String,
        encrypted: Option<String>,
    },
    Call(ToolCall),
}

/// One piece of a message.
#[derive(Debug)]
pub(super) enum Content {
    Text { text: String, logprobs: Vec<Value> },
    Refusal(String),
}

impl Item {
    /// Begins an item; `position` is its place in `output`.
    pub(super) fn new(context: &ReplyContext, position: usize, body: Body) -> Self {
        let prefix = match &body {
            Body::Message(_) => "msg",
            Body::Reasoning { .. } => "rs",
            Body::Call(_) => "fc",
        };
        Self { id: format!("{prefix}_{}_{position}", context.unique), body, status: "in_progress" }
    }

    /// The item with all that it holds.
    pub(super) fn value(&self) -> Value {
        let status = self.status;
        match &self.body {
            Body::Message(contents) => json!({
                "id": self.id,
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": contents.iter().map(Content::value).collect::<Vec<_>>(),
            }),
            Body::Reasoning { text, encrypted } => {
                let mut item = json!({
                    "id": self.id,
                    "type": "reasoning",
                    "status": status,
                    "summary": if text.is_empty() { json!([]) } else { json!([summary(text)]) },
                });
                if let Some(encrypted) = encrypted {
                    item["encrypted_content"] = encrypted.as_str().into();
                }
                item
            }
            Body::Call(call) => call_value(&self.id, call, &call.arguments, status),
        }
    }

    /// The item as it is announced: without what is to come.
    pub(super) fn announced(&self) -> Value {
        match &self.body {
            Body::Message(_) => json!({
                "id": self.id, "type": "message", "status": "in_progress", "role": "assistant", "content": [],
            }),
            Body::Reasoning { .. } => {
                json!({"id": self.id, "type": "reasoning", "status": "in_progress", "summary": []})
            }
            Body::Call(call) => call_value(&self.id, call, "", "in_progress"),
        }
    }
}

fn call_value(id: &str, call: &ToolCall, arguments: &str, status: &str) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
    })
}

/// One piece of a reasoning summary.
pub(super) fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

impl Content {
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Text { text, logprobs } => {
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
            }
            Self::Refusal(refusal) => json!({"type": "refusal", "refusal": refusal}),
        }
    }

    /// The same kind of content before anything was said.
    pub(super) fn announced(&self) -> Value {
        match self {
            Self::Text { .. } => Self::Text { text: String::new(), logprobs: Vec::new() }.value(),
            Self::Refusal(_) => Self::Refusal(String::new()).value(),
        }
    }
}

/// From the `logprobs` object of chat completions to the list here. `bytes` may be `null` there, not here.
pub(super) fn logprobs(object: Option<&Value>) -> Vec<Value> {
    let tokens = object.and_then(|object| object.get("content")).and_then(Value::as_array);
    tokens.map(|tokens| tokens.iter().map(|token| with_bytes(token, true)).collect()).unwrap_or_default()
}

fn with_bytes(token: &Value, with_alternatives: bool) -> Value {
    let text = token.get("token").and_then(Value::as_str).unwrap_or_default();
    let bytes = token.get("bytes").filter(|bytes| bytes.is_array()).cloned();
    let mut out = json!({
        "token": text,
        "logprob": token.get("logprob").and_then(Value::as_f64).unwrap_or_default(),
        "bytes": bytes.unwrap_or_else(|| json!(text.as_bytes())),
    });
    if with_alternatives {
        let alternatives = token.get("top_logprobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        out["top_logprobs"] = alternatives.iter().map(|token| with_bytes(token, false)).collect();
    }
    out
}

/// How a response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// Cut off, with the reason.
    Incomplete(&'static str),
    Failed,
}

impl Status {
    /// How a finished answer stands. `refused`: the model declined in words, which is a whole answer.
    pub(super) fn of(finish: Option<&Finish>, refused: bool) -> Self {
        match finish {
            Some(Finish::Length) => Self::Incomplete("max_output_tokens"),
            Some(Finish::ContentFilter) if !refused => Self::Incomplete("content_filter"),
            Some(
                Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::ContentFilter | Finish::Other(_),
            )
            | None => Self::Completed,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// Whether one of the items holds a refusal.
pub(super) fn refused(items: &[Item]) -> bool {
    let refusal = |content: &Content| matches!(content, Content::Refusal(_));
    items.iter().any(|item| matches!(&item.body, Body::Message(contents) if contents.iter().any(refusal)))
}

/// The response object. `error` is its `error` member, for [`Status::Failed`].
pub(super) fn response(
    context: &ReplyContext,
    echo: &Echo,
    status: Status,
    items: &[Item],
    usage: &Usage,
    error: Value,
) -> Value {
    let mut response = Map::new();
    let mut set = |name: &str, value: Value| response.insert(name.to_owned(), value);
    set("id", format!("resp_{}", context.unique).into());
    set("object", "response".into());
    set("created_at", (context.created_ms / 1_000).into());
    set("status", status.word().into());
    set("background", false.into());
    set("error", error);
    set(
        "incomplete_details",
        match status {
            Status::Incomplete(reason) => json!({ "reason": reason }),
            Status::InProgress | Status::Completed | Status::Failed => Value::Null,
        },
    );
    set("model", context.model.as_str().into());
    set("output", items.iter().map(Item::value).collect());
    set("usage", usage_value(usage));
    echo.write_to(&mut response);
    response.into()
}

/// `null` where the upstream told nothing.
fn usage_value(usage: &Usage) -> Value {
    if usage.input.is_none() && usage.output.is_none() {
        return Value::Null;
    }
    let mut object = json!({
        "input_tokens": usage.input.unwrap_or(0),
        "input_tokens_details": {
            "cached_tokens": usage.cached_read.unwrap_or(0),
            "cache_write_tokens": usage.cache_write.unwrap_or(0),
        },
        "output_tokens": usage.output.unwrap_or(0),
        "output_tokens_details": {"reasoning_tokens": usage.reasoning.unwrap_or(0)},
        "total_tokens": usage.total(),
    });
    saved::put(&mut object, usage);
    object
}
