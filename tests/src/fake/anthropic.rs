//! The fake as an Anthropic server.

use serde_json::{Value, json};

use super::pieces::{Mark, Rendered, data_text, halves, sse};
use super::script::{INPUT_TOKENS, Script};

/// What the fake signs its thinking with.
pub const SIGNATURE: &str = "c2lnbmVkLWJ5LXRoZS1mYWtl";

pub(super) fn messages(script: &Script, body: &Value) -> Rendered {
    if body["stream"] == json!(true) { stream(script, body) } else { whole(script, body) }
}

fn stop_reason(script: &Script) -> &'static str {
    match script.finish_reason() {
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        _ => "end_turn",
    }
}

fn usage(script: &Script) -> Value {
    if !script.usage {
        return json!({"input_tokens": 0, "output_tokens": 0});
    }
    json!({"input_tokens": INPUT_TOKENS, "output_tokens": script.output_tokens()})
}

fn whole(script: &Script, body: &Value) -> Rendered {
    let mut content = Vec::new();
    if !script.reasoning.is_empty() {
        content.push(json!({"type": "thinking", "thinking": script.reasoning.concat(), "signature": SIGNATURE}));
    }
    if !script.tokens.is_empty() {
        content.push(json!({"type": "text", "text": script.full_text()}));
    }
    for tool in &script.tools {
        content.push(json!({"type": "tool_use", "id": tool.id, "name": tool.name, "input": tool.arguments}));
    }
    Rendered::json(
        200,
        &json!({
            "id": "msg_fake", "type": "message", "role": "assistant", "model": body["model"], "content": content,
            "stop_reason": stop_reason(script), "stop_sequence": null, "usage": usage(script),
        }),
    )
}

struct Events<'a> {
    script: &'a Script,
    block: usize,
    out: Vec<(Mark, Vec<u8>)>,
}

impl Events<'_> {
    fn push(&mut self, mark: Mark, value: &Value) {
        let name = value["type"].as_str().unwrap_or_default();
        self.out.push((mark, sse(self.script, Some(name), &data_text(self.script, value))));
    }

    fn open(&mut self, block: &Value) {
        self.push(Mark::Frame, &json!({"type": "content_block_start", "index": self.block, "content_block": block}));
    }

    fn delta(&mut self, delta: &Value) {
        self.push(Mark::Token, &json!({"type": "content_block_delta", "index": self.block, "delta": delta}));
    }

    fn close(&mut self) {
        self.push(Mark::Frame, &json!({"type": "content_block_stop", "index": self.block}));
        self.block += 1;
    }
}

fn stream(script: &Script, body: &Value) -> Rendered {
    let mut events = Events { script, block: 0, out: Vec::new() };
    let input = if script.usage { INPUT_TOKENS } else { 0 };
    let message = json!({
        "id": "msg_fake", "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": input, "output_tokens": 1},
    });
    events.push(Mark::Frame, &json!({"type": "message_start", "message": message}));
    events.push(Mark::Frame, &json!({"type": "ping"}));
    if !script.reasoning.is_empty() {
        events.open(&json!({"type": "thinking", "thinking": "", "signature": ""}));
        for piece in &script.reasoning {
            events.delta(&json!({"type": "thinking_delta", "thinking": piece}));
        }
        events.delta(&json!({"type": "signature_delta", "signature": SIGNATURE}));
        events.close();
    }
    if !text_block(&mut events) {
        return Rendered::stream("text/event-stream", events.out);
    }
    for tool in &script.tools {
        events.open(&json!({"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}));
        let arguments = tool.arguments.to_string();
        let (first, second) = halves(&arguments);
        events.delta(&json!({"type": "input_json_delta", "partial_json": first}));
        events.delta(&json!({"type": "input_json_delta", "partial_json": second}));
        events.close();
    }
    let delta = json!({"stop_reason": stop_reason(script), "stop_sequence": null});
    events.push(Mark::Frame, &json!({"type": "message_delta", "delta": delta, "usage": usage(script)}));
    if !script.no_done {
        events.push(Mark::Frame, &json!({"type": "message_stop"}));
    }
    Rendered::stream("text/event-stream", events.out)
}

/// Writes the text; false when the script put an error in its place.
fn text_block(events: &mut Events<'_>) -> bool {
    let script = events.script;
    if script.tokens.is_empty() {
        return true;
    }
    events.open(&json!({"type": "text", "text": ""}));
    for (number, piece) in script.tokens.iter().enumerate() {
        if script.error_after == Some(number) {
            events.push(Mark::Frame, &error(529, "scripted failure inside"));
            return false;
        }
        events.delta(&json!({"type": "text_delta", "text": piece}));
    }
    events.close();
    true
}

pub(super) fn count_tokens() -> Rendered {
    Rendered::json(200, &json!({"input_tokens": INPUT_TOKENS}))
}

pub(super) fn models(names: &[String]) -> Rendered {
    let data: Vec<Value> = names
        .iter()
        .map(|id| json!({"type": "model", "id": id, "display_name": id, "created_at": "2025-01-02T03:04:05Z"}))
        .collect();
    Rendered::json(200, &json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()}))
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"})
}
