//! Writes the messages of a request.

use serde_json::{Map, Value, json};

use crate::chat::{Message, Part, Role};
use crate::malformed::Uncarried;
use crate::openai::assistant::Spoken;
use crate::openai::extra::put;
use crate::openai::image;
use crate::openai::server::Server;

/// Writes all messages.
///
/// A message that mixes tool results with other parts becomes several. Pictures inside tool results have no place there
/// in this dialect: they follow in a user message after the last result of the turn.
///
/// Earlier reasoning goes out as `reasoning_content` where it is read. All system messages become one at the beginning,
/// but not for OpenAI: of the templates of open models many refuse a second one, and others drop it in silence.
pub(super) fn encode(messages: &[Message], server: Server) -> Result<Vec<Value>, Uncarried> {
    let mut writer = Writer { server, ..Writer::default() };
    for (position, message) in messages.iter().enumerate() {
        writer.message(message, position)?;
    }
    writer.flush_pictures();
    Ok(writer.out)
}

#[derive(Default)]
struct Writer {
    server: Server,
    out: Vec<Value>,
    /// Parts of tool results that wait for the end of the results.
    pictures: Vec<Value>,
}

impl Writer {
    fn message(&mut self, message: &Message, position: usize) -> Result<(), Uncarried> {
        let at = format!("messages[{position}]");
        let is_result = |part: &&Part| matches!(part, Part::ToolResult { .. });
        for part in message.parts.iter().filter(is_result) {
            self.result(part, &at)?;
        }
        if message.role == Role::Tool
            || (!message.parts.is_empty() && message.parts.iter().all(|part| is_result(&part)))
        {
            return Ok(());
        }
        if message.role == Role::System && message.name.is_none() && self.server != Server::Openai {
            self.system(content(&message.parts, &at)?);
            return Ok(());
        }
        self.flush_pictures();
        let mut map = Map::new();
        let role = match message.role {
            Role::System => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        map.insert("role".to_owned(), role.into());
        put(&mut map, "name", message.name.clone());
        if message.role == Role::Assistant {
            assistant(&message.parts, self.server, &mut map, &at)?;
        } else {
            map.insert("content".to_owned(), content(&message.parts, &at)?);
        }
        self.push(Value::Object(map));
        Ok(())
    }

    fn push(&mut self, message: Value) {
        let is_answered = message["role"] != "user" || self.out.last().is_none_or(|last| last["role"] != "tool");
        if self.server == Server::Mistral && !is_answered {
            // Mistral refuses a user's message right behind tool results.
            self.out.push(json!({ "role": "assistant", "content": "OK." }));
        }
        self.out.push(message);
    }

    fn system(&mut self, added: Value) {
        let first = self.out.first_mut().filter(|first| first["role"] == "system");
        match (first.map(|first| &mut first["content"]), added) {
            (Some(Value::String(text)), Value::String(added)) => text.push_str(&format!("\n\n{added}")),
            (Some(_), added) => self.out.push(json!({ "role": "system", "content": added })),
            (None, added) => self.out.insert(0, json!({ "role": "system", "content": added })),
        }
    }

    fn result(&mut self, part: &Part, at: &str) -> Result<(), Uncarried> {
        let Part::ToolResult { call_id, content, is_error, .. } = part else { return Ok(()) };
        let mut text = String::new();
        let mut pictures = Vec::new();
        for part in content {
            match part {
                Part::Text(piece) | Part::Refusal(piece) => push_line(&mut text, piece),
                Part::Image { .. } => pictures.push(picture(part)),
                Part::ToolCall(_) | Part::ToolResult { .. } | Part::Thinking { .. } | Part::RedactedThinking(_) => {
                    return Err(Uncarried::new(format!("{at}.content"), "a tool result holds texts and pictures only"));
                }
            }
        }
        // This dialect has no mark for a failed call: the model must read it.
        if *is_error && !text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")) {
            text.insert_str(0, "Error: ");
        }
        if !pictures.is_empty() {
            push_line(&mut text, "(The pictures of this result follow in the next user message.)");
            self.pictures.push(json!({ "type": "text", "text": format!("Pictures of the tool result {call_id}:") }));
            self.pictures.append(&mut pictures);
        }
        self.out.push(json!({ "role": "tool", "tool_call_id": call_id, "content": text }));
        Ok(())
    }

    fn flush_pictures(&mut self) {
        if !self.pictures.is_empty() {
            let pictures = std::mem::take(&mut self.pictures);
            self.push(json!({ "role": "user", "content": pictures }));
        }
    }
}

/// Content of a system or user message: one string where it is text only, since many servers know no arrays there.
/// Several texts are joined by line feeds, as llama.cpp and vLLM do themselves.
fn content(parts: &[Part], at: &str) -> Result<Value, Uncarried> {
    let mut text = String::new();
    let mut items = Vec::new();
    let mut has_pictures = false;
    for part in parts {
        match part {
            Part::Text(piece) => {
                push_line(&mut text, piece);
                items.push(json!({ "type": "text", "text": piece }));
            }
            Part::Image { .. } => {
                has_pictures = true;
                items.push(picture(part));
            }
            Part::ToolResult { .. } => {}
            Part::ToolCall(_) | Part::Thinking { .. } | Part::RedactedThinking(_) | Part::Refusal(_) => {
                return Err(Uncarried::new(format!("{at}.content"), "only an assistant's message may hold this part"));
            }
        }
    }
    Ok(if has_pictures { items.into() } else { text.into() })
}

fn assistant(parts: &[Part], server: Server, map: &mut Map<String, Value>, at: &str) -> Result<(), Uncarried> {
    if parts.iter().any(|part| matches!(part, Part::Image { .. })) {
        return Err(Uncarried::new(
            format!("{at}.content"),
            "the OpenAI dialect has no pictures in an assistant's message",
        ));
    }
    let mut spoken = Spoken::of(parts);
    if server != Server::Openai {
        // Others do not read the member, and strict ones refuse it.
        spoken.texts.extend(spoken.refusal.take());
    }
    let texts = std::mem::take(&mut spoken.texts).join("\n");
    let has_content = !texts.is_empty() || (spoken.calls.is_empty() && spoken.refusal.is_none());
    map.insert("content".to_owned(), if has_content { texts.into() } else { Value::Null });
    put(map, "refusal", spoken.refusal.take());
    if !server.reads_reasoning() {
        spoken.thinking.clear();
        spoken.details.clear();
    }
    if server == Server::Gemini
        && let Some(first) = spoken.calls.first_mut()
    {
        first["extra_content"] = json!({ "google": { "thought_signature": GEMINI_UNSIGNED } });
    }
    spoken.write_rest(map, &["reasoning_content"]);
    Ok(())
}

/// Google's word for calls whose signature is not known: other dialects have no place for it, and Gemini refuses calls
/// without any.
const GEMINI_UNSIGNED: &str = "skip_thought_signature_validator";

fn picture(part: &Part) -> Value {
    let Part::Image { source, detail } = part else { return Value::Null };
    let mut inner = json!({ "url": image::url(source) });
    if let Some(detail) = detail {
        inner["detail"] = detail.as_str().into();
    }
    json!({ "type": "image_url", "image_url": inner })
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}
