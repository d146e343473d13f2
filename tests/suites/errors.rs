//! Every fault: the right status, the client's envelope, who failed, and nothing that is ours.

use std::time::Duration;

use airlane_tests::client::{Request, Response};
use airlane_tests::daemon::Setup;
use airlane_tests::fake::{Answer, Fake, Script};
use airlane_tests::sockets::refused;
use serde_json::Value;

use crate::common::{chat, chat_body, eventually, messages, messages_body, ollama_chat, pair, wait_model};

const KINDS: [&str; 3] = ["openai", "anthropic", "ollama"];
const KEY: &str = "sk-upstream-secret-4711";

/// The message in the envelope of the dialect that the path belongs to; the envelope itself is checked.
fn message(path: &str, response: &Response) -> String {
    let body = response.json();
    let text = if path.starts_with("/api/") {
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
        body["error"].clone()
    } else if path.contains("/messages") {
        assert_eq!(body["type"], "error", "{body}");
        assert!(body["error"]["type"].is_string(), "{body}");
        body["error"]["message"].clone()
    } else {
        assert!(body["error"]["type"].is_string(), "{body}");
        assert!(body["error"].get("param").is_some() && body["error"].get("code").is_some(), "{body}");
        body["error"]["message"].clone()
    };
    assert!(response.header("content-type").is_some_and(|value| value.starts_with("application/json")));
    text.as_str().unwrap_or_else(|| panic!("no message: {body}")).to_owned()
}

fn requests(stream: bool) -> [Request; 3] {
    [chat("fake-1", stream), messages("fake-1", stream), ollama_chat("fake-1", stream)]
}

/// Sends each dialect's request to each kind of upstream and checks status and words. A stream's head may be out
/// before the upstream answers; then the error lies in the stream, which the suite on streams looks at.
fn case(script: &Script, want: impl Fn(&Request) -> u16, words: &[&str]) {
    for kind in KINDS {
        let fake = Fake::start();
        let daemon = Setup::new().upstream("box", kind, &fake.url(), &format!("key = \"{KEY}\"")).start();
        wait_model(&daemon, "fake-1");
        fake.answer(script.clone());
        for request in requests(false) {
            println!("{} on {kind}", request.path);
            let response = daemon.send(&request);
            let text = message(&request.path, &response);
            assert_eq!(response.status(), want(&request), "{} on {kind}: {text}", request.path);
            for word in words {
                assert!(text.contains(word), "{} on {kind}: no {word:?} in {text:?}", request.path);
            }
            assert!(!response.text().contains(KEY), "our key is shown: {}", response.text());
            assert!(!response.text().contains("127.0.0.1"), "an inner address is shown: {}", response.text());
        }
    }
}

fn anthropic_or(request: &Request, anthropic: u16, other: u16) -> u16 {
    if request.path.contains("/messages") { anthropic } else { other }
}

#[test]
fn a_wrong_request_stays_400() {
    case(&Script::status(400), |_| 400, &["scripted failure 400", "box"]);
}

#[test]
fn our_wrong_key_is_not_the_clients() {
    case(&Script::status(401), |_| 502, &["box", "key"]);
    case(&Script::status(403), |_| 502, &["box"]);
}

#[test]
fn an_unknown_model_upstream_is_404() {
    case(&Script::status(404), |_| 404, &["box"]);
}

#[test]
fn too_many_requests_keep_their_retry_after() {
    for kind in KINDS {
        let (fake, daemon) = pair(kind);
        fake.answer(Script::failing(429, Some(17), "slow down"));
        for request in requests(false) {
            let response = daemon.send(&request);
            assert_eq!(response.status(), 429, "{}", response.text());
            // The upstream is asked once, and then left alone for what is left of its pause.
            let wait: u64 = response.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
            assert!((15..=17).contains(&wait), "{} on {kind}: {wait}", request.path);
            assert!(message(&request.path, &response).contains("slow down"));
        }
        assert_eq!(fake.requests().len(), 1, "{kind} is left alone");
    }
}

#[test]
fn failures_of_the_upstream_are_502_class() {
    case(&Script::status(500), |_| 502, &["box", "scripted failure 500"]);
    case(&Script::status(503), |request| anthropic_or(request, 529, 503), &["box"]);
    case(&Script::status(408), |_| 504, &["box"]);
}

#[test]
fn answers_that_are_none_are_502() {
    case(&Script::raw(200, "application/json", "{\"choices\": [{\"mess"), |_| 502, &["box"]);
    case(&Script::raw(200, "application/json", "[1, 2]"), |_| 502, &["box"]);
    case(&Script::raw(200, "application/json", ""), |_| 502, &["box"]);
    case(&Script::raw(200, "text/html", "<html><body>Welcome to nginx</body></html>"), |_| 502, &["box"]);
    case(&Script::raw(502, "text/html", "<html><h1>Bad Gateway</h1></html>"), |_| 502, &["box"]);
}

#[test]
fn html_is_never_shown() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::raw(502, "text/html", "<html><h1>Bad Gateway</h1></html>"));
    assert!(!daemon.send(&chat("fake-1", false)).text().contains("<h1>"));
}

#[test]
fn an_error_under_a_good_status_is_an_error() {
    for (kind, body) in [
        ("openai", r#"{"error":{"message":"out of cheese","type":"server_error"}}"#),
        ("anthropic", r#"{"type":"error","error":{"type":"api_error","message":"out of cheese"}}"#),
        ("ollama", r#"{"error":"out of cheese"}"#),
    ] {
        let (fake, daemon) = pair(kind);
        fake.answer(Script::raw(200, "application/json", body));
        for request in requests(false) {
            let response = daemon.send(&request);
            assert_eq!(response.status(), 502, "{} on {kind}", request.path);
            assert!(message(&request.path, &response).contains("out of cheese"), "{}", response.text());
        }
    }
}

#[test]
fn redirects_are_not_followed() {
    let other = Fake::start();
    let location = ("location".to_owned(), other.url());
    let answer = Answer::Raw { status: 302, headers: vec![location], body: Vec::new() };
    case(&Script { answer, ..Script::default() }, |_| 502, &["box", "redirect"]);
    assert!(other.all_requests().is_empty(), "our key would go to a stranger");
}

#[test]
fn a_wrong_content_type_with_the_right_body_is_served() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { content_type: Some("text/plain; charset=utf-8"), ..Script::default() });
    let response = daemon.send(&chat("fake-1", false));
    assert_eq!(response.status(), 200);
    assert!(response.text().contains("Hello"), "{}", response.text());
    // A stream may be refused for it, but not in silence.
    let stream = daemon.send(&chat("fake-1", true)).text();
    assert!(stream.contains("[DONE]") != stream.contains("\"error\""), "{stream}");
}

#[test]
fn a_whole_answer_to_a_stream_is_an_error_or_an_answer_but_never_silence() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::raw(200, "text/html", "<html>Hello, portal</html>"));
    let response = daemon.send(&chat("fake-1", true));
    let text = response.text();
    assert!(response.status() == 502 || text.contains("\"error\""), "{text}");
    assert!(!text.contains("portal"), "{text}");
}

#[test]
fn oversize_answers_are_given_up() {
    let (fake, daemon) = pair("openai");
    let before_kib = daemon.rss_kib();
    fake.answer(Script { answer: Answer::Oversize(256 * 1024 * 1024), ..Script::default() });
    let response = daemon.send(&chat("fake-1", false));
    assert_eq!(response.status(), 502);
    assert!(message("/v1/chat/completions", &response).contains("box"));
    let grown_mib = || daemon.rss_kib().saturating_sub(before_kib) / 1024;
    println!("memory grew by {} MiB", grown_mib());
    eventually("the memory is the system's again", || grown_mib() < 50);
}

#[test]
fn a_closed_connection_is_502() {
    case(&Script { answer: Answer::Close, ..Script::default() }, |_| 502, &["box"]);
    case(&Script::cut(0, true), |_| 502, &["box"]);
}

#[test]
fn a_refused_connection_is_502() {
    let url = format!("http://{}", refused());
    let daemon = Setup::new().upstream("box", "openai", &url, "models = [\"fake-1\"]").start();
    for request in requests(false) {
        let response = daemon.send(&request);
        assert_eq!(response.status(), 502, "{}", response.text());
        assert!(message(&request.path, &response).contains("box"));
    }
}

#[test]
fn an_upstream_that_never_answers_is_504() {
    let fake = Fake::start();
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), "first_byte_timeout_s = 1").start();
    wait_model(&daemon, "fake-1");
    fake.answer(Script { headers_after: Duration::from_secs(600), ..Script::default() });
    for (number, request) in requests(false).into_iter().enumerate() {
        let response = daemon.send(&request);
        assert_eq!(response.status(), 504, "{}", response.text());
        assert!(message(&request.path, &response).contains("box"));
        assert!(fake.wait_closed(number, crate::common::BOUND).is_some(), "the upstream's work is given up");
    }
}

#[test]
fn a_full_context_is_said_in_every_dialect() {
    let overflows = [
        (
            "openai",
            r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
        ),
        (
            "openai",
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 9000 tokens","type":"BadRequestError","code":400}"#,
        ),
        (
            "anthropic",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 209000 tokens > 200000 maximum"}}"#,
        ),
    ];
    for (kind, body) in overflows {
        let (fake, daemon) = pair(kind);
        fake.answer(Script::raw(400, "application/json", body));
        let response = daemon.send(&chat("fake-1", false));
        assert_eq!(response.status(), 400, "{}", response.text());
        assert_eq!(response.json()["error"]["code"], "context_length_exceeded", "{}", response.text());
        let response = daemon.send(&messages("fake-1", false));
        assert_eq!(response.status(), 400);
        assert_eq!(response.json()["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn an_empty_account_is_402_and_not_worth_a_retry() {
    let body = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let (fake, daemon) = pair("openai");
    fake.answer(Script::raw(429, "application/json", body));
    let response = daemon.send(&chat("fake-1", false));
    let retryable = response.status() == 429 && response.header("x-should-retry") != Some("false");
    assert!(!retryable, "SDKs would try again: {} {}", response.status(), response.text());
    assert_eq!(response.json()["error"]["code"], "insufficient_quota");
}

#[test]
fn an_unknown_model_is_404_with_help() {
    let (fake, daemon) = pair("openai");
    let openai = daemon.send(&chat("fake-2", false));
    assert_eq!(openai.status(), 404);
    assert_eq!(openai.json()["error"]["code"], "model_not_found");
    assert!(message("/v1/chat/completions", &openai).contains("fake-1"), "a near name is offered");
    let anthropic = daemon.send(&messages("nothing-like-it", false));
    assert_eq!(anthropic.status(), 404);
    assert_eq!(anthropic.json()["error"]["type"], "not_found_error");
    let ollama = daemon.send(&ollama_chat("nothing-like-it", false));
    assert_eq!(ollama.status(), 404);
    assert!(message("/api/chat", &ollama).contains("nothing-like-it"));
    assert!(fake.requests().is_empty());
}

fn without(mut body: Value, member: &str) -> Value {
    body.as_object_mut().expect("an object").remove(member);
    body
}

#[test]
fn incomplete_requests_are_refused_before_any_upstream() {
    let (fake, daemon) = pair("openai");
    let mut empty = chat_body("fake-1", false);
    empty["messages"] = serde_json::json!([]);
    for (path, body, word) in [
        ("/v1/chat/completions", without(chat_body("fake-1", false), "model"), "model"),
        ("/v1/chat/completions", without(chat_body("fake-1", false), "messages"), "messages"),
        ("/v1/chat/completions", empty, "messages"),
        ("/v1/messages", without(messages_body("fake-1", false), "max_tokens"), "max_tokens"),
        ("/v1/messages", without(messages_body("fake-1", false), "messages"), "messages"),
        ("/api/chat", without(chat_body("fake-1", false), "model"), "model"),
        ("/v1/embeddings", serde_json::json!({"model": "fake-1"}), "input"),
    ] {
        let response = daemon.post(path, &body);
        assert_eq!(response.status(), 400, "{path}: {}", response.text());
        let text = message(path, &response);
        assert!(text.contains(word), "{path}: {text}");
    }
    assert!(fake.requests().is_empty(), "nothing of it reaches the upstream");
}

#[test]
fn unknown_paths_and_methods_are_told_in_the_dialect() {
    let (_fake, daemon) = pair("openai");
    let unknown = daemon.get("/v1/nothing");
    assert_eq!(unknown.status(), 404);
    let _ = message("/v1/nothing", &unknown);
    let ollama = daemon.get("/api/nothing");
    assert_eq!(ollama.status(), 404);
    let _ = message("/api/nothing", &ollama);
    assert_eq!(daemon.get("/v1/chat/completions").status(), 405);
    assert_eq!(daemon.get("/api/chat").status(), 405);
}
