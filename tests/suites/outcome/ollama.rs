//! Ollama's lines.

use serde_json::Value;

use super::{Outcome, string};

pub(super) fn ollama(lines: &[Value]) -> Outcome {
    let mut outcome = Outcome::default();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["done"], number + 1 == lines.len(), "done is on the last line only: {line}");
        assert!(line["created_at"].is_string(), "{line}");
        let message = &line["message"];
        outcome.text.push_str(string(&message["content"]));
        outcome.text.push_str(string(&line["response"]));
        outcome.reasoning.push_str(string(&message["thinking"]));
        outcome.reasoning.push_str(string(&line["thinking"]));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            assert!(function["arguments"].is_object(), "arguments are an object: {line}");
            outcome.tools.push((string(&function["name"]).to_owned(), function["arguments"].clone()));
        }
    }
    let last = lines.last().expect("a line");
    let stopped = if outcome.tools.is_empty() { "stop" } else { "tools" };
    outcome.finish = if last["done_reason"] == "stop" { stopped } else { string(&last["done_reason"]) }.to_owned();
    outcome.input_tokens = last["prompt_eval_count"].as_u64();
    outcome.output_tokens = last["eval_count"].as_u64();
    outcome
}
