//! What the owner can see, and what nobody may see.

use airlane_tests::client::Request;
use airlane_tests::daemon::Setup;
use airlane_tests::fake::Script;
use serde_json::Value;

use crate::common::{chat, chat_body, eventually, metric, pair, pair_with};

#[test]
fn health_and_readiness() {
    let (_fake, daemon) = pair("openai");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(daemon.get(path).status(), 200, "{path}");
    }
}

#[test]
fn metrics_tell_what_was_done() {
    let (fake, daemon) = pair("openai");
    for stream in [false, true] {
        assert_eq!(daemon.send(&chat("fake-1", stream)).status(), 200);
    }
    fake.answer(Script::status(500));
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 502);
    eventually("three requests in /metrics", || {
        let text = daemon.get("/metrics").text();
        let served: f64 = text
            .lines()
            .filter(|line| line.starts_with("airlane_requests_total{") && line.contains("fake-1"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        served == 3.0
    });
    let response = daemon.get("/metrics");
    assert!(
        response
            .header("content-type")
            .is_some_and(|value| value.starts_with("text/plain") || value.starts_with("application/openmetrics-text"))
    );
    let text = response.text();
    for wanted in ["time_to_first_token", "tokens", "error", "inter_token"] {
        assert!(text.lines().any(|line| line.starts_with("airlane_") && line.contains(wanted)), "no {wanted}: {text}");
    }
    assert!(metric(&text, &["airlane_", "tokens", "input", "box"]).is_some_and(|tokens| tokens >= 22.0), "{text}");
}

#[test]
fn labels_are_bounded() {
    let (_fake, daemon) = pair("openai");
    for number in 0..50 {
        assert_eq!(daemon.send(&chat(&format!("no-such-model-{number}"), false)).status(), 404);
        let _ = daemon.get(&format!("/v1/no-such-path-{number}"));
    }
    let text = daemon.get("/metrics").text();
    assert!(!text.contains("no-such-"), "what clients invent must not become a label");
}

#[test]
fn request_ids_are_taken_over_when_sane() {
    let (fake, daemon) = pair("openai");
    let sane = daemon.send(&chat("fake-1", false).with("x-request-id", "my-id_42.A"));
    assert_eq!(sane.header("x-request-id"), Some("my-id_42.A"));
    let long = "x".repeat(5_000);
    for odd in [long.as_str(), "a b", "<script>", "{}"] {
        let response = daemon.send(&chat("fake-1", false).with("x-request-id", odd));
        let given = response.header("x-request-id").expect("an id");
        assert!(given != odd && !given.is_empty(), "{odd:?} was taken over");
    }
    let (first, second) = (daemon.send(&chat("fake-1", true)), daemon.send(&chat("fake-1", true)));
    assert!(first.header("x-request-id").is_some());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    fake.answer(Script::status(500));
    assert!(daemon.send(&chat("fake-1", false)).header("x-request-id").is_some(), "on errors too");
    assert!(daemon.get("/v1/models").header("x-request-id").is_some());
}

#[test]
fn server_timing_is_told() {
    let (_fake, daemon) = pair("openai");
    for stream in [false, true] {
        let response = daemon.send(&chat("fake-1", stream));
        let timing = response.header("server-timing").unwrap_or_default();
        assert!(timing.contains("dur="), "stream={stream}: {timing:?}");
    }
}

#[test]
fn traces_are_carried_on() {
    let (fake, daemon) = pair("openai");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let request = chat("fake-1", false).with("traceparent", &parent).with("tracestate", "vendor=1");
    assert_eq!(daemon.send(&request).status(), 200);
    let sent = fake.wait_request(0).request;
    assert!(sent.header("traceparent").is_some_and(|value| value.contains(trace)), "{:?}", sent.headers);
    assert_eq!(sent.header("tracestate"), Some("vendor=1"));
}

#[test]
fn logs_are_json_lines_without_a_word_of_the_conversation() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::text("answer-word-8152"));
    let mut body = chat_body("fake-1", false);
    body["messages"][0]["content"] = "prompt-word-2718".into();
    let request = |body: &Value| {
        Request::post("/v1/chat/completions", body)
            .with("authorization", "Bearer client-key-3141")
            .with("x-request-id", "seen-in-the-log")
    };
    assert_eq!(daemon.send(&request(&body)).status(), 200);
    body["stream"] = true.into();
    assert_eq!(daemon.send(&request(&body)).status(), 200);
    body["messages"] = "prompt-word-2718".into();
    assert_eq!(daemon.send(&request(&body)).status(), 400);
    fake.answer(Script::status(500));
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 502);
    eventually("the request in the log", || daemon.log().contains("seen-in-the-log"));
    let log = daemon.log();
    for secret in ["prompt-word-2718", "answer-word-8152", "client-key-3141"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string(), "{line}");
    }
    assert!(log.lines().filter(|line| line.starts_with('{')).count() > 2, "{log}");
}

#[test]
fn human_logs_are_lines_for_people() {
    let (_fake, daemon) = pair_with("openai", Setup::new().log_human());
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
    eventually("a line about the request", || daemon.log().contains("fake-1"));
    assert!(!daemon.log().contains("{\""), "{}", daemon.log());
    assert!(!daemon.log().contains('\u{1b}'), "no colours where there is no terminal: {}", daemon.log());
}

#[test]
fn memory_is_told() {
    let (_fake, daemon) = pair("openai");
    let text = daemon.get("/metrics").text();
    let told = metric(&text, &["process_resident_memory_bytes"]).expect("RSS in /metrics");
    let real = daemon.rss_kib() as f64 * 1024.0;
    println!("idle RSS: {} MiB", daemon.rss_kib() / 1024);
    assert!((told - real).abs() < real, "told {told}, real {real}");
}

#[test]
fn a_house_without_models_is_told_what_to_do() {
    let daemon = Setup::new().start();
    assert!(daemon.log().contains("airlane check"), "{}", daemon.log());
    let (_fake, daemon) = pair("openai");
    assert!(!daemon.log().contains("airlane check"), "{}", daemon.log());
}
