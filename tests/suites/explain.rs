//! A decision can be looked at, and how the places do, without a request going anywhere.

use airlane_tests::client::{Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{chat, chat_body, eventually, messages_body, metric, pair, places, wait_model};

fn explain(daemon: &Daemon, query: &str, body: &Value) -> Response {
    send(daemon.console()[0], &Request::post(&format!("/api/v1/explain{query}"), body))
}

/// Two upstreams of different dialects behind the alias `both`, with more in the config.
fn house(more: &str) -> (Fake, Fake, Daemon) {
    let (first, second) = (Fake::with_models(&["m1"]), Fake::with_models(&["m2"]));
    let daemon = Setup::new()
        .table(more)
        .fake("first", "openai", &first)
        .fake("second", "anthropic", &second)
        .alias("both", &["first/m1", "second/m2"])
        .start();
    for model in ["m1", "m2"] {
        wait_model(&daemon, model);
    }
    (first, second, daemon)
}

/// A config by which the command line finds the daemon's console.
fn client_config(daemon: &Daemon) -> String {
    let config = daemon.folder().join("client.toml");
    let data = daemon.folder().join("data");
    std::fs::write(&config, format!("[data]\ndir = \"{}\"\n", data.display())).expect("written");
    config.display().to_string()
}

#[test]
fn the_decision_is_what_happens() {
    let (first, second, daemon) = house("");
    for (query, body) in [
        ("", chat_body("both", true)),
        ("?surface=/v1/messages", messages_body("both", false)),
        ("?surface=/api/chat&lane=bulk", chat_body("both", false)),
        ("?surface=/v1/responses", json!({"model": "both", "input": "Say something"})),
    ] {
        let told = explain(&daemon, query, &body);
        assert_eq!(told.status(), 200, "{query}: {}", told.text());
        let told = told.json();
        assert_eq!(told["chosen"], json!({"upstream": "first", "model": "m1", "waits": false}), "{query}: {told:#}");
        assert_eq!(told["refusal"], Value::Null);
        let names: Vec<&str> =
            told["candidates"].as_array().into_iter().flatten().filter_map(|row| row["upstream"].as_str()).collect();
        assert_eq!(names, ["first", "second"], "{query}");
        assert_eq!(told["candidates"][1]["surface"], "/v1/messages");
        assert!(told["candidates"][0]["score"]["decode_ms"].as_u64().is_some_and(|ms| ms > 0), "{told:#}");
        assert!(told["prompt_tokens"].as_u64().is_some_and(|tokens| tokens > 0));
        assert_eq!(told["lane"], if query.contains("bulk") { "bulk" } else { "normal" });
    }
    assert!(first.requests().is_empty() && second.requests().is_empty(), "nothing is sent upstream");
    let response = daemon.send(&chat("both", false));
    assert_eq!(response.header("x-airlane-upstream"), Some("first"));
    let reason = response.header("x-airlane-reason").unwrap_or_default().to_owned();
    let told = explain(&daemon, "", &chat_body("both", false)).json();
    let strategy = reason.split(':').next().unwrap_or_default();
    assert_eq!(told["candidates"][0]["strategy"], strategy, "{reason}");
}

#[test]
fn refusals_and_wrong_bodies_are_told() {
    let (_first, _second, daemon) = house("");
    let told = explain(&daemon, "", &chat_body("nobody-has-it", false)).json();
    assert_eq!(told["refusal"]["kind"], "unknown_model", "{told:#}");
    assert_eq!((&told["chosen"], &told["candidates"]), (&Value::Null, &json!([])));
    for (query, body, word) in [
        ("", json!({"model": "both"}), "messages"),
        ("?surface=/nowhere", chat_body("both", false), "/v1/messages"),
        ("?lane=first-class", chat_body("both", false), "bulk"),
    ] {
        let wrong = explain(&daemon, query, &body);
        assert_eq!(wrong.status(), 400, "{query}");
        assert!(wrong.json()["error"]["message"].as_str().is_some_and(|text| text.contains(word)), "{}", wrong.text());
    }
    let mut mocked = chat_body("both", false);
    mocked["mock_testing_fallbacks"] = json!(true);
    assert_eq!(explain(&daemon, "", &mocked).json()["refusal"]["kind"], "mock_off");
}

#[test]
fn whom_a_request_passes_over_is_told() {
    let (_first, _second, daemon) = house("[route]\nmock_fallbacks = true\n");
    let mut body = chat_body("both", false);
    body["mock_testing_fallbacks"] = json!(true);
    let told = explain(&daemon, "", &body).json();
    assert_eq!(told["chosen"]["upstream"], "second", "{told:#}");
    assert_eq!(told["dropped"][0]["upstream"], "first");

    // Anthropic's dialect has no counterpart for this.
    let mut body = chat_body("second/m2", false);
    body["logit_bias"] = json!({"50256": -100});
    let told = explain(&daemon, "", &body).json();
    let why = told["candidates"][0]["cannot_take"].as_str().unwrap_or_default();
    assert!(why.contains("logit_bias"), "{told:#}");
    assert_eq!(told["refusal"]["kind"], "not_carried", "{told:#}");
    assert_eq!(daemon.post("/v1/chat/completions", &body).status(), 400, "as told");
}

#[test]
fn other_sites_and_the_endpoint_get_nothing() {
    let (_fake, daemon) = pair("openai");
    let body = chat_body("fake-1", false);
    let request = Request::post("/api/v1/explain", &body);
    for (name, value) in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        let refused = send(daemon.console()[0], &request.clone().with(name, value));
        assert_eq!(refused.status(), 403, "{name}: {}", refused.text());
    }
    let own = format!("http://{}", daemon.console()[0]);
    assert_eq!(send(daemon.console()[0], &request.clone().with("origin", &own)).status(), 200);
    for path in ["/api/v1/explain", "/api/v1/places", "/api/v1/openapi.json"] {
        assert_eq!(daemon.get(path).status(), 404, "{path} is the console's");
    }
    assert_eq!(daemon.send(&request).status(), 404);
    let document = send(daemon.console()[0], &Request::get("/api/v1/openapi.json"));
    assert_eq!(document.json()["openapi"], "3.1.0");
}

#[test]
fn places_tell_how_they_do() {
    let (fake, daemon) = pair("openai");
    assert_eq!(daemon.send(&chat("fake-1", true)).status(), 200);
    eventually("the answer among the places", || {
        let told = places(&daemon);
        let place = &told["upstreams"][0]["models"][0];
        place["served"] == 1 && place["health"]["state"] == "healthy" && place["running"] == 0
    });
    assert_eq!(metric(&daemon.get("/metrics").text(), &["airlane_upstream_state", "box", "healthy"]), Some(1.0));
    fake.answer(Script::failing(429, Some(30), "slow down"));
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 429);
    eventually("the pause among the places", || {
        let told = places(&daemon);
        let health = &told["upstreams"][0]["models"][0]["health"];
        health["state"] == "rate_limited" && health["trial_in_s"].as_u64().is_some_and(|s| (20..=30).contains(&s))
    });
    let told = places(&daemon);
    let health = &told["upstreams"][0]["health"];
    assert_eq!((&health["state"], &health["model"]), (&json!("rate_limited"), &json!("fake-1")), "{told:#}");
    assert!(health["cause"].as_str().is_some_and(|cause| cause.contains("slow down")), "{told:#}");
    let text = daemon.get("/metrics").text();
    assert_eq!(metric(&text, &["airlane_upstream_state", "box", "rate_limited"]), Some(1.0), "{text}");
    assert_eq!(metric(&text, &["airlane_upstream_state", "box", "healthy"]), Some(0.0));

    let told = explain(&daemon, "", &chat_body("fake-1", false)).json();
    assert_eq!(told["refusal"]["kind"], "rate_limit", "{told:#}");
    assert!(told["refusal"]["retry_after_s"].as_u64().is_some_and(|s| s > 10), "{told:#}");
    assert!(told["dropped"][0]["reason"].as_str().is_some_and(|reason| reason.contains("slow down")), "{told:#}");

    let page = send(daemon.console()[0], &Request::get("/")).text();
    assert!(page.contains("left alone for a while"), "{page}");
    let (code, out, err) = airlane(&["status", "--config", &client_config(&daemon)]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("rate limited") && out.contains("slow down"), "{out}");
}

#[test]
fn the_command_tells_it_in_sentences() {
    let (first, _second, daemon) = house("");
    let config = client_config(&daemon);
    let (code, out, err) = airlane(&["explain", "--config", &config, "--model", "both", "Say", "something"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("goes to first/m1 at once") && out.contains("2. second/m2"), "{out}");
    let (code, out, err) = airlane(&["explain", "--config", &config]);
    assert_eq!(code, Some(0), "without anything it asks for the first model: {out}{err}");
    let (code, out, _) = airlane(&["explain", "--config", &config, "--model", "nobody-has-it"]);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.contains("is refused") && out.contains("nobody-has-it"), "{out}");

    let file = daemon.folder().join("body.json");
    std::fs::write(&file, messages_body("m2", false).to_string()).expect("written");
    let file = file.display().to_string();
    let asked = ["explain", "--config", &config, "--surface", "/v1/messages", "--file", &file];
    let (code, out, err) = airlane(&asked);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("goes to second/m2"), "{out}");
    let (_, out, _) = airlane(&[&asked[..], &["--model", "m1"]].concat());
    assert!(out.contains("goes to first/m1"), "the model on the command line wins: {out}");
    let (code, out, err) = airlane(&["explain", "--config", &config, "--surface", "/v1/nothing"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("/v1/messages"), "{err}");
    assert!(first.requests().is_empty(), "nothing is sent upstream");
}

#[test]
fn without_a_daemon_the_command_says_what_to_do() {
    let (_fake, daemon) = pair("openai");
    let url = format!("http://{}", airlane_tests::sockets::refused());
    for arguments in [&["explain", "--url", &url][..], &["explain", "--url", &url, "--model", "m"]] {
        let (code, out, err) = airlane(arguments);
        assert_eq!(code, Some(3), "{out}{err}");
        assert!(err.contains("airlane run"), "{err}");
    }
    let (code, _, err) = airlane(&["explain", "--url", &daemon.url(), "--model", "fake-1"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("its own machine"), "{err}");
}

#[test]
fn a_terminal_obeys_no_name() {
    // Names with control characters are no models at all; this one turns the direction of writing.
    let name = "evil\u{202e}model";
    let fake = Fake::with_models(&[name]);
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, name);
    let config = client_config(&daemon);
    for arguments in
        [&["explain", "--config", &config][..], &["models", "--config", &config], &["status", "--config", &config]]
    {
        let (code, out, err) = airlane(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        assert!(!(out.clone() + &err).contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {out:?}{err:?}");
    }
}

#[test]
fn top_is_one_look_where_nobody_looks() {
    let (_fake, daemon) = pair("openai");
    assert_eq!(daemon.send(&chat("fake-1", true)).status(), 200);
    let config = client_config(&daemon);
    let (code, out, err) = airlane(&["top", "--config", &config]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("box (openai): healthy") && out.contains("fake-1"), "{out}");
    assert!(!out.contains('\u{1b}'), "no terminal, no codes: {out:?}");
    let (code, _, err) = airlane(&["top", "--url", &daemon.url()]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("its own machine"), "{err}");
    let url = format!("http://{}", airlane_tests::sockets::refused());
    assert_eq!(airlane(&["top", "--url", &url]).0, Some(3));
}

#[test]
fn a_full_place_is_waited_for() {
    let fake = Fake::start();
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), "slots = 1").start();
    wait_model(&daemon, "fake-1");
    fake.answer(Script::gated());
    let running = daemon.open(&chat("fake-1", true));
    let body = chat_body("fake-1", true);
    eventually("the running request in the decision", || explain(&daemon, "", &body).json()["chosen"]["waits"] == true);
    let told = explain(&daemon, "", &body).json();
    let first = &told["candidates"][0];
    assert_eq!((&first["room"], &first["score"]["running"]), (&json!(false), &json!(1)), "{told:#}");
    assert!(first["score"]["wait_ms"].as_u64().is_some_and(|ms| ms > 0), "{told:#}");
    let waiting = daemon.open(&chat("fake-1", true));
    eventually("both among the places", || {
        let told = places(&daemon);
        let place = &told["upstreams"][0]["models"][0];
        let is_queued = place["waiting"] == 1 && place["waiting_s"].as_f64().is_some_and(|s| s > 0.0);
        is_queued && place["slots"] == 1 && place["running"] == 1 && told["waiting"] == 1
    });
    assert_eq!(fake.requests().len(), 1, "the second one waits here, not there");
    drop((running, waiting));
}
