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
fn a_system_prompt_reaches_every_upstream() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        let mut chat = chat_body("fake-1", false);
        chat["messages"] = json!([{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]);
        let mut message = messages_body("fake-1", false);
        message["system"] = json!("Be brief");
        let _ = daemon.post("/v1/chat/completions", &chat);
        let _ = daemon.send(&Near::Messages.request(&message));
        for number in 0..2 {
            let body = fake.body(number);
            let found = if kind == "anthropic" { body["system"].to_string() } else { body["messages"][0].to_string() };
            assert!(found.contains("Be brief"), "{kind}, request {number}: {body}");
        }
    }
}

/// A conversation in which the model has called two tools and got their results.
fn tool_history() -> Value {
    let call = |id: &str, city: &str| {
        json!({"id": id, "type": "function",
            "function": {"name": "get_weather", "arguments": json!({"city": city}).to_string()}})
    };
    json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [call("call_a", "Köln"), call("call_b", "Oslo")]},
        {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_b", "content": "snow"},
    ])
}

#[test]
fn tool_results_reach_every_upstream() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        let mut body = chat_body("fake-1", false);
        body["messages"] = tool_history();
        Near::Chat.add_tool(&mut body);
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.status(), 200, "{kind}: {}", response.text());
        let sent = fake.body(0);
        let messages = sent["messages"].as_array().expect("messages");
        match kind {
            "anthropic" => {
                let calls = messages[1]["content"].as_array().expect("blocks");
                let uses: Vec<&Value> = calls.iter().filter(|block| block["type"] == "tool_use").collect();
                assert_eq!(uses.len(), 2, "{sent}");
                assert_eq!(uses[1]["input"], json!({"city": "Oslo"}), "{sent}");
                let results = messages[2]["content"].as_array().expect("blocks");
                assert_eq!(results.len(), 2, "both results lie in one user message: {sent}");
                assert_eq!(results[1]["tool_use_id"], uses[1]["id"], "{sent}");
            }
            "ollama" => {
                let calls = &messages[1]["tool_calls"];
                assert_eq!(calls[1]["function"]["arguments"], json!({"city": "Oslo"}), "{sent}");
                assert_eq!(messages[3]["content"], "snow", "{sent}");
            }
            _ => assert_eq!(sent["messages"], tool_history(), "the same dialect is passed on as it is"),
        }
    }
}

#[test]
fn images_reach_every_upstream() {
    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        let mut body = chat_body("fake-1", false);
        body["messages"][0]["content"] = json!([
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}},
        ]);
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.status(), 200, "{kind}: {}", response.text());
        let sent = fake.body(0);
        let message = &sent["messages"][0];
        match kind {
            "anthropic" => {
                let source = &message["content"][1]["source"];
                assert_eq!(source["data"], PIXEL, "{sent}");
                assert_eq!(source["media_type"], "image/png", "{sent}");
            }
            "ollama" => assert_eq!(message["images"], json!([PIXEL]), "{sent}"),
            _ => assert_eq!(message, &body["messages"][0]),
        }
    }
}

#[test]
fn sampling_settings_are_translated() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        let mut body = chat_body("fake-1", false);
        for (name, value) in [("temperature", json!(0.25)), ("top_p", json!(0.5)), ("max_tokens", json!(77))] {
            body[name] = value;
        }
        body["stop"] = json!(["END"]);
        assert_eq!(daemon.post("/v1/chat/completions", &body).status(), 200);
        let sent = fake.body(0);
        let (holder, limit, stop) = match kind {
            "anthropic" => (&sent, "max_tokens", "stop_sequences"),
            "ollama" => (&sent["options"], "num_predict", "stop"),
            _ => (&sent, "max_tokens", "stop"),
        };
        assert_eq!(holder["temperature"], 0.25, "{sent}");
        assert_eq!(holder["top_p"], 0.5, "{sent}");
        assert_eq!(holder[limit], 77, "{sent}");
        assert_eq!(holder[stop], json!(["END"]), "{sent}");
    }
}

#[test]
fn a_json_schema_reaches_who_can_hold_it() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "thing", "strict": true, "schema": schema}});
    for kind in ["openai", "ollama"] {
        let (fake, daemon) = pair(kind);
        let mut body = chat_body("fake-1", false);
        body["response_format"] = format.clone();
        assert_eq!(daemon.post("/v1/chat/completions", &body).status(), 200);
        let sent = fake.body(0);
        let want = if kind == "ollama" { (&sent["format"], &schema) } else { (&sent["response_format"], &format) };
        assert_eq!(want.0, want.1, "{sent}");
    }
}

#[test]
fn unknown_members_reach_a_server_of_the_same_dialect() {
    let (fake, daemon) = pair("openai");
    let mut body = chat_body("fake-1", false);
    body["min_p"] = json!(0.05);
    body["chat_template_kwargs"] = json!({"enable_thinking": false});
    body["vendor_thing"] = json!([1, {"x": null}]);
    let reply = daemon.post("/v1/chat/completions", &body).json();
    let sent = fake.body(0);
    for name in ["min_p", "chat_template_kwargs", "vendor_thing"] {
        assert_eq!(sent[name], body[name], "{sent}");
    }
    assert_eq!(reply["timings"]["predicted_per_second"], 42.5, "a server's own members come back");
}

#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    for kind in ["anthropic", "ollama"] {
        let (fake, daemon) = pair(kind);
        let mut body = chat_body("fake-1", false);
        body["logit_bias"] = json!({"50256": -100});
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.status(), 400, "{kind}: {}", response.text());
        let error = &response.json()["error"];
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("logit_bias") && message.contains("box"), "{kind}: {message}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(fake.requests().is_empty(), "{kind}: nothing may be sent without it");
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
