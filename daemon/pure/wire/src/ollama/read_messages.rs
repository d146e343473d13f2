//! From Ollama's messages to neutral ones, with ids for tool calls that have none.

use std::collections::{BTreeMap, VecDeque};

use crate::chat::{Message, Part, Role, ToolCall};
use crate::malformed::Malformed;
use crate::members::Members;

use super::{arguments, picture};

/// Reads `messages`.
pub(super) fn decode(top: &Members<'_>) -> Result<Vec<Message>, Malformed> {
    let mut open = OpenCalls::default();
    let mut messages = Vec::new();
    for (position, message) in top.objects("messages")?.iter().enumerate() {
        messages.push(decode_one(message, position, &mut open)?);
    }
    if messages.is_empty() {
        return Err(Malformed::new("messages", "at least one message is required"));
    }
    Ok(messages)
}

fn decode_one(message: &Members<'_>, position: usize, open: &mut OpenCalls) -> Result<Message, Malformed> {
    let role = match message.need_text("role")? {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => {
            return Err(Malformed::new(
                message.at("role"),
                "\"system\", \"user\", \"assistant\" or \"tool\" is expected",
            ));
        }
    };
    let mut parts = Vec::new();
    if let Some(text) = message.text("thinking")?.filter(|text| !text.is_empty()) {
        parts.push(Part::Thinking { text: text.to_owned(), signature: None });
    }
    // Ollama itself puts pictures before the text of their message.
    parts.extend(pictures(message)?);
    if let Some(text) = message.text("content")?.filter(|text| !text.is_empty()) {
        parts.push(Part::Text(text.to_owned()));
    }
    match role {
        Role::Tool => parts = vec![open.result(message, position, parts)?],
        Role::Assistant => parts.extend(calls(message, position, open)?),
        Role::System | Role::User => {}
    }
    if parts.is_empty() {
        parts.push(Part::Text(String::new()));
    }
    Ok(Message { role, parts, name: None })
}

/// Reads `images`.
pub(super) fn pictures(message: &Members<'_>) -> Result<Vec<Part>, Malformed> {
    let list = message.texts("images")?.into_iter().enumerate();
    list.map(|(n, data)| picture::decode(data, || format!("{}[{n}]", message.at("images")))).collect()
}

fn calls(message: &Members<'_>, position: usize, open: &mut OpenCalls) -> Result<Vec<Part>, Malformed> {
    let mut parts = Vec::new();
    for (n, call) in message.objects("tool_calls")?.iter().enumerate() {
        let function = call.object("function")?.ok_or_else(|| call.missing("function"))?;
        let id = match call.text("id")?.filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => format!("call_{position}_{n}"),
        };
        let name = function.need_text("name")?.to_owned();
        parts.push(Part::ToolCall(ToolCall { id, name, arguments: arguments::text(function.value("arguments")) }));
    }
    if !parts.is_empty() {
        *open = OpenCalls::of(&parts);
    }
    Ok(parts)
}

/// The calls of the last assistant message, to find the one that a result answers: by its id, else by the function's
/// name, else in their order.
#[derive(Debug, Default)]
struct OpenCalls {
    calls: Vec<Open>,
    by_name: BTreeMap<String, VecDeque<usize>>,
    next: usize,
}

#[derive(Debug)]
struct Open {
    id: String,
    name: String,
    answered: bool,
}

impl OpenCalls {
    fn of(parts: &[Part]) -> Self {
        let mut open = Self::default();
        for part in parts {
            if let Part::ToolCall(call) = part {
                open.by_name.entry(call.name.clone()).or_default().push_back(open.calls.len());
                open.calls.push(Open { id: call.id.clone(), name: call.name.clone(), answered: false });
            }
        }
        open
    }

    fn result(&mut self, message: &Members<'_>, position: usize, content: Vec<Part>) -> Result<Part, Malformed> {
        let name = message.text("tool_name")?.filter(|name| !name.is_empty()).or(message.text("name")?);
        let given = message.text("tool_call_id")?.filter(|id| !id.is_empty());
        let found = match given {
            Some(id) => Some((id.to_owned(), None)),
            None => self.take(name).map(|call| (call.id.clone(), Some(call.name.clone()))),
        };
        let (call_id, called) = found.unwrap_or_else(|| (format!("call_{position}_0"), None));
        Ok(Part::ToolResult { call_id, name: name.map(str::to_owned).or(called), content, is_error: false })
    }

    fn take(&mut self, name: Option<&str>) -> Option<&Open> {
        let named = name.and_then(|name| self.by_name.get_mut(name)).and_then(|queue| {
            // Entries that were answered out of order are passed over once and for all.
            while queue.front().is_some_and(|&at| self.calls.get(at).is_none_or(|call| call.answered)) {
                queue.pop_front();
            }
            queue.pop_front()
        });
        let at = named.unwrap_or_else(|| {
            while self.calls.get(self.next).is_some_and(|call| call.answered) {
                self.next += 1;
            }
            self.next
        });
        let call = self.calls.get_mut(at)?;
        call.answered = true;
        Some(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(messages: &Value) -> Result<Vec<Message>, Malformed> {
        let body = json!({ "messages": messages });
        decode(&Members::top(body.as_object().unwrap()))
    }

    fn call(name: &str) -> Value {
        json!({"function": {"name": name, "arguments": {}}})
    }

    fn answered(messages: &Value) -> Vec<String> {
        let parts = read(messages).unwrap().into_iter().flat_map(|message| message.parts);
        parts
            .filter_map(|part| if let Part::ToolResult { call_id, .. } = part { Some(call_id) } else { None })
            .collect()
    }

    #[test]
    fn results_find_their_calls() {
        let calls = json!({"role": "assistant", "tool_calls": [call("a"), call("b"), call("a")]});
        let tool = |name: &str| json!({"role": "tool", "tool_name": name, "content": "x"});
        let bare = json!({"role": "tool", "content": "x"});
        for (name, messages, want) in [
            ("by name", json!([calls, tool("b"), tool("a"), tool("a")]), vec!["call_0_1", "call_0_0", "call_0_2"]),
            ("in order", json!([calls, bare, bare, bare]), vec!["call_0_0", "call_0_1", "call_0_2"]),
            ("mixed", json!([calls, bare, tool("a"), bare]), vec!["call_0_0", "call_0_2", "call_0_1"]),
            ("unknown name", json!([calls, tool("z"), tool("b")]), vec!["call_0_0", "call_0_1"]),
            ("too many", json!([calls, bare, bare, bare, bare]), vec!["call_0_0", "call_0_1", "call_0_2", "call_4_0"]),
            ("no call", json!([tool("a")]), vec!["call_0_0"]),
            (
                "given ids",
                json!([{"role": "assistant", "tool_calls": [{"id": "x1", "function": {"name": "a"}}]},
                       {"role": "tool", "tool_call_id": "x1", "content": "1"}]),
                vec!["x1"],
            ),
            (
                "two rounds",
                json!([calls, tool("a"), {"role": "assistant", "tool_calls": [call("a")]}, tool("a")]),
                vec!["call_0_0", "call_2_0"],
            ),
        ] {
            assert_eq!(answered(&messages), want, "{name}");
        }
    }

    #[test]
    fn wrong_messages_are_named() {
        for (messages, at) in [
            (json!([]), "messages"),
            (json!("hi"), "messages"),
            (json!([{"role": "user", "content": "x"}, 1]), "messages[1]"),
            (json!([{"content": "x"}]), "messages[0].role"),
            (json!([{"role": "robot"}]), "messages[0].role"),
            (json!([{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content"),
            (json!([{"role": "user", "images": ["aGVsbG8gd29ybGQgaGVsbG8="]}]), "messages[0].images[0]"),
            (json!([{"role": "assistant", "tool_calls": [{}]}]), "messages[0].tool_calls[0].function"),
            (
                json!([{"role": "assistant", "tool_calls": [{"function": {}}]}]),
                "messages[0].tool_calls[0].function.name",
            ),
        ] {
            assert_eq!(read(&messages).unwrap_err().at, at, "{messages}");
        }
    }
}
