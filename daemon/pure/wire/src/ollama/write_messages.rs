//! From neutral messages to Ollama's: one text, a list of pictures and a list of calls per message.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::chat::{Message, Part, Role, Tool};
use crate::malformed::Uncarried;

use super::{line, picture};

/// Writes `messages`. All system messages become one at the beginning: of the templates of open models many refuse a
/// second one, and others drop it in silence.
pub(super) fn encode(messages: &[Message]) -> Result<Vec<Value>, Uncarried> {
    let mut names = BTreeMap::new();
    let mut out = Vec::new();
    for (position, message) in messages.iter().enumerate() {
        if message.name.is_some() && message.role != Role::Tool {
            let field = format!("messages[{position}].name");
            return Err(Uncarried::new(field, "Ollama's messages have no names of speakers"));
        }
        let mut turn = Turn::default();
        for (n, part) in message.parts.iter().enumerate() {
            let at = || format!("messages[{position}].content[{n}]");
            if let Part::ToolCall(call) = part {
                names.insert(call.id.as_str(), call.name.as_str());
            }
            if let Part::ToolResult { call_id, name, content, is_error } = part {
                let name = name.as_deref().or_else(|| names.get(call_id.as_str()).copied());
                let mut message = result(call_id, name, content, &at)?;
                if *is_error {
                    mark_failure(&mut message);
                }
                out.push(message);
            } else {
                turn.add(part, &at)?;
            }
        }
        if message.role == Role::System {
            put_system(&mut out, turn);
        } else if message.role != Role::Tool && (!turn.is_empty() || !message.parts.iter().any(is_result)) {
            out.push(turn.into_message(role(message.role)));
        }
    }
    Ok(out)
}

fn put_system(out: &mut Vec<Value>, turn: Turn) {
    match out.first_mut().filter(|first| first["role"] == "system") {
        Some(first) if turn.images.is_empty() => {
            let text = first["content"].as_str().unwrap_or_default();
            first["content"] = [text, &turn.texts.join("\n")].join("\n\n").into();
        }
        Some(_) => out.push(turn.into_message(role(Role::System))),
        None => out.insert(0, turn.into_message(role(Role::System))),
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

const fn is_result(part: &Part) -> bool {
    matches!(part, Part::ToolResult { .. })
}

fn result(call_id: &str, name: Option<&str>, content: &[Part], at: &impl Fn() -> String) -> Result<Value, Uncarried> {
    let mut turn = Turn::default();
    for part in content {
        turn.add(part, at)?;
    }
    let mut message = turn.into_message("tool");
    message["tool_call_id"] = call_id.into();
    if let Some(name) = name {
        message["tool_name"] = name.into();
    }
    Ok(message)
}

/// This dialect has no mark for a failed call: the model must read it.
fn mark_failure(message: &mut Value) {
    let text = message["content"].as_str().unwrap_or_default();
    if !text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")) {
        message["content"] = format!("Error: {text}").into();
    }
}

#[derive(Debug, Default)]
struct Turn {
    texts: Vec<String>,
    thinking: String,
    images: Vec<Value>,
    calls: Vec<Value>,
}

impl Turn {
    fn add(&mut self, part: &Part, at: &impl Fn() -> String) -> Result<(), Uncarried> {
        match part {
            Part::Text(text) | Part::Refusal(text) => self.texts.push(text.clone()),
            Part::Image { source, .. } => self.images.push(picture::encode(source, at)?.into()),
            Part::Thinking { text, .. } => self.thinking.push_str(text),
            Part::ToolCall(call) => self.calls.push(line::call(call, self.calls.len())),
            // Only its maker can read it: no other model has any use for it.
            Part::RedactedThinking(_) => {}
            Part::ToolResult { .. } => return Err(Uncarried::new(at(), "a tool result cannot hold another one")),
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.thinking.is_empty() && self.images.is_empty() && self.calls.is_empty()
    }

    fn into_message(self, role: &str) -> Value {
        let mut message = Map::new();
        let mut set = |name: &str, value: Value| message.insert(name.to_owned(), value);
        set("role", role.into());
        set("content", self.texts.join("\n").into());
        if !self.thinking.is_empty() {
            set("thinking", self.thinking.into());
        }
        if !self.images.is_empty() {
            set("images", self.images.into());
        }
        if !self.calls.is_empty() {
            set("tool_calls", self.calls.into());
        }
        message.into()
    }
}

/// Writes `tools`. `strict` is left out: Ollama shows the schema to the model and checks nothing.
pub(super) fn tools(tools: &[Tool]) -> Vec<Value> {
    tools.iter().map(tool).collect()
}

fn tool(tool: &Tool) -> Value {
    let parameters = tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut function = json!({"name": tool.name, "parameters": parameters});
    if let Some(description) = &tool.description {
        function["description"] = description.as_str().into();
    }
    json!({"type": "function", "function": function})
}
