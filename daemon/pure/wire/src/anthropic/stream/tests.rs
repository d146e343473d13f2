//! Streams of upstreams, streams for clients, and both.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::chat::ToolCall;
use crate::failure::{ErrorBody, FailureKind};
use crate::reply::{Event, Finish, ReplyContext};
use crate::sse::{Frame, Reader};
use domain::usage::Usage;

const UPSTREAM: &str = include_str!("upstream.sse");

fn frames(text: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut reader = Reader::default();
    reader.feed(&Bytes::copy_from_slice(text), &mut frames).unwrap();
    frames.extend(reader.finish());
    frames
}

fn read(text: &[u8]) -> Vec<Event> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for frame in frames(text) {
        decoder.frame(&frame, &mut events).unwrap();
    }
    events
}

fn encoder() -> Encoder {
    Encoder::new(ReplyContext {
        unique: "u1".to_owned(),
        model: "fast".to_owned(),
        created_ms: 0,
        include_usage: false,
    })
}

fn write(events: &[Event]) -> String {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    for event in events {
        encoder.event(event, Duration::ZERO, &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// Puts a stream together as a client does, checking the order of its events.
fn gathered(text: &str) -> Value {
    let mut message = Value::Null;
    let mut open: Option<(usize, String)> = None;
    for frame in frames(text.as_bytes()) {
        let event: Value = serde_json::from_slice(frame.data.as_deref().unwrap()).unwrap();
        assert_eq!(event["type"], frame.event, "the event's name is its type");
        match frame.event.as_str() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert!(open.is_none() && event["index"] == content.len(), "{text}");
                open = Some((content.len(), String::new()));
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let (index, arguments) = open.as_mut().unwrap();
                assert_eq!(event["index"], *index);
                grow(&mut message["content"][*index], &event["delta"], arguments);
            }
            "content_block_stop" => {
                let (index, arguments) = open.take().unwrap();
                assert_eq!(event["index"], index);
                if !arguments.is_empty() {
                    message["content"][index]["input"] = serde_json::from_str(&arguments).unwrap();
                }
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                message["usage"] = event["usage"].clone();
            }
            _ => {}
        }
    }
    assert!(open.is_none(), "{text}");
    message
}

fn grow(block: &mut Value, delta: &Value, arguments: &mut String) {
    let (member, piece) = match delta["type"].as_str().unwrap() {
        "text_delta" => ("text", &delta["text"]),
        "thinking_delta" => ("thinking", &delta["thinking"]),
        "signature_delta" => ("signature", &delta["signature"]),
        _ => return arguments.push_str(delta["partial_json"].as_str().unwrap()),
    };
    block[member] = Value::from([block[member].as_str().unwrap(), piece.as_str().unwrap()].concat());
}

fn text(piece: &str) -> Event {
    Event::Text { choice: 0, text: piece.to_owned(), logprobs: None }
}

fn call(index: u32, id: &str, arguments: &str) -> Event {
    let call = ToolCall { id: id.to_owned(), name: format!("f{index}"), arguments: arguments.to_owned() };
    Event::ToolCall { choice: 0, index, call }
}

fn piece(index: u32, piece: &str) -> Event {
    Event::ToolArguments { choice: 0, index, piece: piece.to_owned() }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

#[test]
fn an_upstreams_stream_is_read() {
    insta::assert_debug_snapshot!(read(UPSTREAM.as_bytes()));
}

#[test]
fn a_stream_that_was_read_is_written_again() {
    let events = read(UPSTREAM.as_bytes());
    let written = write(&events);
    insta::assert_snapshot!(written);
    assert_eq!(gathered(&written)["content"], gathered(UPSTREAM)["content"]);
    let content = |events: Vec<Event>| -> Vec<Event> {
        events.into_iter().filter(|event| event.is_visible() || matches!(event, Event::Signature { .. })).collect()
    };
    assert_eq!(content(read(written.as_bytes())), content(events));
}

#[test]
fn odd_frames() {
    for (name, data, want) in [
        ("comment", ": ping\n\n", "[]"),
        ("ping", "event: ping\ndata: {\"type\":\"ping\"}\n\n", "[]"),
        ("unknown", "data: {\"type\":\"news\"}\n\n", "[]"),
        ("type in the event's name only", "event: message_stop\ndata: {}\n\n", "[Done]"),
        ("openai's end after the own", "data: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n", "[Done]"),
        (
            "delta without a block",
            "data: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}}\n\n",
            "[]",
        ),
        (
            "arguments in the start",
            "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{\"a\":1}}}\n\ndata: {\"type\":\"content_block_stop\"}\n\n",
            r#"[ToolCall { choice: 0, index: 0, call: ToolCall { id: "a", name: "f", arguments: "" } }, ToolArguments { choice: 0, index: 0, piece: "{\"a\":1}" }]"#,
        ),
    ] {
        assert_eq!(format!("{:?}", read(data.as_bytes())), want, "{name}");
    }
    let mut out = Vec::new();
    for data in ["data: {\n\n", "data: []x\n\n", "data: {\"type\":5}\n\n"] {
        assert!(Decoder::default().frame(&frames(data.as_bytes())[0], &mut out).is_err(), "{data}");
    }
}

#[test]
fn failures_inside_a_stream() {
    for (data, kind, message) in [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            FailureKind::Overloaded,
            "Overloaded",
        ),
        (
            r#"{"error":{"code":500,"message":"out of memory","type":"server_error"}}"#,
            FailureKind::Upstream,
            "out of memory",
        ),
        (r#"{"type":"error"}"#, FailureKind::Upstream, "error"),
    ] {
        let events = read(format!("event: error\ndata: {data}\n\n").as_bytes());
        assert!(
            matches!(&events[..], [Event::Failed(failure)] if failure.kind == kind && failure.message == message),
            "{events:?}"
        );
    }
}

#[test]
fn a_stream_of_another_dialect() {
    let usage = Usage { input: Some(20), output: Some(9), cached_read: Some(5), ..Usage::default() };
    let (mut encoder, mut out) = (encoder(), Vec::new());
    encoder.set_input_estimate(18);
    encoder.heartbeat(&mut out);
    for event in [
        Event::Start { model: Some("qwen".to_owned()) },
        Event::Thinking { choice: 0, text: "hm".to_owned() },
        text(""),
        text("Hel"),
        Event::Text { choice: 1, text: "other".to_owned(), logprobs: None },
        text("lo"),
        call(0, "", ""),
        piece(0, "{\"a\""),
        piece(0, ":1}"),
        call(1, "call_b", ""),
        finish(Finish::Stop),
        Event::Usage(usage),
        Event::Done,
        text("too late"),
    ] {
        encoder.event(&event, Duration::ZERO, &mut out);
    }
    encoder.heartbeat(&mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn mixed_pieces_come_out_in_order() {
    let written = gathered(&write(&[
        call(0, "a", "{\"x\":"),
        call(1, "b", "\"{\\\"y\\\":"),
        text("\n"),
        piece(0, "1"),
        piece(1, "2}\""),
        piece(0, "}"),
        piece(0, " "),
        call(2, "c", ""),
        text("end"),
        Event::Done,
    ]));
    let want = serde_json::json!([
        {"type": "tool_use", "id": "a", "name": "f0", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "f1", "input": {"y": 2}},
        {"type": "text", "text": "\n"},
        {"type": "tool_use", "id": "c", "name": "f2", "input": {}},
        {"type": "text", "text": "end"},
    ]);
    assert_eq!(written["content"], want);
    assert_eq!(written["stop_reason"], "tool_use");
}

#[test]
fn a_call_without_an_end_does_not_hold_up_the_rest_for_ever() {
    let mut events = vec![call(0, "a", "{")];
    for _ in 0..200 {
        events.extend([text("t"), Event::Thinking { choice: 0, text: "h".to_owned() }]);
    }
    events.push(piece(0, "}"));
    let (mut encoder, mut out) = (encoder(), Vec::new());
    events.iter().for_each(|event| encoder.event(event, Duration::ZERO, &mut out));
    assert!(String::from_utf8(out).unwrap().contains("text_delta"));
}

#[test]
fn blanks_of_arguments_are_kept_inside_of_them() {
    let written = gathered(&write(&[
        call(0, "a", " "),
        piece(0, "\n"),
        piece(0, "{\"x\":\""),
        piece(0, "  "),
        piece(0, "\"}"),
        Event::Done,
    ]));
    assert_eq!(written["content"][0]["input"], serde_json::json!({"x": "  "}));
}

#[test]
fn a_call_is_streamed_before_it_is_complete() {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    encoder.event(&call(0, "a", "{\"x\":"), Duration::ZERO, &mut out);
    assert!(String::from_utf8_lossy(&out).ends_with("\"partial_json\":\"{\\\"x\\\":\"}}\n\n"));
}

#[test]
fn signatures_close_their_reasoning() {
    let signature = |value: &str| Event::Signature { choice: 0, signature: value.to_owned() };
    let thinking = |text: &str| Event::Thinking { choice: 0, text: text.to_owned() };
    let written = gathered(&write(&[
        thinking("a"),
        thinking("b"),
        signature("s1"),
        thinking("c"),
        signature("s2"),
        signature("hidden"),
        Event::RedactedThinking { choice: 0, data: "zz".to_owned() },
        Event::Refusal { choice: 0, text: "No.".to_owned() },
        finish(Finish::Stop),
        Event::Done,
    ]));
    let want = serde_json::json!([
        {"type": "thinking", "thinking": "ab", "signature": "s1"},
        {"type": "thinking", "thinking": "c", "signature": "s2"},
        {"type": "thinking", "thinking": "", "signature": "hidden"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "text", "text": "No."},
    ]);
    assert_eq!(written["content"], want);
    assert_eq!(written["stop_reason"], "refusal");
}

#[test]
fn a_stream_without_anything() {
    let written = gathered(&write(&[Event::Done]));
    assert_eq!((&written["content"], &written["stop_reason"]), (&serde_json::json!([]), &Value::from("end_turn")));
    assert_eq!(written["usage"]["output_tokens"], 0);
}

#[test]
fn failures_for_clients() {
    let (mut encoder, mut out) = (encoder(), Vec::new());
    let error = ErrorBody {
        kind: FailureKind::Upstream,
        message: "gpu-box stopped answering".to_owned(),
        code: None,
        param: None,
        request_id: Some("r1".to_owned()),
    };
    encoder.event(&text("Hi"), Duration::ZERO, &mut out);
    out.clear();
    encoder.fail(&error, &mut out);
    encoder.fail(&error, &mut out);
    encoder.event(&Event::Done, Duration::ZERO, &mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    event: error
    data: {"type":"error","error":{"type":"api_error","message":"gpu-box stopped answering"},"request_id":"r1"}
    "#);
}

fn any_event() -> impl Strategy<Value = Event> {
    let piece_text = prop_oneof![Just("{"), Just("}"), Just("\""), Just("ö\n"), Just(""), Just("{\"a\":1}")];
    prop_oneof![
        piece_text.clone().prop_map(text),
        piece_text.clone().prop_map(|piece| Event::Thinking { choice: 0, text: piece.to_owned() }),
        Just(Event::Signature { choice: 0, signature: "s".to_owned() }),
        Just(Event::RedactedThinking { choice: 0, data: "d".to_owned() }),
        (0_u32..4).prop_map(|index| call(index, "id", "")),
        (0_u32..4, piece_text).prop_map(|(index, text)| piece(index, text)),
        Just(finish(Finish::Length)),
        Just(Event::Start { model: None }),
    ]
}

proptest! {
    #[test]
    fn any_events_give_blocks_that_never_overlap(mut events in proptest::collection::vec(any_event(), 0..40)) {
        // Pieces that are no object on purpose: only the order of the events is looked at.
        events.retain(|event| !matches!(event, Event::ToolArguments { piece, .. } if piece != "{\"a\":1}"));
        let texts = |kind: &str, value: &Value| -> String {
            let blocks = value["content"].as_array().into_iter().flatten();
            blocks.filter_map(|block| block[kind].as_str()).collect()
        };
        let sent: String =
            events.iter().filter_map(|event| if let Event::Text { text, .. } = event { Some(text.as_str()) } else { None }).collect();
        events.push(Event::Done);
        // A call that gets several objects is not valid JSON in the end: only one is kept here.
        let mut seen = std::collections::HashSet::new();
        events.retain(|event| !matches!(event, Event::ToolArguments { index, .. } | Event::ToolCall { index, .. } if !seen.insert((*index, std::mem::discriminant(event)))));
        prop_assert_eq!(texts("text", &gathered(&write(&events))), sent);
    }

    #[test]
    fn any_split_of_the_arguments_gives_the_same_call(cuts in proptest::collection::vec(0_usize..60, 0..6), string in any::<bool>()) {
        let object = r#"{"city":"Köln \"}{","list":[1,{"b":[]}]}"#;
        let arguments = if string { Value::from(object).to_string() } else { object.to_owned() };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| arguments.floor_char_boundary(cut)).collect();
        cuts.extend([0, arguments.len()]);
        cuts.sort_unstable();
        let mut events = vec![call(0, "a", "")];
        events.extend(cuts.windows(2).map(|pair| piece(0, &arguments[pair[0]..pair[1]])));
        events.push(Event::Done);
        let written = gathered(&write(&events));
        prop_assert_eq!(&written["content"][0]["input"], &serde_json::from_str::<Value>(object).unwrap());
    }

    #[test]
    fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        for frame in frames(&data) {
            let _ = Decoder::default().frame(&frame, &mut out);
        }
    }
}
