//! Content blocks, written in requests and replies and read from replies.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::chat::ImageSource;

/// A content block to write.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text { text: &'a str },
    Image { source: Source<'a> },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: Map<String, Value> },
    ToolResult(ToolResult<'a>),
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
}

/// What a tool call gave back.
#[derive(Debug, Serialize)]
pub(super) struct ToolResult<'a> {
    pub(super) tool_use_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_error: bool,
}

/// Where a picture's bytes are.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

impl<'a> From<&'a ImageSource> for Source<'a> {
    fn from(source: &'a ImageSource) -> Self {
        match source {
            ImageSource::Base64 { media_type, data } => Self::Base64 { media_type, data },
            ImageSource::Url(url) => Self::Url { url },
        }
    }
}

/// A content block of an upstream: whatever it may hold, all of it optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Received {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) input: Option<Box<RawValue>>,
}

/// How often arguments may be wrapped into JSON strings; vLLM does it once.
const WRAPPINGS_MAX: usize = 3;

/// The member that holds arguments which are no JSON object.
const RAW: &str = "_raw";

/// Makes the JSON object that Anthropic demands out of a call's arguments.
///
/// No text is no arguments. A JSON string that holds the object (vLLM's forced calls) is unwrapped. Anything else,
/// like arguments cut off by the token limit, is kept as text under `_raw`: the tool's own check then tells the model,
/// whereas refusing it would end the conversation.
pub(super) fn tool_input(arguments: &str) -> Map<String, Value> {
    let mut text = Cow::Borrowed(arguments.trim());
    if text.is_empty() || text == "null" {
        return Map::new();
    }
    for _ in 0..=WRAPPINGS_MAX {
        if let Ok(object) = serde_json::from_str::<Map<String, Value>>(&text) {
            return object;
        }
        match serde_json::from_str::<String>(&text) {
            Ok(inner) if inner.trim().is_empty() => return Map::new(),
            Ok(inner) => text = Cow::Owned(inner),
            Err(_) => break,
        }
    }
    Map::from_iter([(RAW.to_owned(), Value::from(arguments))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_an_object() {
        for (arguments, want) in [
            (r#"{"a": [1, "b"]}"#, r#"{"a":[1,"b"]}"#),
            ("", "{}"),
            ("  ", "{}"),
            ("null", "{}"),
            (r#""""#, "{}"),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#""\"{\\\"a\\\":1}\"""#, r#"{"a":1}"#),
            (r#"{"a": "#, r#"{"_raw":"{\"a\": "}"#),
            ("[1]", r#"{"_raw":"[1]"}"#),
            ("Berlin", r#"{"_raw":"Berlin"}"#),
        ] {
            assert_eq!(serde_json::to_string(&tool_input(arguments)).unwrap(), want, "{arguments}");
        }
    }
}
