//! The whole answer of `POST /v1/messages`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::block::{self, Block, tool_input};
use super::finish::{self, Held};
use super::usage;
use crate::chat::{Part, ToolCall};
use crate::json;
use crate::malformed::Malformed;
use crate::reply::{ChatReply, Choice, Finish, ReplyContext};

#[derive(Debug, Deserialize)]
struct Received {
    model: Option<String>,
    content: Option<Vec<block::Received>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<usage::Received>,
    error: Option<Value>,
}

/// Reads an upstream's answer. Blocks of kinds that no request through Airlane asks for are passed over.
///
/// # Errors
/// The body is not a message.
pub fn decode(body: &[u8]) -> Result<ChatReply, Malformed> {
    let received: Received = json::read(body)?;
    let Some(content) = received.content else {
        let found = if received.error.is_some() { "an error under a status of success" } else { "nothing" };
        return Err(Malformed::new("content", format!("a message's content is expected, found {found}")));
    };
    let parts: Vec<Part> = content.into_iter().filter_map(part).collect();
    let finish = match received.stop_reason {
        Some(reason) => finish::decode(&reason, received.stop_sequence),
        None if parts.iter().any(|part| matches!(part, Part::ToolCall(_))) => Finish::ToolCalls,
        None => Finish::Stop,
    };
    let usage = received.usage.unwrap_or_default().usage();
    let choice = Choice { index: 0, parts, finish, logprobs: None };
    Ok(ChatReply { model: received.model, choices: vec![choice], usage })
}

fn part(block: block::Received) -> Option<Part> {
    match block.kind.as_str() {
        "text" => block.text.map(Part::Text),
        "thinking" => Some(Part::Thinking {
            text: block.thinking.unwrap_or_default(),
            signature: block.signature.filter(|signature| !signature.is_empty()),
        }),
        "redacted_thinking" => block.data.map(Part::RedactedThinking),
        "tool_use" => Some(Part::ToolCall(ToolCall {
            id: block.id.unwrap_or_default(),
            name: block.name.unwrap_or_default(),
            arguments: block.input.map_or_else(|| "{}".to_owned(), |input| input.get().to_owned()),
        })),
        _ => None,
    }
}

/// A message to write, whole or as the empty one that begins a stream.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub(super) id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    pub(super) model: &'a str,
    pub(super) content: Vec<Block<'a>>,
    pub(super) stop_reason: Option<&'a str>,
    pub(super) stop_sequence: Option<&'a str>,
    pub(super) usage: usage::Written,
}

impl<'a> Message<'a> {
    pub(super) fn new(context: &'a ReplyContext, usage: usage::Written) -> Self {
        Self {
            id: format!("msg_{}", context.unique),
            kind: "message",
            role: "assistant",
            model: &context.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage,
        }
    }
}

/// Writes an answer. Anthropic knows one alternative: the first is written.
#[must_use]
pub fn encode(reply: &ChatReply, context: &ReplyContext) -> Vec<u8> {
    let mut message = Message::new(context, usage::Written::from(&reply.usage));
    let mut held = Held::default();
    let choice = reply.choices.iter().min_by_key(|choice| choice.index);
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    for (position, part) in parts.iter().enumerate() {
        held.calls |= matches!(part, Part::ToolCall(_));
        held.refusal |= matches!(part, Part::Refusal(_));
        message.content.extend(written(part, position, context));
    }
    let (reason, sequence) = finish::encode(choice.map(|choice| &choice.finish), held);
    message.stop_reason = Some(reason);
    message.stop_sequence = sequence;
    // Strings and numbers always serialise.
    serde_json::to_vec(&message).unwrap_or_default()
}

fn written<'a>(part: &'a Part, position: usize, context: &ReplyContext) -> Option<Block<'a>> {
    Some(match part {
        Part::Text(text) | Part::Refusal(text) if text.is_empty() => return None,
        Part::Text(text) | Part::Refusal(text) => Block::Text { text },
        Part::Thinking { text, signature } => {
            Block::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() }
        }
        Part::RedactedThinking(data) => Block::RedactedThinking { data },
        Part::ToolCall(call) => {
            let id = Some(call.id.as_str()).filter(|id| !id.is_empty()).map(Cow::Borrowed);
            Block::ToolUse {
                id: id.unwrap_or_else(|| call_id(context, position).into()),
                name: &call.name,
                input: tool_input(&call.arguments),
            }
        }
        // No answer holds these.
        Part::Image { .. } | Part::ToolResult { .. } => return None,
    })
}

/// An id for a call that came without one.
pub(super) fn call_id(context: &ReplyContext, position: usize) -> String {
    format!("toolu_{}_{position}", context.unique)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::usage::Usage;

    fn context() -> ReplyContext {
        ReplyContext { unique: "u1".to_owned(), model: "fast".to_owned(), created_ms: 0, include_usage: false }
    }

    fn pretty(body: &[u8]) -> String {
        let value: Value = serde_json::from_slice(body).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    }

    #[test]
    fn an_answer_with_everything_is_read() {
        let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[
            {"type":"thinking","thinking":"hm","signature":"sig="},
            {"type":"redacted_thinking","data":"abc"},
            {"type":"text","text":"Let me look.","citations":null},
            {"type":"server_tool_use","id":"s","name":"web_search","input":{}},
            {"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"K\u00f6ln"}},
            {"type":"tool_use","id":"toolu_2","name":"time","input":{}}],
            "stop_reason":"tool_use","stop_sequence":null,
            "usage":{"input_tokens":10,"cache_read_input_tokens":4,"output_tokens":5}}"#;
        let reply = decode(body).unwrap();
        assert_eq!(reply.model.as_deref(), Some("claude-x"));
        assert_eq!(reply.usage.input, Some(14));
        assert_eq!(reply.choices[0].finish, Finish::ToolCalls);
        insta::assert_debug_snapshot!(reply.choices[0].parts);
    }

    #[test]
    fn what_was_read_is_written_again() {
        let body = br#"{"id":"msg_u1","type":"message","role":"assistant","model":"fast","content":[{"type":"thinking","thinking":"hm","signature":"sig="},{"type":"redacted_thinking","data":"abc"},{"type":"text","text":"Hi"},{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Bonn"}}],"stop_reason":"stop_sequence","stop_sequence":"END","usage":{"input_tokens":10,"cache_creation_input_tokens":1,"cache_read_input_tokens":4,"output_tokens":5}}"#;
        let written = encode(&decode(body).unwrap(), &context());
        assert_eq!(String::from_utf8(written).unwrap(), std::str::from_utf8(body).unwrap());
    }

    #[test]
    fn an_answer_of_another_dialect_is_written() {
        let call = |id: &str, arguments: &str| {
            Part::ToolCall(ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() })
        };
        let reply = ChatReply {
            model: Some("qwen".to_owned()),
            choices: vec![
                Choice {
                    index: 1,
                    parts: vec![Part::Text("second".to_owned())],
                    finish: Finish::Length,
                    logprobs: None,
                },
                Choice {
                    index: 0,
                    parts: vec![
                        Part::Thinking { text: "hm".to_owned(), signature: None },
                        Part::Text(String::new()),
                        call("call_1", r#""{\"a\":1}""#),
                        call("", ""),
                    ],
                    finish: Finish::Stop,
                    logprobs: None,
                },
            ],
            usage: Usage { input: Some(9), output: Some(3), reasoning: Some(2), ..Usage::default() },
        };
        insta::assert_snapshot!(pretty(&encode(&reply, &context())));
    }

    #[test]
    fn answers_that_are_none() {
        for (body, want) in [
            (&b"{}"[..], "content: a message's content is expected, found nothing"),
            (
                br#"{"type":"error","error":{"type":"api_error","message":"x"}}"#,
                "content: a message's content is expected, found an error under a status of success",
            ),
            (b"<html>", "line 1 column 1: expected value"),
            (br#"{"content":"x"}"#, r#"line 1 column 14: invalid type: string "x", expected a sequence"#),
        ] {
            assert_eq!(decode(body).unwrap_err().to_string(), want);
        }
        assert_eq!(decode(br#"{"content":[]}"#).unwrap().choices[0].finish, Finish::Stop);
    }

    #[test]
    fn no_alternative_is_an_empty_message() {
        let text = String::from_utf8(encode(&ChatReply::default(), &context())).unwrap();
        assert!(text.contains(r#""content":[],"stop_reason":"end_turn""#), "{text}");
    }
}
