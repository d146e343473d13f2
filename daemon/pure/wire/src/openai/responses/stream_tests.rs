use std::fmt::Write as _;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::sse;

fn context() -> ReplyContext {
    ReplyContext { unique: "u1".to_owned(), model: "m".to_owned(), created_ms: 5_000, include_usage: true }
}

fn frames(events: &[Event]) -> Vec<Value> {
    let mut encoder = Encoder::new(context(), Echo::default());
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, Duration::ZERO, &mut out);
    }
    parse(out)
}

fn parse(out: Vec<u8>) -> Vec<Value> {
    let mut frames = Vec::new();
    sse::Reader::default().feed(&Bytes::from(out), &mut frames).unwrap();
    let value = |frame: sse::Frame| {
        let value: Value = serde_json::from_slice(&frame.data.unwrap()).unwrap();
        assert_eq!(value["type"], frame.event.as_str());
        value
    };
    frames.into_iter().filter(|frame| frame.data.is_some()).map(value).collect()
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned(), logprobs: None }
}

fn thinking(text: &str) -> Event {
    Event::Thinking { choice: 0, text: text.to_owned() }
}

fn call(index: u32, id: &str) -> Event {
    let call = ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: String::new() };
    Event::ToolCall { choice: 0, index, call }
}

fn arguments(index: u32, piece: &str) -> Event {
    Event::ToolArguments { choice: 0, index, piece: piece.to_owned() }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

/// One line an event: what it is and what is new in it.
fn story(frames: &[Value]) -> String {
    let mut story = String::new();
    for (position, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_number"], position);
        let mut frame = frame.clone();
        let fields = frame.as_object_mut().unwrap();
        let kind = fields.remove("type").unwrap();
        fields.remove("sequence_number");
        if let Some(response) = fields.remove("response") {
            let items: Vec<&Value> = response["output"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
            fields.insert("response".to_owned(), json!([response["status"], items, response["usage"]["total_tokens"]]));
        }
        writeln!(story, "{} {frame}", kind.as_str().unwrap()).unwrap();
    }
    story
}

#[test]
fn a_whole_answer() {
    let usage = Usage { input: Some(3), output: Some(4), ..Usage::default() };
    let frames = frames(&[
        Event::Start { model: None },
        thinking("H"),
        thinking("m"),
        Event::Signature { choice: 0, signature: "s".to_owned() },
        text("Hel"),
        text("lo"),
        call(0, "c1"),
        arguments(0, "{\"a\":"),
        call(1, "c2"),
        arguments(0, "1}"),
        arguments(1, "{}"),
        finish(Finish::ToolCalls),
        Event::Usage(usage),
        Event::Done,
        Event::Done,
    ]);
    insta::assert_snapshot!(story(&frames));
}

#[test]
fn refusals_and_cut_answers() {
    let refused =
        [text("Well"), Event::Refusal { choice: 0, text: "No".to_owned() }, finish(Finish::ContentFilter), Event::Done];
    insta::assert_snapshot!(story(&frames(&refused)));
    let cut = frames(&[text("Hel"), finish(Finish::Length), Event::Done]);
    let last = &cut.last().unwrap()["response"];
    assert_eq!(last["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!((&last["status"], &last["output"][0]["status"]), (&json!("incomplete"), &json!("incomplete")));
    assert_eq!(cut.last().unwrap()["type"], "response.incomplete");
}

#[test]
fn an_empty_answer_is_still_a_whole_one() {
    let kinds: Vec<Value> = frames(&[Event::Done]).into_iter().map(|frame| frame["type"].clone()).collect();
    assert_eq!(kinds, ["response.created", "response.in_progress", "response.completed"]);
}

#[test]
fn a_failure_ends_the_stream() {
    let mut encoder = Encoder::new(context(), Echo::default());
    let mut out = Vec::new();
    encoder.heartbeat(&mut out);
    assert_eq!(out, b": ping\n\n");
    encoder.event(&text("Hel"), Duration::ZERO, &mut out);
    let error = ErrorBody {
        kind: FailureKind::Upstream,
        message: "box failed".to_owned(),
        code: None,
        param: None,
        request_id: None,
    };
    encoder.fail(&error, &mut out);
    let length = out.len();
    encoder.event(&Event::Done, Duration::ZERO, &mut out);
    encoder.heartbeat(&mut out);
    encoder.fail(&error, &mut out);
    assert_eq!(out.len(), length);
    let frames = parse(out);
    let [.., error, failed] = frames.as_slice() else { panic!() };
    assert_eq!((&error["type"], &error["error"]["message"]), (&json!("error"), &json!("box failed")));
    assert_eq!(
        (&failed["response"]["status"], &failed["response"]["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
    assert_eq!(failed["response"]["output"][0]["content"][0]["text"], "Hel");
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        "[a-zé\n\"]{0,5}".prop_map(|piece| text(&piece)),
        "[a-z]{0,3}".prop_map(|piece| thinking(&piece)),
        "[a-z]{0,3}".prop_map(|text| Event::Refusal { choice: 0, text }),
        Just(Event::Signature { choice: 0, signature: "s".to_owned() }),
        Just(Event::RedactedThinking { choice: 0, data: "r".to_owned() }),
        (0_u32..3).prop_map(|index| call(index, "c")),
        (0_u32..3, "[{}a\"]{0,3}").prop_map(|(index, piece)| arguments(index, &piece)),
        Just(Event::Usage(Usage { output: Some(2), ..Usage::default() })),
        Just(finish(Finish::Length)),
        Just(Event::Text { choice: 1, text: "other".to_owned(), logprobs: None }),
    ]
}

proptest! {
    #[test]
    fn any_events_give_items_that_are_added_and_done_once(events in proptest::collection::vec(any_event(), 0..40)) {
        let mut events = events;
        events.push(Event::Done);
        let frames = frames(&events);
        let of = |kind: &str| -> Vec<&Value> { frames.iter().filter(|frame| frame["type"] == kind).collect() };
        let mut done = of("response.output_item.done");
        done.sort_by_key(|frame| frame["output_index"].as_u64());
        let items: Vec<&Value> = done.iter().map(|frame| &frame["item"]).collect();
        let response = &frames.last().unwrap()["response"];
        prop_assert_eq!(response["output"].as_array().unwrap().iter().collect::<Vec<_>>(), items);
        prop_assert_eq!(of("response.output_item.added").len(), done.len());
        prop_assert_eq!(of("response.content_part.added").len(), of("response.content_part.done").len());
        for (delta, whole, field) in [
            ("response.output_text.delta", "response.output_text.done", "text"),
            ("response.refusal.delta", "response.refusal.done", "refusal"),
            ("response.reasoning_summary_text.delta", "response.reasoning_summary_text.done", "text"),
            ("response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"),
        ] {
            let mut said: BTreeMap<String, String> = BTreeMap::new();
            let key = |frame: &Value| format!("{} {}", frame["item_id"], frame["content_index"]);
            for frame in of(delta) {
                said.entry(key(frame)).or_default().push_str(frame["delta"].as_str().unwrap());
            }
            let done: BTreeMap<String, String> = of(whole)
                .into_iter()
                .map(|frame| (key(frame), frame[field].as_str().unwrap().to_owned()))
                .filter(|(_, whole)| !whole.is_empty())
                .collect();
            prop_assert_eq!(said, done);
        }
    }
}

#[test]
fn a_call_without_arguments_has_empty_ones() {
    let frames = frames(&[call(0, "c1"), finish(Finish::ToolCalls), Event::Done]);
    let done = frames.iter().find(|frame| frame["type"] == "response.function_call_arguments.done").unwrap();
    assert_eq!(done["arguments"], "{}");
    let delta = frames.iter().find(|frame| frame["type"] == "response.function_call_arguments.delta").unwrap();
    assert_eq!(delta["delta"], "{}");
}
