//! Servers that answer that they load their model are waited for, where no other one can serve.

use std::time::{Duration, Instant};

use airlane_tests::client::{Exchange, Request, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use serde_json::Value;

use crate::common::{chat, eventually, messages, metric, ollama_chat, pair_with, places, wait_model};
use crate::real_model::{MODEL, Model};

/// llama.cpp's words.
const LOADING: &str = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;

fn health(daemon: &Daemon) -> Value {
    places(daemon)["upstreams"][0]["health"].clone()
}

/// The whole server loads, as llama.cpp does at its start.
fn load(fake: &Fake) {
    fake.tell_status("/health", 503, LOADING);
    fake.answer(Script::failing(503, None, "Loading model"));
}

fn ready(fake: &Fake) {
    fake.answer(Script::text("good morning"));
    fake.untell("/health");
}

fn signs() -> Setup {
    Setup::new().endpoint("heartbeat_s = 1")
}

fn open(daemon: &Daemon) -> Exchange {
    let mut stream = daemon.open(&chat("fake-1", true));
    assert_eq!(stream.head().status, 200);
    let _ = stream.until("; loading fake-1, ready in about ");
    stream
}

#[test]
fn a_stream_waits_for_the_only_server_and_is_told_so() {
    let (fake, daemon) = pair_with("openai", signs());
    load(&fake);
    let stream = open(&daemon);
    eventually("it is warming", || health(&daemon)["state"] == "warming");
    assert!(health(&daemon)["cause"].as_str().is_some_and(|cause| cause.contains("Loading model")));
    let state = ["airlane_upstream_state{", "upstream=\"box\"", "state=\"warming\""];
    assert_eq!(metric(&daemon.get("/metrics").text(), &state), Some(1.0));
    ready(&fake);
    let mut stream = stream;
    let text = stream.rest();
    assert!(text.contains("morning") && text.contains("[DONE]") && !text.contains("error"), "{text}");
    eventually("it is well", || health(&daemon)["state"] == "healthy");
}

#[test]
fn every_dialect_and_answers_in_one_piece_wait() {
    let (fake, daemon) = pair_with("openai", signs());
    load(&fake);
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            [chat("fake-1", false), messages("fake-1", false), messages("fake-1", true), ollama_chat("fake-1", true)]
                .into_iter()
                .map(|request| {
                    scope.spawn(|| {
                        let request = request;
                        daemon.send(&request)
                    })
                })
                .collect();
        eventually("all wait", || places(&daemon)["waiting"] == 4);
        ready(&fake);
        for response in asked {
            let response = response.join().expect("an answer");
            assert_eq!(response.status(), 200, "{}", response.text());
            assert!(response.text().contains("morning"), "{}", response.text());
        }
    });
}

#[test]
fn a_model_that_loads_behind_a_healthy_front_is_tried_by_one_at_a_time() {
    let (fake, daemon) = pair_with("openai", signs());
    fake.answer(Script::failing(503, None, "model is loading"));
    let began = Instant::now();
    let mut streams: Vec<_> = (0..5).map(|_| open(&daemon)).collect();
    std::thread::sleep(Duration::from_secs(3));
    // One each second, but for those that came before anything was known.
    let tried = fake.requests().len();
    assert!(tried <= 5 + 2 + began.elapsed().as_secs() as usize, "{tried} in {:?}", began.elapsed());
    fake.answer(Script::text("good morning"));
    for stream in &mut streams {
        let text = stream.rest();
        assert!(text.contains("morning") && !text.contains("error"), "{text}");
    }
}

#[test]
fn another_server_answers_meanwhile() {
    let (slow, near) = (Fake::start(), Fake::start());
    load(&slow);
    near.answer(Script::text("at once"));
    let daemon = signs().fake("slow", "openai", &slow).fake("near", "openai", &near).start();
    eventually("both are known", || crate::common::models(&daemon).len() == 2);
    for _ in 0..4 {
        let response = daemon.send(&chat("fake-1", true));
        assert_eq!(response.header("x-airlane-upstream"), Some("near"), "{}", response.text());
    }
    assert!(slow.requests().len() <= 1, "it is asked once at most");
}

#[test]
fn the_wait_ends_with_the_clients_time_and_with_the_owners_patience() {
    let (fake, daemon) = pair_with("openai", signs());
    load(&fake);
    let began = Instant::now();
    let response = daemon.send(&chat("fake-1", false).with("x-airlane-timeout", "2"));
    println!("the client's 2 s: told after {:?}", began.elapsed());
    assert_eq!(response.status(), 503, "{}", response.text());
    assert!(began.elapsed() >= Duration::from_millis(1_500), "it waits as long as the client does");

    for (limit_s, least) in [(0, 0), (2, 1)] {
        let (fake, daemon) = pair_with("openai", Setup::new().endpoint(&format!("load_wait_s = {limit_s}")));
        load(&fake);
        let began = Instant::now();
        let response = daemon.send(&chat("fake-1", false));
        println!("at most {limit_s} s: told after {:?}", began.elapsed());
        assert_eq!(response.status(), 503, "{}", response.text());
        assert!(response.text().contains("Loading model"), "in the server's words: {}", response.text());
        assert!(began.elapsed() >= Duration::from_secs(least), "{:?}", began.elapsed());
    }
}

#[test]
fn who_leaves_while_it_loads_leaves_nothing_behind() {
    let (fake, daemon) = pair_with("openai", signs());
    load(&fake);
    let stream = open(&daemon);
    let _ = stream.leave();
    eventually("nobody waits", || places(&daemon)["waiting"] == 0);
    let sent = fake.requests().len();
    ready(&fake);
    assert_eq!(daemon.send(&chat("fake-1", true)).status(), 200);
    assert_eq!((fake.requests().len(), health(&daemon)["state"].as_str()), (sent + 1, Some("healthy")));
}

#[test]
fn a_real_server_is_restarted_under_a_waiting_stream() {
    let model = Model::start_on(0);
    let port = model.address.port();
    let lines = format!("models = [\"{MODEL}\"]");
    let daemon = signs().upstream("llama", "openai", &format!("http://{}", model.address), &lines).start();
    wait_model(&daemon, MODEL);
    let address = model.address;
    drop(model);
    let restarted = Model::begin_on(port);
    let mut last = 0;
    eventually("it answers", || {
        if std::net::TcpStream::connect(address).is_ok() {
            last = send(address, &Request::get("/health")).status();
        }
        last != 0
    });
    let mut stream = daemon.open(&chat(MODEL, true));
    assert_eq!(last, 503, "it is seen while it loads its model");
    assert_eq!(stream.head().status, 200);
    let text = stream.rest();
    assert!(text.contains("[DONE]") && !text.contains("\"error\""), "{text}");
    drop(restarted);
}
