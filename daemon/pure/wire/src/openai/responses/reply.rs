//! The whole answer.

use serde_json::Value;

use crate::chat::{Part, ToolCall};
use crate::reply::{ChatReply, ReplyContext};

use super::echo::Echo;
use super::output::{self, Body, Content, Item, Status};
use super::reasoning;

/// Writes an answer; there is room for the first alternative only.
#[must_use]
pub fn encode(reply: &ChatReply, context: &ReplyContext, echo: &Echo) -> Vec<u8> {
    let choice = reply.choices.first();
    let mut items = Vec::new();
    for part in choice.map_or(&[][..], |choice| &choice.parts) {
        add(&mut items, part, context);
    }
    let logprobs = output::logprobs(choice.and_then(|choice| choice.logprobs.as_ref()));
    set_logprobs(&mut items, logprobs);
    let status = Status::of(choice.map(|choice| &choice.finish), output::refused(&items));
    for item in &mut items {
        item.status = "completed";
    }
    if let (Status::Incomplete(_), Some(last)) = (status, items.last_mut()) {
        last.status = "incomplete";
    }
    let response = output::response(context, echo, status, &items, &reply.usage, Value::Null);
    response.to_string().into_bytes()
}

fn add(items: &mut Vec<Item>, part: &Part, context: &ReplyContext) {
    let body = match part {
        Part::Text(text) => return say(items, Content::Text { text: text.clone(), logprobs: Vec::new() }, context),
        Part::Refusal(text) => return say(items, Content::Refusal(text.clone()), context),
        Part::Thinking { text, signature } => {
            Body::Reasoning { text: text.clone(), encrypted: signature.as_deref().map(reasoning::of_signature) }
        }
        Part::RedactedThinking(data) => {
            Body::Reasoning { text: String::new(), encrypted: Some(reasoning::of_redacted(data)) }
        }
        // Clients parse the arguments: no text at all is no JSON.
        Part::ToolCall(call) if call.arguments.is_empty() => {
            Body::Call(ToolCall { arguments: "{}".to_owned(), ..call.clone() })
        }
        Part::ToolCall(call) => Body::Call(call.clone()),
        // Only requests hold these.
        Part::Image { .. } | Part::ToolResult { .. } => return,
    };
    items.push(Item::new(context, items.len(), body));
}

/// Texts that follow each other stand in one message, and plain texts in one piece of it.
fn say(items: &mut Vec<Item>, content: Content, context: &ReplyContext) {
    if let Some(Body::Message(contents)) = items.last_mut().map(|item| &mut item.body) {
        match (contents.last_mut(), content) {
            (Some(Content::Text { text, .. }), Content::Text { text: more, .. }) => text.push_str(&more),
            (_, content) => contents.push(content),
        }
    } else {
        items.push(Item::new(context, items.len(), Body::Message(vec![content])));
    }
}

/// The upstream tells of all tokens of an answer at once: they go with its first text.
fn set_logprobs(items: &mut [Item], tokens: Vec<Value>) {
    for item in items {
        let Body::Message(contents) = &mut item.body else { continue };
        for content in contents {
            if let Content::Text { logprobs, .. } = content {
                *logprobs = tokens;
                return;
            }
        }
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
