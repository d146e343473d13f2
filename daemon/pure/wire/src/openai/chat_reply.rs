//! `POST /v1/chat/completions`, the whole answer.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::assistant::{RawCall, RawMessage, Spoken, arguments};
use super::loose::Loose;
use super::usage::{self, RawUsage};
use super::{chunk, extra};
use crate::chat::{Part, ToolCall};
use crate::json;
use crate::malformed::Malformed;
use crate::reply::{ChatReply, Choice, Finish, ReplyContext};

#[derive(Deserialize)]
struct RawReply {
    #[serde(default)]
    id: Loose,
    #[serde(default)]
    model: Loose,
    choices: Option<Vec<RawChoice>>,
    usage: Option<RawUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct RawChoice {
    index: Option<u32>,
    message: Option<RawMessage>,
    #[serde(default)]
    finish_reason: Loose,
    #[serde(default)]
    stop_reason: Loose,
    logprobs: Option<Value>,
    error: Option<Value>,
}

/// Reads an upstream's answer.
///
/// # Errors
/// The body is no JSON, has no choices, or is an error under a status of success.
pub fn decode(body: &[u8]) -> Result<ChatReply, Malformed> {
    let raw: RawReply = json::read(body)?;
    if let Some(failure) = chunk::failure(raw.error) {
        return Err(Malformed::new("error", failure.message));
    }
    let choices = raw.choices.unwrap_or_default();
    if choices.is_empty() {
        return Err(Malformed::new("choices", "at least one choice is expected"));
    }
    let id = raw.id.into_text().unwrap_or_default();
    let mut choices = choices
        .into_iter()
        .zip(0_u32..)
        .map(|(raw, position)| choice(raw, position, &id))
        .collect::<Result<Vec<Choice>, Malformed>>()?;
    choices.sort_by_key(|choice| choice.index);
    Ok(ChatReply {
        model: raw.model.into_text(),
        choices,
        usage: raw.usage.map(|usage| usage.facts()).unwrap_or_default(),
    })
}

fn choice(raw: RawChoice, position: u32, reply_id: &str) -> Result<Choice, Malformed> {
    if let Some(failure) = chunk::failure(raw.error) {
        return Err(Malformed::new(format!("choices[{position}].error"), failure.message));
    }
    let index = raw.index.unwrap_or(position);
    let said = raw.message.unwrap_or_default().said();
    let mut parts: Vec<Part> = said.thoughts.into_iter().map(Part::from).collect();
    parts.extend(said.text.map(Part::Text));
    parts.extend(said.refusal.map(Part::Refusal));
    let before = parts.len();
    parts.extend(said.calls.into_iter().zip(0..).filter_map(|(raw, number)| call(raw, reply_id, index, number)));
    let has_calls = parts.len() > before;
    let finish = match raw.finish_reason.into_text() {
        Some(word) if usage::is_given_up(&word) => {
            return Err(Malformed::new(format!("choices[{position}]"), chunk::given_up(&word).message));
        }
        Some(word) => usage::finish(&word, &raw.stop_reason, has_calls),
        None if has_calls => Finish::ToolCalls,
        None => Finish::Stop,
    };
    Ok(Choice { index, parts, finish, logprobs: raw.logprobs.filter(|value| !value.is_null()) })
}

fn call(raw: RawCall, reply_id: &str, choice: u32, number: u32) -> Option<Part> {
    let function = raw.function?;
    let name = function.name.into_text()?;
    let id = raw.id.into_text().unwrap_or_else(|| made_id(reply_id, choice, number));
    Some(Part::ToolCall(ToolCall { id, name, arguments: arguments(function.arguments) }))
}

/// An id for a call that came without: unique as long as the reply's own id is. Anthropic allows letters, digits, `_`
/// and `-`.
pub(super) fn made_id(reply_id: &str, choice: u32, number: u32) -> String {
    let base: String = reply_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("call_{base}_{choice}_{number}")
}

/// Writes the answer for a client. Reasoning stands under both spellings; usage is left out where it is unknown.
#[must_use]
pub fn encode(reply: &ChatReply, context: &ReplyContext) -> Vec<u8> {
    let mut body = Map::new();
    body.insert("id".to_owned(), format!("chatcmpl-{}", context.unique).into());
    body.insert("object".to_owned(), "chat.completion".into());
    body.insert("created".to_owned(), (context.created_ms / 1_000).into());
    body.insert("model".to_owned(), context.model.as_str().into());
    body.insert("choices".to_owned(), reply.choices.iter().map(choice_value).collect::<Vec<_>>().into());
    extra::put(&mut body, "usage", usage::encode(&reply.usage));
    Value::Object(body).to_string().into_bytes()
}

fn choice_value(choice: &Choice) -> Value {
    let mut spoken = Spoken::of(&choice.parts);
    let texts = std::mem::take(&mut spoken.texts).concat();
    let has_content = !texts.is_empty() || (spoken.calls.is_empty() && spoken.refusal.is_none());
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), if has_content { texts.into() } else { Value::Null });
    message.insert("refusal".to_owned(), spoken.refusal.take().into());
    spoken.write_rest(&mut message, &["reasoning_content", "reasoning"]);
    let mut value = json!({
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": usage::finish_word(&choice.finish),
    });
    if let Finish::Other(word) = &choice.finish {
        // OpenRouter's member for what the upstream really said.
        value["native_finish_reason"] = word.as_str().into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::usage::Usage;

    fn context() -> ReplyContext {
        ReplyContext { unique: "u1".into(), model: "m".into(), created_ms: 1_700_000_000_999, include_usage: false }
    }

    #[test]
    fn a_whole_answer_is_read() {
        let body = br#"{"id":"chatcmpl-1","object":"chat.completion","model":"qwen3","choices":[
            {"index":1,"message":{"role":"assistant","content":"two"},"finish_reason":"length"},
            {"index":0,"message":{"role":"assistant","content":"one","reasoning_content":"hm","tool_calls":[
                {"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
                {"type":"function","function":{"name":"g","arguments":{"y":2}}}]},
             "logprobs":{"content":[]},"finish_reason":"stop","stop_reason":null}],
            "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,
                "prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}},
            "timings":{"predicted_ms":1.5}}"#;
        let reply = decode(body).unwrap();
        assert_eq!(reply.model.as_deref(), Some("qwen3"));
        assert_eq!(
            reply.usage,
            Usage {
                input: Some(3),
                output: Some(4),
                cached_read: Some(2),
                cache_write: None,
                reasoning: Some(1),
                saved: None
            }
        );
        let first = &reply.choices[0];
        let call = |id: &str, name: &str, arguments: &str| {
            Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() })
        };
        assert_eq!(
            first.parts,
            [
                Part::Thinking { text: "hm".into(), signature: None },
                Part::Text("one".into()),
                call("a", "f", r#"{"x":1}"#),
                call("call_chatcmpl1_0_1", "g", r#"{"y":2}"#),
            ]
        );
        assert_eq!((&first.finish, first.logprobs.is_some()), (&Finish::ToolCalls, true));
        assert_eq!((reply.choices[1].index, &reply.choices[1].finish), (1, &Finish::Length));
    }

    #[test]
    fn odd_answers() {
        let finish = |text: &str| decode(text.as_bytes()).map(|reply| reply.choices[0].finish.clone());
        assert_eq!(finish(r#"{"choices":[{"message":{"content":"x"}}]}"#), Ok(Finish::Stop));
        assert_eq!(
            finish(r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop","stop_reason":"END"}]}"#),
            Ok(Finish::StopSequence(Some("END".into())))
        );
        for (text, at, expected) in [
            (r#"{"choices":[]}"#, "choices", "at least one"),
            (r#"{"error":{"message":"boom"}}"#, "error", "boom"),
            (r#"{"choices":[{"error":{"code":502,"message":"gone"}}]}"#, "choices[0].error", "gone"),
            (
                r#"{"choices":[{"message":{"content":"x"},"finish_reason":"abort"}]}"#,
                "choices[0]",
                "gave the answer up",
            ),
            ("not json", "line 1 column 2", "expected"),
        ] {
            let error = decode(text.as_bytes()).unwrap_err();
            assert_eq!(error.at, at, "{text}");
            assert!(error.expected.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_a_client_gets() {
        let reply = ChatReply {
            model: Some("other".into()),
            choices: vec![Choice {
                index: 0,
                parts: vec![
                    Part::Thinking { text: "hm".into(), signature: Some("sig".into()) },
                    Part::ToolCall(ToolCall { id: "a".into(), name: "f".into(), arguments: String::new() }),
                ],
                finish: Finish::ToolCalls,
                logprobs: None,
            }],
            usage: Usage { input: Some(3), output: Some(4), cached_read: Some(1), ..Usage::default() },
        };
        let value: Value = serde_json::from_slice(&encode(&reply, &context())).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn an_answer_survives_its_own_dialect() {
        let reply = ChatReply {
            model: Some("m".into()),
            choices: vec![
                Choice {
                    index: 0,
                    parts: vec![
                        Part::Thinking { text: "hm".into(), signature: Some("sig".into()) },
                        Part::RedactedThinking("x".into()),
                        Part::Text("hello \u{2028} \"you\"".into()),
                    ],
                    finish: Finish::Length,
                    logprobs: Some(json!({ "content": [] })),
                },
                Choice {
                    index: 1,
                    parts: vec![Part::Refusal("no".into())],
                    finish: Finish::ContentFilter,
                    logprobs: None,
                },
            ],
            usage: Usage { input: Some(3), output: Some(4), reasoning: Some(2), ..Usage::default() },
        };
        assert_eq!(decode(&encode(&reply, &context())).unwrap(), reply);
    }

    #[test]
    fn an_unknown_usage_is_left_out_and_an_empty_answer_has_a_text() {
        let choice = Choice { index: 0, parts: vec![], finish: Finish::Other("pause".into()), logprobs: None };
        let reply = ChatReply { model: None, choices: vec![choice], usage: Usage::default() };
        let value: Value = serde_json::from_slice(&encode(&reply, &context())).unwrap();
        assert_eq!(value.get("usage"), None);
        assert_eq!(value["choices"][0]["message"]["content"], "");
        assert_eq!(value["choices"][0]["finish_reason"], "stop");
        assert_eq!(value["choices"][0]["native_finish_reason"], "pause");
    }
}
