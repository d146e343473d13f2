//! What policies look at in a request, and what they put into it.

use std::sync::Arc;

use domain::policy::Traits;
use domain::surface::{Dialect, Surface};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Ask;
use crate::json::{Object, elements};

/// Stands between what a policy says and what the client says.
const BETWEEN: &str = "\n\n";

/// Bytes of text that make a token.
const BYTES_PER_TOKEN: u64 = 4;

impl Ask {
    /// What the request is like.
    #[must_use]
    pub fn traits(&self) -> Traits {
        let needs = self.wish.needs;
        let says = |name: &str| self.object.raw(name).is_some_and(|raw| !matches!(raw, "null" | "[]" | "false"));
        Traits {
            tokens: self.wish.prompt_tokens,
            output_tokens_max: self.wish.output_tokens_max.unwrap_or(0),
            stream: self.stream,
            tools: needs.tools || says("tools") || says("functions") || says("web_search_options"),
            images: needs.vision,
            json_schema: needs.json_schema || wants_schema(&self.object),
            reasoning: wants_reasoning(&self.object),
            dialect: match self.near.dialect() {
                Dialect::Openai => "openai",
                Dialect::Anthropic => "anthropic",
                Dialect::Ollama => "ollama",
            },
        }
    }

    /// Tells the model this before all that the client says. Raw texts that are to be continued, and texts for vectors, have no
    /// place for it and stay as they are.
    pub fn tell_first(&mut self, text: &str) {
        let is_told = match self.near {
            Surface::OpenaiChat | Surface::OllamaChat if self.load().is_none() => tell_messages(&mut self.object, text),
            Surface::AnthropicMessages | Surface::AnthropicCountTokens => tell_member(&mut self.object, "system", text),
            Surface::OllamaGenerate if self.load().is_none() => tell_member(&mut self.object, "system", text),
            Surface::OpenaiResponses => tell_member(&mut self.object, "instructions", text),
            Surface::OpenaiChat
            | Surface::OllamaChat
            | Surface::OllamaGenerate
            | Surface::OpenaiCompletions
            | Surface::OllamaGenerateRaw
            | Surface::OpenaiEmbeddings
            | Surface::OllamaEmbed
            | Surface::OllamaEmbeddings => false,
        };
        if is_told {
            Arc::make_mut(&mut self.wish).prompt_tokens += (text.len() as u64).div_ceil(BYTES_PER_TOKEN);
        }
    }
}

/// Ollama's `format`, the Responses surface's `text.format` and Anthropic's `output_config.format`.
fn wants_schema(object: &Object) -> bool {
    let has = |name: &str| object.raw(name).is_some_and(|raw| raw.contains("json_schema"));
    object.raw("format").is_some_and(|raw| raw.starts_with('{'))
        || has("text")
        || has("output_config")
        || has("output_format")
}

/// What the dialects call thinking; a member that says "none" does not want it.
fn wants_reasoning(object: &Object) -> bool {
    const NAMES: [&str; 5] = ["reasoning_effort", "reasoning", "thinking", "think", "chat_template_kwargs"];
    let value = |name: &str| object.get::<Value>(name).ok().flatten();
    NAMES.into_iter().any(|name| value(name).is_some_and(|value| is_wanted(name, &value)))
}

fn is_wanted(name: &str, value: &Value) -> bool {
    let is_off = |word: &str| matches!(word, "none" | "disabled" | "false" | "");
    match value {
        Value::Bool(wanted) => *wanted,
        Value::String(word) => !is_off(word),
        Value::Object(members) if name == "chat_template_kwargs" => {
            ["enable_thinking", "thinking"].iter().any(|name| members.get(*name) == Some(&Value::Bool(true)))
        }
        Value::Object(members) => {
            let said = ["type", "effort", "enabled"].iter().filter_map(|name| members.get(*name));
            !said.clone().any(|value| !is_wanted("", value)) && !members.is_empty()
        }
        Value::Null => false,
        Value::Number(_) | Value::Array(_) => true,
    }
}

/// The first message is the system's; where it is not, there is a new one.
fn tell_messages(object: &mut Object, text: &str) -> bool {
    let Some(messages) = object.raw("messages") else { return false };
    let mut all: Vec<Box<RawValue>> =
        elements(messages).filter_map(|message| RawValue::from_string(message.to_owned()).ok()).collect();
    let first: Option<Map<String, Value>> = all.first().and_then(|first| serde_json::from_str(first.get()).ok());
    let is_system =
        |map: &Map<String, Value>| matches!(map.get("role").and_then(Value::as_str), Some("system" | "developer"));
    let told = match first.filter(is_system) {
        Some(mut map) => {
            let before = map.get("content").cloned().unwrap_or(Value::Null);
            map.insert("content".to_owned(), joined(text, before));
            all.remove(0);
            Value::Object(map)
        }
        None => json!({ "role": "system", "content": text }),
    };
    let Ok(told) = serde_json::value::to_raw_value(&told) else { return false };
    all.insert(0, told);
    object.set("messages", &all);
    true
}

fn tell_member(object: &mut Object, name: &str, text: &str) -> bool {
    let before = object.get::<Value>(name).ok().flatten().unwrap_or(Value::Null);
    object.set(name, &joined(text, before));
    true
}

/// The text before what stood there: a text, or a list of parts.
fn joined(text: &str, before: Value) -> Value {
    match before {
        Value::String(before) if before.is_empty() => text.into(),
        Value::String(before) => format!("{text}{BETWEEN}{before}").into(),
        Value::Array(mut parts) => {
            parts.insert(0, json!({ "type": "text", "text": text }));
            parts.into()
        }
        Value::Null => text.into(),
        // Nothing of this kind is a text of a system: whoever reads it refuses it.
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn ask(near: Surface, body: &str) -> Ask {
        Ask::read(near, &Bytes::copy_from_slice(body.as_bytes())).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn what_is_asked_for_besides_text() {
        let chat = |more: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
        for (near, body, tools, schema, reasoning) in [
            (Surface::OpenaiChat, chat(""), false, false, false),
            (Surface::OpenaiChat, chat(r#","tools":[]"#), false, false, false),
            (Surface::OpenaiChat, chat(r#","tools":[{"type":"function"}]"#), true, false, false),
            (Surface::OpenaiChat, chat(r#","functions":[{"name":"f"}]"#), true, false, false),
            (Surface::OpenaiChat, chat(r#","response_format":{"type":"json_schema"}"#), false, true, false),
            (Surface::OllamaChat, chat(r#","format":{"type":"object"}"#), false, true, false),
            (Surface::OllamaChat, chat(r#","format":"json","think":true"#), false, false, true),
            (Surface::OllamaChat, chat(r#","think":false"#), false, false, false),
            (Surface::OllamaChat, chat(r#","think":"low""#), false, false, true),
            (Surface::OpenaiChat, chat(r#","reasoning_effort":"none""#), false, false, false),
            (Surface::OpenaiChat, chat(r#","reasoning":{"effort":"low"}"#), false, false, true),
            (Surface::OpenaiChat, chat(r#","reasoning":{"enabled":false}"#), false, false, false),
            (Surface::OpenaiChat, chat(r#","chat_template_kwargs":{"enable_thinking":true}"#), false, false, true),
            (
                Surface::AnthropicMessages,
                chat(r#","max_tokens":9,"thinking":{"type":"enabled","budget_tokens":1024}"#),
                false,
                false,
                true,
            ),
            (
                Surface::AnthropicMessages,
                chat(r#","max_tokens":9,"thinking":{"type":"disabled"}"#),
                false,
                false,
                false,
            ),
        ] {
            let traits = ask(near, &body).traits();
            assert_eq!((traits.tools, traits.json_schema, traits.reasoning), (tools, schema, reasoning), "{body}");
        }
        let picture = r#"{"model":"m","prompt":"x","images":["aGk="]}"#;
        assert!(ask(Surface::OllamaGenerate, picture).traits().images);
    }

    #[test]
    fn the_model_is_told_first_in_every_dialect() {
        for (near, body, want) in [
            (
                Surface::OpenaiChat,
                r#"{"model":"m","messages":[{"role":"user", "content":"x"}],"n":1.0}"#,
                r#"{"model":"m","messages":[{"role":"system","content":"Be kind."},{"role":"user", "content":"x"}],"n":1.0}"#,
            ),
            (
                Surface::OpenaiChat,
                r#"{"model":"m","messages":[{"role":"developer","content":"Go."},{"role":"user","content":"x"}]}"#,
                r#"{"model":"m","messages":[{"role":"developer","content":"Be kind.\n\nGo."},{"role":"user","content":"x"}]}"#,
            ),
            (
                Surface::OllamaChat,
                r#"{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"Go."}]}]}"#,
                r#"{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"Be kind."},{"type":"text","text":"Go."}]}]}"#,
            ),
            (
                Surface::AnthropicMessages,
                r#"{"model":"m","max_tokens":9,"system":"Go.","messages":[{"role":"user","content":"x"}]}"#,
                r#"{"model":"m","max_tokens":9,"system":"Be kind.\n\nGo.","messages":[{"role":"user","content":"x"}]}"#,
            ),
            (
                Surface::OpenaiResponses,
                r#"{"model":"m","input":"x"}"#,
                r#"{"model":"m","input":"x","instructions":"Be kind."}"#,
            ),
            (
                Surface::OllamaGenerate,
                r#"{"model":"m","prompt":"x","system":""}"#,
                r#"{"model":"m","prompt":"x","system":"Be kind."}"#,
            ),
            (Surface::OllamaChat, r#"{"model":"m","messages":[]}"#, r#"{"model":"m","messages":[]}"#),
            (Surface::OpenaiCompletions, r#"{"model":"m","prompt":"x"}"#, r#"{"model":"m","prompt":"x"}"#),
            (Surface::OpenaiEmbeddings, r#"{"model":"m","input":"x"}"#, r#"{"model":"m","input":"x"}"#),
        ] {
            let mut ask = ask(near, body);
            let before = ask.wish.prompt_tokens;
            ask.tell_first("Be kind.");
            assert_eq!(ask.object.to_bytes(), want, "{near:?}");
            assert_eq!(ask.wish.prompt_tokens - before, if body == want { 0 } else { 2 }, "{near:?}");
        }
    }
}
