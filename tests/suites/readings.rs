//! What servers tell of themselves counts: the work of others there takes room away, and what is in memory is known.

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{chat, chat_body, eventually, wait_model};

fn site(daemon: &Daemon) -> Value {
    send(daemon.console()[0], &Request::get("/api/v1/places")).json()["upstreams"][0].clone()
}

fn place(daemon: &Daemon) -> Value {
    site(daemon)["models"][0].clone()
}

fn explain(daemon: &Daemon) -> Value {
    let body = chat_body("fake-1", true);
    send(daemon.console()[0], &Request::post("/api/v1/explain", &body)).json()
}

/// A server of this owner, which tells these things, behind a daemon.
fn house(owner: &str, pages: &[(&str, &str)]) -> (Fake, Daemon) {
    let fake = Fake::start();
    fake.set_owner(owner);
    pages.iter().for_each(|(path, text)| fake.tell(path, text));
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    (fake, daemon)
}

/// llama.cpp's slots, the first so many at work.
fn slots(running: usize, all: usize) -> String {
    let slots: Vec<Value> =
        (0..all).map(|id| json!({"id": id, "n_ctx": 4096, "is_processing": id < running})).collect();
    json!(slots).to_string()
}

#[test]
fn slots_of_others_are_taken_and_come_back() {
    let (fake, daemon) = house("llamacpp", &[("/slots", &slots(2, 4))]);
    eventually("two of others", || place(&daemon)["others_running"] == 2);
    let told = place(&daemon);
    assert_eq!((&told["slots"], &told["running"]), (&json!(4), &json!(0)), "{told:#}");
    assert_eq!(site(&daemon)["engine"], "llama.cpp");
    // There is room for two of ours; the third waits here.
    fake.answer(Script::gated());
    let first: Vec<_> = (0..2).map(|_| daemon.open(&chat("fake-1", true))).collect();
    let _ = (fake.wait_request(0), fake.wait_request(1));
    fake.tell("/slots", &slots(4, 4));
    let third = daemon.open(&chat("fake-1", true));
    eventually("the third waits", || place(&daemon)["waiting"] == 1);
    let told = explain(&daemon);
    assert_eq!(told["candidates"][0]["room"], false, "{told:#}");
    assert_eq!(told["candidates"][0]["score"]["others"], 2, "ours are not counted as others: {told:#}");
    assert_eq!(fake.requests().len(), 2);
    let config = daemon.folder().join("client.toml");
    let data = daemon.folder().join("data");
    std::fs::write(&config, format!("[data]\ndir = \"{}\"\n", data.display())).expect("written");
    let (_, out, _) = airlane(&["top", "--config", &config.display().to_string()]);
    assert!(out.contains("2 of others") && out.contains("(llama.cpp)"), "{out}");
    // The others have gone.
    fake.tell("/slots", &slots(2, 4));
    let _ = fake.wait_request(2);
    eventually("no others", || place(&daemon)["others_running"] == 0);
    drop((first, third));
}

#[test]
fn a_server_without_slots_tells_its_metrics() {
    let fake = Fake::start();
    fake.set_owner("llamacpp");
    fake.tell_nothing("/slots", 501);
    fake.tell("/metrics", "llamacpp:requests_processing 3\nllamacpp:requests_deferred 1\n");
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), "slots = 3").start();
    wait_model(&daemon, "fake-1");
    eventually("three of others", || place(&daemon)["others_running"] == 3);
    let told = explain(&daemon);
    let first = &told["candidates"][0];
    // Who would wait here for a slot would never get one, as others queue there.
    assert_eq!((&first["room"], &first["score"]["others"]), (&json!(true), &json!(4)), "{told:#}");
    assert!(first["score"]["wait_ms"].as_u64().is_some_and(|ms| ms > 0), "{told:#}");
    assert_eq!(fake.asked("/slots"), 1, "it is not asked again for what it does not have");
    // It stops to tell: what it told is forgotten, and it is served as before.
    let counted = || daemon.get("/metrics").text().contains("airlane_upstream_others{");
    assert!(counted());
    fake.tell_nothing("/metrics", 501);
    eventually("nothing is known", || place(&daemon)["others_running"] == 0);
    assert!(!counted(), "an unknown number is no zero");
}

#[test]
fn full_caches_and_others_are_told_by_vllm_and_sglang() {
    let vllm = |running: u32, kv: f32| {
        format!(
            "vllm:num_requests_running{{engine=\"0\",model_name=\"fake-1\"}} {running}\n\
             vllm:num_requests_waiting{{engine=\"0\",model_name=\"fake-1\"}} 0\n\
             vllm:kv_cache_usage_perc{{engine=\"0\",model_name=\"fake-1\"}} {kv}\n"
        )
    };
    let (fake, daemon) = house("vllm", &[("/metrics", &vllm(5, 0.2))]);
    eventually("five of others", || place(&daemon)["others_running"] == 5);
    assert_eq!((&site(&daemon)["engine"], &explain(&daemon)["candidates"][0]["room"]), (&json!("vLLM"), &json!(true)));
    fake.tell("/metrics", &vllm(5, 0.99));
    eventually("its cache is full", || explain(&daemon)["candidates"][0]["room"] == false);
    assert_eq!(place(&daemon)["kv_used_percent"], 99);
    fake.tell("/metrics", &vllm(1, 0.1));
    eventually("it has room again", || explain(&daemon)["candidates"][0]["room"] == true);

    let sglang = "sglang:num_running_reqs{model_name=\"fake-1\",tp_rank=\"0\"} 4.0\n\
        sglang:num_queue_reqs{model_name=\"fake-1\",tp_rank=\"0\"} 2.0\nsglang:token_usage{tp_rank=\"0\"} 0.5\n";
    let (_fake, daemon) = house("sglang", &[("/metrics", sglang)]);
    eventually("four of others, and two that wait", || {
        let told = place(&daemon);
        told["others_running"] == 4 && told["others_waiting"] == 2
    });
}

#[test]
fn an_engine_behind_another_name_is_known_by_its_metrics() {
    let (fake, daemon) = house("my-company", &[("/metrics", "vllm:num_requests_running{model_name=\"fake-1\"} 2\n")]);
    eventually("two of others", || place(&daemon)["others_running"] == 2);
    assert_eq!(site(&daemon)["engine"], "vLLM");
    // Whoever tells nothing is asked once.
    let plain = Fake::start();
    let other = Setup::new().fake("box", "openai", &plain).start();
    wait_model(&other, "fake-1");
    eventually("it is asked what it is", || plain.asked("/metrics") == 1);
    let before = plain.asked("/health");
    eventually("it is looked at again", || {
        assert_eq!(other.send(&chat("fake-1", false)).status(), 200);
        plain.asked("/health") > before
    });
    assert_eq!((plain.asked("/metrics"), &site(&other)["engine"]), (1, &Value::Null));
    drop(fake);
}

#[test]
fn our_own_requests_are_not_others() {
    let (fake, daemon) = house("llamacpp", &[("/slots", &slots(0, 2))]);
    eventually("it tells its slots", || place(&daemon)["slots"] == 2);
    fake.answer(Script::gated());
    let ours = daemon.open(&chat("fake-1", true));
    let _ = fake.wait_request(0);
    fake.tell("/slots", &slots(1, 2));
    let asked = fake.asked("/slots");
    eventually("some readings", || {
        assert_eq!(place(&daemon)["others_running"], 0);
        fake.asked("/slots") >= asked + 3
    });
    fake.release(100);
    drop(ours);
}

#[test]
fn what_is_loaded_and_being_loaded_is_told() {
    let running = |state: &str| json!({"running": [{"model": "fake-1", "state": state}]}).to_string();
    let (fake, daemon) = house("llama-swap", &[("/running", &running("starting"))]);
    eventually("it loads", || place(&daemon)["loading_s"].is_u64());
    let told = site(&daemon);
    let health = &told["health"];
    assert_eq!((&health["state"], &health["model"]), (&json!("warming"), &json!("fake-1")), "{told:#}");
    assert_eq!(told["models"][0]["resident"], false);
    assert_eq!(explain(&daemon)["chosen"]["upstream"], "box", "it is served when it is there");
    fake.tell("/running", &running("ready"));
    eventually("it is loaded", || place(&daemon)["resident"] == true);
    assert!(place(&daemon)["loading_s"].is_null());
    fake.tell("/running", "{\"running\":[]}");
    eventually("it is thrown out", || place(&daemon)["resident"] == false);
    assert!(explain(&daemon)["candidates"][0]["score"]["load_ms"].as_u64() > Some(0));
}

#[test]
fn lm_studio_tells_memory_and_abilities() {
    let models = |state: &str| {
        json!({"data": [{"id": "fake-1", "object": "model", "type": "llm", "state": state, "max_context_length": 9000,
            "capabilities": ["tool_use"]}]})
        .to_string()
    };
    let fake = Fake::start();
    fake.set_owner("organization_owner");
    // What versions before 0.4 answer where they know nothing.
    fake.tell("/api/v1/models", "{\"error\":\"Unexpected endpoint or method. (GET /api/v1/models)\"}");
    fake.tell("/api/v0/models", &models("not-loaded"));
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    eventually("not loaded", || place(&daemon)["resident"] == false);
    assert_eq!(daemon.get("/v1/models/fake-1").json()["context_length"], 9_000);
    fake.tell("/api/v0/models", &models("loaded"));
    fake.answer(Script::gated());
    let ours = daemon.open(&chat("fake-1", true));
    eventually("loaded", || place(&daemon)["resident"] == true);
    // Only before its list was there. It logs an error for each path that it does not know.
    let (before, asked) = (fake.asked("/health"), fake.asked("/api/v0/models"));
    eventually("some looks", || fake.asked("/api/v0/models") >= asked + 3);
    assert_eq!(fake.asked("/health"), before);
    drop(ours);
}

#[test]
fn ollama_tells_what_lies_beside_the_card() {
    let fake = Fake::start();
    fake.tell("/api/ps", &json!({"models": [{"model": "fake-1", "size": 100, "size_vram": 60}]}).to_string());
    let daemon = Setup::new().fake("box", "ollama", &fake).start();
    wait_model(&daemon, "fake-1");
    eventually("a part of it", || place(&daemon)["on_cpu_percent"] == 40);
    assert_eq!((&site(&daemon)["engine"], &place(&daemon)["resident"]), (&json!("Ollama"), &json!(true)));
}

#[test]
fn nonsense_and_silence_change_nothing() {
    let long = "x{".repeat(3_000_000);
    for page in ["<html>", "", "[[[[[", long.as_str()] {
        let (fake, daemon) = house("vllm", &[("/metrics", page)]);
        eventually("it is asked", || fake.asked("/metrics") > 0);
        assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
        assert_eq!(place(&daemon)["health"]["state"], "healthy", "{}", &page[..page.len().min(9)]);
    }
}

#[test]
fn a_server_that_is_asked_too_often_is_asked_again() {
    let fake = Fake::start();
    fake.set_owner("vllm");
    fake.tell_nothing("/metrics", 429);
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    eventually("it is asked", || fake.asked("/metrics") > 0);
    fake.tell("/metrics", "vllm:num_requests_running 2\n");
    eventually("two of others", || place(&daemon)["others_running"] == 2);
}

#[test]
fn metrics_that_do_not_come_are_no_illness() {
    let fake = Fake::start();
    fake.set_owner("vllm");
    fake.tell_nothing("/metrics", 503);
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    let state = || site(&daemon)["health"]["state"].clone();
    eventually("it is well", || state() == "healthy");
    let asked = fake.asked("/metrics");
    eventually("it is asked again", || {
        assert_eq!(state(), "healthy");
        fake.asked("/metrics") > asked + 1
    });
}

#[test]
fn the_router_of_llama_cpp_tells_what_is_loaded() {
    let models = |a: &str, b: &str| {
        let entry = |id: &str, value: &str| {
            json!({"id": id, "object": "model", "owned_by": "llamacpp",
            "status": {"value": value, "args": ["llama-server", "--api-key", "hidden"]}})
        };
        json!({"object": "list", "data": [entry("a", a), entry("b", b)]}).to_string()
    };
    let fake = Fake::with_models(&["a", "b"]);
    fake.set_owner("llamacpp");
    // A router has slots and metrics for one model at a time only.
    fake.tell_status("/slots", 400, r#"{"error":{"code":400,"message":"model name is missing from the request"}}"#);
    fake.tell("/models", &models("loaded", "unloaded"));
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, "a");
    let row = |model: &str| {
        let rows = site(&daemon)["models"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["model"] == model).unwrap_or(Value::Null)
    };
    eventually("one is loaded", || row("a")["resident"] == true && row("b")["resident"] == false);
    assert_eq!(site(&daemon)["engine"], "llama.cpp");
    fake.tell("/models", &models("sleeping", "loading"));
    eventually("it loads the other one", || row("b")["health"]["state"] == "warming");
    assert_eq!(row("a")["resident"], false, "{:#}", site(&daemon));
    let told = send(daemon.console()[0], &Request::post("/api/v1/explain", &chat_body("b", true))).json();
    assert!(told["candidates"][0]["score"]["load_ms"].as_u64().is_some_and(|ms| ms > 0), "{told:#}");
    fake.tell("/models", &models("unloaded", "loaded"));
    eventually("it is loaded", || row("b")["resident"] == true);
    let text = daemon.get("/metrics").text();
    assert!(!text.contains("airlane_upstream_others{"), "who tells nothing of requests has no count of others: {text}");
    assert!(!daemon.log().contains("hidden"), "its arguments are nobody's business");
}
