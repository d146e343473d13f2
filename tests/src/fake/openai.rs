//! The fake as an OpenAI-compatible server.

use serde_json::{Value, json};

use super::pieces::{Mark, Rendered, data_text, halves, sse};
use super::script::{INPUT_TOKENS, Script};

const CREATED_S: u64 = 1_700_000_000;

pub(super) fn chat(script: &Script, body: &Value) -> Rendered {
    if body["stream"] == json!(true) { chat_stream(script, body) } else { chat_whole(script, body) }
}

fn count(body: &Value) -> u64 {
    body["n"].as_u64().unwrap_or(1)
}

fn usage(script: &Script) -> Value {
    json!({
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": script.output_tokens(),
        "total_tokens": INPUT_TOKENS + script.output_tokens(),
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": script.reasoning.len()},
    })
}

fn chat_whole(script: &Script, body: &Value) -> Rendered {
    let mut message = json!({"role": "assistant", "content": script.full_text()});
    if !script.reasoning.is_empty() {
        message["reasoning_content"] = json!(script.reasoning.concat());
    }
    if !script.tools.is_empty() {
        message["content"] = if script.tokens.is_empty() { Value::Null } else { json!(script.full_text()) };
        message["tool_calls"] = script.tools.iter().map(|tool| call(tool, &tool.arguments.to_string())).collect();
    }
    let choices: Vec<Value> = (0..count(body))
        .map(|index| json!({"index": index, "message": message, "finish_reason": script.finish_reason()}))
        .collect();
    let mut reply = json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": CREATED_S, "model": body["model"],
        "choices": choices, "timings": {"predicted_per_second": 42.5},
    });
    if script.usage {
        reply["usage"] = usage(script);
    }
    Rendered::json(200, &reply)
}

fn call(tool: &super::script::Tool, arguments: &str) -> Value {
    json!({"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": arguments}})
}

struct Chunks<'a> {
    script: &'a Script,
    model: &'a Value,
    object: &'static str,
    out: Vec<(Mark, Vec<u8>)>,
}

impl Chunks<'_> {
    fn chunk(&mut self, mark: Mark, choices: &Value, usage: &Value) {
        let mut chunk = json!({
            "id": "chatcmpl-fake", "object": self.object, "created": CREATED_S, "model": self.model,
            "choices": choices,
        });
        if !usage.is_null() {
            chunk["usage"] = usage.clone();
        }
        self.out.push((mark, sse(self.script, None, &data_text(self.script, &chunk))));
    }

    fn delta(&mut self, mark: Mark, index: u64, delta: &Value, finish: &Value) {
        self.chunk(mark, &json!([{"index": index, "delta": delta, "finish_reason": finish}]), &Value::Null);
    }

    fn end(&mut self, body: &Value) {
        if self.script.usage && body["stream_options"]["include_usage"] == json!(true) {
            self.chunk(Mark::Frame, &json!([]), &usage(self.script));
        }
        if !self.script.no_done {
            self.out.push((Mark::Frame, sse(self.script, None, "[DONE]")));
        }
    }
}

fn chat_stream(script: &Script, body: &Value) -> Rendered {
    let mut chunks = Chunks { script, model: &body["model"], object: "chat.completion.chunk", out: Vec::new() };
    for index in 0..count(body) {
        chunks.delta(Mark::Frame, index, &json!({"role": "assistant", "content": ""}), &Value::Null);
        for piece in &script.reasoning {
            chunks.delta(Mark::Token, index, &json!({"reasoning_content": piece}), &Value::Null);
        }
        for (number, piece) in script.tokens.iter().enumerate() {
            if script.error_after == Some(number) {
                chunks.out.push((Mark::Frame, sse(script, None, &error(500, "scripted failure inside").to_string())));
                return Rendered::stream("text/event-stream", chunks.out);
            }
            chunks.delta(Mark::Token, index, &json!({"content": piece}), &Value::Null);
        }
        for (at, tool) in script.tools.iter().enumerate() {
            let arguments = tool.arguments.to_string();
            let (first, second) = halves(&arguments);
            let mut opening = call(tool, "");
            opening["index"] = json!(at);
            chunks.delta(Mark::Token, index, &json!({"tool_calls": [opening]}), &Value::Null);
            for part in [first, second] {
                let delta = json!({"tool_calls": [{"index": at, "function": {"arguments": part}}]});
                chunks.delta(Mark::Token, index, &delta, &Value::Null);
            }
        }
        chunks.delta(Mark::Frame, index, &json!({}), &json!(script.finish_reason()));
    }
    chunks.end(body);
    Rendered::stream("text/event-stream", chunks.out)
}

pub(super) fn completion(script: &Script, body: &Value) -> Rendered {
    if body["stream"] != json!(true) {
        let mut reply = json!({
            "id": "cmpl-fake", "object": "text_completion", "created": CREATED_S, "model": body["model"],
            "choices": [{"index": 0, "text": script.full_text(), "logprobs": null,
                "finish_reason": script.finish_reason()}],
        });
        if script.usage {
            reply["usage"] = usage(script);
        }
        return Rendered::json(200, &reply);
    }
    let mut chunks = Chunks { script, model: &body["model"], object: "text_completion", out: Vec::new() };
    for piece in &script.tokens {
        let choice = json!([{"index": 0, "text": piece, "logprobs": null, "finish_reason": null}]);
        chunks.chunk(Mark::Token, &choice, &Value::Null);
    }
    let last = json!([{"index": 0, "text": "", "logprobs": null, "finish_reason": script.finish_reason()}]);
    chunks.chunk(Mark::Frame, &last, &Value::Null);
    chunks.end(body);
    Rendered::stream("text/event-stream", chunks.out)
}

pub(super) fn embeddings(script: &Script, body: &Value) -> Rendered {
    let texts = match &body["input"] {
        Value::Array(texts) => texts.len(),
        _ => 1,
    };
    let base64 = body["encoding_format"] == json!("base64") && !script.floats_only;
    let data: Vec<Value> = (0..texts)
        .map(|index| {
            let vector = if base64 { json!(super::vector_base64(index)) } else { json!(super::vector(index)) };
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    let usage = json!({"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS});
    Rendered::json(200, &json!({"object": "list", "data": data, "model": body["model"], "usage": usage}))
}

pub(super) fn models(names: &[String]) -> Rendered {
    let data: Vec<Value> = names
        .iter()
        .map(|id| {
            json!({"id": id, "object": "model", "created": CREATED_S, "owned_by": "fake", "max_model_len": 4096,
                "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]}})
        })
        .collect();
    Rendered::json(200, &json!({"object": "list", "data": data}))
}

pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        403 => ("permission_error", Value::Null),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("rate_limit_error", json!("rate_limit_exceeded")),
        500.. => ("server_error", Value::Null),
        _ => ("invalid_request_error", Value::Null),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}
