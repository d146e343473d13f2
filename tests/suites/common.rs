//! What several suites say in the same words.

use std::time::{Duration, Instant};

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::Fake;
use serde_json::{Value, json};

/// A wait that no machine needs, for things that must happen.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A fake upstream with the model `fake-1` behind a daemon, as this kind, under the name `box`.
pub(crate) fn pair(kind: &str) -> (Fake, Daemon) {
    pair_with(kind, Setup::new())
}

/// The same with more in the config.
pub(crate) fn pair_with(kind: &str, setup: Setup) -> (Fake, Daemon) {
    let fake = Fake::start();
    let daemon = setup.fake("box", kind, &fake).start();
    wait_model(&daemon, "fake-1");
    (fake, daemon)
}

/// Waits until a model is in the catalogue.
pub(crate) fn wait_model(daemon: &Daemon, model: &str) {
    eventually(&format!("{model} in the catalogue"), || models(daemon).iter().any(|id| id == model));
}

/// Ids in `GET /v1/models`.
pub(crate) fn models(daemon: &Daemon) -> Vec<String> {
    let list = daemon.get("/v1/models").json();
    list["data"].as_array().into_iter().flatten().filter_map(|entry| entry["id"].as_str()).map(String::from).collect()
}

/// How the places do, as the console tells it.
pub(crate) fn places(daemon: &Daemon) -> Value {
    send(daemon.console()[0], &Request::get("/api/v1/places")).json()
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !ready() {
        assert!(Instant::now() < deadline, "not within {BOUND:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A chat in OpenAI's words.
pub(crate) fn chat_body(model: &str, stream: bool) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Say something"}], "stream": stream})
}

/// The same as a request.
pub(crate) fn chat(model: &str, stream: bool) -> Request {
    Request::post("/v1/chat/completions", &chat_body(model, stream))
}

/// A conversation in Anthropic's words.
pub(crate) fn messages_body(model: &str, stream: bool) -> Value {
    json!({"model": model, "max_tokens": 100, "stream": stream,
        "messages": [{"role": "user", "content": "Say something"}]})
}

/// The same as a request.
pub(crate) fn messages(model: &str, stream: bool) -> Request {
    Request::post("/v1/messages", &messages_body(model, stream)).with("anthropic-version", "2023-06-01")
}

/// A conversation in Ollama's words.
pub(crate) fn ollama_chat(model: &str, stream: bool) -> Request {
    Request::post("/api/chat", &chat_body(model, stream))
}

/// The value of a metric's first sample whose line holds all of `parts`.
pub(crate) fn metric(text: &str, parts: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}
