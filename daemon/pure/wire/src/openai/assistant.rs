//! The assistant's message, which stands in requests, in replies and, piece by piece, in streams.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::loose::Loose;
use crate::chat::{Part, ToolCall};

/// `format` of signed reasoning that Anthropic's models made; only theirs can be given back to them.
const SIGNED_FORMAT: &str = "anthropic-claude-v1";

/// `message` of a whole reply or `delta` of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMessage {
    content: Loose,
    reasoning_content: Loose,
    reasoning: Loose,
    reasoning_details: Loose,
    refusal: Loose,
    tool_calls: Option<Vec<RawCall>>,
    /// The older form of a single tool call.
    function_call: Option<RawFunction>,
}

/// A tool call, or a piece of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCall {
    /// Position in a stream; some servers leave it out.
    pub(super) index: Option<u32>,
    pub(super) id: Loose,
    pub(super) function: Option<RawFunction>,
}

/// Name and arguments of a tool call, or pieces of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawFunction {
    pub(super) name: Loose,
    pub(super) arguments: Loose,
}

/// Reasoning, readable or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thought {
    /// Readable.
    Text { text: String, signature: Option<String> },
    /// Encrypted.
    Redacted(String),
}

/// What a message or delta says, by kind.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The reasoning stood in a plain member, not only in `reasoning_details`.
    pub(super) has_plain_reasoning: bool,
    pub(super) thoughts: Vec<Thought>,
    pub(super) text: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) calls: Vec<RawCall>,
}

impl RawMessage {
    /// Sorts the message by kind; empty texts are left out.
    pub(super) fn said(self) -> Said {
        let (thinking, text) = match self.content {
            Loose::Nothing => (None, None),
            Loose::Text(text) => (None, Some(text)),
            Loose::Other(content) => content_texts(&content),
        };
        let plain = self.reasoning_content.into_text().or_else(|| self.reasoning.into_text()).or(thinking);
        let details = match self.reasoning_details {
            Loose::Other(details) => details,
            Loose::Nothing | Loose::Text(_) => Value::Null,
        };
        let mut calls = self.tool_calls.unwrap_or_default();
        if let Some(function) = self.function_call.filter(|_| calls.is_empty()) {
            calls.push(RawCall { index: Some(0), id: Loose::Nothing, function: Some(function) });
        }
        Said {
            has_plain_reasoning: plain.is_some(),
            thoughts: thoughts(plain, &details),
            text: text.filter(|text| !text.is_empty()),
            refusal: self.refusal.into_text(),
            calls,
        }
    }
}

/// Reasoning and text of a content array (Mistral): `text` parts, and `thinking` parts with texts inside.
fn content_texts(content: &Value) -> (Option<String>, Option<String>) {
    let mut thinking = String::new();
    let mut text = String::new();
    for part in content.as_array().into_iter().flatten() {
        if let Some(piece) = part.get("text").and_then(Value::as_str).or_else(|| part.as_str()) {
            text.push_str(piece);
        }
        match part.get("thinking") {
            Some(Value::String(piece)) => thinking.push_str(piece),
            Some(Value::Array(pieces)) => {
                pieces
                    .iter()
                    .filter_map(|piece| piece.get("text")?.as_str())
                    .for_each(|piece| thinking.push_str(piece));
            }
            Some(_) | None => {}
        }
    }
    (Some(thinking).filter(|text| !text.is_empty()), Some(text))
}

/// Reasoning from its plain text and from OpenRouter's `reasoning_details`, which repeat the text and hold signatures.
pub(super) fn thoughts(plain: Option<String>, details: &Value) -> Vec<Thought> {
    let mut thoughts: Vec<Thought> = Vec::new();
    let mut last_index = None;
    for detail in details.as_array().into_iter().flatten() {
        let member = |name: &str| detail.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Signatures of other makers would be refused by the model that gets them back.
        let signed = member("format").is_none_or(|format| format.starts_with("anthropic"));
        if let Some(data) = member("data") {
            if signed {
                thoughts.push(Thought::Redacted(data.to_owned()));
            }
            continue;
        }
        let piece = member("text").or_else(|| member("summary")).unwrap_or_default();
        let seal = member("signature").filter(|_| signed).map(str::to_owned);
        let index = detail.get("index").and_then(Value::as_u64);
        match thoughts.last_mut() {
            // Clients that collect a stream keep its pieces apart.
            Some(Thought::Text { text, signature: signature @ None }) if index == last_index => {
                text.push_str(piece);
                *signature = seal;
            }
            Some(_) | None => thoughts.push(Thought::Text { text: piece.to_owned(), signature: seal }),
        }
        last_index = index;
    }
    let has_text = thoughts.iter().any(|thought| matches!(thought, Thought::Text { text, .. } if !text.is_empty()));
    if let Some(plain) = plain.filter(|_| !has_text) {
        match thoughts.iter_mut().find_map(|thought| match thought {
            Thought::Text { text, .. } => Some(text),
            Thought::Redacted(_) => None,
        }) {
            Some(text) => *text = plain,
            None => thoughts.insert(0, Thought::Text { text: plain, signature: None }),
        }
    }
    thoughts.retain(|thought| !matches!(thought, Thought::Text { text, signature: None } if text.is_empty()));
    thoughts
}

impl From<Thought> for Part {
    fn from(thought: Thought) -> Self {
        match thought {
            Thought::Text { text, signature } => Self::Thinking { text, signature },
            Thought::Redacted(data) => Self::RedactedThinking(data),
        }
    }
}

/// Arguments as JSON text: servers also send an object, or JSON text inside JSON text (vLLM's forced calls).
pub(super) fn arguments(value: Loose) -> String {
    match value {
        Loose::Nothing => String::new(),
        Loose::Text(text) => unwrap_quoted(text),
        Loose::Other(value) => value.to_string(),
    }
}

/// Takes the inner text out of a JSON string that holds JSON; any other text stays as it is.
pub(super) fn unwrap_quoted(text: String) -> String {
    if !text.trim_start().starts_with('"') {
        return text;
    }
    match serde_json::from_str::<String>(&text) {
        Ok(inner) if inner.trim_start().starts_with('{') => inner,
        Ok(_) | Err(_) => text,
    }
}

/// An assistant's parts by kind, for writing.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    /// Texts, one a part.
    pub(super) texts: Vec<String>,
    /// All reasoning text.
    pub(super) thinking: String,
    /// OpenRouter's `reasoning_details`: all reasoning by part, if one of them is signed or encrypted.
    pub(super) details: Vec<Value>,
    pub(super) refusal: Option<String>,
    pub(super) calls: Vec<Value>,
}

impl Spoken {
    /// Sorts parts; pictures and tool results are no part of an assistant's message and are passed over.
    pub(super) fn of(parts: &[Part]) -> Self {
        let mut spoken = Self::default();
        let mut is_sealed = false;
        for part in parts {
            match part {
                Part::Text(text) => spoken.texts.push(text.clone()),
                Part::Thinking { text, signature } => {
                    spoken.thinking.push_str(text);
                    is_sealed |= signature.is_some();
                    spoken.details.push(readable(text, signature.as_deref()));
                }
                Part::RedactedThinking(data) => {
                    is_sealed = true;
                    spoken.details.push(redacted(data));
                }
                Part::Refusal(text) => spoken.refusal.get_or_insert_default().push_str(text),
                Part::ToolCall(called) => spoken.calls.push(call(called)),
                Part::Image { .. } | Part::ToolResult { .. } => {}
            }
        }
        if !is_sealed {
            spoken.details.clear();
        }
        for (index, detail) in spoken.details.iter_mut().enumerate() {
            detail["index"] = index.into();
        }
        spoken
    }

    /// Writes everything but the text content.
    pub(super) fn write_rest(self, message: &mut Map<String, Value>, thinking_names: &[&str]) {
        if !self.thinking.is_empty() {
            for name in thinking_names {
                message.insert((*name).to_owned(), self.thinking.clone().into());
            }
        }
        if !self.details.is_empty() {
            message.insert("reasoning_details".to_owned(), self.details.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".to_owned(), self.calls.into());
        }
    }
}

/// A detail with readable reasoning.
pub(super) fn readable(text: &str, signature: Option<&str>) -> Value {
    let mut detail = json!({ "type": "reasoning.text", "text": text });
    if let Some(signature) = signature {
        detail["signature"] = signature.into();
        detail["format"] = SIGNED_FORMAT.into();
    }
    detail
}

/// A detail with encrypted reasoning.
pub(super) fn redacted(data: &str) -> Value {
    json!({ "type": "reasoning.encrypted", "data": data, "format": SIGNED_FORMAT })
}

fn call(call: &ToolCall) -> Value {
    // Servers parse the arguments of earlier turns: no text at all is no JSON.
    let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        serde_json::from_str::<RawMessage>(text).unwrap().said()
    }

    fn thinking(text: &str, signature: Option<&str>) -> Thought {
        Thought::Text { text: text.to_owned(), signature: signature.map(str::to_owned) }
    }

    #[test]
    fn reasoning_is_found_in_every_spelling() {
        for (name, text, want) in [
            ("deepseek", r#"{"reasoning_content":"a"}"#, vec![thinking("a", None)]),
            ("openrouter", r#"{"reasoning":"a","reasoning_content":null}"#, vec![thinking("a", None)]),
            ("both", r#"{"reasoning":"a","reasoning_content":"a"}"#, vec![thinking("a", None)]),
            ("empty", r#"{"reasoning":"","reasoning_content":""}"#, vec![]),
            (
                "text repeated in the details",
                r#"{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","format":"unknown"}]}"#,
                vec![thinking("a", None)],
            ),
            (
                "details alone",
                r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"a"}]}"#,
                vec![thinking("a", None)],
            ),
            (
                "signature apart from its text",
                r#"{"reasoning":"ab","reasoning_details":[{"type":"reasoning.text","signature":"s"}]}"#,
                vec![thinking("ab", Some("s"))],
            ),
            (
                "pieces, signature, second block, encrypted",
                r#"{"reasoning":"abc","reasoning_details":[{"text":"a","index":0},{"text":"b","index":0},
                    {"signature":"s","index":0},{"text":"c","signature":"t","index":1},{"data":"x","index":2}]}"#,
                vec![thinking("ab", Some("s")), thinking("c", Some("t")), Thought::Redacted("x".into())],
            ),
            (
                "another maker's seal",
                r#"{"reasoning":"a","reasoning_details":[{"data":"x","format":"openai-responses-v1"}]}"#,
                vec![thinking("a", None)],
            ),
            (
                "mistral",
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]}"#,
                vec![thinking("a", None)],
            ),
        ] {
            assert_eq!(said(text).thoughts, want, "{name}");
        }
    }

    #[test]
    fn content_is_text_null_or_parts() {
        for (text, want) in [
            (r#"{"content":"a"}"#, Some("a")),
            (r#"{"content":null}"#, None),
            (r#"{"content":""}"#, None),
            (r#"{"content":[{"type":"text","text":"a"},"b",{"type":"odd"}]}"#, Some("ab")),
            (r#"{"content":7}"#, None),
        ] {
            assert_eq!(said(text).text.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn arguments_become_text() {
        for (text, want) in [
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#"{"a": 1}"#, r#"{"a":1}"#),
            (r#""\"{\\\"a\\\":1}\"""#, r#"{"a":1}"#),
            (r#""\"just text\"""#, r#""just text""#),
            (r#""\"broken""#, r#""broken"#),
            ("null", ""),
        ] {
            assert_eq!(arguments(serde_json::from_str(text).unwrap()), want, "{text}");
        }
    }

    #[test]
    fn signed_reasoning_survives_the_way_through_a_client() {
        let parts = [
            Part::Thinking { text: "a".into(), signature: Some("s".into()) },
            Part::RedactedThinking("x".into()),
            Part::Thinking { text: "b".into(), signature: None },
            Part::Thinking { text: "c".into(), signature: Some("t".into()) },
        ];
        let mut message = Map::new();
        Spoken::of(&parts).write_rest(&mut message, &["reasoning_content", "reasoning"]);
        let raw: RawMessage = serde_json::from_value(Value::Object(message)).unwrap();
        let back: Vec<Part> = raw.said().thoughts.into_iter().map(Part::from).collect();
        assert_eq!(back, parts);
    }
}
