//! Requests of Anthropic's clients, requests to Anthropic's upstreams, and both.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::{
    ChatRequest, Format, ImageSource, Message, Part, Reasoning, Role, Sampling, Tool, ToolCall, ToolChoice,
};
use crate::json::Object;

const MODEL: &str = "claude-sonnet-4-5";

fn read(body: &Value) -> ChatRequest {
    decode(&Object::of(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn wrong(body: &Value) -> String {
    decode(&Object::of(body.to_string().as_bytes()).unwrap()).unwrap_err().to_string()
}

fn written(request: &ChatRequest, model: &str) -> Value {
    serde_json::from_slice(&encode(request, model).unwrap()).unwrap()
}

/// A request with `members` beside the required ones.
fn body(members: Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() })
}

fn result(id: &str, content: Vec<Part>) -> Part {
    Part::ToolResult { call_id: id.to_owned(), name: None, content, is_error: false }
}

fn asking(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { model: "m".to_owned(), messages, ..ChatRequest::default() }
}

fn hi() -> ChatRequest {
    asking(vec![message(Role::User, vec![text("Hi")])])
}

/// What Claude Code sends: caching marks everywhere, metadata, thinking, context management, custom tools.
fn claude_code() -> Value {
    json!({
        "model": "claude-sonnet-4-5-20250929", "max_tokens": 32000, "stream": true,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=abcde;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Long instructions.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>"}, {"type": "text", "text": "Fix it."}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Look first.", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "Emg="},
                {"type": "text", "text": "Reading.", "citations": null},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a", "limit": null}, "caller": {"type": "direct"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "text of a"},
                {"type": "text", "text": "Go on."},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "cache_control": {"type": "ephemeral"},
                 "content": [{"type": "text", "text": "no such command"},
                             {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}]}]}],
        "tools": [
            {"type": "custom", "name": "Read", "description": "Reads.", "input_schema": {"type": "object", "properties": {}}, "cache_control": {"type": "ephemeral"}},
            {"name": "Bash", "input_schema": {"type": "object", "$schema": "x"}, "eager_input_streaming": true, "defer_loading": false}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "metadata": {"user_id": "user_abc_session_1"},
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "betas": ["context-management-2025-06-27"], "service_tier": "auto"
    })
}

#[test]
fn claude_code_is_read() {
    let request = read(&claude_code());
    assert_eq!(request.extra, serde_json::Map::new());
    insta::assert_debug_snapshot!(request);
}

#[test]
fn claude_code_is_written_again() {
    let request = read(&claude_code());
    insta::assert_snapshot!(serde_json::to_string_pretty(&written(&request, MODEL)).unwrap());
    let again = read(&written(&request, MODEL));
    assert_eq!(ChatRequest { model: request.model.clone(), ..again }, request);
}

#[test]
fn requests_that_are_wrong() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (members, want) in [
        (json!({"max_tokens": null}), "max_tokens: this member is required"),
        (json!({"max_tokens": -1}), "max_tokens: a whole number that is not negative is expected, not a number"),
        (json!({"model": null}), "model: this member is required"),
        (json!({"messages": null}), "messages: this member is required"),
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"messages": "Hi"}), "messages: a list is expected, not text"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content: this member is required"),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages[0].role: `user` or `assistant` is expected",
        ),
        (user(json!(5)), "messages[0].content: text or a list of content blocks is expected"),
        (user(json!([{"text": "x"}])), "messages[0].content[0].type: this member is required"),
        (user(json!([{"type": "text"}])), "messages[0].content[0].text: this member is required"),
        (user(json!(["x"])), "messages[0].content[0]: an object is expected, not text"),
        (
            user(json!([{"type": "tool_use", "id": "a", "name": "f", "input": {}}])),
            "messages[0].content[0]: a `tool_use` block has no place in this message",
        ),
        (
            user(
                json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_result", "tool_use_id": "b"}]}]),
            ),
            "messages[0].content[0].content[0]: a `tool_result` block has no place in this message",
        ),
        (json!({"tools": [{"name": "f"}]}), "tools[0].input_schema: this member is required"),
        (json!({"tools": [{"name": 1, "input_schema": {}}]}), "tools[0].name: text is expected, not a number"),
        (json!({"tool_choice": {"type": "x"}}), "tool_choice.type: `auto`, `any`, `tool` or `none` is expected"),
        (json!({"tool_choice": {"type": "tool"}}), "tool_choice.name: this member is required"),
        (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens: this member is required"),
        (json!({"output_config": {"format": {"type": "x"}}}), "output_config.format.type: `json_schema` is expected"),
        (json!({"stop_sequences": [1]}), "stop_sequences[0]: text is expected, not a number"),
        (json!({"stream": "yes"}), "stream: true or false is expected, not text"),
    ] {
        assert_eq!(wrong(&body(members)), want);
    }
}

#[test]
fn what_only_anthropic_can_do_is_refused_by_its_path() {
    let user = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    for (members, path) in [
        (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"name": "f", "input_schema": {}, "input_examples": [{}]}]}), "tools[0].input_examples"),
        (
            json!({"tools": [{"name": "f", "input_schema": {}, "allowed_callers": ["code_execution_20250825"]}]}),
            "tools[0].allowed_callers",
        ),
        (user(json!({"type": "document", "source": {}})), "messages[0].content[0]"),
        (
            user(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.type",
        ),
        (user(json!({"type": "text", "text": "x", "new": 1})), "messages[0].content[0].new"),
        (json!({"mcp_servers": [{"url": "u"}]}), "mcp_servers[0]"),
        (json!({"container": "c"}), "container.id"),
        (json!({"thinking": {"type": "new"}}), "thinking.type"),
        (json!({"output_config": {"task_budget": {}}}), "output_config.task_budget"),
    ] {
        let request = read(&body(members));
        assert_eq!(encode(&request, MODEL).unwrap_err().field, path);
    }
    let request = read(&body(json!({"mcp_servers": [], "min_p": 0.1, "context_management": {}, "speed": "fast"})));
    assert_eq!(Value::Object(request.extra.clone()), json!({"min_p": 0.1}));
    assert_eq!(written(&request, MODEL)["min_p"], 0.1);
}

#[test]
fn settings_are_read() {
    let request = read(&body(json!({
        "system": "Be brief.", "stop_sequences": ["END"], "temperature": 0.5, "top_p": 0.9, "top_k": 40,
        "tool_choice": {"type": "tool", "name": "f"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}
    })));
    assert_eq!(request.messages[0], message(Role::System, vec![text("Be brief.")]));
    assert_eq!(request.sampling.stop, ["END"]);
    assert_eq!(
        (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k),
        (Some(0.5), Some(0.9), Some(40))
    );
    assert_eq!((request.tool_choice, request.parallel_tool_calls), (Some(ToolChoice::Named("f".to_owned())), None));
    assert_eq!(request.reasoning, Some(Reasoning { effort: Some("high".to_owned()), ..Reasoning::default() }));
    let schema = Format::JsonSchema { name: None, schema: json!({"type": "object"}), strict: Some(true) };
    assert_eq!(request.format.as_ref(), Some(&schema));
    let older = read(&body(json!({"output_format": {"type": "json_schema", "schema": {"type": "object"}}})));
    assert_eq!(older.format, Some(schema));
    for (thinking, want) in [
        (json!({"type": "disabled"}), Reasoning { enabled: Some(false), ..Reasoning::default() }),
        (json!({"type": "adaptive", "display": "omitted"}), Reasoning::default()),
        (
            json!({"type": "enabled", "budget_tokens": 2000}),
            Reasoning { enabled: Some(true), budget_tokens: Some(2_000), effort: None },
        ),
    ] {
        assert_eq!(read(&body(json!({ "thinking": thinking }))).reasoning, Some(want));
    }
}

#[test]
fn a_conversation_of_another_dialect_takes_turns() {
    let png = ImageSource::Base64 { media_type: "image/png".to_owned(), data: "iVBO".to_owned() };
    let request = asking(vec![
        message(Role::System, vec![text("First.")]),
        message(Role::User, vec![text("Hi"), Part::Image { source: png, detail: Some("low".to_owned()) }]),
        message(
            Role::Assistant,
            vec![
                Part::Thinking { text: "mine".to_owned(), signature: None },
                text(""),
                call("call.1:0", r#"{"a":1}"#),
                call("call_2", r#"{"cut"#),
            ],
        ),
        message(Role::User, vec![text("too early")]),
        message(Role::Tool, vec![result("call.1:0", vec![text("one")])]),
        message(Role::Tool, vec![result("call_2", vec![])]),
        message(Role::System, vec![text("Later.")]),
        message(Role::User, vec![Part::Image { source: ImageSource::Url("https://x/y.png".to_owned()), detail: None }]),
        message(Role::Assistant, vec![Part::Refusal("No.".to_owned())]),
    ]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&written(&request, MODEL)).unwrap());
}

#[test]
fn settings_are_written() {
    let tool = Tool { name: "f".to_owned(), description: None, parameters: None, strict: Some(true) };
    let schema = json!({"type": "object", "additionalProperties": false});
    let base = ChatRequest { tools: vec![tool], ..hi() };
    let choice = |choice| ChatRequest { tool_choice: choice, ..base.clone() };
    let format = |format| ChatRequest { format: Some(format), ..hi() };
    let sampling = |sampling| ChatRequest { sampling, ..hi() };
    let plain = Sampling::default;
    for (request, member, want) in [
        (hi(), "max_tokens", json!(MAX_TOKENS_DEFAULT)),
        (hi(), "system", Value::Null),
        (hi(), "stream", Value::Null),
        (ChatRequest { stream: true, ..hi() }, "stream", json!(true)),
        (base.clone(), "tools", json!([{"name": "f", "input_schema": {"type": "object"}, "strict": true}])),
        (base.clone(), "tool_choice", Value::Null),
        (choice(Some(ToolChoice::Required)), "tool_choice", json!({"type": "any"})),
        (choice(Some(ToolChoice::None)), "tool_choice", json!({"type": "none"})),
        (choice(Some(ToolChoice::Named("f".to_owned()))), "tool_choice", json!({"type": "tool", "name": "f"})),
        (
            ChatRequest { parallel_tool_calls: Some(false), ..base.clone() },
            "tool_choice",
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (ChatRequest { parallel_tool_calls: Some(true), ..base.clone() }, "tool_choice", Value::Null),
        (ChatRequest { parallel_tool_calls: Some(false), ..hi() }, "tool_choice", Value::Null),
        (
            format(Format::JsonSchema { name: Some("x".to_owned()), schema: schema.clone(), strict: None }),
            "output_config",
            json!({"format": {"type": "json_schema", "schema": schema}}),
        ),
        (format(Format::Text), "output_config", Value::Null),
        (sampling(Sampling { stop: vec!["END".to_owned()], ..plain() }), "stop_sequences", json!(["END"])),
        (sampling(Sampling { temperature: Some(0.2), ..plain() }), "temperature", json!(0.2)),
        (sampling(Sampling { top_p: Some(1.0), ..plain() }), "top_p", Value::Null),
        (sampling(Sampling { top_k: Some(-1), ..plain() }), "top_k", Value::Null),
        (ChatRequest { user: Some("u1".to_owned()), ..hi() }, "metadata", json!({"user_id": "u1"})),
        (ChatRequest { user: Some("a@b.c".to_owned()), ..hi() }, "metadata", Value::Null),
        (ChatRequest { user: Some("+49 170 1234".to_owned()), ..hi() }, "metadata", Value::Null),
    ] {
        assert_eq!(written(&request, MODEL).get(member).unwrap_or(&Value::Null), &want, "{member}");
    }
}

#[test]
fn a_thinking_claude_cannot_be_told_how_to_sample() {
    let mut request = hi();
    request.reasoning = Some(Reasoning { effort: Some("low".to_owned()), ..Reasoning::default() });
    request.sampling = Sampling { temperature: Some(1.0), top_p: Some(0.97), top_k: Some(0), ..Sampling::default() };
    let body = written(&request, MODEL);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 2048}));
    assert_eq!(body["max_tokens"], 2_048 + MAX_TOKENS_DEFAULT);
    assert_eq!((body.get("temperature"), &body["top_p"], body.get("top_k")), (None, &json!(0.97), None));
    let plain = Sampling::default;
    for (sampling, field) in [
        (Sampling { temperature: Some(0.2), ..plain() }, "temperature"),
        (Sampling { top_p: Some(0.5), ..plain() }, "top_p"),
        (Sampling { top_k: Some(4), ..plain() }, "top_k"),
    ] {
        let request = ChatRequest { sampling, ..request.clone() };
        assert_eq!(encode(&request, MODEL).unwrap_err().field, field);
        assert!(written(&request, "glm-4.6").get(field).is_some(), "{field}");
    }
    let later = written(&request, "claude-opus-4-8");
    assert_eq!(
        (&later["thinking"], &later["output_config"]),
        (&json!({"type": "adaptive"}), &json!({"effort": "low"}))
    );
}

#[test]
fn what_anthropic_cannot_do_is_refused() {
    let sampling = |sampling| ChatRequest { sampling, ..hi() };
    let plain = Sampling::default;
    let extra = |name: &str| ChatRequest { extra: serde_json::Map::from_iter([(name.to_owned(), json!(1))]), ..hi() };
    let mut named = hi();
    named.messages[0].name = Some("Ann".to_owned());
    let picture = Part::Image { source: ImageSource::Url("u".to_owned()), detail: None };
    for (request, field) in [
        (sampling(Sampling { seed: Some(0), ..plain() }), "seed"),
        (sampling(Sampling { n: Some(2), ..plain() }), "n"),
        (sampling(Sampling { logprobs: Some(true), ..plain() }), "logprobs"),
        (sampling(Sampling { top_logprobs: Some(1), ..plain() }), "top_logprobs"),
        (sampling(Sampling { logit_bias: Some(json!({"1": 2})), ..plain() }), "logit_bias"),
        (sampling(Sampling { frequency_penalty: Some(0.1), ..plain() }), "frequency_penalty"),
        (sampling(Sampling { presence_penalty: Some(-0.1), ..plain() }), "presence_penalty"),
        (sampling(Sampling { repeat_penalty: Some(1.1), ..plain() }), "repeat_penalty"),
        (sampling(Sampling { min_p: Some(0.05), ..plain() }), "min_p"),
        (ChatRequest { format: Some(Format::JsonObject), ..hi() }, "response_format"),
        (ChatRequest { tool_choice: Some(ToolChoice::Required), ..hi() }, "tool_choice"),
        (named, "messages[0].name"),
        (asking(vec![message(Role::System, vec![text("x")])]), "messages"),
        (asking(vec![message(Role::System, vec![picture])]), "messages[0].content[0]"),
        (asking(vec![message(Role::User, vec![result("a", vec![call("b", "")])])]), "messages[0].content[0]"),
        (extra("messages[0].content[0].input_audio"), "messages[0].content[0].input_audio"),
        (extra("system"), "system"),
    ] {
        assert_eq!(encode(&request, MODEL).unwrap_err().field, field);
    }
    let without_effect = sampling(Sampling {
        n: Some(1),
        logprobs: Some(false),
        top_logprobs: Some(0),
        logit_bias: Some(json!({})),
        frequency_penalty: Some(0.0),
        presence_penalty: Some(0.0),
        repeat_penalty: Some(1.0),
        min_p: Some(0.0),
        ..plain()
    });
    assert_eq!(written(&without_effect, MODEL), written(&hi(), MODEL));
    assert_eq!(written(&extra("top_a"), MODEL)["top_a"], 1);
}

/// Paths of all values inside `value`, as JSON pointers.
fn pointers(value: &Value) -> Vec<String> {
    let mut open = vec![(String::new(), value)];
    let mut found = Vec::new();
    while let Some((path, value)) = open.pop() {
        let members = value.as_object().into_iter().flatten();
        open.extend(members.map(|(name, value)| (format!("{path}/{name}"), value)));
        let values = value.as_array().into_iter().flatten().enumerate();
        open.extend(values.map(|(position, value)| (format!("{path}/{position}"), value)));
        found.push(path);
    }
    found
}

proptest! {
    #[test]
    fn a_spoilt_request_is_refused_or_carried(
        picks in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..9), 1..4),
    ) {
        let values = [
            json!(null), json!(true), json!(-1), json!(1.5), json!(""), json!("text"), json!([]), json!({}), json!([{"type": "text"}]),
        ];
        let mut body = claude_code();
        for (pick, value) in picks {
            let paths = pointers(&body);
            let path: &String = pick.get(&paths);
            *body.pointer_mut(path).unwrap() = values[value].clone();
        }
        let Ok(object) = Object::of(body.to_string().as_bytes()).map(|object| object.to_bytes()) else { return Ok(()) };
        let object = Object::of(&object).unwrap();
        if let Ok(request) = decode(&object)
            && let Ok(written) = encode(&request, MODEL)
        {
            prop_assert!(decode(&Object::of(&written).unwrap()).is_ok());
        }
    }
}
