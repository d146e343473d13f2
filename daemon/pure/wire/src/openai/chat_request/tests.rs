use proptest::prelude::*;

use super::*;
use crate::chat::{ImageSource, Message, Part, Reasoning, Role, Tool, ToolCall, ToolChoice};

fn read(text: &str) -> Result<ChatRequest, Malformed> {
    decode(&Object::of(text.as_bytes()).expect("JSON"))
}

fn messages(text: &str) -> Vec<Message> {
    read(&format!(r#"{{"model":"m","messages":{text}}}"#)).expect(text).messages
}

fn with(member: &str) -> Result<ChatRequest, Malformed> {
    read(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{member}}}"#))
}

fn written(request: &ChatRequest, server: Server) -> Value {
    serde_json::from_slice(&encode(request, "up", server).expect("carried")).expect("JSON")
}

fn text(role: Role, text: &str) -> Message {
    Message { role, parts: vec![Part::Text(text.to_owned())], name: None }
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() })
}

fn result(id: &str, name: Option<&str>, content: Vec<Part>) -> Part {
    Part::ToolResult { call_id: id.to_owned(), name: name.map(str::to_owned), content, is_error: false }
}

const FULL: &str = r#"{
    "model": "gpt", "max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "n": 2,
    "logprobs": true, "top_logprobs": 3, "parallel_tool_calls": false, "reasoning_effort": "low", "user": "u",
    "stream": true, "stream_options": {"include_usage": false}, "store": true, "metadata": {"a": "b"}, "min_tokens": 4,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}},
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": true,
        "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}]},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}]},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"z\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": {"z": 2}}}]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "two"}]},
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "user", "content": "go on"}
    ]}"#;

#[test]
fn a_full_request_is_read() {
    let request = read(FULL).unwrap();
    assert_eq!(request.sampling.max_tokens, Some(100));
    assert_eq!((request.sampling.logprobs, request.sampling.top_logprobs), (Some(true), Some(3)));
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(request.reasoning, Some(Reasoning { effort: Some("low".into()), ..Reasoning::default() }));
    assert!(request.stream);
    assert_eq!(request.extra.keys().collect::<Vec<_>>(), ["min_tokens"]);
    let [system, user, assistant, two, one, last] = request.messages.as_slice() else { panic!("{request:?}") };
    assert_eq!(system.parts, [Part::Text("be".into()), Part::Text("brief".into())]);
    assert_eq!((system.role, user.name.as_deref(), last.role), (Role::System, Some("ann"), Role::User));
    assert_eq!(
        user.parts[1..],
        [
            Part::Image {
                source: ImageSource::Base64 { media_type: "image/png".into(), data: "AAAA".into() },
                detail: Some("low".into())
            },
            Part::Image { source: ImageSource::Url("https://x.example/y.png".into()), detail: None },
        ]
    );
    assert_eq!(
        assistant.parts,
        [
            Part::Thinking { text: "hm".into(), signature: None },
            call("a", "f", r#"{"z":1}"#),
            call("b", "f", r#"{"z":2}"#)
        ]
    );
    assert_eq!(two.parts, [result("b", Some("f"), vec![Part::Text("two".into())])]);
    assert_eq!(one.parts, [result("a", Some("f"), vec![Part::Text("one".into())])]);
}

#[test]
fn a_full_request_is_written() {
    let value = written(&read(FULL).unwrap(), Server::Local);
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn a_request_survives_its_own_dialect() {
    let mut request = read(FULL).unwrap();
    // Texts of one message are joined, and a result knows its function by the call.
    request.messages[0] = text(Role::System, "be\nbrief");
    for server in [Server::Openai, Server::Cloud, Server::Local] {
        if server == Server::Openai {
            request.messages[2].parts.retain(|part| !matches!(part, Part::Thinking { .. }));
        } else {
            request.messages[2] = read(FULL).unwrap().messages.swap_remove(2);
        }
        let again = read(&written(&request, server).to_string()).unwrap();
        assert_eq!(ChatRequest { model: "gpt".into(), ..again }, request, "{server:?}");
    }
}

#[test]
fn the_length_limit_has_the_name_that_the_server_knows() {
    let request = with(r#""max_tokens":9"#).unwrap();
    assert_eq!(written(&request, Server::Openai)["max_completion_tokens"], 9);
    assert_eq!(written(&request, Server::Openai).get("max_tokens"), None);
    assert_eq!(written(&request, Server::Local)["max_tokens"], 9);
    assert_eq!(written(&request, Server::Cloud)["max_tokens"], 9);
}

#[test]
fn strict_clouds_get_nothing_that_they_refuse() {
    let request = read(FULL).unwrap();
    for server in [Server::Strict, Server::Gemini, Server::Mistral] {
        let body = written(&request, server);
        assert!(!body.to_string().contains("reasoning_content"), "{server:?}");
        assert_eq!(body["max_tokens"], 100);
    }
    let mistral = written(&request, Server::Mistral);
    for name in ["stream_options", "user", "seed"] {
        assert_eq!(mistral.get(name), None, "{name}");
    }
    assert_eq!(mistral["random_seed"], 7);
    let calls = &written(&request, Server::Gemini)["messages"][2]["tool_calls"];
    assert_eq!(calls[0]["extra_content"]["google"]["thought_signature"], "skip_thought_signature_validator");
    assert_eq!(calls[1].get("extra_content"), None);
    assert_eq!(written(&request, Server::Strict)["stream_options"], json!({"include_usage": true}));
}

#[test]
fn schemas_of_functions_name_their_members() {
    for (parameters, want) in [
        ("null", json!({"type": "object", "properties": {}})),
        (r#"{"type":"object"}"#, json!({"type": "object", "properties": {}})),
        (r#"{"anyOf":[{"type":"object"}]}"#, json!({"anyOf": [{"type": "object"}]})),
    ] {
        let tool = format!(r#""tools":[{{"type":"function","function":{{"name":"f","parameters":{parameters}}}}}]"#);
        let body = written(&with(&tool).unwrap(), Server::Openai);
        assert_eq!(body["tools"][0]["function"]["parameters"], want);
    }
}

#[test]
fn a_user_whose_name_is_too_long_stays_unnamed() {
    for (user, kept) in [("u".repeat(64), true), ("u".repeat(65), false)] {
        let request = with(&format!(r#""user":"{user}""#)).unwrap();
        assert_eq!(written(&request, Server::Openai).get("user").is_some(), kept);
    }
}

#[test]
fn mistral_gets_an_answer_between_results_and_the_user() {
    let roles = |server| -> Vec<Value> {
        let body = written(&read(FULL).unwrap(), server);
        body["messages"].as_array().unwrap().iter().map(|message| message["role"].clone()).collect()
    };
    assert_eq!(roles(Server::Mistral)[3..], ["tool", "tool", "assistant", "user"]);
    assert_eq!(roles(Server::Cloud)[3..], ["tool", "tool", "user"]);
}

#[test]
fn refusals_are_said_where_nobody_reads_the_member() {
    let parts = vec![Part::Refusal("No.".into())];
    let messages = vec![text(Role::User, "x"), Message { role: Role::Assistant, parts, name: None }];
    let request = ChatRequest { messages, ..ChatRequest::default() };
    assert_eq!(written(&request, Server::Local)["messages"][1], json!({"role": "assistant", "content": "No."}));
    assert_eq!(written(&request, Server::Openai)["messages"][1]["refusal"], "No.");
}

#[test]
fn open_models_get_one_system_message_at_the_beginning() {
    let messages = [("a", Role::System), ("b", Role::System), ("x", Role::User), ("c", Role::System)];
    let request = ChatRequest {
        messages: messages.into_iter().map(|(words, role)| text(role, words)).collect(),
        ..ChatRequest::default()
    };
    assert_eq!(
        written(&request, Server::Local)["messages"],
        json!([{"role": "system", "content": "a\n\nb\n\nc"}, {"role": "user", "content": "x"}])
    );
    assert_eq!(written(&request, Server::Openai)["messages"].as_array().map(Vec::len), Some(4));
}

#[test]
fn wrong_requests_are_refused_with_a_path() {
    for (text, at) in [
        (r#"{"messages":[{"role":"user","content":"x"}]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":[]}"#, "messages"),
        (r#"{"model":"m","messages":{}}"#, "messages"),
        (r#"{"model":"m","messages":["x"]}"#, "messages[0]"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"robot","content":"x"}]}"#, "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":null}]}"#, "messages[0].content"),
        (r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
        (r#"{"model":"m","messages":[{"role":"user","content":[7]}]}"#, "messages[0].content[0]"),
        (r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
            "messages[0].content[0].image_url.url",
        ),
        (r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#, "messages[0].tool_call_id"),
        (r#"{"model":"m","messages":[{"role":"assistant","tool_calls":{}}]}"#, "messages[0].tool_calls"),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}]}"#,
            "messages[0].tool_calls[0].function.name",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().at, at, "{text}");
    }
    for (member, at) in [
        (r#""temperature":"hot""#, "temperature"),
        (r#""stream":"yes""#, "stream"),
        (r#""tools":[{"type":"function"}]"#, "tools[0].function"),
        (r#""tools":[{"type":"function","function":{"name":"f","parameters":1}}]"#, "tools[0].function.parameters"),
        (r#""tool_choice":"sometimes""#, "tool_choice"),
        (r#""response_format":{}"#, "response_format.type"),
        (r#""response_format":{"type":"json_schema","json_schema":{}}"#, "response_format.json_schema.schema"),
        (r#""reasoning":"high""#, "reasoning"),
    ] {
        assert_eq!(with(member).unwrap_err().at, at, "{member}");
    }
}

#[test]
fn what_has_no_neutral_form_is_kept_under_its_path_and_refused() {
    for (member, at) in [
        (r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}]"#, "tools[1].type"),
        (r#""tool_choice":{"type":"allowed_tools","allowed_tools":{}}"#, "tool_choice.allowed_tools"),
        (r#""modalities":["text","audio"]"#, "modalities[1]"),
        (r#""response_format":{"type":"grammar"}"#, "response_format.type"),
    ] {
        let request = with(member).unwrap();
        assert_eq!(encode(&request, "m", Server::Local).unwrap_err().field, at, "{member}");
    }
    for (message, at) in [
        (
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_audio","input_audio":{"data":"x"}}]}"#,
            "messages[0].content[1].input_audio",
        ),
        (r#"{"role":"user","content":[{"type":"file","file":{"file_id":"x"}}]}"#, "messages[0].content[0].file"),
        (r#"{"role":"user","content":"a","mood":"bad"}"#, "messages[0].mood"),
        (r#"{"role":"assistant","content":"a","prefix":true}"#, "messages[0].prefix"),
        (r#"{"role":"assistant","audio":{"id":"x"}}"#, "messages[0].audio"),
        (
            r#"{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"f"}}]}"#,
            "messages[0].tool_calls[0].custom",
        ),
    ] {
        let request = read(&format!(r#"{{"model":"m","messages":[{message}]}}"#)).unwrap();
        assert_eq!(encode(&request, "m", Server::Local).unwrap_err().field, at, "{message}");
    }
}

#[test]
fn echoes_and_marks_are_harmless() {
    for message in [
        r#"{"role":"assistant","content":"a","annotations":[],"audio":null,"refusal":null,"provider_specific_fields":{},"prefix":false}"#,
        r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}"#,
        r#"{"role":"system","content":"a","cache_control":{"type":"ephemeral"}}"#,
        r#"{"role":"user","content":"a","tool_calls":[],"images":[]}"#,
    ] {
        let request =
            read(&format!(r#"{{"model":"m","messages":[{message}],"prompt_cache_key":"k","user":null}}"#)).unwrap();
        assert!(request.extra.is_empty(), "{message}: {:?}", request.extra);
        assert_eq!(request.messages[0].parts, [Part::Text("a".into())], "{message}");
    }
}

#[test]
fn older_and_odd_forms() {
    let turns = messages(
        r#"[{"role":"assistant","content":"","function_call":{"name":"f","arguments":"{}"}},
            {"role":"function","name":"f","content":"r"}]"#,
    );
    assert_eq!(turns[0].parts, [call("call_0", "f", "{}")]);
    assert_eq!(turns[1].parts, [result("call_0", Some("f"), vec![Part::Text("r".into())])]);

    let turns = messages(
        r#"[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"\"{\\\"a\\\":1}\""}}]},
            {"role":"tool","tool_call_id":"x","content":null},{"role":"user","content":["a"]}]"#,
    );
    assert_eq!(turns[0].parts, [call("call_0_0", "f", r#"{"a":1}"#)]);
    assert_eq!(turns[1].parts, [result("x", None, vec![])]);
    assert_eq!(turns[2].parts, [Part::Text("a".into())]);

    let request = with(r#""functions":[{"name":"f"}],"function_call":{"name":"f"}"#).unwrap();
    let tool = Tool { name: "f".into(), description: None, parameters: None, strict: None };
    assert_eq!((request.tools, request.tool_choice), (vec![tool], Some(ToolChoice::Named("f".into()))));

    let json_object = |text: &str| with(text).unwrap().format;
    assert_eq!(json_object(r#""response_format":{"type":"json_object"}"#), Some(Format::JsonObject));
    assert_eq!(
        json_object(r#""response_format":{"type":"json_object","schema":{"type":"object"}}"#),
        Some(Format::JsonSchema { name: None, schema: json!({"type": "object"}), strict: None })
    );
}

#[test]
fn signed_thinking_goes_both_ways() {
    let turns = messages(
        r#"[{"role":"assistant","content":"a","reasoning":"hm","reasoning_details":[
            {"type":"reasoning.text","text":"hm","signature":"s","format":"anthropic-claude-v1","index":0}]}]"#,
    );
    let parts = vec![Part::Thinking { text: "hm".into(), signature: Some("s".into()) }, Part::Text("a".into())];
    assert_eq!(turns[0].parts, parts);
    let request = ChatRequest { messages: turns, ..ChatRequest::default() };
    let again = read(&written(&request, Server::Cloud).to_string()).unwrap();
    assert_eq!(again.messages, request.messages);
}

#[test]
fn tool_results_of_other_dialects() {
    let picture = Part::Image {
        source: ImageSource::Base64 { media_type: "image/png".into(), data: "AAAA".into() },
        detail: None,
    };
    let failed = Part::ToolResult {
        call_id: "b".into(),
        name: None,
        content: vec![Part::Text("no such file".into())],
        is_error: true,
    };
    let request = ChatRequest {
        messages: vec![
            Message {
                role: Role::Assistant,
                parts: vec![Part::Text("a".into()), call("a", "f", ""), Part::Text("b".into()), call("b", "g", "{}")],
                name: None,
            },
            Message {
                role: Role::Tool,
                parts: vec![result("a", None, vec![Part::Text("seen".into()), picture]), failed],
                name: None,
            },
            text(Role::User, "go on"),
        ],
        ..ChatRequest::default()
    };
    let value = written(&request, Server::Local);
    insta::assert_snapshot!(serde_json::to_string_pretty(&value["messages"]).unwrap());
}

#[test]
fn parts_in_the_wrong_place_are_refused() {
    let picture = Part::Image { source: ImageSource::Url("https://x".into()), detail: None };
    for (role, part) in [(Role::Assistant, picture), (Role::User, call("a", "f", "{}"))] {
        let request = ChatRequest {
            messages: vec![text(Role::User, "x"), Message { role, parts: vec![part], name: None }],
            ..ChatRequest::default()
        };
        assert_eq!(encode(&request, "m", Server::Local).unwrap_err().field, "messages[1].content");
    }
}

#[test]
fn choices_without_tools_are_left_out_where_they_mean_nothing() {
    let without = ChatRequest {
        messages: vec![text(Role::User, "x")],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tool_calls: Some(true),
        ..ChatRequest::default()
    };
    let value = written(&without, Server::Openai);
    assert_eq!((value.get("tool_choice"), value.get("parallel_tool_calls")), (None, None));
    let forced = ChatRequest { tool_choice: Some(ToolChoice::Required), ..without };
    assert_eq!(written(&forced, Server::Openai)["tool_choice"], "required");
}

/// Any JSON of a few levels, with the words of the dialect as names.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(user|assistant|tool|function|text|image_url|data:a;base64,x|auto|é)[.]?".prop_map(Value::from),
    ];
    let name =
        "(role|content|type|text|image_url|url|tool_calls|function|name|arguments|tool_call_id|reasoning_details|id|x)";
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused_with_a_place(
        messages in proptest::collection::vec(any_json(), 1..4), tools in any_json(), choice in any_json(), form in any_json(),
    ) {
        let text = json!({"model": "m", "messages": messages, "tools": tools, "tool_choice": choice, "response_format": form});
        match read(&text.to_string()) {
            Ok(request) => drop(encode(&request, "m", Server::Local)),
            Err(error) => prop_assert!(!error.at.is_empty() && !error.at.starts_with("line")),
        }
    }
}
