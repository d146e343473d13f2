use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::failure::{FailureKind, UpstreamFailure};

fn context() -> ReplyContext {
    ReplyContext { unique: "x".to_owned(), model: "m".to_owned(), created_ms: 0, include_usage: true }
}

fn read(lines: &[&str]) -> Vec<Event> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for line in lines {
        decoder.line(line.as_bytes(), &mut events).unwrap();
    }
    events
}

fn write(form: Form, events: &[Event]) -> String {
    let mut encoder = Encoder::new(context(), form);
    let mut out = Vec::new();
    for (event, second) in events.iter().zip(1..) {
        encoder.event(event, Duration::from_secs(second), &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned(), logprobs: None }
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

#[test]
fn chat_lines_become_events() {
    let events = read(&[
        r#"{"model":"m","created_at":"t","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}"#,
        "\r\n",
        r#"{"model":"m","message":{"role":"assistant","content":"Hi"},"logprobs":[{"token":"Hi","logprob":-1}],"done":false}"#,
        r#"{"message":{"content":"","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"a":1}}}]},"done":false}"#,
        r#"{"message":{"content":"","tool_calls":[{"id":"c2","function":{"name":"g","arguments":{}}}]},"done":false}"#,
        r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":5}"#,
    ]);
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    assert_eq!(
        events,
        [
            Event::Start { model: Some("m".to_owned()) },
            Event::Thinking { choice: 0, text: "Hm".to_owned() },
            Event::Text {
                choice: 0,
                text: "Hi".to_owned(),
                logprobs: Some(
                    json!({"content": [{"token": "Hi", "logprob": -1, "bytes": null, "top_logprobs": []}], "refusal": null})
                )
            },
            Event::ToolCall { choice: 0, index: 0, call: call("c1", "f", "{\"a\":1}") },
            Event::ToolCall { choice: 0, index: 1, call: call("c2", "g", "{}") },
            Event::Finish { choice: 0, finish: Finish::ToolCalls },
            Event::Usage(usage(3, 5)),
            Event::Done,
        ]
    );
}

#[test]
fn generate_lines_become_events() {
    let events = read(&[
        r#"{"model":"m","response":"","thinking":"Hm","done":false}"#,
        r#"{"model":"m","response":"Hi","done":false}"#,
        r#"{"model":"m","response":"","done":true,"done_reason":"length","context":[1,2]}"#,
    ]);
    assert_eq!(
        events,
        [
            Event::Start { model: Some("m".to_owned()) },
            Event::Thinking { choice: 0, text: "Hm".to_owned() },
            text("Hi"),
            Event::Finish { choice: 0, finish: Finish::Length },
            Event::Usage(Usage::default()),
            Event::Done,
        ]
    );
}

#[test]
fn odd_counts_are_unknown() {
    let events =
        read(&[r#"{"message":{"content":"Hi"},"done":true,"prompt_eval_count":-1,"eval_count":2.5,"error":null}"#]);
    assert_eq!(events[events.len() - 2..], [Event::Usage(Usage::default()), Event::Done]);
}

#[test]
fn an_error_line_is_a_failure() {
    let events = read(&[r#"{"error":"an error was encountered while running the model"}"#]);
    let want = UpstreamFailure::new(FailureKind::Upstream, "an error was encountered while running the model");
    assert_eq!(events, [Event::Failed(want)]);
    assert!(Decoder::default().line(b"data: {}", &mut Vec::new()).is_err());
    assert!(Decoder::default().line(br#"{"message":"x"}"#, &mut Vec::new()).is_err());
}

#[test]
fn events_become_chat_lines() {
    let call = ToolCall { id: "c1".to_owned(), name: "f".to_owned(), arguments: String::new() };
    let piece = |piece: &str| Event::ToolArguments { choice: 0, index: 0, piece: piece.to_owned() };
    let out = write(
        Form::Chat,
        &[
            Event::Start { model: None },
            Event::Thinking { choice: 0, text: "Hm".to_owned() },
            text("Hi"),
            text(""),
            Event::ToolCall { choice: 0, index: 0, call },
            piece("{\"a\":"),
            piece("1}"),
            Event::Finish { choice: 0, finish: Finish::ToolCalls },
            Event::Usage(usage(3, 5)),
            Event::Done,
            Event::Done,
        ],
    );
    insta::assert_snapshot!(out, @r#"
    {"model":"m","created_at":"1970-01-01T00:00:02.000000000Z","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}
    {"model":"m","created_at":"1970-01-01T00:00:03.000000000Z","message":{"role":"assistant","content":"Hi"},"done":false}
    {"model":"m","created_at":"1970-01-01T00:00:08.000000000Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"a":1}}}]},"done":false}
    {"model":"m","created_at":"1970-01-01T00:00:10.000000000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":10000000000,"load_duration":0,"prompt_eval_count":3,"prompt_eval_duration":2000000000,"eval_count":5,"eval_duration":8000000000}
    "#);
}

#[test]
fn events_become_generate_lines() {
    let out = write(Form::Generate, &[text("Hi"), Event::Done]);
    insta::assert_snapshot!(out, @r#"
    {"model":"m","created_at":"1970-01-01T00:00:01.000000000Z","response":"Hi","done":false}
    {"model":"m","created_at":"1970-01-01T00:00:02.000000000Z","response":"","done":true,"done_reason":"stop","total_duration":2000000000,"load_duration":0,"prompt_eval_duration":1000000000,"eval_duration":1000000000}
    "#);
}

#[test]
fn heartbeats_and_failures() {
    let mut encoder = Encoder::new(context(), Form::Chat);
    let mut out = Vec::new();
    encoder.heartbeat(&mut out);
    let error = ErrorBody {
        kind: FailureKind::Upstream,
        message: "box failed".to_owned(),
        code: None,
        param: None,
        request_id: None,
    };
    encoder.fail(&error, &mut out);
    encoder.heartbeat(&mut out);
    encoder.event(&text("late"), Duration::ZERO, &mut out);
    encoder.fail(&error, &mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    {"model":"m","created_at":"1970-01-01T00:00:00.000000000Z","message":{"role":"assistant","content":""},"done":false}
    {"error":"box failed"}
    "#);
}

fn any_event() -> impl Strategy<Value = Event> {
    let call = ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: String::new() };
    prop_oneof![
        "[a-zé\n\"]{0,5}".prop_map(|piece| text(&piece)),
        Just(Event::Thinking { choice: 0, text: "t".to_owned() }),
        (0_u32..3).prop_map(move |index| Event::ToolCall { choice: 0, index, call: call.clone() }),
        (0_u32..3, "[{}a\"]{0,3}").prop_map(|(index, piece)| Event::ToolArguments { choice: 0, index, piece }),
        Just(Event::Usage(usage(1, 2))),
        Just(Event::Finish { choice: 0, finish: Finish::Length }),
        Just(text("x")).prop_map(|_| Event::Text { choice: 1, text: "other".to_owned(), logprobs: None }),
    ]
}

proptest! {
    #[test]
    fn any_events_give_lines_that_say_the_same(events in proptest::collection::vec(any_event(), 0..30)) {
        let mut events = events;
        events.push(Event::Done);
        let said = |events: &[Event]| -> String {
            events.iter().filter_map(|e| if let Event::Text { choice: 0, text, .. } = e { Some(text.as_str()) } else { None }).collect()
        };
        for form in [Form::Chat, Form::Generate] {
            let out = write(form, &events);
            let back = read(&out.lines().collect::<Vec<_>>());
            prop_assert_eq!(said(&back), said(&events));
            prop_assert_eq!(back.iter().filter(|event| **event == Event::Done).count(), 1);
            prop_assert_eq!(back.last(), Some(&Event::Done));
        }
    }
}
