//! Every surface on every kind of upstream, streamed and not: text, tools, usage and finish come out right.

use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, INPUT_TOKENS, SIGNATURE, Script};
use serde_json::{Value, json};

use crate::common::{chat, chat_body, messages, messages_body, pair};
use crate::outcome::{Near, Outcome};

const KINDS: [&str; 3] = ["openai", "anthropic", "ollama"];

/// Runs one case of the matrix and names it when it goes wrong.
fn run(daemon: &Daemon, near: Near, stream: bool, body: &Value) -> Outcome {
    near.read(stream, &daemon.send(&near.request(body)))
}

fn matrix(kind: &str, script: &Script, nears: &[Near], prepare: impl Fn(Near, &mut Value)) -> Vec<(String, Outcome)> {
    let (fake, daemon) = pair(kind);
    fake.answer(script.clone());
    let mut outcomes = Vec::new();
    for &near in nears {
        for stream in [false, true] {
            if near == Near::Completions && kind == "anthropic" {
                continue;
            }
            let mut body = near.body("fake-1", stream);
            prepare(near, &mut body);
            let case = format!("{} stream={stream} on {kind}", near.path());
            println!("{case}");
            outcomes.push((case, run(&daemon, near, stream, &body)));
        }
    }
    outcomes
}

fn text_case(kind: &str) {
    let script = Script::default();
    for (case, outcome) in matrix(kind, &script, &Near::ALL, |_, _| {}) {
        assert_eq!(outcome.text, script.full_text(), "{case}");
        assert_eq!(outcome.finish, "stop", "{case}");
        assert_eq!(outcome.input_tokens, Some(INPUT_TOKENS as u64), "{case}");
        assert_eq!(outcome.output_tokens, Some(script.output_tokens() as u64), "{case}");
        assert_eq!(outcome.tools, [], "{case}");
    }
}

#[test]
fn text_on_openai() {
    text_case("openai");
}

#[test]
fn text_on_anthropic() {
    text_case("anthropic");
}

#[test]
fn text_on_ollama() {
    text_case("ollama");
}

#[test]
fn a_cut_answer_says_length() {
    for kind in KINDS {
        let script = Script { finish: Some("length"), ..Script::default() };
        for (case, outcome) in matrix(kind, &script, &Near::ALL, |_, _| {}) {
            assert_eq!(outcome.finish, "length", "{case}");
        }
    }
}

#[test]
fn parallel_tool_calls_arrive_whole() {
    for kind in KINDS {
        let script = Script::two_tools();
        for (case, outcome) in matrix(kind, &script, &Near::WITH_TOOLS, Near::add_tool) {
            let want: Vec<(String, Value)> =
                script.tools.iter().map(|tool| (tool.name.clone(), tool.arguments.clone())).collect();
            assert_eq!(outcome.tools, want, "{case}");
            assert_eq!(outcome.finish, "tools", "{case}");
        }
    }
}

#[test]
fn reasoning_arrives_apart_from_the_text() {
    for kind in KINDS {
        let reasoning = ["Let", " me", " think"].map(String::from).to_vec();
        let script = Script { reasoning, ..Script::default() };
        for (case, outcome) in matrix(kind, &script, &[Near::Chat, Near::Messages, Near::OllamaChat], |_, _| {}) {
            assert_eq!(outcome.reasoning, "Let me think", "{case}");
            assert_eq!(outcome.text, script.full_text(), "{case}");
        }
    }
}

#[test]
fn answers_without_usage_still_end_well() {
    for kind in KINDS {
        let script = Script { usage: false, ..Script::default() };
        for (case, outcome) in matrix(kind, &script, &Near::ALL, |_, _| {}) {
            assert_eq!(outcome.text, script.full_text(), "{case}");
            assert_eq!(outcome.finish, "stop", "{case}");
        }
    }
}

#[test]
fn several_choices_come_back_from_openai() {
    let (_fake, daemon) = pair("openai");
    let mut body = chat_body("fake-1", false);
    body["n"] = json!(2);
    let reply = daemon.post("/v1/chat/completions", &body).json();
    assert_eq!(reply["choices"].as_array().map(Vec::len), Some(2), "{reply}");
    assert_eq!(reply["choices"][1]["index"], 1);
}

#[test]
fn signatures_of_thinking_survive() {
    let (fake, daemon) = pair("anthropic");
    fake.answer(Script { reasoning: vec!["Hm".to_owned()], ..Script::default() });
    let whole = daemon.send(&messages("fake-1", false)).json();
    assert_eq!(whole["content"][0]["signature"], SIGNATURE, "{whole}");
    let stream = daemon.send(&messages("fake-1", true)).text();
    assert!(stream.contains(SIGNATURE), "{stream}");
}

#[test]
fn tokens_are_counted_by_the_upstream() {
    for kind in ["openai", "anthropic"] {
        let (fake, daemon) = pair(kind);
        let mut body = messages_body("fake-1", false);
        body.as_object_mut().expect("an object").remove("max_tokens");
        let response = daemon.post("/v1/messages/count_tokens", &body);
        assert_eq!(response.status(), 200, "{}", response.text());
        assert_eq!(response.json()["input_tokens"], INPUT_TOKENS);
        assert!(fake.wait_request(0).request.path.ends_with("/count_tokens"));
    }
}

#[test]
fn responses_keep_no_state_and_say_so() {
    let (_fake, daemon) = pair("openai");
    let body = json!({"model": "fake-1", "input": "Hi", "previous_response_id": "resp_1"});
    let response = daemon.post("/v1/responses", &body);
    assert_eq!(response.status(), 400);
    assert!(response.text().contains("previous_response_id"), "{}", response.text());
}

#[test]
fn loopback_gives_the_prompt_back() {
    let daemon = Setup::new().upstream("loopback", "loopback", "", "tokens_per_s = 1000").start();
    for near in Near::ALL {
        for stream in [false, true] {
            let case = format!("{} stream={stream}", near.path());
            println!("{case}");
            let outcome = run(&daemon, near, stream, &near.body("loopback/echo", stream));
            assert!(outcome.text.contains("Say something"), "{case}: {:?}", outcome.text);
        }
    }
}

#[test]
fn loopback_is_never_chosen_unasked() {
    let fake = Fake::with_models(&["echo"]);
    let daemon = Setup::new().upstream("loopback", "loopback", "", "").fake("box", "openai", &fake).start();
    crate::common::eventually("the models of the fake", || {
        daemon.send(&chat("echo", false)).header("x-airlane-upstream") == Some("box")
    });
    assert!(!fake.requests().is_empty());
}

#[test]
fn the_upstream_that_answered_is_named() {
    let (_fake, daemon) = pair("openai");
    for stream in [false, true] {
        let response = daemon.send(&chat("fake-1", stream));
        assert_eq!(response.header("x-airlane-upstream"), Some("box"));
    }
}
