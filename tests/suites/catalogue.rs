//! One list of models, in every dialect's shape.

use airlane_tests::client::Request;
use airlane_tests::daemon::Setup;
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{chat, eventually, models, ollama_chat, pair, pair_with, wait_model};

#[test]
fn models_of_all_upstreams_are_one_list() {
    let (one, two) = (Fake::with_models(&["qwen3-8b", "shared"]), Fake::with_models(&["llama3:8b", "shared"]));
    let three = Fake::with_models(&["claude-x"]);
    let daemon = Setup::new()
        .fake("gpu", "openai", &one)
        .fake("mac", "ollama", &two)
        .fake("cloud", "anthropic", &three)
        .alias("fast", &["gpu/qwen3-8b"])
        .start();
    for model in ["qwen3-8b", "llama3:8b", "claude-x", "gpu/shared", "mac/shared", "fast"] {
        wait_model(&daemon, model);
    }
    let listed = models(&daemon);
    assert!(!listed.contains(&"shared".to_owned()), "colliding names are told apart: {listed:?}");
    assert_eq!(listed.iter().collect::<std::collections::HashSet<_>>().len(), listed.len(), "each name once");
    for name in ["gpu/qwen3-8b", "mac/shared", "llama3:8b", "claude-x", "fast", "shared"] {
        assert_eq!(daemon.send(&chat(name, false)).status(), 200, "{name}");
    }
}

#[test]
fn the_list_has_openais_shape_and_tells_what_is_known() {
    let (_fake, daemon) = pair("openai");
    let list = daemon.get("/v1/models").json();
    assert_eq!(list["object"], "list");
    let entry = &list["data"][0];
    assert_eq!((&entry["id"], &entry["object"]), (&json!("fake-1"), &json!("model")), "{entry}");
    assert!(entry["created"].is_u64() && entry["owned_by"].is_string(), "{entry}");
    assert_eq!(entry["context_length"], 4096, "{entry}");
    assert_eq!(entry["architecture"]["input_modalities"], json!(["text", "image"]), "{entry}");
    let one = daemon.get("/v1/models/fake-1").json();
    assert_eq!(&one, entry);
    assert_eq!(daemon.get("/v1/models/box/fake-1").json()["id"], "fake-1", "a full name means the same model");
    assert_eq!(daemon.get("/v1/models/nothing").status(), 404);
}

#[test]
fn anthropic_clients_get_their_shape() {
    let (_fake, daemon) = pair("openai");
    let anthropic = |path: &str| daemon.send(&Request::get(path).with("anthropic-version", "2023-06-01"));
    let list = anthropic("/v1/models").json();
    assert_eq!(list["has_more"], false, "{list}");
    assert_eq!((&list["first_id"], &list["last_id"]), (&json!("fake-1"), &json!("fake-1")), "{list}");
    let entry = &list["data"][0];
    assert_eq!(entry["type"], "model", "{entry}");
    assert!(entry["display_name"].is_string() && entry["created_at"].is_string(), "{entry}");
    assert_eq!(anthropic("/v1/models/fake-1").json()["type"], "model");
    let missing = anthropic("/v1/models/nothing");
    assert_eq!((missing.status(), &missing.json()["type"]), (404, &json!("error")));
}

#[test]
fn ollama_clients_get_their_shape() {
    for kind in ["openai", "ollama", "anthropic"] {
        let (_fake, daemon) = pair(kind);
        let tags = daemon.get("/api/tags").json();
        let entry = &tags["models"][0];
        assert_eq!(entry["model"], entry["name"], "{kind}: {tags}");
        assert!(entry["name"].as_str().is_some_and(|name| name.starts_with("fake-1")), "{kind}: {tags}");
        for member in ["modified_at", "digest"] {
            assert!(entry[member].is_string(), "{kind}: no {member} in {tags}");
        }
        assert!(entry["size"].is_u64() && entry["details"].is_object(), "{kind}: {tags}");
        let show = daemon.post("/api/show", &json!({"model": "fake-1"}));
        assert_eq!(show.status(), 200, "{kind}: {}", show.text());
        assert!(show.json()["capabilities"].is_array() && show.json()["model_info"].is_object(), "{}", show.text());
        assert_eq!(daemon.post("/api/show", &json!({"model": "nothing"})).status(), 404);
        assert!(daemon.get("/api/ps").json()["models"].is_array());
        assert!(daemon.get("/api/version").json()["version"].is_string());
    }
}

#[test]
fn ollama_details_come_from_ollama() {
    let (_fake, daemon) = pair("ollama");
    let entry = daemon.get("/api/tags").json()["models"][0].clone();
    assert_eq!(entry["details"]["quantization_level"], "Q4_K_M", "{entry}");
    assert_eq!(entry["size"], 5_200_000_000_u64);
    let show = daemon.post("/api/show", &json!({"model": "fake-1"})).json();
    let context =
        show["model_info"].as_object().into_iter().flatten().find(|(key, _)| key.ends_with(".context_length"));
    assert_eq!(context.map(|(_, value)| value), Some(&json!(40_960)), "{show}");
    assert!(show["capabilities"].as_array().is_some_and(|list| list.contains(&json!("tools"))), "{show}");
    eventually("the context length in OpenAI's list", || {
        daemon.get("/v1/models").json()["data"][0]["context_length"] == 40_960
    });
}

#[test]
fn probes_for_an_ollama_are_answered() {
    let (_fake, daemon) = pair("openai");
    assert_eq!(daemon.get("/").text(), "Ollama is running");
    let head = airlane_tests::client::Exchange::start(daemon.address(), &Request::get("/").method("HEAD")).head();
    assert_eq!(head.status, 200);
    let head =
        airlane_tests::client::Exchange::start(daemon.address(), &Request::get("/api/version").method("HEAD")).head();
    assert_eq!(head.status, 200);
}

#[test]
fn latest_is_the_same_model() {
    for kind in ["openai", "ollama"] {
        let fake = Fake::with_models(&["qwen", "llama:latest"]);
        let daemon = Setup::new().fake("box", kind, &fake).start();
        wait_model(&daemon, "qwen");
        for name in ["qwen", "qwen:latest", "llama", "llama:latest"] {
            assert_eq!(daemon.send(&ollama_chat(name, false)).status(), 200, "{name} on {kind}");
        }
        assert_eq!(fake.body(1)["model"], "qwen", "the upstream's own name is sent");
        assert_eq!(fake.body(2)["model"], "llama:latest", "the upstream's own name is sent");
    }
}

#[test]
fn an_empty_ollama_request_means_load() {
    let (_fake, daemon) = pair("openai");
    for (path, body) in [
        ("/api/generate", json!({"model": "fake-1"})),
        ("/api/generate", json!({"model": "fake-1", "prompt": ""})),
        ("/api/chat", json!({"model": "fake-1", "messages": []})),
    ] {
        let response = daemon.post(path, &body);
        assert_eq!(response.status(), 200, "{path} {body}: {}", response.text());
        let last = airlane_tests::events::lines(&response.text()).pop().expect("a line");
        assert_eq!(last["done"], true, "{last}");
    }
}

#[test]
fn the_configured_choice_limits_the_list() {
    let fake = Fake::with_models(&["qwen3-8b", "qwen3-30b", "llama"]);
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), "models = [\"qwen*\", \"hidden\"]").start();
    wait_model(&daemon, "qwen3-30b");
    assert_eq!(models(&daemon), ["hidden", "qwen3-30b", "qwen3-8b"]);
    assert_eq!(daemon.send(&chat("llama", false)).status(), 404);
    assert_eq!(daemon.send(&chat("hidden", false)).status(), 200, "a model named in the config needs no listing");
}

#[test]
fn the_list_follows_the_upstream_and_drops_what_is_stale() {
    let fake = Fake::with_models(&["old"]);
    let daemon = Setup::new().discovery("refresh_s = 1").fake("box", "openai", &fake).start();
    wait_model(&daemon, "old");
    fake.set_models(&["new"]);
    eventually("the new list", || models(&daemon) == ["new"]);
    assert_eq!(daemon.send(&chat("old", false)).status(), 404);
    fake.set_about(Some(Script::status(500)));
    eventually("an upstream that does not answer is dropped", || models(&daemon).is_empty());
    fake.set_about(None);
    eventually("and taken back", || models(&daemon) == ["new"]);
}

#[test]
fn a_dead_upstream_keeps_nobody_waiting() {
    let (fake, dead) = (Fake::start(), Fake::with_models(&["never"]));
    dead.set_about(Some(Script::hang()));
    let daemon = Setup::new().fake("dead", "openai", &dead).fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
}

#[test]
fn browsers_of_the_lan_may_call() {
    let (_fake, daemon) = pair("openai");
    let preflight = |origin: &str| {
        let request = Request::get("/v1/chat/completions").method("OPTIONS").with("origin", origin);
        let request = request.with("access-control-request-method", "POST");
        daemon.send(&request.with("access-control-request-headers", "authorization,content-type,x-stainless-os"))
    };
    let local = preflight("http://localhost:3000");
    assert_eq!(local.header("access-control-allow-origin"), Some("http://localhost:3000"), "{:?}", local.head);
    let headers = local.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    assert!(headers == "*" || headers.contains("x-stainless-os"), "{headers:?}");
    assert_eq!(preflight("https://evil.example").header("access-control-allow-origin"), None);
    let answer = daemon.send(&chat("fake-1", false).with("origin", "http://localhost:3000"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let list: Value = daemon.get("/v1/models").json();
    assert_eq!(list["object"], "list");
}

#[test]
fn a_second_listener_stands_in_for_an_ollama() {
    let (_fake, daemon) = pair_with("openai", Setup::new().endpoint("ollama_listen = [\"127.0.0.1:0\"]"));
    let [main, second] = daemon.endpoints() else { panic!("two listeners: {:?}", daemon.endpoints()) };
    assert_ne!(main, second);
    assert_eq!(airlane_tests::client::send(*second, &Request::get("/")).text(), "Ollama is running");
    let answer = airlane_tests::client::send(*second, &ollama_chat("fake-1", false));
    assert_eq!(answer.json()["message"]["content"], Script::default().full_text(), "{}", answer.text());
}

#[test]
fn what_cannot_be_shown_is_no_model() {
    let long = "x".repeat(600);
    let fake = Fake::with_models(&["red\u{1b}[31m", "two\nlines", &long, "fine <b> name"]);
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, "fine <b> name");
    assert_eq!(models(&daemon), ["fine <b> name"]);
}
