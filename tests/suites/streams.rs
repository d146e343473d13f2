//! Streams: nothing is held back, whatever the framing, and no end is silent.

use std::time::Duration;

use airlane_tests::client::Response;
use airlane_tests::daemon::Setup;
use airlane_tests::events;
use airlane_tests::fake::{Answer, Script};
use serde_json::json;

use crate::common::{BOUND, chat, chat_body, messages, ollama_chat, pair, pair_with};
use crate::outcome::{Near, openai_chunks};

const KINDS: [&str; 3] = ["openai", "anthropic", "ollama"];

#[test]
fn a_token_arrives_before_the_next_one_is_made() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        fake.answer(Script::gated());
        for (number, near) in Near::ALL.into_iter().enumerate() {
            if near == Near::Completions && kind == "anthropic" {
                continue;
            }
            println!("{} on {kind}", near.path());
            let mut exchange = daemon.open(&near.request(&near.body("fake-1", true)));
            let script = Script::default();
            let _ = exchange.head();
            for token in &script.tokens {
                fake.release(1);
                let _ = exchange.until(token.trim());
            }
            let _ = exchange.rest();
            assert!(exchange.complete(), "{number}");
        }
    }
}

#[test]
fn headers_go_out_before_the_first_token() {
    for request in [chat("fake-1", true), messages("fake-1", true), ollama_chat("fake-1", true)] {
        let (fake, daemon) = pair("openai");
        fake.answer(Script::gated());
        let mut exchange = daemon.open(&request);
        assert_eq!(exchange.head().status, 200, "the head comes while the upstream is still reading the prompt");
        fake.release(100);
        let _ = exchange.rest();
        assert!(exchange.complete());
    }
}

/// The answer must be the same however the upstream's bytes are cut and framed.
fn framing_case(kind: &str, script: &Script) {
    let (fake, daemon) = pair(kind);
    fake.answer(script.clone());
    for near in [Near::Chat, Near::Messages, Near::OllamaChat, Near::Responses] {
        println!("{} on {kind}", near.path());
        let outcome = near.read(true, &daemon.send(&near.request(&near.body("fake-1", true))));
        assert_eq!(outcome.text, script.full_text(), "{} on {kind}", near.path());
        assert_eq!(outcome.finish, "stop");
        assert_eq!(outcome.output_tokens, Some(script.output_tokens() as u64));
    }
}

#[test]
fn any_split_of_the_bytes_gives_the_same_answer() {
    for kind in KINDS {
        for bytes in [1, 2, 3, 7, 64] {
            framing_case(kind, &Script { bytes_per_write: Some(bytes), ..Script::default() });
        }
    }
}

#[test]
fn lines_may_end_in_crlf() {
    for kind in KINDS {
        framing_case(kind, &Script { crlf: true, bytes_per_write: Some(5), ..Script::default() });
    }
}

#[test]
fn data_may_span_lines() {
    for kind in ["openai", "anthropic"] {
        framing_case(kind, &Script { multi_line: true, ..Script::default() });
    }
}

#[test]
fn a_stream_may_come_compressed_although_nobody_asked() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        fake.answer(Script { gzip: true, ..Script::default() });
        for stream in [false, true] {
            let response = daemon.send(&Near::Chat.request(&Near::Chat.body("fake-1", stream)));
            let text = Script::default().full_text();
            assert!(response.header("content-encoding").is_none(), "the client asked for no coding");
            assert_eq!(Near::Chat.read(stream, &response).text, text, "{kind} stream={stream}");
        }
    }
}

#[test]
fn a_missing_end_mark_after_the_finish_is_forgiven() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { no_done: true, ..Script::default() });
    for near in [Near::Chat, Near::Messages, Near::OllamaChat] {
        let outcome = near.read(true, &daemon.send(&near.request(&near.body("fake-1", true))));
        assert_eq!((outcome.text, outcome.finish.as_str()), (Script::default().full_text(), "stop"));
    }
}

#[test]
fn usage_is_always_asked_and_shown_only_on_request() {
    let (fake, daemon) = pair("openai");
    let plain = openai_chunks(&daemon.send(&chat("fake-1", true)).text());
    assert_eq!(fake.body(0)["stream_options"]["include_usage"], json!(true));
    assert!(plain.iter().all(|chunk| !chunk["usage"].is_object()), "nobody asked for usage: {plain:?}");
    assert!(plain.iter().all(|chunk| chunk["choices"] != json!([])), "no chunk without choices: {plain:?}");

    let mut body = chat_body("fake-1", true);
    body["stream_options"] = json!({"include_usage": true});
    let asked = openai_chunks(&daemon.post("/v1/chat/completions", &body).text());
    let last = asked.last().expect("a chunk");
    assert_eq!(last["choices"], json!([]), "{last}");
    assert_eq!(last["usage"]["prompt_tokens"], 11, "{last}");
}

/// The error event that must end a stream, as the client's dialect has it; gives its message.
fn error_event(near: Near, response: &Response) -> String {
    assert_eq!(response.status(), 200);
    let text = response.text();
    let message = match near {
        Near::Messages => {
            let event = events::parse(&text).pop().expect("an event");
            assert_eq!(event.name, "error", "{text}");
            event.json()["error"]["message"].clone()
        }
        Near::OllamaChat => events::lines(&text).pop().expect("a line")["error"].clone(),
        Near::Responses => {
            let event = events::parse(&text).pop().expect("an event");
            assert!(["error", "response.failed"].contains(&event.name.as_str()), "{text}");
            let value = event.json();
            if event.name == "error" { value["message"].clone() } else { value["response"]["error"]["message"].clone() }
        }
        _ => {
            assert!(!text.contains("[DONE]"), "a failed stream has no end mark: {text}");
            let event = events::parse(&text).pop().expect("an event").json();
            event["error"]["message"].clone()
        }
    };
    message.as_str().unwrap_or_else(|| panic!("no message: {text}")).to_owned()
}

const FAILING: [Near; 4] = [Near::Chat, Near::Messages, Near::OllamaChat, Near::Responses];

#[test]
fn a_cut_stream_ends_in_an_error_event() {
    for kind in KINDS {
        for (after_tokens, reset) in [(2, false), (2, true)] {
            let (fake, daemon) = pair(kind);
            fake.answer(Script::cut(after_tokens, reset));
            for near in FAILING {
                println!("{} on {kind}, reset={reset}", near.path());
                let response = daemon.send(&near.request(&near.body("fake-1", true)));
                let message = error_event(near, &response);
                assert!(message.contains("box"), "who failed is named: {message}");
                assert!(response.text().contains("Hello"), "what came before the cut is kept");
            }
        }
    }
}

#[test]
fn an_error_event_has_its_finish_reason_too() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::cut(2, true));
    let text = daemon.send(&chat("fake-1", true)).text();
    let event = events::parse(&text).pop().expect("an event").json();
    assert_eq!(event["choices"][0]["finish_reason"], "error", "clients that only read choices see it: {text}");
}

#[test]
fn an_orderly_end_without_a_finish_is_a_cut_too() {
    for kind in ["anthropic", "ollama"] {
        let (fake, daemon) = pair(kind);
        fake.answer(Script { no_done: true, ..Script::default() });
        for near in FAILING {
            if kind == "anthropic" {
                // message_delta has told the stop reason: only the end mark is missing.
                let outcome = near.read(true, &daemon.send(&near.request(&near.body("fake-1", true))));
                assert_eq!(outcome.finish, "stop");
            } else {
                let _ = error_event(near, &daemon.send(&near.request(&near.body("fake-1", true))));
            }
        }
    }
}

#[test]
fn an_error_inside_the_stream_is_passed_on_in_the_dialect() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        fake.answer(Script { error_after: Some(2), ..Script::default() });
        for near in FAILING {
            println!("{} on {kind}", near.path());
            let message = error_event(near, &daemon.send(&near.request(&near.body("fake-1", true))));
            assert!(message.contains("scripted failure inside"), "{message}");
            assert!(message.contains("box"), "who failed is named: {message}");
        }
    }
}

#[test]
fn silence_inside_a_stream_is_bounded() {
    let fake = airlane_tests::fake::Fake::start();
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), "idle_timeout_s = 1").start();
    crate::common::wait_model(&daemon, "fake-1");
    fake.answer(Script { gap: Duration::from_secs(600), ..Script::default() });
    let message = error_event(Near::Chat, &daemon.send(&chat("fake-1", true)));
    assert!(message.contains("box"), "{message}");
    assert!(fake.wait_closed(0, BOUND).is_some(), "the upstream's work is given up");
}

#[test]
fn heartbeats_fill_a_long_prefill() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("heartbeat_s = 1"));
    fake.answer(Script { headers_after: Duration::from_secs(600), ..Script::default() });
    let mut openai = daemon.open(&chat("fake-1", true));
    let _ = openai.head();
    let _ = openai.until(":");
    let mut anthropic = daemon.open(&messages("fake-1", true));
    let _ = anthropic.head();
    let _ = anthropic.until("ping");
    let mut ollama = daemon.open(&ollama_chat("fake-1", true));
    let _ = ollama.head();
    let line = ollama.until("\n");
    let value = events::lines(&line).remove(0);
    assert_eq!((&value["done"], &value["message"]["content"]), (&json!(false), &json!("")), "{line}");
}

#[test]
fn heartbeats_fill_a_gap_between_tokens() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("heartbeat_s = 1"));
    fake.answer(Script { gap: Duration::from_secs(600), ..Script::default() });
    let mut exchange = daemon.open(&chat("fake-1", true));
    let _ = exchange.head();
    let text = exchange.until("Hello");
    assert_eq!(events::comments(&text), 0, "no heartbeat while tokens flow: {text}");
    let _ = exchange.until("\n:");
}

#[test]
fn frames_of_the_same_dialect_are_passed_on_as_they_came() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { reasoning: vec!["Hm".to_owned()], ..Script::default() });
    let chunks = openai_chunks(&daemon.send(&chat("fake-1", true)).text());
    assert!(chunks.iter().all(|chunk| chunk["id"] == "chatcmpl-fake" && chunk["created"] == 1_700_000_000));
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["delta"]["reasoning_content"] == "Hm"));
}

#[test]
fn proxies_are_told_not_to_buffer() {
    let (_fake, daemon) = pair("openai");
    let response = daemon.send(&chat("fake-1", true).with("accept-encoding", "gzip, br"));
    assert_eq!(response.header("x-accel-buffering"), Some("no"));
    assert!(response.header("cache-control").is_some_and(|value| value.contains("no-")));
    assert_eq!(response.header("content-encoding"), None, "a compressed stream would hold tokens back");
    assert_eq!(Near::Chat.read(true, &response).text, Script::default().full_text());
}

#[test]
fn a_connection_serves_many_requests() {
    let (fake, daemon) = pair("openai");
    let mut exchange = daemon.open(&chat("fake-1", false));
    assert_eq!(exchange.finish().status(), 200);
    for (script, status) in [(Script::default(), 200), (Script::status(400), 400), (Script::default(), 200)] {
        fake.answer_next(script);
        exchange.send(&chat("fake-1", false));
        assert_eq!(exchange.finish().status(), status);
    }
    for _ in 0..4 {
        exchange.send(&chat("fake-1", true));
        assert!(exchange.finish().text().contains("[DONE]"));
    }
    // One client's connection is served by one worker, which has its own connections.
    let connections: std::collections::HashSet<usize> =
        fake.requests().iter().map(|record| record.connection).collect();
    assert_eq!(connections.len(), 1, "upstream connections are used again, also after streams");
}

#[test]
fn a_kept_connection_that_was_just_closed_is_replaced() {
    let (fake, daemon) = pair("openai");
    let mut exchange = daemon.open(&chat("fake-1", true));
    assert!(exchange.finish().text().contains("[DONE]"));
    // It takes the next request, and closes without a word: as if its own patience had just ended.
    fake.answer_next(Script { answer: Answer::Close, ..Script::default() });
    exchange.send(&chat("fake-1", true));
    let response = exchange.finish();
    assert_eq!(response.status(), 200, "{}", response.text());
    assert!(response.text().contains("[DONE]"));
    let connections: Vec<usize> = fake.requests().iter().map(|record| record.connection).collect();
    assert!(connections[0] == connections[1] && connections[1] != connections[2], "{connections:?}");
}

#[test]
fn an_upstream_that_drops_idle_connections_is_no_failure() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { close_after: true, ..Script::default() });
    for number in 0..20 {
        let response = daemon.send(&chat("fake-1", number % 2 == 0));
        assert_eq!(response.status(), 200, "request {number}: {}", response.text());
        assert!(response.text().contains("Hello"), "request {number}: {}", response.text());
    }
    assert_eq!(fake.requests().len(), 20, "nothing was asked twice");
}
