//! Whole answers of `/api/chat` and `/api/generate`.

use std::time::Duration;

use crate::chat::Part;
use crate::failure::UpstreamFailure;
use crate::json;
use crate::malformed::Malformed;
use crate::reply::{ChatReply, Choice, ReplyContext};

use super::line::{self, Ending, Incoming, Piece};
use super::{Form, error, logprobs};

/// Reads an answer of either form.
///
/// # Errors
/// The body is no answer, or an error under a good status.
pub fn decode(body: &[u8]) -> Result<ChatReply, Malformed> {
    let mut incoming: Incoming = json::read(body)?;
    if let Some(error) = &incoming.error {
        let UpstreamFailure { message, .. } = error::from_value(500, error);
        return Err(Malformed::new("error", message));
    }
    if incoming.message.is_none() && incoming.response.is_none() {
        return Err(Malformed::new("message", "an answer holds this member or `response`"));
    }
    let thinking = incoming.take_thinking();
    let text = incoming.take_text();
    let calls = incoming.take_calls();
    let mut parts = Vec::new();
    if !thinking.is_empty() {
        parts.push(Part::Thinking { text: thinking, signature: None });
    }
    if !text.is_empty() || calls.is_empty() {
        parts.push(Part::Text(text));
    }
    let finish = incoming.finish(!calls.is_empty());
    let seed = incoming.created_at.take().unwrap_or_default();
    parts.extend((0..).zip(calls).map(|(position, call)| Part::ToolCall(call.into_call(&seed, position))));
    let logprobs = logprobs::decode(incoming.logprobs.take().unwrap_or_default());
    Ok(ChatReply {
        usage: incoming.usage(),
        model: incoming.model,
        choices: vec![Choice { index: 0, parts, finish, logprobs }],
    })
}

/// Writes an answer; Ollama has room for the first alternative only. `elapsed` is the time since the request came.
#[must_use]
pub fn encode(reply: &ChatReply, context: &ReplyContext, form: Form, elapsed: Duration) -> Vec<u8> {
    let choice = reply.choices.first();
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for part in choice.map_or(&[][..], |choice| &choice.parts) {
        match part {
            Part::Text(piece) | Part::Refusal(piece) => text.push_str(piece),
            Part::Thinking { text: piece, .. } => thinking.push_str(piece),
            Part::ToolCall(call) => calls.push(line::call(call, calls.len())),
            Part::Image { .. } | Part::ToolResult { .. } | Part::RedactedThinking(_) => {}
        }
    }
    let piece = Piece {
        text: &text,
        thinking: &thinking,
        calls,
        logprobs: logprobs::encode(choice.and_then(|choice| choice.logprobs.as_ref())),
        // When the first token came is not known of a whole answer: tokens per second are then rather too low.
        ending: Some(Ending::new(choice.map(|choice| &choice.finish), &reply.usage, Duration::ZERO, elapsed)),
    };
    let mut out = Vec::new();
    line::write(form, context, elapsed, &piece, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ToolCall;
    use crate::reply::Finish;
    use domain::usage::Usage;
    use serde_json::{Value, json};

    fn context() -> ReplyContext {
        ReplyContext {
            unique: "x".to_owned(),
            model: "qwen3".to_owned(),
            created_ms: 1_733_446_089_000,
            include_usage: true,
        }
    }

    #[test]
    fn a_chat_answer_both_ways() {
        let body = json!({
            "model": "qwen3", "created_at": "2024-12-06T00:48:11.000000000Z",
            "message": {"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [
                {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}]},
            "logprobs": [{"token": "Hi", "logprob": -0.1, "bytes": null, "top_logprobs": []}],
            "done": true, "done_reason": "stop", "total_duration": 2_000_000_000_u64, "load_duration": 0,
            "prompt_eval_count": 26, "prompt_eval_duration": 1, "eval_count": 298, "eval_duration": 2_000_000_000_u64,
        });
        let reply = decode(body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.choices[0].finish, Finish::ToolCalls);
        assert_eq!(reply.usage, Usage { input: Some(26), output: Some(298), ..Usage::default() });
        let back: Value =
            serde_json::from_slice(&encode(&reply, &context(), Form::Chat, Duration::from_secs(2))).unwrap();
        assert_eq!(back, body);
    }

    #[test]
    fn a_generate_answer_both_ways() {
        let body = json!({
            "model": "qwen3", "created_at": "2024-12-06T00:48:09.500000000Z", "response": "Hi", "thinking": "Hm",
            "done": true, "done_reason": "length", "total_duration": 500_000_000, "load_duration": 0,
            "prompt_eval_duration": 1, "eval_duration": 500_000_000,
        });
        let reply = decode(body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.choices[0].finish, Finish::Length);
        let back: Value =
            serde_json::from_slice(&encode(&reply, &context(), Form::Generate, Duration::from_millis(500))).unwrap();
        assert_eq!(back, body);
    }

    #[test]
    fn calls_without_ids_get_ids_that_differ_between_turns() {
        let body = |created: &str| {
            json!({"created_at": created, "message": {"content": "", "tool_calls": [
                {"function": {"name": "f", "arguments": {}}}, {"function": {"name": "g"}}]}, "done": true})
            .to_string()
        };
        let ids = |created: &str| -> Vec<String> {
            let parts = decode(body(created).as_bytes()).unwrap().choices.remove(0).parts;
            let id = |part| if let Part::ToolCall(ToolCall { id, .. }) = part { Some(id) } else { None };
            parts.into_iter().filter_map(id).collect()
        };
        let (first, second) = (ids("2024-12-06T00:48:09Z"), ids("2024-12-06T00:48:10Z"));
        assert_eq!(first, ids("2024-12-06T00:48:09Z"));
        assert!(first.len() == 2 && first[0] != first[1] && first[0] != second[0]);
    }

    #[test]
    fn what_is_no_answer() {
        for (body, want) in [
            (r#"{"error":"llama runner process has terminated"}"#, "error: llama runner process has terminated"),
            ("{}", "message: an answer holds this member or `response`"),
            ("<html>", "line 1 column 1: expected value"),
        ] {
            let error = decode(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn an_answer_without_alternatives_is_still_well_formed() {
        let out = encode(&ChatReply::default(), &context(), Form::Chat, Duration::ZERO);
        let back: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&back["message"]["content"], &back["done"]), (&json!(""), &json!(true)));
    }
}
