//! `POST /v1/messages/count_tokens`, and an estimate for upstreams that cannot count.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request;
use crate::chat::{ChatRequest, ImageSource, Part};
use crate::json::{self, Object};
use crate::malformed::Malformed;

/// Reads a request to count. Unlike a message request it needs no `max_tokens`.
///
/// # Errors
/// A member is missing (`model`, `messages`) or not what it should be.
pub fn decode(object: &Object) -> Result<ChatRequest, Malformed> {
    request::conversation(object)
}

#[derive(Debug, Serialize, Deserialize)]
struct Count {
    input_tokens: u64,
}

/// Reads an upstream's answer: the prompt's tokens.
///
/// # Errors
/// The body is not a count.
pub fn decode_reply(body: &[u8]) -> Result<u64, Malformed> {
    json::read(body).map(|Count { input_tokens }| input_tokens)
}

/// Writes the answer for a prompt of `input_tokens` tokens.
#[must_use]
pub fn encode_reply(input_tokens: u64) -> Vec<u8> {
    serde_json::to_vec(&Count { input_tokens }).unwrap_or_default()
}

/// What a message adds to its text: role and separators of usual chat templates.
const MESSAGE_TOKENS: u64 = 4;
/// What a tool, a call or a result adds to its text.
const CALL_TOKENS: u64 = 12;
/// A picture: Anthropic's largest (width × height / 750, cut down to about 1.15 megapixels). The size stands in bytes
/// that are not decoded here, and a guess that is too low would overflow a context.
const IMAGE_TOKENS: u64 = 1_600;

/// Estimates the prompt's tokens without the model's tokeniser.
///
/// Counted are the texts of all messages and tools, a flat number for each picture and a little for each message and
/// call. Text counts by the length of its characters in UTF-8: four characters of one byte are a token, two of two
/// bytes (accents, Cyrillic, Arabic), one of three (Chinese, Japanese, Korean), half of one of four (emoji). For
/// English and code that is within about 20 % of usual tokenisers, mostly above.
#[must_use]
pub fn estimate(request: &ChatRequest) -> u64 {
    let messages = request.messages.iter().map(|message| MESSAGE_TOKENS + parts(&message.parts)).sum::<u64>();
    let tools = request.tools.iter().map(|tool| {
        let schema = tool.parameters.as_ref().map_or(0, value);
        CALL_TOKENS + text(&tool.name) + text(tool.description.as_deref().unwrap_or_default()) + schema
    });
    // What no neutral part stands for is part of the prompt all the same.
    let rest = request.extra.iter().filter(|(name, _)| name.contains('[')).map(|(_, rest)| value(rest)).sum::<u64>();
    (messages + tools.sum::<u64>() + rest).max(1)
}

fn parts(parts: &[Part]) -> u64 {
    parts.iter().map(part).sum()
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text(words)
        | Part::Refusal(words)
        | Part::Thinking { text: words, .. }
        | Part::RedactedThinking(words) => text(words),
        Part::Image { source: ImageSource::Base64 { .. } | ImageSource::Url(_), .. } => IMAGE_TOKENS,
        Part::ToolCall(call) => CALL_TOKENS + text(&call.name) + text(&call.arguments),
        Part::ToolResult { content, .. } => CALL_TOKENS + parts_of_result(content),
    }
}

/// Results hold texts and pictures only, so this does not go deeper.
fn parts_of_result(content: &[Part]) -> u64 {
    let part = |part: &Part| match part {
        Part::Text(words) | Part::Refusal(words) => text(words),
        Part::Image { .. } => IMAGE_TOKENS,
        Part::ToolCall(_) | Part::ToolResult { .. } | Part::Thinking { .. } | Part::RedactedThinking(_) => 0,
    };
    content.iter().map(part).sum()
}

fn text(text: &str) -> u64 {
    let quarters = |char: char| match char.len_utf8() {
        1 => 1_u64,
        2 => 2,
        3 => 4,
        _ => 8,
    };
    text.chars().map(quarters).sum::<u64>().div_ceil(4)
}

/// Longest text inside JSON that can be words; longer ones are encoded files.
const WORDS_BYTES_MAX: usize = 64 * 1_024;

fn value(value: &Value) -> u64 {
    let mut open = vec![value];
    let mut quarters = 0;
    let mut tokens = 0_u64;
    while let Some(value) = open.pop() {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => quarters += 4,
            Value::String(words) if words.len() > WORDS_BYTES_MAX && !words.contains(' ') => tokens += IMAGE_TOKENS,
            Value::String(words) => tokens += text(words) + 1,
            Value::Array(values) => open.extend(values),
            Value::Object(members) => {
                tokens += members.keys().map(|name| text(name) + 1).sum::<u64>();
                open.extend(members.values());
            }
        }
    }
    tokens + u64::div_ceil(quarters, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(body: &str) -> ChatRequest {
        decode(&Object::of(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn texts_count_by_their_characters() {
        for (words, want) in
            [("", 0), ("a", 1), ("Hello, world", 3), ("größe", 2), ("привет", 3), ("你好吗", 3), ("😀", 2)]
        {
            assert_eq!(text(words), want, "{words}");
        }
    }

    #[test]
    fn everything_in_the_prompt_counts() {
        let plain = estimate(&request(r#"{"model":"m","messages":[{"role":"user","content":"Hello, world"}]}"#));
        assert_eq!(plain, 7);
        for (name, body) in [
            ("system", r#"{"model":"m","system":"Be brief.","messages":[{"role":"user","content":"Hello, world"}]}"#),
            (
                "tool",
                r#"{"model":"m","tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"Hello, world"}]}"#,
            ),
            (
                "image",
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hello, world"},{"type":"image","source":{"type":"url","url":"u"}}]}]}"#,
            ),
            (
                "document",
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hello, world"},{"type":"document","source":{"type":"text","data":"x"}}]}]}"#,
            ),
        ] {
            assert!(estimate(&request(body)) > plain, "{name}");
        }
    }

    #[test]
    fn answers_both_ways() {
        assert_eq!(encode_reply(42), br#"{"input_tokens":42}"#);
        assert_eq!(decode_reply(br#"{"input_tokens":42,"context_management":{}}"#).unwrap(), 42);
        assert!(decode_reply(br#"{"tokens":42}"#).is_err());
    }

    proptest! {
        #[test]
        fn more_text_is_never_fewer_tokens(a in ".{0,80}", b in ".{0,80}") {
            let both = text(&[a.as_str(), b.as_str()].concat());
            prop_assert!(both >= text(&a).max(text(&b)));
            prop_assert!(both <= text(&a) + text(&b));
        }
    }
}
