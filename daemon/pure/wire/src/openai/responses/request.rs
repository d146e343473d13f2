//! The request.

use serde_json::{Map, Value};

use crate::chat::{ChatRequest, Format, Message, Part, Reasoning, Role, Sampling, Tool, ToolChoice};
use crate::json::Object;
use crate::malformed::Malformed;
use crate::members::{self, Members};

use super::input;

/// Members that are read below.
const READ: [&str; 21] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "include",
    "truncation",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "top_logprobs",
    "stream",
    "user",
];

/// Members that do not change the answer. `max_tool_calls` counts tools that run on OpenAI's servers only.
const HARMLESS: [&str; 13] = [
    "store",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "stream_options",
    "max_tool_calls",
    "background",
    "background_options",
    "client_metadata",
    "access_programs",
];

/// Reads a request. Members that would change the answer and have no neutral field go to `extra` under their path,
/// like `tools[0].type`.
///
/// # Errors
/// A member is missing or has a wrong type, or the request builds on a response that Airlane would have to keep.
pub fn decode(object: &Object) -> Result<ChatRequest, Malformed> {
    let map = members::read_all(object)?;
    let top = Members::top(&map);
    refuse_state(&top)?;
    let mut extra = unknown(&map);
    let mut messages = instructions(&top)?;
    messages.extend(input::decode(&top, &mut extra)?);
    Ok(ChatRequest {
        model: top.need_text("model")?.to_owned(),
        messages,
        tools: tools(&top, &mut extra)?,
        tool_choice: tool_choice(&top, &mut extra)?,
        parallel_tool_calls: top.flag("parallel_tool_calls")?,
        sampling: sampling(&top, &mut extra)?,
        format: format(&top, &mut extra)?,
        reasoning: reasoning(&top, &mut extra)?,
        stream: top.flag("stream")?.unwrap_or(false),
        user: top.text("user")?.map(str::to_owned),
        extra,
    })
}

/// What would need a memory of earlier responses, or of anything else.
fn refuse_state(top: &Members<'_>) -> Result<(), Malformed> {
    for name in ["previous_response_id", "conversation"] {
        if top.value(name).is_some() {
            let sentence = "Airlane does not keep responses yet: send the whole conversation in `input`";
            return Err(Malformed::new(name, sentence));
        }
    }
    if top.flag("background")? == Some(true) {
        let sentence = "Airlane does not keep responses yet: ask without `background` and wait for the answer";
        return Err(Malformed::new("background", sentence));
    }
    if top.value("prompt").is_some() {
        let sentence = "Airlane keeps no prompt templates: send the text in `instructions` and `input`";
        return Err(Malformed::new("prompt", sentence));
    }
    match top.text("truncation")? {
        None | Some("disabled") => Ok(()),
        Some(_) => {
            let sentence = "Airlane does not cut conversations: leave this out, or send \"disabled\"";
            Err(Malformed::new("truncation", sentence))
        }
    }
}

fn unknown(map: &Map<String, Value>) -> Map<String, Value> {
    let mut extra = Map::new();
    for (name, value) in map {
        let read = READ.contains(&name.as_str()) || HARMLESS.contains(&name.as_str());
        if name == "context_management" && value.as_array().is_none_or(|list| !list.is_empty()) {
            // Under a path, because chat completions servers would ignore the bare name in silence.
            extra.insert("context_management[0]".to_owned(), value.clone());
        } else if !read && name != "context_management" {
            extra.insert(name.clone(), value.clone());
        }
    }
    extra
}

fn instructions(top: &Members<'_>) -> Result<Vec<Message>, Malformed> {
    let text = top.text("instructions")?.filter(|text| !text.is_empty());
    let message = |text: &str| Message { role: Role::System, parts: vec![Part::Text(text.to_owned())], name: None };
    Ok(text.map(message).into_iter().collect())
}

fn tools(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for tool in top.objects("tools")? {
        let kind = tool.need_text("type")?;
        if kind != "function" {
            extra.insert(tool.at("type"), kind.into());
            continue;
        }
        tools.push(Tool {
            name: tool.need_text("name")?.to_owned(),
            description: tool.text("description")?.map(str::to_owned),
            parameters: tool.value("parameters").cloned(),
            strict: tool.flag("strict")?,
        });
    }
    Ok(tools)
}

fn tool_choice(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Option<ToolChoice>, Malformed> {
    match top.value("tool_choice") {
        None => return Ok(None),
        Some(Value::String(word)) => {
            return match word.as_str() {
                "auto" => Ok(Some(ToolChoice::Auto)),
                "none" => Ok(Some(ToolChoice::None)),
                "required" => Ok(Some(ToolChoice::Required)),
                _ => Err(Malformed::new("tool_choice", "\"auto\", \"none\", \"required\" or a function is expected")),
            };
        }
        Some(_) => {}
    }
    let Some(choice) = top.object("tool_choice")? else { return Ok(None) };
    match choice.need_text("type")? {
        "function" => Ok(Some(ToolChoice::Named(choice.need_text("name")?.to_owned()))),
        kind => {
            extra.insert(choice.at("type"), kind.into());
            Ok(None)
        }
    }
}

fn sampling(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Sampling, Malformed> {
    let top_logprobs = top.count("top_logprobs")?.filter(|count| *count > 0);
    let mut logprobs = top_logprobs.is_some();
    for (position, name) in top.texts("include")?.into_iter().enumerate() {
        match name {
            "message.output_text.logprobs" => logprobs = true,
            // Details of items that no answer holds here, or that are told anyway.
            "reasoning.encrypted_content"
            | "message.input_image.image_url"
            | "file_search_call.results"
            | "web_search_call.results"
            | "web_search_call.action.sources"
            | "code_interpreter_call.outputs"
            | "computer_call_output.output.image_url" => {}
            _ => {
                extra.insert(format!("include[{position}]"), name.into());
            }
        }
    }
    Ok(Sampling {
        max_tokens: top.count("max_output_tokens")?,
        temperature: top.number("temperature")?,
        top_p: top.number("top_p")?,
        top_k: top.whole("top_k")?,
        min_p: top.number("min_p")?,
        seed: top.whole("seed")?,
        frequency_penalty: top.number("frequency_penalty")?,
        presence_penalty: top.number("presence_penalty")?,
        logprobs: logprobs.then_some(true),
        top_logprobs,
        ..Sampling::default()
    })
}

fn format(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Option<Format>, Malformed> {
    let Some(text) = top.object("text")? else { return Ok(None) };
    match text.text("verbosity")? {
        None | Some("medium") => {}
        // Chat completions have the same member at the top.
        Some(verbosity) => {
            extra.insert("verbosity".to_owned(), verbosity.into());
        }
    }
    let Some(format) = text.object("format")? else { return Ok(None) };
    match format.need_text("type")? {
        "text" => Ok(Some(Format::Text)),
        "json_object" => Ok(Some(Format::JsonObject)),
        "json_schema" => Ok(Some(Format::JsonSchema {
            name: format.text("name")?.map(str::to_owned),
            schema: format.value("schema").cloned().ok_or_else(|| format.missing("schema"))?,
            strict: format.flag("strict")?,
        })),
        kind => {
            extra.insert(format.at("type"), kind.into());
            Ok(None)
        }
    }
}

fn reasoning(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Option<Reasoning>, Malformed> {
    let Some(reasoning) = top.object("reasoning")? else { return Ok(None) };
    for (name, value) in reasoning.iter() {
        if !matches!(name, "effort" | "summary" | "generate_summary") {
            extra.insert(reasoning.at(name), value.clone());
        }
    }
    let effort = reasoning.text("effort")?.map(str::to_owned);
    let enabled = (effort.as_deref() == Some("none")).then_some(false);
    Ok(effort.map(|effort| Reasoning { enabled, effort: Some(effort), budget_tokens: None }))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
