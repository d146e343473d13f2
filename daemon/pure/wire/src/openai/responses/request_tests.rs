use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::chat::{ImageSource, ToolCall};

fn read(body: &Value) -> Result<ChatRequest, Malformed> {
    let text = body.to_string();
    decode(&Object::of(text.as_bytes())?)
}

fn input(input: &Value) -> ChatRequest {
    read(&json!({"model": "m", "input": input})).unwrap()
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

#[test]
fn text_alone() {
    let request = read(&json!({"model": "m", "input": "hi", "instructions": "Be brief."})).unwrap();
    assert_eq!(
        request.messages,
        [message(Role::System, vec![text("Be brief.")]), message(Role::User, vec![text("hi")])]
    );
    assert!(!request.stream && request.extra.is_empty());
}

#[test]
fn items_with_and_without_a_type() {
    let request = input(&json!([
        {"role": "developer", "content": "Rules."},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "low"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "ok", "annotations": []},
                                          {"type": "refusal", "refusal": "no"}]},
    ]));
    let base64 = ImageSource::Base64 { media_type: "image/png".to_owned(), data: "iVBO".to_owned() };
    assert_eq!(
        request.messages,
        [
            message(Role::System, vec![text("Rules.")]),
            message(
                Role::User,
                vec![
                    text("see"),
                    Part::Image { source: base64, detail: Some("low".to_owned()) },
                    Part::Image { source: ImageSource::Url("https://x/y.png".to_owned()), detail: None },
                ]
            ),
            message(Role::Assistant, vec![text("ok"), Part::Refusal("no".to_owned())]),
        ]
    );
}

#[test]
fn the_items_of_one_answer_become_one_message() {
    let call = |id: &str| json!({"type": "function_call", "id": "fc_1", "call_id": id, "name": "f", "arguments": "{}"});
    let request = input(&json!([
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        {"type": "message", "role": "assistant", "content": "wait"},
        call("c1"), call("c2"),
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}]},
    ]));
    let called =
        |id: &str| Part::ToolCall(ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() });
    let result = |id: &str, said: &str| Part::ToolResult {
        call_id: id.to_owned(),
        name: Some("f".to_owned()),
        content: vec![text(said)],
        is_error: false,
    };
    let thinking = Part::Thinking { text: "a\n\nb".to_owned(), signature: None };
    assert_eq!(
        request.messages,
        [
            message(Role::User, vec![text("hi")]),
            message(Role::Assistant, vec![thinking, text("wait"), called("c1"), called("c2")]),
            message(Role::Tool, vec![result("c1", "1")]),
            message(Role::Tool, vec![result("c2", "2")]),
        ]
    );
}

#[test]
fn reasoning_comes_back_to_its_maker() {
    for (item, want) in [
        (
            json!({"content": [{"type": "reasoning_text", "text": "raw"}], "summary": [{"text": "short"}]}),
            vec![Part::Thinking { text: "raw".to_owned(), signature: None }],
        ),
        (
            json!({"summary": [{"text": "a"}], "encrypted_content": reasoning_of("s")}),
            vec![Part::Thinking { text: "a".to_owned(), signature: Some("s".to_owned()) }],
        ),
        (
            json!({"summary": [], "encrypted_content": super::super::reasoning::of_redacted("xx")}),
            vec![Part::RedactedThinking("xx".to_owned())],
        ),
        (
            json!({"summary": [{"text": "a"}], "encrypted_content": "gAAA"}),
            vec![Part::Thinking { text: "a".to_owned(), signature: None }],
        ),
    ] {
        let mut item = item;
        item["type"] = "reasoning".into();
        assert_eq!(input(&json!([item])).messages, [message(Role::Assistant, want)], "{item}");
    }
    assert!(
        input(&json!([{"role": "user", "content": "x"}, {"type": "reasoning", "summary": []}])).messages.len() == 1
    );
}

fn reasoning_of(signature: &str) -> String {
    super::super::reasoning::of_signature(signature)
}

#[test]
fn all_settings() {
    let request = read(&json!({
        "model": "m", "input": "hi", "stream": true, "user": "ada", "max_output_tokens": 9, "temperature": 0.5, "top_p": 0.9,
        "top_logprobs": 2, "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"}, "truncation": "disabled", "store": false, "metadata": {"a": "b"},
        "service_tier": "auto", "prompt_cache_key": "k", "background": false, "previous_response_id": null, "chat_template_kwargs": {"x": 1},
    }))
    .unwrap();
    assert_eq!(
        request.sampling,
        Sampling {
            max_tokens: Some(9),
            temperature: Some(0.5),
            top_p: Some(0.9),
            logprobs: Some(true),
            top_logprobs: Some(2),
            ..Sampling::default()
        }
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    assert_eq!(request.parallel_tool_calls, Some(false));
    assert_eq!(
        request.tools,
        [Tool {
            name: "f".to_owned(),
            description: Some("d".to_owned()),
            parameters: Some(json!({"type": "object"})),
            strict: Some(true)
        }]
    );
    assert_eq!(
        request.format,
        Some(Format::JsonSchema { name: Some("n".to_owned()), schema: json!({"type": "object"}), strict: Some(true) })
    );
    assert_eq!(
        request.reasoning,
        Some(Reasoning { enabled: None, effort: Some("high".to_owned()), budget_tokens: None })
    );
    assert_eq!(Value::from(request.extra), json!({"chat_template_kwargs": {"x": 1}, "verbosity": "low"}));
    assert!(request.stream && request.user.as_deref() == Some("ada"));
}

#[test]
fn what_needs_a_memory_is_refused_in_clear_words() {
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
        ("truncation", json!("auto")),
    ] {
        let error = read(&json!({"model": "m", "input": "hi", member: value})).unwrap_err();
        assert_eq!(error.at, member);
        assert!(error.expected.contains("Airlane"), "{error}");
    }
    let error = read(&json!({"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]})).unwrap_err();
    assert_eq!(error.at, "input[0]");
}

#[test]
fn what_has_no_neutral_form_is_kept_under_its_path() {
    for (body, path) in [
        (json!({"input": "x", "tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"input": "x", "tool_choice": {"type": "allowed_tools"}}), "tool_choice.type"),
        (json!({"input": [{"type": "computer_call"}]}), "input[0]"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
            "input[0].content[0]",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
            "input[0].content[0]",
        ),
        (json!({"input": "x", "include": ["everything"]}), "include[0]"),
        (json!({"input": "x", "text": {"format": {"type": "grammar"}}}), "text.format.type"),
        (json!({"input": "x", "reasoning": {"mode": "pro"}}), "reasoning.mode"),
        (json!({"input": "x", "context_management": [{"type": "compaction"}]}), "context_management[0]"),
    ] {
        let mut body = body;
        body["model"] = "m".into();
        let extra = read(&body).unwrap().extra;
        assert_eq!(extra.keys().collect::<Vec<_>>(), [path], "{body}");
    }
}

#[test]
fn wrong_members_are_named() {
    for (body, at) in [
        (json!({"model": "m"}), "input"),
        (json!({"input": "x"}), "model"),
        (json!({"model": "m", "input": []}), "input"),
        (json!({"model": "m", "input": 5}), "input"),
        (json!({"model": "m", "input": ["x"]}), "input[0]"),
        (json!({"model": "m", "input": [{"content": "x"}]}), "input[0].role"),
        (json!({"model": "m", "input": [{"role": "robot", "content": "x"}]}), "input[0].role"),
        (json!({"model": "m", "input": [{"role": "user"}]}), "input[0].content"),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (json!({"model": "m", "input": [{"type": "function_call", "name": "f"}]}), "input[0].call_id"),
        (json!({"model": "m", "input": [{"type": "function_call_output", "call_id": "c"}]}), "input[0].output"),
        (json!({"model": "m", "input": "x", "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"model": "m", "input": "x", "tool_choice": "maybe"}), "tool_choice"),
        (json!({"model": "m", "input": "x", "text": {"format": {"type": "json_schema"}}}), "text.format.schema"),
        (json!({"model": "m", "input": "x", "max_output_tokens": -1}), "max_output_tokens"),
        (json!({"model": "m", "input": "x", "instructions": ["y"]}), "instructions"),
    ] {
        assert_eq!(read(&body).unwrap_err().at, at, "{body}");
    }
}

const BODY: &str = r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:a;base64,b"}]},{"type":"reasoning","summary":[{"text":"é"}],"encrypted_content":"signature:x"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1"}],"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"text"}},"include":["x"],"top_logprobs":1}"#;

proptest! {
    #[test]
    fn nothing_panics(
        changes in proptest::collection::vec((0_usize..BODY.len(), prop_oneof![any::<u8>(), Just(b'"'), Just(b'['), Just(b'0')]), 0..4),
    ) {
        let mut body = BODY.as_bytes().to_vec();
        for (at, byte) in changes {
            body[at] = byte;
        }
        if let Ok(object) = Object::of(&body) {
            let _ = (decode(&object), super::super::Echo::of(&object));
        }
    }
}
