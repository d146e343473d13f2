use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::chat::ToolCall;
use crate::failure::FailureKind;
use crate::sse::Reader;

fn events(text: &str) -> Vec<Event> {
    let mut frames = Vec::new();
    let mut reader = Reader::default();
    reader.feed(&Bytes::copy_from_slice(text.as_bytes()), &mut frames).expect("frames");
    frames.extend(reader.finish());
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for frame in &frames {
        decoder.frame(frame, &mut out).expect("a chunk");
    }
    out
}

/// Chunks of one choice as a stream, without the closing `[DONE]`.
fn chunks(deltas: &[&str]) -> String {
    deltas
        .iter()
        .map(|delta| {
            format!("data: {{\"id\":\"chatcmpl-9\",\"model\":\"q\",\"choices\":[{{\"index\":0,{delta}}}]}}\n\n")
        })
        .collect()
}

fn text(piece: &str) -> Event {
    Event::Text { choice: 0, text: piece.to_owned(), logprobs: None }
}

fn call(index: u32, id: &str, name: &str) -> Event {
    let call = ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: String::new() };
    Event::ToolCall { choice: 0, index, call }
}

fn arguments(index: u32, piece: &str) -> Event {
    Event::ToolArguments { choice: 0, index, piece: piece.to_owned() }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn start() -> Event {
    Event::Start { model: Some("q".to_owned()) }
}

fn written(events: &[Event], include_usage: bool) -> String {
    let context = ReplyContext { unique: "u1".into(), model: "m".into(), created_ms: 1_700_000_000_999, include_usage };
    let mut encoder = Encoder::new(context);
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, Duration::ZERO, &mut out);
    }
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_usual_stream() {
    let stream = chunks(&[
        r#""delta":{"role":"assistant","content":""},"finish_reason":null"#,
        r#""delta":{"reasoning_content":"h"}"#,
        r#""delta":{"reasoning":"m"}"#,
        r#""delta":{"content":"Hel"},"logprobs":{"content":[]}"#,
        r#""delta":{"content":"lo"},"finish_reason":"stop","stop_reason":"END""#,
    ]) + ": ping\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\ndata: x\n\n";
    assert_eq!(
        events(&stream),
        [
            start(),
            Event::Thinking { choice: 0, text: "h".into() },
            Event::Thinking { choice: 0, text: "m".into() },
            Event::Text { choice: 0, text: "Hel".into(), logprobs: Some(json!({"content": []})) },
            text("lo"),
            finish(Finish::StopSequence(Some("END".into()))),
            Event::Usage(Usage { input: Some(3), output: Some(4), ..Usage::default() }),
            Event::Done,
        ]
    );
}

#[test]
fn tool_calls_of_all_servers() {
    for (name, deltas, want) in [
        (
            "numbered, in pieces, interleaved",
            vec![
                r#""delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                r#""delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}]}"#,
                r#""delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":"}"}}]}"#,
                r#""delta":{},"finish_reason":"tool_calls""#,
            ],
            vec![call(0, "a", "f"), call(1, "b", "g"), arguments(1, "{"), arguments(0, "{}"), arguments(1, "}")],
        ),
        (
            "all numbered 0 with ids of their own",
            vec![
                r#""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
                r#""delta":{},"finish_reason":"stop""#,
            ],
            vec![call(0, "a", "f"), arguments(0, "{}"), call(1, "b", "f"), arguments(1, "{}")],
        ),
        (
            "no numbers, no ids",
            vec![
                r#""delta":{"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}},{"function":{"name":"g","arguments":{}}}]},"finish_reason":"tool_calls""#,
            ],
            vec![
                call(0, "call_chatcmpl9_0_0", "f"),
                arguments(0, r#"{"x":1}"#),
                call(1, "call_chatcmpl9_0_1", "g"),
                arguments(1, "{}"),
            ],
        ),
        (
            "name and id in every piece",
            vec![
                r#""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
                r#""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]},"finish_reason":"tool_calls""#,
            ],
            vec![call(0, "a", "f"), arguments(0, "{"), arguments(0, "}")],
        ),
        (
            "text inside text",
            vec![
                r#""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"\"{\\\"x\\\""}}]}"#,
                r#""delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}\""}}]}"#,
                r#""delta":{},"finish_reason":"stop""#,
            ],
            vec![call(0, "a", "f"), arguments(0, r#"{"x":1}"#)],
        ),
        (
            "the older single call",
            vec![
                r#""delta":{"function_call":{"name":"f","arguments":"{"}}"#,
                r#""delta":{"function_call":{"arguments":"}"}},"finish_reason":"function_call""#,
            ],
            vec![call(0, "call_chatcmpl9_0_0", "f"), arguments(0, "{"), arguments(0, "}")],
        ),
    ] {
        let deltas: Vec<&str> = deltas;
        let mut all = vec![start()];
        all.extend(want);
        all.push(finish(Finish::ToolCalls));
        assert_eq!(events(&chunks(&deltas)), all, "{name}");
    }
}

#[test]
fn blanks_before_arguments_are_passed_over() {
    let piece = |text: &str| format!(r#""delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}"#);
    let deltas = [
        r#""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":" "}}]}"#,
        &piece("\\n"),
        &piece("{ "),
        &piece(" }"),
    ];
    assert_eq!(events(&chunks(&deltas)), [start(), call(0, "a", "f"), arguments(0, "{ "), arguments(0, " }")]);
}

#[test]
fn signatures_and_encrypted_reasoning() {
    let stream = chunks(&[
        r#""delta":{"reasoning":"h","reasoning_details":[{"type":"reasoning.text","text":"h","index":0}]}"#,
        r#""delta":{"reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1","index":0}]}"#,
        r#""delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"x","index":1}]}"#,
    ]);
    assert_eq!(
        events(&stream),
        [
            start(),
            Event::Thinking { choice: 0, text: "h".into() },
            Event::Signature { choice: 0, signature: "s".into() },
            Event::RedactedThinking { choice: 0, data: "x".into() },
        ]
    );
}

#[test]
fn errors_inside_a_stream() {
    for (name, stream, kind) in [
        (
            "openrouter",
            r#"data: {"id":"x","error":{"code":429,"message":"slow"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            FailureKind::RateLimit,
        ),
        ("llama.cpp", r#"data: {"error":{"code":500,"message":"slow","type":"server_error"}}"#, FailureKind::Upstream),
        (
            "llama.cpp, older",
            r#"error: {"code":503,"message":"slow","type":"unavailable_error"}"#,
            FailureKind::Overloaded,
        ),
        (
            "vllm, older",
            r#"data: {"object":"error","message":"slow","type":"BadRequestError","code":400}"#,
            FailureKind::InvalidRequest,
        ),
        ("named event", "event: error\ndata: {\"message\":\"slow\"}", FailureKind::Upstream),
        ("text", r#"data: {"error":"slow"}"#, FailureKind::Upstream),
    ] {
        let got = events(&format!("{stream}\n\ndata: {{\"choices\":[]}}\n\n"));
        let [Event::Failed(failure)] = got.as_slice() else { panic!("{name}: {got:?}") };
        assert_eq!((failure.kind, failure.message.as_str()), (kind, "slow"), "{name}");
    }
}

#[test]
fn an_answer_that_was_given_up_is_no_answer() {
    for word in ["error", "abort", "insufficient_system_resource"] {
        let got =
            events(&chunks(&[r#""delta":{"content":"a"}"#, &format!(r#""delta":{{}},"finish_reason":"{word}""#)]));
        let [Event::Start { .. }, Event::Text { .. }, Event::Failed(failure)] = got.as_slice() else {
            panic!("{got:?}")
        };
        assert!(failure.kind == FailureKind::Upstream && failure.message.contains(word), "{failure:?}");
    }
}

#[test]
fn odd_chunks() {
    // Azure's first chunk, nulls everywhere, usage in every chunk, Groq's usage, a finish told twice.
    let stream = concat!(
        "data: {\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        "data: {\"choices\":[{\"index\":null,\"delta\":null,\"finish_reason\":\"\",\"logprobs\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"tool_calls\":null},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":1}}}\n\n",
    );
    assert_eq!(
        events(stream),
        [
            Event::Start { model: None },
            text("a"),
            finish(Finish::Stop),
            Event::Usage(Usage { input: Some(1), ..Usage::default() }),
        ]
    );
}

#[test]
fn wrong_chunks_are_malformed() {
    for data in ["{", "[]", r#"{"choices":7}"#, r#"{"choices":[{"index":4000000000}]}"#] {
        let raw = Bytes::from(format!("data: {data}\n\n"));
        let frame = Frame { raw, event: String::new(), data: Some(Bytes::copy_from_slice(data.as_bytes())) };
        assert!(Decoder::default().frame(&frame, &mut Vec::new()).is_err(), "{data}");
    }
    let many: Vec<String> = (0..300).map(|n| format!(r#"{{"index":{n},"function":{{"name":"f"}}}}"#)).collect();
    let data = Bytes::from(format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{}]}}}}]}}"#, many.join(",")));
    let frame = Frame { raw: data.clone(), event: String::new(), data: Some(data) };
    assert!(Decoder::default().frame(&frame, &mut Vec::new()).is_err());
}

#[test]
fn what_a_client_gets() {
    let stream = written(
        &[
            start(),
            Event::Thinking { choice: 0, text: "hm".into() },
            Event::Signature { choice: 0, signature: "s".into() },
            Event::Text { choice: 0, text: "line\n\u{1F600}".into(), logprobs: Some(json!({"content": []})) },
            Event::Text { choice: 1, text: "two".into(), logprobs: None },
            call(0, "a", "f"),
            arguments(0, "{\"x\":1}"),
            finish(Finish::ToolCalls),
            Event::Finish { choice: 1, finish: Finish::Other("pause".into()) },
            Event::Usage(Usage { input: Some(3), ..Usage::default() }),
            Event::Usage(Usage { output: Some(4), cached_read: Some(2), ..Usage::default() }),
            Event::Done,
        ],
        true,
    );
    insta::assert_snapshot!(stream);
}

#[test]
fn streams_end_well_whatever_is_missing() {
    for (name, given, wants_usage, want) in [
        ("nothing but the end", vec![Event::Done], true, r#""delta":{},"logprobs":null,"finish_reason":"stop""#),
        ("no start, no finish", vec![text("a"), Event::Done], true, r#""finish_reason":"stop""#),
        ("calls without a finish", vec![call(0, "a", "f"), Event::Done], false, r#""finish_reason":"tool_calls""#),
    ] {
        let stream = written(&given, wants_usage);
        assert!(stream.contains(want), "{name}: {stream}");
        assert!(stream.contains(r#""delta":{"role":"assistant","content":""}"#), "{name}: {stream}");
        assert_eq!(stream.matches("finish_reason\":\"").count(), 1, "{name}: {stream}");
        assert!(stream.ends_with("data: [DONE]\n\n") && !stream.contains("prompt_tokens"), "{name}: {stream}");
    }
    let used = Event::Usage(Usage { input: Some(3), output: Some(4), ..Usage::default() });
    assert!(!written(&[text("a"), used, Event::Done], false).contains("usage"));
}

#[test]
fn an_error_ends_the_stream() {
    let context = ReplyContext { unique: "u".into(), model: "m".into(), created_ms: 0, include_usage: true };
    let mut encoder = Encoder::new(context);
    let mut out = Vec::new();
    encoder.heartbeat(&mut out);
    let error = ErrorBody {
        kind: FailureKind::Upstream,
        message: "gpu-box went away".into(),
        code: None,
        param: None,
        request_id: None,
    };
    encoder.fail(&error, &mut out);
    encoder.fail(&error, &mut out);
    encoder.event(&Event::Done, Duration::ZERO, &mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    : ping

    data: {"error":{"message":"gpu-box went away","type":"server_error","param":null,"code":"upstream_error"},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}

    "#);
}

/// Texts of all pieces, by kind.
fn joined(events: &[Event]) -> (String, String, Vec<(String, String)>) {
    let (mut said, mut thought, mut calls) = (String::new(), String::new(), Vec::<(String, String)>::new());
    for event in events {
        match event {
            Event::Text { text, .. } => said.push_str(text),
            Event::Thinking { text, .. } => thought.push_str(text),
            Event::ToolCall { call, .. } => calls.push((call.name.clone(), call.arguments.clone())),
            Event::ToolArguments { index, piece, .. } => {
                calls[*index as usize].1.push_str(piece);
            }
            Event::Start { .. }
            | Event::Signature { .. }
            | Event::RedactedThinking { .. }
            | Event::Refusal { .. }
            | Event::Finish { .. }
            | Event::Usage(_)
            | Event::Done
            | Event::Failed(_) => {}
        }
    }
    for (_, arguments) in &mut calls {
        // Blanks before them say nothing.
        let said = arguments.trim_start();
        *arguments = if said.is_empty() { "{}" } else { said }.to_owned();
    }
    (said, thought, calls)
}

fn piece() -> impl Strategy<Value = Event> {
    prop_oneof![
        ".{1,5}".prop_map(|piece| text(&piece)),
        ".{1,5}".prop_map(|text| Event::Thinking { choice: 0, text }),
        (0_u32..2, "[a-z0-9{}: ]{1,5}").prop_map(|(index, piece)| arguments(index, &piece)),
    ]
}

#[test]
fn signatures_survive_the_way_through_the_dialect() {
    let thinking = |text: &str| Event::Thinking { choice: 0, text: text.to_owned() };
    let signature = |text: &str| Event::Signature { choice: 0, signature: text.to_owned() };
    let given = [
        start(),
        thinking("a"),
        thinking("b"),
        signature("s"),
        Event::RedactedThinking { choice: 0, data: "x".into() },
        thinking("c"),
        signature("t"),
        finish(Finish::Stop),
        Event::Done,
    ];
    let got = events(&written(&given, false));
    assert_eq!(got[1..], given[1..]);
}

#[test]
fn a_call_without_arguments_gets_an_empty_object() {
    let stream = written(&[start(), call(0, "a", "f"), finish(Finish::ToolCalls), Event::Done], false);
    assert_eq!(joined(&events(&stream)).2, [("f".to_owned(), "{}".to_owned())]);
    assert!(stream.contains(r#""arguments":"{}""#), "{stream}");
}

proptest! {
    #[test]
    fn pieces_survive_the_way_through_the_dialect(pieces in proptest::collection::vec(piece(), 0..20)) {
        let mut given = vec![start(), call(0, "a", "f"), call(1, "b", "g")];
        given.extend(pieces);
        given.extend([finish(Finish::ToolCalls), Event::Done]);
        let got = events(&written(&given, true));
        prop_assert_eq!(joined(&got), joined(&given));
        prop_assert_eq!(&got[got.len() - 2..], &given[given.len() - 2..]);
    }

    #[test]
    fn quoted_arguments_are_unwrapped_however_they_are_cut(x in any::<i64>(), cuts in proptest::collection::vec(0_usize..60, 0..5)) {
        let inner = json!({ "x": x, "y": "\"z\"" }).to_string();
        let outer = serde_json::to_string(&inner).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(outer.len())).collect();
        cuts.extend([0, outer.len()]);
        cuts.sort_unstable();
        let mut stream = chunks(&[r#""delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}}]}"#]);
        for pair in cuts.windows(2) {
            let piece = serde_json::to_string(&outer[pair[0]..pair[1]]).unwrap();
            stream += &chunks(&[&format!(r#""delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":{piece}}}}}]}}"#)]);
        }
        stream += "data: [DONE]\n\n";
        prop_assert_eq!(joined(&events(&stream)).2, vec![("f".to_owned(), inner)]);
    }

    #[test]
    fn nothing_panics(data in "[\\[\\]{}\":,a-z0-9 ]{0,80}") {
        let frame = Frame { raw: Bytes::new(), event: String::new(), data: Some(Bytes::from(data.into_bytes())) };
        let _ = Decoder::default().frame(&frame, &mut Vec::new());
    }
}
