//! `input`: text, or items that become messages.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::chat::{ImageSource, Message, Part, Role, ToolCall};
use crate::malformed::Malformed;
use crate::members::Members;

use super::reasoning;

/// Reads `input`. Items and contents that have no neutral form go to `extra` under their path.
pub(super) fn decode(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Vec<Message>, Malformed> {
    if let Some(Value::String(text)) = top.value("input") {
        return Ok(vec![Message { role: Role::User, parts: vec![Part::Text(text.clone())], name: None }]);
    }
    let mut reader = Reader { messages: Vec::new(), names: BTreeMap::new(), extra };
    if top.value("input").is_none() {
        return Err(top.missing("input"));
    }
    for item in top.objects("input")? {
        reader.item(&item)?;
    }
    if reader.messages.is_empty() && reader.extra.is_empty() {
        return Err(Malformed::new("input", "at least one item is required"));
    }
    Ok(reader.messages)
}

struct Reader<'a> {
    messages: Vec<Message>,
    /// Call id → function's name.
    names: BTreeMap<String, String>,
    extra: &'a mut Map<String, Value>,
}

impl Reader<'_> {
    fn item(&mut self, item: &Members<'_>) -> Result<(), Malformed> {
        match item.text("type")?.unwrap_or("message") {
            "message" => self.message(item),
            "function_call" => self.call(item),
            "function_call_output" => self.result(item),
            "reasoning" => self.reasoning(item),
            "item_reference" => Err(Malformed::new(
                item.path(),
                "Airlane does not keep responses yet: send the item itself instead of a reference to it",
            )),
            _ => {
                self.keep(item);
                Ok(())
            }
        }
    }

    fn message(&mut self, item: &Members<'_>) -> Result<(), Malformed> {
        let role = match item.need_text("role")? {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                let expected = "\"user\", \"assistant\", \"system\" or \"developer\" is expected";
                return Err(Malformed::new(item.at("role"), expected));
            }
        };
        let mut parts = self.contents(item, "content")?;
        if parts.is_empty() {
            parts.push(Part::Text(String::new()));
        }
        if role == Role::Assistant {
            self.assistant(parts);
        } else {
            self.messages.push(Message { role, parts, name: None });
        }
        Ok(())
    }

    fn call(&mut self, item: &Members<'_>) -> Result<(), Malformed> {
        let id = item.need_text("call_id")?.to_owned();
        let name = item.need_text("name")?.to_owned();
        let arguments = item.text("arguments")?.unwrap_or_default().to_owned();
        self.names.insert(id.clone(), name.clone());
        self.assistant(vec![Part::ToolCall(ToolCall { id, name, arguments })]);
        Ok(())
    }

    fn result(&mut self, item: &Members<'_>) -> Result<(), Malformed> {
        let call_id = item.need_text("call_id")?.to_owned();
        let content = self.contents(item, "output")?;
        let name = item.text("name")?.map(str::to_owned).or_else(|| self.names.get(&call_id).cloned());
        let result = Part::ToolResult { call_id, name, content, is_error: false };
        self.messages.push(Message { role: Role::Tool, parts: vec![result], name: None });
        Ok(())
    }

    fn reasoning(&mut self, item: &Members<'_>) -> Result<(), Malformed> {
        let mut text = texts(item, "content")?;
        if text.is_empty() {
            text = texts(item, "summary")?;
        }
        let parts = reasoning::parts(text, item.text("encrypted_content")?);
        if !parts.is_empty() {
            self.assistant(parts);
        }
        Ok(())
    }

    /// One answer of the model comes back as several items: the other dialects want them in one message.
    fn assistant(&mut self, parts: Vec<Part>) {
        match self.messages.last_mut() {
            Some(message) if message.role == Role::Assistant => message.parts.extend(parts),
            Some(_) | None => self.messages.push(Message { role: Role::Assistant, parts, name: None }),
        }
    }

    fn contents(&mut self, item: &Members<'_>, name: &str) -> Result<Vec<Part>, Malformed> {
        match item.value(name) {
            None => return Err(item.missing(name)),
            Some(Value::String(text)) => return Ok(vec![Part::Text(text.clone())]),
            Some(_) => {}
        }
        let mut parts = Vec::new();
        for content in item.objects(name)? {
            parts.extend(self.content(&content)?);
        }
        Ok(parts)
    }

    fn content(&mut self, content: &Members<'_>) -> Result<Option<Part>, Malformed> {
        match content.need_text("type")? {
            "input_text" | "output_text" | "text" => Ok(Some(Part::Text(content.need_text("text")?.to_owned()))),
            "refusal" => Ok(Some(Part::Refusal(content.need_text("refusal")?.to_owned()))),
            "input_image" if content.value("image_url").is_some() => Ok(Some(Part::Image {
                source: image(content.need_text("image_url")?),
                detail: content.text("detail")?.filter(|detail| *detail != "auto").map(str::to_owned),
            })),
            _ => {
                self.keep(content);
                Ok(None)
            }
        }
    }

    fn keep(&mut self, members: &Members<'_>) {
        let value = members.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        self.extra.insert(members.path().to_owned(), Value::Object(value));
    }
}

fn texts(item: &Members<'_>, name: &str) -> Result<String, Malformed> {
    let mut texts = Vec::new();
    for part in item.objects(name)? {
        texts.extend(part.text("text")?);
    }
    Ok(texts.join("\n\n"))
}

/// Bytes in the address itself (`data:image/png;base64,…`), or an address to fetch.
fn image(url: &str) -> ImageSource {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((media_type, data)) => {
            // Parameters like `;charset=…` say nothing about a picture.
            let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
            ImageSource::Base64 { media_type, data: data.to_owned() }
        }
        None => ImageSource::Url(url.to_owned()),
    }
}
