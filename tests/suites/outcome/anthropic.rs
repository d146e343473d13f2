//! Anthropic's messages.

use airlane_tests::events;
use serde_json::Value;

use super::{Outcome, parse, string};

fn anthropic_finish(word: &Value) -> String {
    match string(word) {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tools",
        other => other,
    }
    .to_owned()
}

/// Anthropic counts what its cache gave apart from the other input.
fn anthropic_input(usage: &Value) -> Option<u64> {
    let cached =
        ["cache_read_input_tokens", "cache_creation_input_tokens"].map(|name| usage[name].as_u64().unwrap_or(0));
    usage["input_tokens"].as_u64().map(|input| input + cached.iter().sum::<u64>())
}

pub(super) fn message_whole(reply: &Value) -> Outcome {
    assert_eq!(reply["type"], "message", "{reply}");
    let mut outcome = Outcome {
        finish: anthropic_finish(&reply["stop_reason"]),
        input_tokens: anthropic_input(&reply["usage"]),
        output_tokens: reply["usage"]["output_tokens"].as_u64(),
        ..Outcome::default()
    };
    for block in reply["content"].as_array().into_iter().flatten() {
        match string(&block["type"]) {
            "text" => outcome.text.push_str(string(&block["text"])),
            "thinking" => outcome.reasoning.push_str(string(&block["thinking"])),
            "tool_use" => outcome.tools.push((string(&block["name"]).to_owned(), block["input"].clone())),
            other => panic!("a block of type {other:?}"),
        }
    }
    outcome
}

pub(super) fn message_stream(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut open, mut blocks, mut ended): (Option<u64>, u64, bool) = (None, 0, false);
    let mut call: Option<(String, String)> = None;
    for event in events::parse(text) {
        let value = event.json();
        assert_eq!(value["type"], event.name.as_str(), "the event's name is its type");
        assert!(!ended, "an event after message_stop: {value}");
        match event.name.as_str() {
            "message_start" => outcome.input_tokens = anthropic_input(&value["message"]["usage"]),
            "content_block_start" => {
                assert_eq!(open, None, "blocks overlap: {text}");
                assert_eq!(value["index"], blocks, "{value}");
                (open, blocks) = (Some(blocks), blocks + 1);
                let block = &value["content_block"];
                call = (block["type"] == "tool_use").then(|| (string(&block["name"]).to_owned(), String::new()));
            }
            "content_block_delta" => {
                assert_eq!(value["index"].as_u64(), open, "{value}");
                let delta = &value["delta"];
                outcome.text.push_str(string(&delta["text"]));
                outcome.reasoning.push_str(string(&delta["thinking"]));
                if let Some((_, arguments)) = &mut call {
                    arguments.push_str(string(&delta["partial_json"]));
                }
            }
            "content_block_stop" => {
                assert_eq!(value["index"].as_u64(), open.take(), "{value}");
                outcome.tools.extend(call.take().map(|(name, arguments)| (name, parse(&arguments))));
            }
            "message_delta" => {
                outcome.finish = anthropic_finish(&value["delta"]["stop_reason"]);
                outcome.output_tokens = value["usage"]["output_tokens"].as_u64();
                outcome.input_tokens = anthropic_input(&value["usage"]).or(outcome.input_tokens);
            }
            "message_stop" => ended = true,
            "ping" => {}
            other => panic!("an event of type {other:?}"),
        }
    }
    assert!(ended, "no message_stop: {text}");
    outcome
}
