//! A real model behind the daemon: llama.cpp's own server with SmolLM2-135M on the CPU.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use airlane_tests::client::{Exchange, Request, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::programs::{prepared, repository};
use serde_json::{Value, json};

use crate::common::{eventually, models, wait_model};
use crate::outcome::{Near, Outcome};

pub(crate) const MODEL: &str = "smollm2-135m-instruct";

/// A running model server.
pub(crate) struct Model {
    child: Child,
    pub(crate) address: std::net::SocketAddr,
}

impl Model {
    fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts one on this port, or on any free one.
    pub(crate) fn start_on(port: u16) -> Self {
        let mut child = Self::spawn(port);
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ready http://").map(String::from));
        let address = ready.and_then(|text| text.trim().parse().ok()).expect("the model server did not become ready");
        Self { child, address }
    }

    /// Starts one on this port without waiting until it has loaded the model.
    pub(crate) fn begin_on(port: u16) -> Self {
        Self { child: Self::spawn(port), address: std::net::SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    fn spawn(port: u16) -> Child {
        let python = prepared("target/model-venv/bin/python", "packaging/model-setup");
        Command::new(python)
            .arg(repository().join("packaging/model-server.py"))
            .args(["--port", &port.to_string(), "--ctx", "4096", "--parallel", "2", "--threads", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the model server cannot be started")
    }

    /// Sends it a signal, like `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    fn busy_slots(&self) -> usize {
        let slots = send(self.address, &Request::get("/slots")).json();
        slots.as_array().into_iter().flatten().filter(|slot| slot["is_processing"] == true).count()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn house() -> (Model, Daemon) {
    let model = Model::start();
    let daemon = Setup::new().upstream("llama", "openai", &format!("http://{}", model.address), "").start();
    wait_model(&daemon, MODEL);
    (model, daemon)
}

/// Names the task and caps the answer, in the words of the surface.
fn short(near: Near, body: &mut Value) {
    let conversation = json!([{"role": "user", "content": "What is the capital of France? Answer in one word."}]);
    match near {
        Near::Chat | Near::Messages => {
            body["messages"] = conversation;
            body["max_tokens"] = json!(24);
            body["temperature"] = json!(0);
        }
        Near::OllamaChat => {
            body["messages"] = conversation;
            body["options"] = json!({"num_predict": 24, "temperature": 0});
        }
        Near::OllamaGenerate => {
            body["prompt"] = json!("What is the capital of France? Answer in one word.");
            body["options"] = json!({"num_predict": 24, "temperature": 0});
        }
        Near::Completions => {
            body["prompt"] = json!("The capital of France is");
            body["max_tokens"] = json!(24);
            body["temperature"] = json!(0);
        }
        Near::Responses => {
            body["input"] = json!("What is the capital of France? Answer in one word.");
            body["max_output_tokens"] = json!(24);
            body["temperature"] = json!(0);
        }
    }
}

#[test]
fn it_answers_in_every_dialect() {
    let (_model, daemon) = house();
    for near in Near::ALL {
        let ask = |stream: bool| -> Outcome {
            let mut body = near.body(MODEL, stream);
            short(near, &mut body);
            near.read(stream, &daemon.send(&near.request(&body).with("cache-control", "no-store")))
        };
        for (stream, outcome) in [(false, ask(false)), (true, ask(true))] {
            println!("{} stream={stream}: {:?}", near.path(), outcome.text);
            assert!(outcome.text.contains("Paris"), "{} stream={stream}: {:?}", near.path(), outcome.text);
            assert!(["stop", "length"].contains(&outcome.finish.as_str()), "{outcome:?}");
            assert!(outcome.input_tokens > Some(3), "{outcome:?}");
            assert!(outcome.output_tokens.is_some_and(|tokens| (1..=24).contains(&tokens)), "{outcome:?}");
        }
    }
}

#[test]
fn it_makes_vectors() {
    let (_model, daemon) = house();
    let vector = |text: &str| -> Vec<f64> {
        let reply = daemon.post("/v1/embeddings", &json!({"model": MODEL, "input": text})).json();
        let numbers = reply["data"][0]["embedding"].as_array().unwrap_or_else(|| panic!("no vector: {reply}"));
        numbers.iter().filter_map(Value::as_f64).collect()
    };
    let likeness = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let (cat, kitten, tax) = (vector("a cat"), vector("a kitten"), vector("the federal income tax law of 1913"));
    assert_eq!(cat.len(), 576);
    assert!(likeness(&cat, &kitten) > likeness(&cat, &tax), "what is alike lies closer");
    let ollama = daemon.post("/api/embed", &json!({"model": MODEL, "input": ["a cat", "a kitten"]})).json();
    assert_eq!(ollama["embeddings"].as_array().map(Vec::len), Some(2), "{ollama}");
    let base64 = json!({"model": MODEL, "input": "a cat", "encoding_format": "base64"});
    let text = daemon.post("/v1/embeddings", &base64).json()["data"][0]["embedding"].clone();
    assert_eq!(text.as_str().map(str::len), Some(576 * 4 / 3 * 4), "{text}");
}

#[test]
fn leaving_frees_its_slot() {
    let (model, daemon) = house();
    let mut body = Near::Chat.body(MODEL, true);
    body["messages"] = json!([{"role": "user", "content": "Write a very long story about a dragon."}]);
    body["max_tokens"] = json!(4000);
    body["ignore_eos"] = json!(true);
    for stream in [true, false] {
        body["stream"] = json!(stream);
        let mut exchange = daemon.open(&Near::Chat.request(&body));
        if stream {
            let _ = exchange.head();
            let _ = exchange.until("\"content\"");
        }
        eventually("a slot works", || model.busy_slots() == 1);
        let left = exchange.leave();
        // llama.cpp looks after a unary client once in a quiet second, and each of our questions disturbs its quiet.
        let free = (0..6).any(|_| {
            std::thread::sleep(Duration::from_secs(2));
            model.busy_slots() == 0
        });
        // The whole answer would take some 40 s.
        assert!(free, "stream={stream}: the model still works {:?} after the client left", left.elapsed());
    }
}

#[test]
fn slots_that_others_use_are_known() {
    let (model, daemon) = house();
    let place = || send(daemon.console()[0], &Request::get("/api/v1/places")).json()["upstreams"][0].clone();
    eventually("it tells its slots", || place()["models"][0]["slots"] == 2 && place()["engine"] == "llama.cpp");
    assert_eq!(place()["models"][0]["others_running"], 0);
    let mut body = Near::Chat.body(MODEL, true);
    body["messages"] = json!([{"role": "user", "content": "Write a very long story about a dragon."}]);
    body["max_tokens"] = json!(4000);
    body["ignore_eos"] = json!(true);
    // Somebody calls the server directly, and we do through the house.
    let mut theirs = Exchange::start(model.address, &Near::Chat.request(&body));
    let _ = theirs.head();
    let _ = theirs.until("\"content\"");
    eventually("one of others", || place()["models"][0]["others_running"] == 1);
    let mut ours = daemon.open(&Near::Chat.request(&body));
    let _ = ours.head();
    let _ = ours.until("\"content\"");
    eventually("both slots work", || model.busy_slots() == 2);
    let explained = send(daemon.console()[0], &Request::post("/api/v1/explain", &body)).json();
    assert_eq!(explained["candidates"][0]["room"], false, "{explained:#}");
    drop(theirs);
    eventually("nobody else", || place()["models"][0]["others_running"] == 0);
    assert_eq!(place()["models"][0]["running"], 1, "ours goes on");
    drop(ours);
}

#[test]
fn what_it_tells_of_itself_is_in_the_catalogue() {
    let (_model, daemon) = house();
    assert_eq!(models(&daemon), [MODEL]);
    let entry = daemon.get(&format!("/v1/models/{MODEL}")).json();
    let context = entry["context_length"].as_u64();
    assert!(context == Some(4096) || context == Some(8192), "the context it runs with, not the trained one: {entry}");
}

#[test]
fn a_prompt_over_its_context_is_told_as_such() {
    let (_model, daemon) = house();
    let mut body = Near::Chat.body(MODEL, false);
    body["messages"] = json!([{"role": "user", "content": "word ".repeat(9_000)}]);
    let response = daemon.post("/v1/chat/completions", &body);
    assert_eq!(response.status(), 400, "{}", response.text());
    assert_eq!(response.json()["error"]["code"], "context_length_exceeded", "{}", response.text());
}

#[test]
fn it_counts_tokens() {
    let (_model, daemon) = house();
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello there, how are you?"}]});
    let response = daemon.post("/v1/messages/count_tokens", &body);
    assert_eq!(response.status(), 200, "{}", response.text());
    assert!(response.json()["input_tokens"].as_u64() > Some(5), "{}", response.text());
}

#[test]
fn it_calls_a_forced_function_and_keeps_a_schema() {
    let (_model, daemon) = house();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
        "additionalProperties": false});
    let mut body = Near::Chat.body(MODEL, false);
    body["messages"] = json!([{"role": "user", "content": "Where is the Eiffel Tower?"}]);
    body["max_tokens"] = json!(100);
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "place", "schema": schema}});
    let outcome = Near::Chat.read(false, &daemon.post("/v1/chat/completions", &body));
    let value: Value = serde_json::from_str(&outcome.text).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert!(value["city"].is_string(), "{value}");
    let mut ollama = Near::OllamaChat.body(MODEL, false);
    ollama["messages"] = body["messages"].clone();
    ollama["format"] = schema;
    ollama["options"] = json!({"num_predict": 100});
    let outcome = Near::OllamaChat.read(false, &daemon.post("/api/chat", &ollama));
    assert!(serde_json::from_str::<Value>(&outcome.text).is_ok_and(|value| value["city"].is_string()), "{outcome:?}");
}
