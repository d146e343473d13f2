//! Reads the messages of a request.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::chat::{Message, Part, Role, ToolCall};
use crate::malformed::Malformed;
use crate::openai::assistant::{self, unwrap_quoted};
use crate::openai::extra::{leftovers, need_text, object, take, take_object, take_text};
use crate::openai::image;

/// Members of messages and parts that are marks for caches and clients.
const HARMLESS: [&str; 5] = ["cache_control", "id", "index", "timestamp", "type"];

/// Members of an assistant's message that would change the answer. What else is unknown there is an echo of what some
/// server once added to its reply.
const ASSISTANT_FORCING: [&str; 3] = ["audio", "prefix", "partial"];

/// Reads all messages; what has no neutral type goes to `extra` under its path.
pub(super) fn decode(messages: Vec<Value>, extra: &mut Map<String, Value>) -> Result<Vec<Message>, Malformed> {
    if messages.is_empty() {
        return Err(Malformed::new("messages", "at least one message is expected"));
    }
    let mut reader = Reader { extra, names: HashMap::new() };
    messages
        .into_iter()
        .enumerate()
        .map(|(position, message)| {
            let at = format!("messages[{position}]");
            reader.message(object(message, &at)?, &at, position)
        })
        .collect()
}

struct Reader<'e> {
    extra: &'e mut Map<String, Value>,
    /// Names of the functions by the ids of their calls.
    names: HashMap<String, String>,
}

impl Reader<'_> {
    fn message(&mut self, mut map: Map<String, Value>, at: &str, position: usize) -> Result<Message, Malformed> {
        let role = need_text(&mut map, "role", at)?;
        let name = take_text(&mut map, "name", at)?;
        match role.as_str() {
            "system" | "developer" => self.plain(Role::System, map, name, at),
            "user" => self.plain(Role::User, map, name, at),
            "assistant" => self.assistant(map, name, at, position),
            "tool" | "function" => self.tool(map, name, at),
            _ => Err(Malformed::new(
                format!("{at}.role"),
                "one of system, developer, user, assistant and tool is expected",
            )),
        }
    }

    fn plain(
        &mut self,
        role: Role,
        mut map: Map<String, Value>,
        name: Option<String>,
        at: &str,
    ) -> Result<Message, Malformed> {
        let place = format!("{at}.content");
        let content = take(&mut map, "content").ok_or_else(|| Malformed::new(&place, "this member is required"))?;
        let parts = self.content(content, &place)?;
        leftovers(map, at, &HARMLESS, self.extra);
        Ok(Message { role, parts, name })
    }

    fn assistant(
        &mut self,
        mut map: Map<String, Value>,
        name: Option<String>,
        at: &str,
        position: usize,
    ) -> Result<Message, Malformed> {
        let plain = match take_text(&mut map, "reasoning_content", at)? {
            Some(text) => Some(text),
            None => take_text(&mut map, "reasoning", at)?,
        };
        let details = take(&mut map, "reasoning_details").unwrap_or_default();
        let plain = plain.filter(|text| !text.is_empty());
        let mut parts: Vec<Part> = assistant::thoughts(plain, &details).into_iter().map(Part::from).collect();
        if let Some(content) = take(&mut map, "content") {
            let content = self.content(content, &format!("{at}.content"))?;
            parts.extend(content.into_iter().filter(|part| *part != Part::Text(String::new())));
        }
        parts.extend(take_text(&mut map, "refusal", at)?.filter(|text| !text.is_empty()).map(Part::Refusal));
        self.calls(&mut map, at, position, &mut parts)?;
        map.retain(|name, _| ASSISTANT_FORCING.contains(&name.as_str()));
        map.retain(|_, value| *value != Value::Bool(false));
        leftovers(map, at, &HARMLESS, self.extra);
        Ok(Message { role: Role::Assistant, parts, name })
    }

    fn calls(
        &mut self,
        map: &mut Map<String, Value>,
        at: &str,
        position: usize,
        parts: &mut Vec<Part>,
    ) -> Result<(), Malformed> {
        let calls = match take(map, "tool_calls") {
            None => Vec::new(),
            Some(Value::Array(calls)) => calls,
            Some(_) => return Err(Malformed::new(format!("{at}.tool_calls"), "an array is expected")),
        };
        for (index, call) in calls.into_iter().enumerate() {
            let at = format!("{at}.tool_calls[{index}]");
            let mut call = object(call, &at)?;
            let id = take_text(&mut call, "id", &at)?.filter(|id| !id.is_empty());
            let kind = take_text(&mut call, "type", &at)?.unwrap_or_else(|| "function".to_owned());
            if kind != "function" {
                self.extra.insert(format!("{at}.{kind}"), Value::Object(call));
                continue;
            }
            let function = take_object(&mut call, "function", &at)?
                .ok_or_else(|| Malformed::new(format!("{at}.function"), "this member is required"))?;
            let id = id.unwrap_or_else(|| format!("call_{position}_{index}"));
            parts.push(self.call(id, function, &format!("{at}.function"))?);
        }
        // The older form: one call without an id, answered by a message of role `function` with the same name.
        if let Some(function) = take_object(map, "function_call", at)? {
            parts.push(self.call(format!("call_{position}"), function, &format!("{at}.function_call"))?);
        }
        Ok(())
    }

    fn call(&mut self, id: String, mut function: Map<String, Value>, at: &str) -> Result<Part, Malformed> {
        let name = need_text(&mut function, "name", at)?;
        let arguments = match take(&mut function, "arguments") {
            None => String::new(),
            Some(Value::String(text)) => unwrap_quoted(text),
            Some(Value::Object(map)) => Value::Object(map).to_string(),
            Some(_) => return Err(Malformed::new(format!("{at}.arguments"), "JSON text is expected")),
        };
        self.names.insert(id.clone(), name.clone());
        // For results in the older form, which know their call by its name only.
        self.names.insert(older_key(&name), id.clone());
        Ok(Part::ToolCall(ToolCall { id, name, arguments }))
    }

    fn tool(&mut self, mut map: Map<String, Value>, name: Option<String>, at: &str) -> Result<Message, Malformed> {
        let call_id = match (take_text(&mut map, "tool_call_id", at)?, &name) {
            (Some(id), _) => id,
            (None, Some(name)) => self.names.get(&older_key(name)).cloned().unwrap_or_else(|| name.clone()),
            (None, None) => return Err(Malformed::new(format!("{at}.tool_call_id"), "this member is required")),
        };
        let content = match take(&mut map, "content") {
            None => Vec::new(),
            Some(content) => self.content(content, &format!("{at}.content"))?,
        };
        let name = name.or_else(|| self.names.get(&call_id).cloned());
        let harmless = [&HARMLESS[..], &["tool_name", "status"]].concat();
        leftovers(map, at, &harmless, self.extra);
        let result = Part::ToolResult { call_id, name, content, is_error: false };
        Ok(Message { role: Role::Tool, parts: vec![result], name: None })
    }

    fn content(&mut self, content: Value, at: &str) -> Result<Vec<Part>, Malformed> {
        match content {
            Value::String(text) => Ok(vec![Part::Text(text)]),
            Value::Array(items) => {
                let mut parts = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.part(item, &format!("{at}[{index}]"), &mut parts)?;
                }
                Ok(parts)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                Err(Malformed::new(at, "a string or an array of parts is expected"))
            }
        }
    }

    fn part(&mut self, item: Value, at: &str, parts: &mut Vec<Part>) -> Result<(), Malformed> {
        if let Value::String(text) = item {
            parts.push(Part::Text(text));
            return Ok(());
        }
        let mut map = object(item, at)?;
        let kind = need_text(&mut map, "type", at)?;
        match kind.as_str() {
            "text" => parts.push(Part::Text(need_text(&mut map, "text", at)?)),
            "refusal" => parts.push(Part::Refusal(need_text(&mut map, "refusal", at)?)),
            "image_url" => parts.push(picture(&mut map, at)?),
            "thinking" => parts.push(thinking(&mut map)),
            // Audio, files, videos: no other dialect of ours has the same thing.
            _ => {
                let value = take(&mut map, &kind).unwrap_or(Value::Null);
                self.extra.insert(format!("{at}.{kind}"), value);
                return Ok(());
            }
        }
        leftovers(map, at, &HARMLESS, self.extra);
        Ok(())
    }
}

/// Key of a function's latest call in [`Reader::names`]; no id holds a line feed.
fn older_key(name: &str) -> String {
    format!("\n{name}")
}

fn picture(map: &mut Map<String, Value>, at: &str) -> Result<Part, Malformed> {
    let at = format!("{at}.image_url");
    let (url, detail) = match take(map, "image_url") {
        Some(Value::String(url)) => (url, None),
        Some(Value::Object(mut inner)) => (need_text(&mut inner, "url", &at)?, take_text(&mut inner, "detail", &at)?),
        Some(_) => return Err(Malformed::new(at, "an object with a url is expected")),
        None => return Err(Malformed::new(at, "this member is required")),
    };
    let source = image::source(&url).map_err(|expected| Malformed::new(format!("{at}.url"), expected))?;
    Ok(Part::Image { source, detail })
}

/// Mistral's form of reasoning inside the content: a text, or an array of text parts.
fn thinking(map: &mut Map<String, Value>) -> Part {
    let text = match take(map, "thinking") {
        Some(Value::String(text)) => text,
        Some(Value::Array(pieces)) => pieces.iter().filter_map(|piece| piece.get("text")?.as_str()).collect(),
        Some(_) | None => String::new(),
    };
    map.shift_remove("closed");
    Part::Thinking { text, signature: None }
}
