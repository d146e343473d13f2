//! `POST /v1/chat/completions`, the request.

mod messages_in;
mod messages_out;
#[cfg(test)]
mod tests;
mod tools;

use serde_json::{Map, Value, json};

use super::server::Server;
use super::{extra, reasoning, sampling};
use crate::chat::{ChatRequest, Format};
use crate::json::Object;
use crate::malformed::{Malformed, Uncarried};

/// Members that [`decode`] reads, besides those of `sampling` and `reasoning`.
const MEMBERS: [&str; 14] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "logprobs",
    "top_logprobs",
    "response_format",
    "stream",
    "user",
    "modalities",
    "audio",
];

/// Longest name of an end user that every cloud accepts; Claude Code's is longer, and changes no answer.
const USER_CHARS_MAX: usize = 64;

/// Reads a client's request. Content that no neutral type can hold goes to `extra` under its path.
///
/// # Errors
/// A required member is missing or a member has a wrong type; the path is given.
pub fn decode(object: &Object) -> Result<ChatRequest, Malformed> {
    let known = [&MEMBERS[..], &sampling::MEMBERS, &reasoning::MEMBERS].concat();
    let mut extra = extra::collect(object, &known)?;
    note_audio(object, &mut extra)?;
    let model = object.need("model")?;
    let messages = messages_in::decode(object.need("messages")?, &mut extra)?;
    let tools = tools::decode(object, &mut extra)?;
    let tool_choice = tools::decode_choice(object, &mut extra)?;
    let mut sampling = sampling::decode(object)?;
    sampling.logprobs = object.get("logprobs")?;
    sampling.top_logprobs = object.get("top_logprobs")?;
    let reasoning = reasoning::decode(object, &mut extra)?;
    let format = format(object, &mut extra)?;
    Ok(ChatRequest {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: object.get("parallel_tool_calls")?,
        sampling,
        format,
        reasoning,
        stream: object.get("stream")?.unwrap_or(false),
        user: object.get("user")?,
        extra,
    })
}

/// A spoken answer is asked for with `modalities`; `audio` alone only chooses the voice.
fn note_audio(object: &Object, extra: &mut Map<String, Value>) -> Result<(), Malformed> {
    let modalities: Vec<String> = object.get("modalities")?.unwrap_or_default();
    if let Some((position, word)) = modalities.into_iter().enumerate().find(|(_, word)| word != "text") {
        extra.insert(format!("modalities[{position}]"), word.into());
    }
    Ok(())
}

fn format(object: &Object, extra: &mut Map<String, Value>) -> Result<Option<Format>, Malformed> {
    let at = "response_format";
    let Some(mut map) = object.get::<Map<String, Value>>(at)? else { return Ok(None) };
    let kind = extra::need_text(&mut map, "type", at)?;
    match kind.as_str() {
        "text" => Ok(Some(Format::Text)),
        // llama.cpp takes a schema here too.
        "json_object" => Ok(Some(match extra::take(&mut map, "schema") {
            Some(schema) => Format::JsonSchema { name: None, schema, strict: None },
            None => Format::JsonObject,
        })),
        "json_schema" => {
            let at = "response_format.json_schema";
            let mut form = extra::take_object(&mut map, "json_schema", "response_format")?
                .ok_or_else(|| Malformed::new(at, "this member is required"))?;
            let mut schema = extra::take(&mut form, "schema")
                .ok_or_else(|| Malformed::new(format!("{at}.schema"), "this member is required"))?;
            let description = extra::take_text(&mut form, "description", at)?;
            if let (Some(text), Some(schema)) = (description, schema.as_object_mut()) {
                schema.entry("description").or_insert(Value::String(text));
            }
            let strict = extra::take(&mut form, "strict")
                .map(|value| {
                    value.as_bool().ok_or_else(|| Malformed::new(format!("{at}.strict"), "a boolean is expected"))
                })
                .transpose()?;
            Ok(Some(Format::JsonSchema { name: extra::take_text(&mut form, "name", at)?, schema, strict }))
        }
        _ => {
            extra.insert("response_format.type".to_owned(), kind.into());
            Ok(None)
        }
    }
}

/// Writes the request for an upstream that calls the model `model`.
///
/// The length limit goes out as `max_completion_tokens` to OpenAI and as `max_tokens` to all others: OpenAI's reasoning
/// models refuse the older name, and many local servers know only that one. A stream asks for its usage wherever that
/// is not refused.
///
/// # Errors
/// The request holds something that this dialect has no place for.
pub fn encode(request: &ChatRequest, model: &str, server: Server) -> Result<Vec<u8>, Uncarried> {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), messages_out::encode(&request.messages, server)?.into());
    tools::encode(request, &mut body);
    let limit_name = match server {
        Server::Openai => "max_completion_tokens",
        Server::Mistral | Server::Strict | Server::Gemini | Server::Cloud | Server::Local => "max_tokens",
    };
    extra::put(&mut body, limit_name, request.sampling.max_tokens);
    sampling::encode(&request.sampling, &mut body);
    extra::put(&mut body, "logprobs", request.sampling.logprobs);
    extra::put(&mut body, "top_logprobs", request.sampling.top_logprobs);
    extra::put(&mut body, "response_format", request.format.as_ref().map(format_value));
    if let Some(wish) = &request.reasoning {
        reasoning::encode(wish, server, &mut body);
    }
    if request.stream {
        body.insert("stream".to_owned(), true.into());
        if server.takes_stream_options() {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
    }
    if server == Server::Mistral {
        let seed = extra::take(&mut body, "seed");
        extra::put(&mut body, "random_seed", seed);
    }
    if server.takes_user() {
        let user = request.user.clone().filter(|user| user.chars().count() <= USER_CHARS_MAX);
        extra::put(&mut body, "user", user);
    }
    extra::forward(&request.extra, &mut body)?;
    Ok(Value::Object(body).to_string().into_bytes())
}

fn format_value(format: &Format) -> Value {
    match format {
        Format::Text => json!({ "type": "text" }),
        Format::JsonObject => json!({ "type": "json_object" }),
        Format::JsonSchema { name, schema, strict } => {
            let mut form = json!({ "name": name.as_deref().unwrap_or("answer"), "schema": schema });
            if let Some(strict) = strict {
                form["strict"] = (*strict).into();
            }
            json!({ "type": "json_schema", "json_schema": form })
        }
    }
}
