//! What a request says reaches every kind of upstream in its own words, or is refused by name.

use serde_json::{Value, json};

use crate::common::{chat_body, messages_body, pair};
use crate::outcome::Near;

const KINDS: [&str; 3] = ["openai", "anthropic", "ollama"];

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
