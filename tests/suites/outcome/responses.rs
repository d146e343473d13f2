//! OpenAI's responses.

use airlane_tests::events;
use serde_json::Value;

use super::{Outcome, parse, string};

pub(super) fn response_object(reply: &Value) -> Outcome {
    assert_eq!(reply["object"], "response", "{reply}");
    let mut outcome = Outcome {
        finish: match string(&reply["status"]) {
            "completed" => "stop".to_owned(),
            "incomplete" => "length".to_owned(),
            other => other.to_owned(),
        },
        input_tokens: reply["usage"]["input_tokens"].as_u64(),
        output_tokens: reply["usage"]["output_tokens"].as_u64(),
        ..Outcome::default()
    };
    for item in reply["output"].as_array().into_iter().flatten() {
        match string(&item["type"]) {
            "message" => {
                for part in item["content"].as_array().into_iter().flatten() {
                    outcome.text.push_str(string(&part["text"]));
                }
            }
            "function_call" => {
                outcome.tools.push((string(&item["name"]).to_owned(), parse(string(&item["arguments"]))));
                "tools".clone_into(&mut outcome.finish);
            }
            "reasoning" => {
                let parts = item["content"].as_array().or_else(|| item["summary"].as_array());
                for part in parts.into_iter().flatten() {
                    outcome.reasoning.push_str(string(&part["text"]));
                }
            }
            other => panic!("an output item of type {other:?}"),
        }
    }
    outcome
}

pub(super) fn response_stream(text: &str) -> Outcome {
    let events = events::parse(text);
    let mut deltas = String::new();
    for (number, event) in events.iter().filter(|event| event.data != "[DONE]").enumerate() {
        let value = event.json();
        assert_eq!(value["type"], event.name.as_str(), "the event's name is its type");
        assert_eq!(value["sequence_number"], number, "{value}");
        if event.name == "response.output_text.delta" {
            deltas.push_str(string(&value["delta"]));
        }
    }
    assert_eq!(events[0].name, "response.created");
    let last = events.iter().rev().find(|event| event.data != "[DONE]").expect("an event").json();
    assert!(["response.completed", "response.incomplete"].contains(&string(&last["type"])), "{last}");
    let outcome = response_object(&last["response"]);
    assert_eq!(deltas, outcome.text, "the deltas make up the text");
    outcome
}
