//! The built-in upstream: gives the prompt back at a set speed, in OpenAI's dialect.
//!
//! It stands where a real upstream stands, so that clients, limits and shaping can be tried without a GPU.

use std::time::Duration;

use bytes::Bytes;
use domain::upstream::Upstream;
use hyper::HeaderMap;
use serde_json::{Value, json};
use wire::failure::{FailureKind, UpstreamFailure};

use super::body::ReplyBody;
use super::call::{Fault, Outbound, Reply};

/// The one model that a loopback offers.
pub(super) const MODEL: &str = "echo";

pub(super) fn call(upstream: &Upstream, outbound: &Outbound) -> Result<Reply, Fault> {
    let body = outbound.body.clone().unwrap_or_default();
    let request: Value = serde_json::from_slice(&body).map_err(|error| refusal(&error))?;
    let pause = Duration::from_secs(1) / upstream.tokens_per_s.max(1);
    let tokens = tokens(&prompt(&request), request.get("max_tokens").and_then(Value::as_u64));
    let is_stream = request.get("stream").and_then(Value::as_bool) == Some(true);
    let body = match outbound.path {
        "/v1/embeddings" => whole(embedding(&request), Duration::ZERO),
        "/v1/completions" if is_stream => stream(tokens, pause, text_chunk),
        "/v1/chat/completions" if is_stream => stream(tokens, pause, chat_chunk),
        "/v1/completions" => whole(text_reply(&tokens), pause * count(&tokens)),
        "/v1/chat/completions" => whole(chat_reply(&tokens), pause * count(&tokens)),
        "/v1/messages/count_tokens" => whole(json!({"input_tokens": tokens.len()}), Duration::ZERO),
        other => return Err(Fault::NotAnAnswer(format!("a loopback has no {other}"))),
    };
    Ok(Reply { body, is_stream, headers: HeaderMap::new() })
}

/// As a real upstream refuses what it cannot read, like a number of a thousand digits.
fn refusal(error: &serde_json::Error) -> Fault {
    let failure = UpstreamFailure::new(FailureKind::InvalidRequest, &error.to_string());
    Fault::Status { status: 400, failure, retry_after: None }
}

fn count(tokens: &[String]) -> u32 {
    u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}

/// The text of the last message, or the prompt.
fn prompt(request: &Value) -> String {
    let last = request.get("messages").and_then(Value::as_array).and_then(|messages| messages.last());
    match last.and_then(|message| message.get("content")).or_else(|| request.get("prompt")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.as_str().or_else(|| part.get("text").and_then(Value::as_str)))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// Words with the blanks before them.
fn tokens(text: &str, max: Option<u64>) -> Vec<String> {
    let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let mut tokens = Vec::new();
    let mut token = String::new();
    for letter in text.chars() {
        if letter.is_whitespace() && !token.trim().is_empty() {
            tokens.push(std::mem::take(&mut token));
        }
        token.push(letter);
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens.truncate(max);
    tokens
}

fn usage(tokens: usize) -> Value {
    json!({"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens * 2})
}

fn chat_reply(tokens: &[String]) -> Value {
    json!({"id": "chatcmpl-loopback", "object": "chat.completion", "created": 0, "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": tokens.concat()}, "finish_reason": "stop"}],
        "usage": usage(tokens.len())})
}

fn text_reply(tokens: &[String]) -> Value {
    json!({"id": "cmpl-loopback", "object": "text_completion", "created": 0, "model": MODEL,
        "choices": [{"index": 0, "text": tokens.concat(), "finish_reason": "stop", "logprobs": null}],
        "usage": usage(tokens.len())})
}

fn chat_chunk(piece: Option<&str>) -> Value {
    let (delta, finish) = match piece {
        Some(text) => (json!({"role": "assistant", "content": text}), Value::Null),
        None => (json!({}), json!("stop")),
    };
    json!({"id": "chatcmpl-loopback", "object": "chat.completion.chunk", "created": 0, "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn text_chunk(piece: Option<&str>) -> Value {
    let finish = if piece.is_none() { json!("stop") } else { Value::Null };
    json!({"id": "cmpl-loopback", "object": "text_completion", "created": 0, "model": MODEL,
        "choices": [{"index": 0, "text": piece.unwrap_or_default(), "finish_reason": finish, "logprobs": null}]})
}

/// One vector an input: its letters counted, so that equal texts have equal vectors.
fn embedding(request: &Value) -> Value {
    let inputs: Vec<&str> = match request.get("input") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let mut vector = [0_u32; 16];
            text.bytes().for_each(|byte| vector[usize::from(byte % 16)] += 1);
            json!({"object": "embedding", "index": index, "embedding": vector.map(f64::from)})
        })
        .collect();
    let words: usize = inputs.iter().map(|text| text.split_whitespace().count()).sum();
    json!({"object": "list", "model": MODEL, "data": data,
        "usage": {"prompt_tokens": words, "total_tokens": words}})
}

fn whole(reply: Value, after: Duration) -> ReplyBody {
    ReplyBody::made(async_stream::stream! {
        tokio::time::sleep(after).await;
        yield Bytes::from(reply.to_string());
    })
}

fn stream(tokens: Vec<String>, pause: Duration, chunk: fn(Option<&str>) -> Value) -> ReplyBody {
    ReplyBody::made(async_stream::stream! {
        for token in &tokens {
            tokio::time::sleep(pause).await;
            yield event(&chunk(Some(token)));
        }
        yield event(&chunk(None));
        let mut usage_chunk = chunk(None);
        usage_chunk["choices"] = json!([]);
        usage_chunk["usage"] = usage(tokens.len());
        yield event(&usage_chunk);
        yield Bytes::from_static(b"data: [DONE]\n\n");
    })
}

fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_and_lose_nothing() {
        let text = "  two  words\nand\tmore ";
        assert_eq!(tokens(text, None).concat(), text);
        assert_eq!(tokens("a b c", Some(2)), ["a", " b"]);
    }
}
