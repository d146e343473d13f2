use serde_json::json;

use super::*;
use crate::chat::{Format, ImageSource, Message, Part, Reasoning, Role, Sampling, ToolCall};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

fn read(body: &Value) -> Result<ChatRequest, Malformed> {
    let text = body.to_string();
    decode(&Object::of(text.as_bytes())?)
}

fn write(request: &ChatRequest) -> Result<Value, Uncarried> {
    encode(request, "up").map(|body| serde_json::from_slice(&body).unwrap())
}

fn user(parts: Vec<Part>) -> ChatRequest {
    ChatRequest { messages: vec![Message { role: Role::User, parts, name: None }], ..ChatRequest::default() }
}

fn text(text: &str) -> ChatRequest {
    user(vec![Part::Text(text.to_owned())])
}

#[test]
fn a_whole_conversation_keeps_its_meaning() {
    let body = json!({
        "model": "up",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": [PNG]},
            {"role": "assistant", "content": "Let me see.", "thinking": "Hm.", "tool_calls": [
                {"id": "call_2_0", "function": {"index": 0, "name": "look", "arguments": {"at": [1, 2]}}},
                {"id": "call_2_1", "function": {"index": 1, "name": "look", "arguments": {}}}]},
            {"role": "tool", "content": "a cat", "tool_call_id": "call_2_0", "tool_name": "look"},
            {"role": "tool", "content": "a dog", "tool_call_id": "call_2_1", "tool_name": "look"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "parameters": {"type": "object", "properties": {}}, "description": "Looks."}}],
        "format": {"type": "object"},
        "think": "low",
        "options": {"num_predict": 10, "seed": 1, "stop": ["x"]},
        "logprobs": true,
        "top_logprobs": 2,
        "truncate": false,
        "stream": false,
    });
    let request = read(&body).unwrap();
    assert!(request.extra.is_empty());
    assert_eq!(
        request.format,
        Some(Format::JsonSchema { name: None, schema: json!({"type": "object"}), strict: None })
    );
    assert_eq!(write(&request).unwrap(), body);
}

#[test]
fn what_old_clients_write() {
    let request =
        read(&json!({"name": "m:latest", "messages": [{"role": "user", "content": "hi"}], "keep_alive": "5m",
        "format": "", "options": {"num_ctx": 8192}, "tools": null, "truncate": true}))
        .unwrap();
    assert_eq!(request.model, "m:latest");
    assert!(request.stream && request.extra.is_empty() && request.format.is_none());
    assert_eq!(request.sampling, Sampling::default());
}

#[test]
fn calls_without_ids_get_stable_ones() {
    let request = read(&json!({"model": "m", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {"role": "tool", "tool_name": "f", "content": "2"}]}))
    .unwrap();
    let call = ToolCall { id: "call_1_0".to_owned(), name: "f".to_owned(), arguments: "{\"a\":1}".to_owned() };
    assert_eq!(request.messages[1].parts, [Part::ToolCall(call)]);
    assert_eq!(
        request.messages[2].parts,
        [Part::ToolResult {
            call_id: "call_1_0".to_owned(),
            name: Some("f".to_owned()),
            content: vec![Part::Text("2".to_owned())],
            is_error: false
        }]
    );
}

#[test]
fn unknown_members_are_kept_apart() {
    let request = read(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "new_knob": 1,
        "options": {"mirostat": 1}, "tools": [{"type": "web_search"}]}))
    .unwrap();
    let mut names: Vec<&str> = request.extra.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["new_knob", "options.mirostat", "tools[0].type"]);
    assert_eq!(write(&request).unwrap_err().field, "new_knob");
}

#[test]
fn wrong_members_are_named() {
    for (body, at) in [
        (json!({"messages": [{"role": "user"}]}), "model"),
        (json!({"model": "m"}), "messages"),
        (json!({"model": 1, "messages": [{"role": "user"}]}), "model"),
        (json!({"model": "m", "messages": [{"role": "user"}], "stream": "yes"}), "stream"),
        (json!({"model": "m", "messages": [{"role": "user"}], "format": "xml"}), "format"),
        (json!({"model": "m", "messages": [{"role": "user"}], "think": "hard"}), "think"),
        (json!({"model": "m", "messages": [{"role": "user"}], "tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"model": "m", "messages": [{"role": "user"}], "options": 1}), "options"),
    ] {
        assert_eq!(read(&body).unwrap_err().at, at, "{body}");
    }
}

#[test]
fn what_ollama_cannot_do_is_refused_by_name() {
    let tool = || Tool { name: "f".to_owned(), description: None, parameters: None, strict: Some(true) };
    let url = Part::Image { source: ImageSource::Url("https://x/y.png".to_owned()), detail: None };
    for (request, field) in [
        (ChatRequest { tool_choice: Some(ToolChoice::Required), ..text("hi") }, "tool_choice"),
        (ChatRequest { tool_choice: Some(ToolChoice::Named("f".to_owned())), ..text("hi") }, "tool_choice"),
        (ChatRequest { parallel_tool_calls: Some(false), tools: vec![tool()], ..text("hi") }, "parallel_tool_calls"),
        (ChatRequest { sampling: Sampling { n: Some(2), ..Sampling::default() }, ..text("hi") }, "n"),
        (user(vec![Part::Text("see".to_owned()), url]), "messages[0].content[1]"),
        (ChatRequest { extra: Map::from_iter([("top_a".to_owned(), 1.into())]), ..text("hi") }, "top_a"),
    ] {
        assert_eq!(write(&request).unwrap_err().field, field);
    }
}

#[test]
fn what_another_dialect_says_in_its_own_way() {
    let tool = Tool { name: "f".to_owned(), description: None, parameters: None, strict: Some(true) };
    let none = ChatRequest { tools: vec![tool.clone()], tool_choice: Some(ToolChoice::None), ..text("hi") };
    assert_eq!(write(&none).unwrap().get("tools"), None);
    let auto = ChatRequest { tools: vec![tool], tool_choice: Some(ToolChoice::Auto), ..text("hi") };
    assert_eq!(write(&auto).unwrap()["tools"][0]["function"]["parameters"]["type"], "object");

    let reasoning = Reasoning { budget_tokens: Some(1024), ..Reasoning::default() };
    let request = ChatRequest {
        format: Some(Format::JsonObject),
        reasoning: Some(reasoning),
        user: Some("ada".to_owned()),
        ..user(vec![Part::Text("a".to_owned()), Part::Text("b".to_owned())])
    };
    assert_eq!(
        write(&request).unwrap(),
        json!({"model": "up", "messages": [{"role": "user", "content": "a\nb"}], "format": "json", "think": true,
               "truncate": false, "stream": false})
    );
}

#[test]
fn results_inside_a_users_turn_become_messages_of_their_own() {
    let result = Part::ToolResult {
        call_id: "t1".to_owned(),
        name: None,
        content: vec![
            Part::Text("ok".to_owned()),
            Part::Image {
                source: ImageSource::Base64 { media_type: "image/png".to_owned(), data: PNG.to_owned() },
                detail: None,
            },
        ],
        is_error: false,
    };
    let call = ToolCall { id: "t1".to_owned(), name: "f".to_owned(), arguments: "\"{}\"".to_owned() };
    let mut request = user(vec![result, Part::Text("go on".to_owned())]);
    let parts = vec![Part::RedactedThinking("x".to_owned()), Part::ToolCall(call)];
    request.messages.insert(0, Message { role: Role::Assistant, parts, name: None });
    assert_eq!(
        write(&request).unwrap()["messages"],
        json!([
            {"role": "assistant", "content": "", "tool_calls": [{"id": "t1", "function": {"index": 0, "name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "ok", "images": [PNG], "tool_call_id": "t1", "tool_name": "f"},
            {"role": "user", "content": "go on"}])
    );
}

#[test]
fn system_messages_become_one_at_the_beginning() {
    let message = |role, words: &str| Message { role, parts: vec![Part::Text(words.to_owned())], name: None };
    let messages = vec![message(Role::User, "x"), message(Role::System, "a"), message(Role::System, "b")];
    assert_eq!(
        write(&ChatRequest { messages, ..ChatRequest::default() }).unwrap()["messages"],
        json!([{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "x"}])
    );
}
