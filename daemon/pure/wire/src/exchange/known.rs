//! Whether an answer says nothing that would be lost when it is given again in other words.

use domain::surface::{Dialect, Surface};
use serde_json::Value;

/// Members of OpenAI's messages and of Ollama's that every encoder knows.
const MESSAGE: [&str; 8] =
    ["content", "reasoning", "reasoning_content", "refusal", "role", "text", "thinking", "tool_calls"];

/// Blocks of Anthropic's messages, and pieces of them.
const BLOCKS: [&str; 8] = [
    "input_json_delta",
    "redacted_thinking",
    "signature_delta",
    "text",
    "text_delta",
    "thinking",
    "thinking_delta",
    "tool_use",
];

/// Whether a whole answer, or one frame of a stream, has only parts that are known.
pub(super) fn is_known(far: Surface, said: &Value) -> bool {
    if far.dialect() == Dialect::Anthropic {
        let mut blocks = said["content"].as_array().into_iter().flatten();
        return blocks.all(is_known_block)
            && is_known_block(&said["content_block"])
            && (said["type"] != "content_block_delta" || is_known_block(&said["delta"]));
    }
    let mut choices = said["choices"].as_array().into_iter().flatten();
    choices.all(|choice| is_known_message(&choice["message"]) && is_known_message(&choice["delta"]))
        && is_known_message(&said["message"])
}

fn is_known_message(message: &Value) -> bool {
    let Value::Object(members) = message else { return message.is_null() };
    let is_text = |value: &Value| value.is_null() || value.is_string();
    members.iter().all(|(name, value)| is_empty(value) || MESSAGE.contains(&name.as_str()))
        && members.get("content").is_none_or(is_text)
}

fn is_known_block(block: &Value) -> bool {
    block.is_null()
        || (block["type"].as_str().is_some_and(|kind| BLOCKS.contains(&kind)) && is_empty(&block["citations"]))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether each alternative of a whole answer says why it ended. Readers take one that does not for one that stopped.
pub(super) fn says_its_end(far: Surface, said: &Value) -> bool {
    match far.dialect() {
        Dialect::Anthropic => said["stop_reason"].is_string(),
        Dialect::Ollama => said["done"] == true,
        Dialect::Openai => {
            let mut choices = said["choices"].as_array().into_iter().flatten();
            choices.all(|choice| choice["finish_reason"].is_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_would_be_lost_is_seen() {
        let openai = |message: Value| json!({"choices": [{"message": message}], "timings": {"a": 1}});
        for (far, said, want) in [
            (Surface::OpenaiChat, openai(json!({"content": "x", "refusal": null, "annotations": []})), true),
            (Surface::OpenaiChat, openai(json!({"content": "x", "annotations": [{"type": "url"}]})), false),
            (Surface::OpenaiChat, openai(json!({"content": [{"type": "text"}]})), false),
            (Surface::OpenaiChat, json!({"choices": [{"delta": {"images": [1]}}]}), false),
            (Surface::OpenaiChat, json!({"choices": [{"delta": {"content": "x"}}]}), true),
            (Surface::AnthropicMessages, json!({"content": [{"type": "text", "text": "x", "citations": null}]}), true),
            (Surface::AnthropicMessages, json!({"content": [{"type": "text", "citations": [{}]}]}), false),
            (Surface::AnthropicMessages, json!({"content": [{"type": "server_tool_use"}]}), false),
            (
                Surface::AnthropicMessages,
                json!({"type": "content_block_start", "content_block": {"type": "web_search_tool_result"}}),
                false,
            ),
            (
                Surface::AnthropicMessages,
                json!({"type": "content_block_delta", "delta": {"type": "citations_delta"}}),
                false,
            ),
            (Surface::AnthropicMessages, json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}), true),
            (Surface::OllamaChat, json!({"message": {"role": "assistant", "content": "x"}, "done": true}), true),
            (Surface::OllamaChat, json!({"message": {"content": "x", "images": ["y"]}}), false),
        ] {
            assert_eq!(is_known(far, &said), want, "{said}");
        }
    }
}
