//! The fake as an Ollama server.

use serde_json::{Value, json};

use super::pieces::{Mark, Rendered};
use super::script::{INPUT_TOKENS, Script};

const CREATED_AT: &str = "2025-01-02T03:04:05.678901Z";

/// The two generating endpoints, which differ in where the text lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Chat,
    Generate,
}

pub(super) fn generate(form: Form, script: &Script, body: &Value) -> Rendered {
    if body["stream"] == json!(false) { whole(form, script, body) } else { stream(form, script, body) }
}

fn line(form: Form, body: &Value, text: &str, thinking: &str) -> Value {
    let mut line = json!({"model": body["model"], "created_at": CREATED_AT, "done": false});
    match form {
        Form::Chat => {
            line["message"] = json!({"role": "assistant", "content": text});
            if !thinking.is_empty() {
                line["message"]["thinking"] = json!(thinking);
            }
        }
        Form::Generate => {
            line["response"] = json!(text);
            if !thinking.is_empty() {
                line["thinking"] = json!(thinking);
            }
        }
    }
    line
}

fn calls(script: &Script) -> Vec<Value> {
    let call = |tool: &super::script::Tool| json!({"function": {"name": tool.name, "arguments": tool.arguments}});
    script.tools.iter().map(call).collect()
}

fn finish(line: &mut Value, script: &Script) {
    line["done"] = json!(true);
    line["done_reason"] = json!(if script.finish_reason() == "length" { "length" } else { "stop" });
    if script.usage {
        line["total_duration"] = json!(5_000_000);
        line["load_duration"] = json!(1_000_000);
        line["prompt_eval_count"] = json!(INPUT_TOKENS);
        line["prompt_eval_duration"] = json!(2_000_000);
        line["eval_count"] = json!(script.output_tokens());
        line["eval_duration"] = json!(2_000_000);
    }
}

fn whole(form: Form, script: &Script, body: &Value) -> Rendered {
    let mut reply = line(form, body, &script.full_text(), &script.reasoning.concat());
    if !script.tools.is_empty() && form == Form::Chat {
        reply["message"]["tool_calls"] = json!(calls(script));
    }
    finish(&mut reply, script);
    Rendered::json(200, &reply)
}

fn stream(form: Form, script: &Script, body: &Value) -> Rendered {
    let mut out = Vec::new();
    let mut push = |mark: Mark, value: &Value| {
        let end = if script.crlf { "\r\n" } else { "\n" };
        out.push((mark, format!("{value}{end}").into_bytes()));
    };
    for piece in &script.reasoning {
        push(Mark::Token, &line(form, body, "", piece));
    }
    for (number, piece) in script.tokens.iter().enumerate() {
        if script.error_after == Some(number) {
            push(Mark::Frame, &json!({"error": "scripted failure inside"}));
            return Rendered::stream("application/x-ndjson", out);
        }
        push(Mark::Token, &line(form, body, piece, ""));
    }
    if !script.tools.is_empty() && form == Form::Chat {
        for call in calls(script) {
            let mut value = line(form, body, "", "");
            value["message"]["tool_calls"] = json!([call]);
            push(Mark::Token, &value);
        }
    }
    if !script.no_done {
        let mut last = line(form, body, "", "");
        finish(&mut last, script);
        push(Mark::Frame, &last);
    }
    Rendered::stream("application/x-ndjson", out)
}

pub(super) fn embed(body: &Value) -> Rendered {
    let texts = match &body["input"] {
        Value::Array(texts) => texts.len(),
        _ => 1,
    };
    let vectors: Vec<Value> = (0..texts).map(|index| json!(super::vector(index))).collect();
    Rendered::json(
        200,
        &json!({"model": body["model"], "embeddings": vectors, "total_duration": 1_000_000,
            "load_duration": 1_000, "prompt_eval_count": INPUT_TOKENS}),
    )
}

fn details() -> Value {
    json!({"parent_model": "", "format": "gguf", "family": "qwen3", "families": ["qwen3"],
        "parameter_size": "8.2B", "quantization_level": "Q4_K_M"})
}

fn entry(name: &str) -> Value {
    json!({"name": name, "model": name, "modified_at": CREATED_AT, "size": 5_200_000_000_u64,
        "digest": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "details": details()})
}

pub(super) fn tags(names: &[String]) -> Rendered {
    let models: Vec<Value> = names.iter().map(|name| entry(name)).collect();
    Rendered::json(200, &json!({"models": models}))
}

pub(super) fn ps(names: &[String]) -> Rendered {
    let mut models: Vec<Value> = names.iter().take(1).map(|name| entry(name)).collect();
    for model in &mut models {
        model["expires_at"] = json!("2030-01-02T03:04:05Z");
        model["size_vram"] = json!(5_000_000_000_u64);
    }
    Rendered::json(200, &json!({"models": models}))
}

pub(super) fn show(names: &[String], body: &Value) -> Rendered {
    let asked = body["model"].as_str().or_else(|| body["name"].as_str()).unwrap_or_default();
    if !names.iter().any(|name| name == asked) {
        return Rendered::json(404, &error(&format!("model '{asked}' not found")));
    }
    Rendered::json(
        200,
        &json!({"modelfile": "", "parameters": "", "template": "{{ .Prompt }}", "details": details(),
            "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
            "capabilities": ["completion", "tools", "vision", "thinking"], "modified_at": CREATED_AT}),
    )
}

pub(super) fn error(message: &str) -> Value {
    json!({"error": message})
}
