//! Reads the system prompt and the messages of a request.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::chat::{ImageSource, Message, Part, Role, ToolCall};
use crate::malformed::Malformed;
use crate::members::Members;

/// Claude Code begins its system prompt with this line for Anthropic's billing. Its hash differs in each request, so
/// that in front of any other model it would only spoil the prompt cache.
const BILLING_LINE: &str = "x-anthropic-billing-header:";

/// The messages read so far.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    messages: Vec<Message>,
    extra: Map<String, Value>,
    /// Names of the functions called, by call id: Anthropic's results do not repeat them.
    names: HashMap<String, String>,
}

/// The list that a block stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    User,
    Assistant,
    System,
    ToolResult,
}

impl Conversation {
    /// The messages in order, and under their paths the blocks that no neutral part stands for.
    pub(super) fn finish(self) -> (Vec<Message>, Map<String, Value>) {
        (self.messages, self.extra)
    }

    /// Reads `system` into a first message.
    pub(super) fn system(&mut self, top: &Members<'_>) -> Result<(), Malformed> {
        let mut parts = self.content(top, "system", Place::System)?;
        parts.retain(|part| !matches!(part, Part::Text(text) if text.starts_with(BILLING_LINE) || text.is_empty()));
        if !parts.is_empty() {
            self.push(Role::System, parts);
        }
        Ok(())
    }

    /// Reads `messages`.
    pub(super) fn messages(&mut self, top: &Members<'_>) -> Result<(), Malformed> {
        let messages = top.objects("messages")?;
        if top.value("messages").is_none() {
            return Err(top.missing("messages"));
        }
        if messages.is_empty() {
            return Err(Malformed::new("messages", "at least one message is required"));
        }
        messages.iter().try_for_each(|message| self.message(message))
    }

    fn message(&mut self, message: &Members<'_>) -> Result<(), Malformed> {
        let (role, place) = match message.need_text("role")? {
            "user" => (Role::User, Place::User),
            "assistant" => (Role::Assistant, Place::Assistant),
            "system" => (Role::System, Place::System),
            _ => {
                return Err(Malformed::new(message.at("role"), "`user` or `assistant` is expected"));
            }
        };
        if message.value("content").is_none() {
            return Err(message.missing("content"));
        }
        let parts = self.content(message, "content", place)?;
        // Other dialects want the results right behind the calls, in messages of their own.
        let (results, rest): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| matches!(part, Part::ToolResult { .. }));
        let only_results = rest.is_empty() && !results.is_empty();
        if !results.is_empty() {
            self.push(Role::Tool, results);
        }
        if !only_results {
            self.push(role, rest);
        }
        Ok(())
    }

    fn push(&mut self, role: Role, parts: Vec<Part>) {
        self.messages.push(Message { role, parts, name: None });
    }

    /// Reads a member that is text or a list of blocks.
    fn content(&mut self, owner: &Members<'_>, name: &str, place: Place) -> Result<Vec<Part>, Malformed> {
        match owner.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![Part::Text(text.clone())]),
            Some(Value::Array(_)) => {
                let mut parts = Vec::new();
                for block in owner.objects(name)? {
                    parts.extend(self.block(&block, place)?);
                }
                Ok(parts)
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                Err(Malformed::new(owner.at(name), "text or a list of content blocks is expected"))
            }
        }
    }

    /// Reads one block; `None` when it went into `extra`.
    fn block(&mut self, block: &Members<'_>, place: Place) -> Result<Option<Part>, Malformed> {
        let kind = block.need_text("type")?;
        let (part, known) = match (kind, place) {
            ("text", _) => (Part::Text(block.need_text("text")?.to_owned()), ["text", "", ""]),
            ("image", Place::User | Place::ToolResult) => match self.image(block)? {
                Some(part) => (part, ["source", "", ""]),
                None => return Ok(None),
            },
            ("tool_use", Place::Assistant) => (self.tool_use(block)?, ["id", "name", "input"]),
            ("tool_result", Place::User) => (self.tool_result(block)?, ["tool_use_id", "content", "is_error"]),
            ("thinking", Place::Assistant) => (thinking(block)?, ["thinking", "signature", ""]),
            ("redacted_thinking", Place::Assistant) => {
                (Part::RedactedThinking(block.need_text("data")?.to_owned()), ["data", "", ""])
            }
            ("image" | "tool_use" | "tool_result" | "thinking" | "redacted_thinking", _) => {
                return Err(Malformed::new(block.path(), format!("a `{kind}` block has no place in this message")));
            }
            _ => {
                let value = block.iter().map(|(name, value)| (name, value.clone())).collect();
                self.extra.insert(block.path().to_owned(), value);
                return Ok(None);
            }
        };
        self.keep_rest(block, known);
        Ok(Some(part))
    }

    /// Keeps members of a block that this build does not know, so that they are refused by name.
    fn keep_rest(&mut self, block: &Members<'_>, known: [&str; 3]) {
        for (name, value) in block.iter() {
            let harmless = match name {
                "type" | "cache_control" => true,
                // Clients give back the blocks of an answer as they came.
                "citations" => value.as_array().is_some_and(Vec::is_empty),
                "caller" => value.get("type").is_some_and(|kind| kind == "direct"),
                _ => known.contains(&name),
            };
            if !harmless {
                self.extra.insert(block.at(name), value.clone());
            }
        }
    }

    fn image(&mut self, block: &Members<'_>) -> Result<Option<Part>, Malformed> {
        let source = block.object("source")?.ok_or_else(|| block.missing("source"))?;
        let source = match source.need_text("type")? {
            "base64" => ImageSource::Base64 {
                media_type: source.need_text("media_type")?.to_owned(),
                data: source.need_text("data")?.to_owned(),
            },
            "url" => ImageSource::Url(source.need_text("url")?.to_owned()),
            other => {
                self.extra.insert(source.at("type"), Value::from(other));
                return Ok(None);
            }
        };
        Ok(Some(Part::Image { source, detail: None }))
    }

    fn tool_use(&mut self, block: &Members<'_>) -> Result<Part, Malformed> {
        let id = block.need_text("id")?.to_owned();
        let name = block.need_text("name")?.to_owned();
        block.object("input")?;
        let arguments = block.value("input").map_or_else(|| "{}".to_owned(), Value::to_string);
        self.names.insert(id.clone(), name.clone());
        Ok(Part::ToolCall(ToolCall { id, name, arguments }))
    }

    fn tool_result(&mut self, block: &Members<'_>) -> Result<Part, Malformed> {
        let call_id = block.need_text("tool_use_id")?.to_owned();
        let name = self.names.get(&call_id).cloned();
        let content = self.content(block, "content", Place::ToolResult)?;
        let is_error = block.flag("is_error")?.unwrap_or(false);
        Ok(Part::ToolResult { call_id, name, content, is_error })
    }
}

fn thinking(block: &Members<'_>) -> Result<Part, Malformed> {
    // An empty signature is what Airlane itself writes for reasoning that has none.
    let signature = block.text("signature")?.filter(|signature| !signature.is_empty());
    Ok(Part::Thinking { text: block.need_text("thinking")?.to_owned(), signature: signature.map(str::to_owned) })
}
