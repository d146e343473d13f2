use domain::usage::Usage;
use serde_json::json;

use super::*;
use crate::chat::ToolCall;
use crate::json::Object;
use crate::reply::{Choice, Finish};

fn context() -> ReplyContext {
    ReplyContext { unique: "u1".to_owned(), model: "m".to_owned(), created_ms: 1_733_446_089_983, include_usage: true }
}

fn write(parts: Vec<Part>, finish: Finish, usage: Usage, logprobs: Option<Value>, echo: &Echo) -> Value {
    let reply = ChatReply { model: None, choices: vec![Choice { index: 0, parts, finish, logprobs }], usage };
    serde_json::from_slice(&encode(&reply, &context(), echo)).unwrap()
}

#[test]
fn a_whole_answer() {
    let body = json!({"model": "m", "input": "hi", "instructions": "Be brief.", "temperature": 0.5,
        "tools": [{"type": "function", "name": "f"}], "tool_choice": "auto", "store": true})
    .to_string();
    let echo = Echo::of(&Object::of(body.as_bytes()).unwrap()).unwrap();
    let call = ToolCall { id: "c1".to_owned(), name: "f".to_owned(), arguments: "{\"a\":1}".to_owned() };
    let parts = vec![
        Part::Thinking { text: "Hm".to_owned(), signature: Some("sig".to_owned()) },
        Part::RedactedThinking("xx".to_owned()),
        Part::Text("Hel".to_owned()),
        Part::Text("lo".to_owned()),
        Part::ToolCall(call),
    ];
    let usage =
        Usage { input: Some(10), output: Some(5), cached_read: Some(4), reasoning: Some(2), ..Usage::default() };
    let logprobs = json!({"content": [{"token": "é", "logprob": -0.5, "bytes": null, "top_logprobs": []}]});
    let answer = write(parts, Finish::ToolCalls, usage, Some(logprobs), &echo);
    let text = serde_json::to_string_pretty(&answer).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn a_call_without_arguments_has_empty_ones() {
    let call = Part::ToolCall(ToolCall { id: "c1".to_owned(), name: "f".to_owned(), arguments: String::new() });
    let answer = write(vec![call], Finish::ToolCalls, Usage::default(), None, &Echo::default());
    assert_eq!(answer["output"][0]["arguments"], "{}");
}

#[test]
fn how_answers_end() {
    let refusal = || vec![Part::Refusal("No.".to_owned())];
    let text = || vec![Part::Text("Hi".to_owned())];
    for (parts, finish, status, reason, item) in [
        (text(), Finish::Stop, "completed", Value::Null, "completed"),
        (text(), Finish::StopSequence(None), "completed", Value::Null, "completed"),
        (text(), Finish::Length, "incomplete", json!("max_output_tokens"), "incomplete"),
        (text(), Finish::ContentFilter, "incomplete", json!("content_filter"), "incomplete"),
        (refusal(), Finish::ContentFilter, "completed", Value::Null, "completed"),
    ] {
        let answer = write(parts, finish, Usage::default(), None, &Echo::default());
        assert_eq!(answer["status"], status);
        assert_eq!(answer["incomplete_details"]["reason"], reason);
        assert_eq!(answer["output"][0]["status"], item);
        assert_eq!(answer["usage"], Value::Null);
        assert_eq!((&answer["tools"], &answer["parallel_tool_calls"]), (&json!([]), &json!(true)));
    }
    let empty: Value = serde_json::from_slice(&encode(&ChatReply::default(), &context(), &Echo::default())).unwrap();
    assert_eq!((&empty["output"], &empty["status"]), (&json!([]), &json!("completed")));
}

#[test]
fn an_answer_sent_back_says_the_same() {
    let call = |id: &str| ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
    let parts = vec![
        Part::Thinking { text: "Hm".to_owned(), signature: Some("sig".to_owned()) },
        Part::RedactedThinking("xx".to_owned()),
        Part::Text("Hello".to_owned()),
        Part::Refusal("No.".to_owned()),
        Part::ToolCall(call("c1")),
        Part::ToolCall(call("c2")),
    ];
    let answer = write(parts.clone(), Finish::ToolCalls, Usage::default(), None, &Echo::default());
    let body = json!({"model": "m", "input": answer["output"]}).to_string();
    let request = super::super::request::decode(&Object::of(body.as_bytes()).unwrap()).unwrap();
    assert_eq!(request.messages.len(), 1);
    assert_eq!(request.messages[0].parts, parts);
}
