//! `POST /api/chat`, the request.

use serde_json::{Map, Value};

use crate::chat::{ChatRequest, Tool, ToolChoice};
use crate::json::Object;
use crate::malformed::{Malformed, Uncarried};
use crate::members::{self, Members};

use super::{options, read_messages, write_messages};

/// Reads a request. Members that would change the answer and have no neutral field go to `extra` under their path,
/// like `options.mirostat`.
///
/// # Errors
/// A member is missing or has a wrong type. An empty `messages` is one of them: ask
/// [`is_load_request`](super::is_load_request) first.
pub fn decode(object: &Object) -> Result<ChatRequest, Malformed> {
    let map = members::read_all(object)?;
    let top = Members::top(&map);
    let mut extra = unknown(&map, &["messages", "tools"]);
    Ok(ChatRequest {
        model: model(&top)?,
        messages: read_messages::decode(&top)?,
        tools: tools(&top, &mut extra)?,
        sampling: options::decode(&top, &mut extra)?,
        format: options::decode_format(&top)?,
        reasoning: options::decode_think(&top)?,
        stream: top.flag("stream")?.unwrap_or(true),
        extra,
        ..ChatRequest::default()
    })
}

/// Writes a request for an upstream that calls the model `model`. Ollama drops the oldest messages of a conversation that
/// is too long unless told otherwise; clients of other dialects know nothing of it and expect an error.
///
/// # Errors
/// The request holds something that would change the answer and that Ollama does not know.
pub fn encode(request: &ChatRequest, model: &str) -> Result<Vec<u8>, Uncarried> {
    options::refuse_extra(&request.extra)?;
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), write_messages::encode(&request.messages)?.into());
    let tools = offered(request)?;
    if !tools.is_empty() {
        body.insert("tools".to_owned(), write_messages::tools(tools).into());
    }
    if let Some(format) = options::encode_format(request.format.as_ref()) {
        body.insert("format".to_owned(), format);
    }
    if let Some(think) = options::encode_think(request.reasoning.as_ref())? {
        body.insert("think".to_owned(), think);
    }
    options::encode(&request.sampling, &mut body)?;
    body.insert("truncate".to_owned(), false.into());
    body.insert("stream".to_owned(), request.stream.into());
    Ok(Value::from(body).to_string().into_bytes())
}

/// The tools to offer: none where none may be called. Ollama always leaves the choice to the model.
fn offered(request: &ChatRequest) -> Result<&[Tool], Uncarried> {
    match &request.tool_choice {
        Some(ToolChoice::None) => return Ok(&[]),
        Some(ToolChoice::Required | ToolChoice::Named(_)) => {
            return Err(Uncarried::new("tool_choice", "Ollama cannot force a tool call"));
        }
        Some(ToolChoice::Auto) | None => {}
    }
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        return Err(Uncarried::new("parallel_tool_calls", "Ollama cannot keep a model to one call at a time"));
    }
    Ok(&request.tools)
}

/// The model's name: `model`, or `name` as old clients write it.
pub(super) fn model(top: &Members<'_>) -> Result<String, Malformed> {
    let name = match top.text("model")?.filter(|name| !name.is_empty()) {
        Some(name) => Some(name),
        None => top.text("name")?.filter(|name| !name.is_empty()),
    };
    name.map(str::to_owned).ok_or_else(|| top.missing("model"))
}

/// The members that neither `chat` nor `generate` nor `names` know. What only says how long to hold the model in
/// memory, and what to do when the prompt is too long, is harmless.
pub(super) fn unknown(map: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    const KNOWN: [&str; 11] = [
        "model",
        "name",
        "stream",
        "options",
        "format",
        "think",
        "logprobs",
        "top_logprobs",
        "keep_alive",
        "truncate",
        "shift",
    ];
    let unknown = map.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()) && !names.contains(&name.as_str()));
    unknown.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn tools(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for tool in top.objects("tools")? {
        if let Some(kind) = tool.text("type")?.filter(|kind| *kind != "function" && !kind.is_empty()) {
            extra.insert(tool.at("type"), kind.into());
            continue;
        }
        let function = tool.object("function")?.ok_or_else(|| tool.missing("function"))?;
        tools.push(Tool {
            name: function.need_text("name")?.to_owned(),
            description: function.text("description")?.map(str::to_owned),
            parameters: function.value("parameters").cloned(),
            strict: None,
        });
    }
    Ok(tools)
}

#[cfg(test)]
#[path = "chat_request_tests.rs"]
mod tests;
